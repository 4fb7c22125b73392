"""Human bodies: a skinned mesh given by path, shaped at random, reduced to nineteen rigid parts.

The mesh file is an npz made from MakeHuman's CC0 base mesh (`convert_makehuman.py` makes one
from MakeHuman's own files). Rest pose: y up, facing +z, left at +x, metres.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dualpose_ros.arrays import DAMAGED, AnyFloats, Float32s, Floats, Indices, Int32s
from dualpose_ros.lab.synthetic.body.rig import PART, PART_PARENT, PARTS, Rig
from dualpose_ros.lab.synthetic.compiled import compiled
from dualpose_ros.lab.synthetic.render import raster

SKIN, SUIT, SKIRT, HAIR, EYE = range(5)
"""Layers of faces: the body itself and shells that serve as clothes, long hair and eyes."""

_LAYER_OF_GROUP = {
    "body": SKIN, "helper-tights": SUIT, "helper-skirt": SKIRT, "helper-hair": HAIR,
    "helper-l-eye": EYE, "helper-r-eye": EYE,
}  # fmt: skip

_PART_OF_BONE = (
    ("upperarm", "upper_arm"), ("lowerarm", "forearm"), ("wrist", "hand"), ("metacarpal", "hand"), ("finger", "hand"),
    ("clavicle", "clavicle"), ("shoulder", "clavicle"), ("upperleg", "thigh"), ("lowerleg", "shin"),
    ("foot", "foot"), ("toe", "foot"),
)  # fmt: skip

_CENTRAL = {
    "root": "pelvis", "spine05": "pelvis", "spine04": "abdomen", "spine03": "abdomen", "spine02": "chest",
    "spine01": "chest", "neck01": "neck", "neck02": "neck", "neck03": "head",
}  # fmt: skip

_ORIGIN_JOINT = {
    "abdomen": "spine04", "chest": "spine02", "neck": "neck01", "head": "head", "clavicle": "clavicle",
    "upper_arm": "upperarm01", "forearm": "lowerarm01", "hand": "wrist", "thigh": "upperleg01",
    "shin": "lowerleg01", "foot": "foot",
}  # fmt: skip

_THORAX_DOWN, _NECK_UP = 0.1, 0.4
"""Where the thorax and neck joints lie: medians of captured skeletons, see `measure_rig`."""

_LIPS = ("oris",)
_BROWS = ("oculi01",)


class BodyError(ValueError):
    """A body file that can't be read."""


@dataclass(frozen=True)
class BodyModel:
    """The unshaped mesh.

    vertices (V, 3) m; faces (F, 3), the halves of each quad one after the other; layer (F,);
    skin_index, skin_weight (V, 4) over `rig.PARTS`; detail (V,), > 0 lips, < 0 brows; origins: vertex
    indices whose mean is where each part turns; targets: name -> (vertex indices, offsets in metres).
    """

    vertices: Floats
    faces: Int32s
    layer: npt.NDArray[np.int8]
    skin_index: Int32s
    skin_weight: Float32s
    detail: Float32s
    origins: tuple[Indices, ...]
    targets: dict[str, tuple[Indices, Floats]]

    @cached_property
    def skin_vertices(self) -> Indices:
        """Indices of the vertices of the body itself, ascending."""
        return np.unique(self.faces[self.layer == SKIN]).astype(np.intp)

    @cached_property
    def face_part(self) -> Int32s:
        """The part of the body (F,) that each face belongs to most."""
        return self.skin_index[self.faces[:, 0], 0]


@dataclass(frozen=True)
class Body:
    """A shaped body at rest: vertices (V, 3), its rig, and the model that its faces and weights come from."""

    model: BodyModel
    vertices: Float32s
    rig: Rig


def load_body(path: Path) -> BodyModel:
    """Read a body npz (see `convert_makehuman.py`); BodyError names the file and what is wrong with it."""
    data = _read_archive(path)
    try:
        return _model(data)
    except (IndexError, KeyError, ValueError, TypeError) as error:
        raise BodyError(f"body mesh {path} is not of one piece: {error}") from None


def _read_archive(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a body file."""
    try:
        archive = np.load(path)
        if not isinstance(archive, np.lib.npyio.NpzFile):
            raise ValueError("it is no npz archive")
        with archive:
            data = {name: archive[name] for name in archive.files}
    except FileNotFoundError:
        raise BodyError(f"body mesh {path} does not exist") from None
    except DAMAGED as error:
        raise BodyError(f"body mesh {path} can't be read: {error}") from None
    needed = {"vertices_dm", "quads", "quad_group", "group_names", "bone_names", "bone_parent", "bone_head_joint",
              "joint_vertex_counts", "joint_vertices", "weight_vertex", "weight_bone", "weight_value"}  # fmt: skip
    if missing := sorted(needed - data.keys()):
        raise BodyError(f"body mesh {path} lacks {', '.join(missing)}")
    return data


def _model(data: dict[str, np.ndarray]) -> BodyModel:
    """The mesh with bones summed to parts; IndexError, KeyError or ValueError where arrays don't fit each other."""
    vertices = data["vertices_dm"].astype(np.float64).reshape(-1, 3) / 10
    groups = np.array([_LAYER_OF_GROUP.get(str(name), -1) for name in data["group_names"]])
    quad_layer = groups[data["quad_group"]]
    quads = data["quads"][quad_layer >= 0]
    layer = np.repeat(quad_layer[quad_layer >= 0], 2).astype(np.int8)
    faces = np.stack([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]], axis=1).reshape(-1, 3).astype(np.int32)
    if not np.isfinite(vertices).all() or not (layer == SKIN).any():
        raise ValueError("its vertices are not finite, or it has no group 'body'")
    index, weight, detail = _reduce_weights(data, len(vertices))
    targets = {
        name[len("target:") : -len(":index")]: _target(data, name)
        for name in data
        if name.startswith("target:") and name.endswith(":index")
    }
    touched = [faces.ravel(), data["joint_vertices"], *(moved for moved, _ in targets.values())]
    if any(len(t) and not 0 <= t.min() <= t.max() < len(vertices) for t in touched):
        raise ValueError(f"it refers to vertices beyond its {len(vertices)}")
    return BodyModel(vertices, faces, layer, index, weight, detail, _part_origins(data), targets)


def _target(data: dict[str, np.ndarray], name: str) -> tuple[Indices, Floats]:
    """Vertices and offsets (n, 3), metres, of the morph target that `name` holds the index of."""
    index, delta = data[name].astype(np.intp), data[name[: -len("index")] + "delta"].astype(np.float64) / 10
    if delta.shape != (len(index), 3):
        raise ValueError(f"{name} has {len(index)} vertices but offsets of shape {delta.shape}")
    return index, delta


def _part_of(bone: str, parents: dict[str, str]) -> str:
    """The rigid part that a bone of MakeHuman's default rig belongs to."""
    side = {"L": "left_", "R": "right_"}.get(bone.rpartition(".")[2], "")
    for prefix, part in _PART_OF_BONE:
        if bone.startswith(prefix):
            return side + part
    if bone in _CENTRAL:
        return _CENTRAL[bone]
    if bone.startswith("pelvis"):
        return "pelvis"
    if bone.startswith("breast"):
        return "chest"
    return "head" if bone == "head" or not parents[bone] else _part_of(parents[bone], parents)


def _reduce_weights(data: dict[str, np.ndarray], count: int) -> tuple[Int32s, Float32s, Float32s]:
    """Sum bone weights into parts, keep the four largest, and mark lips and brows."""
    bones = [str(name) for name in data["bone_names"]]
    parents = {b: bones[p] if p >= 0 else "" for b, p in zip(bones, data["bone_parent"], strict=True)}
    part_of_bone = np.array([PART[_part_of(bone, parents)] for bone in bones])
    dense = np.zeros((count, len(PARTS)))
    np.add.at(dense, (data["weight_vertex"], part_of_bone[data["weight_bone"]]), data["weight_value"])
    dense[dense.sum(1) <= 0, PART["pelvis"]] = 1
    index = np.argsort(-dense, axis=1)[:, :4]
    weight = np.take_along_axis(dense, index, axis=1)
    detail = np.zeros(count)
    for names, amount in ((_LIPS, 1.0), (_BROWS, -1.0)):
        chosen = np.array([bone.startswith(names) for bone in bones])[data["weight_bone"]]
        np.add.at(detail, data["weight_vertex"][chosen], amount * data["weight_value"][chosen])
    weight = weight / weight.sum(1, keepdims=True)
    return index.astype(np.int32), weight.astype(np.float32), np.clip(detail, -1, 1).astype(np.float32)


def _part_origins(data: dict[str, np.ndarray]) -> tuple[Indices, ...]:
    """Vertices whose mean is the joint that each part turns about; the pelvis turns about mid-hip."""
    bones = [str(name) for name in data["bone_names"]]
    starts = np.concatenate([[0], np.cumsum(data["joint_vertex_counts"])])

    def head_of(bone: str) -> Indices:
        joint = data["bone_head_joint"][bones.index(bone)]
        return data["joint_vertices"][starts[joint] : starts[joint + 1]].astype(np.intp)

    origins = []
    for part in PARTS:
        side, _, limb = part.partition("_")
        if part == "pelvis":
            origins.append(np.concatenate([head_of("upperleg01.L"), head_of("upperleg01.R")]))
        elif side in ("left", "right"):
            origins.append(head_of(f"{_ORIGIN_JOINT[limb]}.{side[0].upper()}"))
        else:
            origins.append(head_of(_ORIGIN_JOINT[part]))
    return tuple(origins)


def measure_rig(model: BodyModel, vertices: AnyFloats) -> Rig:
    """Where the parts turn and where the joints of H36M17 lie in a rest mesh.

    The trunk's joints lie as in captured motion: the thorax a tenth of the way from the shoulders' middle to the hips',
    the spine half way from the hips' middle to the thorax, the neck two fifths of the way from the shoulders' middle
    to the crown.
    """
    origins = np.array([vertices[chosen].mean(0, dtype=np.float64) for chosen in model.origins])
    skin = model.skin_vertices
    head = skin[model.skin_index[skin, 0] == PART["head"]]
    top = vertices[head[np.argmax(vertices[head, 1])]] * [0, 1, 1]

    def at(part: str) -> Floats:
        return np.asarray(origins[PART[part]])

    shoulders = (at("left_upper_arm") + at("right_upper_arm")) / 2
    thorax = shoulders + _THORAX_DOWN * (at("pelvis") - shoulders)
    neck = shoulders + _NECK_UP * (top - shoulders)
    spine = (at("pelvis") + thorax) / 2
    joints = np.array(
        [at("pelvis"), at("right_thigh"), at("right_shin"), at("right_foot"), at("left_thigh"), at("left_shin"),
         at("left_foot"), spine, thorax, neck, top, at("left_upper_arm"), at("left_forearm"),
         at("left_hand"), at("right_upper_arm"), at("right_forearm"), at("right_hand")]
    )  # fmt: skip
    return Rig(origins, joints, float(vertices[skin, 1].min()))


def shape_body(
    model: BodyModel, rng: np.random.Generator, adult: bool | None = None, height_m: float | None = None
) -> Body:
    """A random body: sex, build, ancestry, stature, proportions; one in eight is a child, and as tall, unless told."""
    vertices = model.vertices.copy()
    if model.targets:
        _apply_targets(model, vertices, rng)
    is_child = bool(rng.random() < 0.125) if adult is None else not adult
    scale = np.ones(len(PARTS))
    limb = {name: rng.normal(1, 0.035) for name in ("upper_arm", "forearm", "thigh", "shin", "trunk")}
    for part, name in enumerate(PARTS):
        key = name.partition("_")[2] or name
        scale[part] = limb.get(key, limb["trunk"] if name in ("abdomen", "chest") else 1.0)
    scale[PART["head"]] = rng.normal(1, 0.03)
    if is_child:
        age = rng.uniform(0.0, 1.0)  # toddler .. early teens
        for name in ("head", "neck"):
            scale[PART[name]] *= 1.45 - 0.35 * age
        for part, name in enumerate(PARTS):
            if name.endswith(("thigh", "shin", "upper_arm", "forearm")):
                scale[part] *= 0.85 + 0.12 * age
    scaled = _scale_parts(model, vertices, scale)
    rig = measure_rig(model, scaled)
    height = rig.joints[10, 1] - rig.sole_y
    wanted = rng.uniform(0.95, 1.5) if is_child else float(np.clip(rng.normal(1.71, 0.095), 1.45, 2.02))
    if not is_child and rng.random() < 0.5:
        wanted = 0.5 * (wanted + height)  # keep what the shape targets say in part
    factor = (height_m or wanted) / height
    return Body(model, (scaled * np.float32(factor)).astype(np.float32), replace(
        rig, origins=rig.origins * factor, joints=rig.joints * factor, sole_y=rig.sole_y * factor))  # fmt: skip


def _apply_targets(model: BodyModel, vertices: Floats, rng: np.random.Generator) -> None:
    """Blend MakeHuman's morph targets (those present) into vertices, in place."""
    male = float(np.clip(rng.choice([0.0, 1.0]) + rng.normal(0, 0.12), 0, 1))
    ancestry = rng.dirichlet([0.6, 0.6, 0.6])
    muscle, weight, stature = rng.uniform(-1, 1), rng.normal(0, 0.45), rng.normal(0, 0.35)
    for sex, share in (("male", male), ("female", 1 - male)):
        names = (f"{name}-{sex}-young" for name in ("african", "asian", "caucasian"))
        factors = dict(zip(names, ancestry, strict=True))
        muscled = "maxmuscle" if muscle > 0.4 else "minmuscle" if muscle < -0.4 else "averagemuscle"
        heavy = "maxweight" if weight > 0 else "minweight"
        factors[f"universal-{sex}-young-{muscled}-{heavy}"] = min(abs(weight), 0.9)
        tall = "max" if stature > 0 else "min"
        factors[f"height/{sex}-young-averagemuscle-averageweight-{tall}height"] = min(abs(stature), 1.0)
        for name, factor in factors.items():
            if name in model.targets and share * factor > 0.02:
                index, delta = model.targets[name]
                _displace(vertices, index, delta, share * factor)


@compiled()
def _displace(vertices: Floats, index: Indices, delta: Floats, factor: float) -> None:
    """Add factor * delta (n, 3) to the vertices at index (n,), in place."""
    for n in range(index.shape[0]):
        for axis in range(3):
            vertices[index[n], axis] += factor * delta[n, axis]


def _scale_parts(model: BodyModel, vertices: Floats, scale: Floats) -> Float32s:
    """Scale each part about its origin and move the parts behind it along: same skinning, no rotation."""
    origins = np.array([vertices[chosen].mean(0) for chosen in model.origins])
    moved = origins.copy()
    for part, parent in enumerate(PART_PARENT):
        if parent >= 0:
            moved[part] = moved[parent] + scale[parent] * (origins[part] - origins[parent])
    rotation = (scale[:, None, None] * np.eye(3)).astype(np.float32)
    shift = (moved - scale[:, None] * origins).astype(np.float32)
    return raster.skin(vertices.astype(np.float32), model.skin_index, model.skin_weight, rotation, shift)
