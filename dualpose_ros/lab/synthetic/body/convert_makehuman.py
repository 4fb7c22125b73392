"""Makes the body file that `body.load_body` reads from MakeHuman's own data, all of it CC0.

MakeHuman (github.com/makehumancommunity/makehuman) keeps below its data folder:

- `3dobjs/base.obj`: the mesh in decimetres, y up; groups `body`, `helper-*` (shells in the shape of clothes,
  hair and eyes) and `joint-*` (small cubes that mark joints);
- `rigs/default.mhskel`: JSON; `bones` by name with `head`, `tail` (names of joints) and `parent`, `joints` by name
  as lists of vertices whose mean is the joint;
- `rigs/default_weights.mhw`: JSON; `weights` by bone as a list of [vertex, weight];
- `targets/**/*.target`: text, "vertex dx dy dz" a line, decimetres: morphs between kinds of body.

The file made is an npz: vertices_dm (V, 3) float32; quads (F, 4) int32 with quad_group (F,) into group_names;
bone_names with bone_parent (-1: none), bone_head_joint and bone_tail_joint into joint_names; the vertices of joint j
are the next joint_vertex_counts[j] of joint_vertices; weight_vertex, weight_bone, weight_value in parallel; for each
target `target:NAME:index` and `target:NAME:delta`.
"""

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dualpose_ros.arrays import AnyArray
from dualpose_ros.lab.synthetic.body.body import BodyError
from dualpose_ros.paths import written_whole

_ANCESTRIES = ("african", "asian", "caucasian")
_MUSCLES = ("minmuscle", "averagemuscle", "maxmuscle")
_SEXES = ("female", "male")

TARGETS: tuple[str, ...] = tuple(
    name
    for sex in _SEXES
    for name in (
        *(f"{ancestry}-{sex}-young" for ancestry in _ANCESTRIES),
        *(f"universal-{sex}-young-{muscle}-{weight}" for muscle in _MUSCLES for weight in ("minweight", "maxweight")),
        *(f"height/{sex}-young-averagemuscle-averageweight-{height}" for height in ("minheight", "maxheight")),
    )
)
"""Morph targets that `body.shape_body` blends, as paths below targets/macrodetails."""


def convert(makehuman_data: Path, out: Path) -> None:
    """Write MakeHuman's base mesh, rig, weights and the morph targets of adults to `out` as one npz.

    makehuman_data is MakeHuman's `data` folder, or a checkout of its repository. Raises BodyError, naming the
    file, where one is missing or isn't what it should be.
    """
    data = find_data(makehuman_data)
    arrays = _read_mesh(data / "3dobjs" / "base.obj")
    count = len(arrays["vertices_dm"])
    bones, rig = _read_rig(data / "rigs" / "default.mhskel", count)
    arrays |= rig | _read_weights(data / "rigs" / "default_weights.mhw", bones, count)
    for name in TARGETS:
        index, delta = _read_target(data / "targets" / "macrodetails" / f"{name}.target", count)
        arrays[f"target:{name}:index"], arrays[f"target:{name}:delta"] = index, delta
    if not out.parent.is_dir():
        raise BodyError(f"folder {out.parent} does not exist")
    # A file of this very name: savez appends .npz to a path without it.
    with written_whole(out) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)


def find_data(folder: Path) -> Path:
    """MakeHuman's data folder in a folder: itself, or below an installation or checkout; BodyError if none."""
    for candidate in (folder, folder / "data", folder / "makehuman" / "data"):
        if (candidate / "3dobjs").is_dir() and (candidate / "rigs").is_dir():
            return candidate
    raise BodyError(f"{folder} is not MakeHuman's data folder: it has no 3dobjs and rigs in it")


def _read_text(path: Path) -> str:
    """A file of MakeHuman's, or its gzipped twin."""
    packed = path.with_name(path.name + ".gz")
    try:
        if path.is_file():
            return path.read_text(encoding="utf-8")
        if packed.is_file():
            with gzip.open(packed, "rt", encoding="utf-8") as file:
                return file.read()
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise BodyError(f"{path} can't be read: {error}") from None
    raise BodyError(f"MakeHuman's {path} does not exist")


def _read_json(path: Path, *keys: str) -> dict[str, Any]:
    """A JSON object that has these objects in it."""
    text = _read_text(path)
    try:
        content = json.loads(text)
    except ValueError as error:
        raise BodyError(f"{path} is not JSON: {error}") from None
    for key in keys:
        if not isinstance(content, dict) or not isinstance(content.get(key), dict):
            raise BodyError(f"{path} has no '{key}'")
    return dict(content)


def _read_mesh(path: Path) -> dict[str, AnyArray]:
    """Vertices, quads and their groups of an OBJ file; markers of joints are left out."""
    vertices: list[list[float]] = []
    quads: list[list[int]] = []
    quad_group: list[int] = []
    groups: list[str] = []
    group = -1
    for number, line in enumerate(_read_text(path).splitlines(), start=1):
        kind, *values = line.split() or ["#"]
        try:
            if kind == "v":
                vertices.append([float(value) for value in values[:3]])
            elif kind == "g":
                group = -1 if values[0].startswith("joint-") else _number_of(groups, values[0])
            elif kind == "f" and group >= 0:
                corners = [int(value.split("/")[0]) - 1 for value in values]
                if len(corners) not in (3, 4) or not 0 <= min(corners) <= max(corners) < len(vertices):
                    raise ValueError("a face needs three or four vertices that exist")
                quads.append((corners + corners[-1:])[:4])
                quad_group.append(group)
        except (ValueError, IndexError) as error:
            raise BodyError(f"{path}, line {number}: {error}") from None
    if "body" not in groups:
        raise BodyError(f"{path} has no group 'body': it is not MakeHuman's base mesh")
    return {
        "vertices_dm": np.array(vertices, np.float32).reshape(-1, 3), "quads": np.array(quads, np.int32),
        "quad_group": np.array(quad_group, np.int16), "group_names": np.array(groups),
    }  # fmt: skip


def _number_of(names: list[str], name: str) -> int:
    """Where a name stands in a list, at whose end it is put where it's new."""
    if name not in names:
        names.append(name)
    return names.index(name)


def _read_rig(path: Path, count: int) -> tuple[list[str], dict[str, AnyArray]]:
    """Bone names in order, and the arrays of bones and joints."""
    content = _read_json(path, "bones", "joints")
    bones, joints = content["bones"], content["joints"]
    names, joint_names = sorted(bones), sorted(joints)
    try:
        parents = [names.index(bones[name]["parent"]) if bones[name]["parent"] else -1 for name in names]
        ends = {
            end: np.array([joint_names.index(bones[name][end]) for name in names], np.int16) for end in ("head", "tail")
        }
        vertices = [np.array(joints[name], np.int32).reshape(-1) for name in joint_names]
    except (KeyError, TypeError, ValueError) as error:
        raise BodyError(f"{path} is not a MakeHuman rig: {error}") from None
    flat = np.concatenate(vertices) if vertices else np.zeros(0, np.int32)
    if not len(flat) or flat.min() < 0 or flat.max() >= count or min(map(len, vertices)) == 0:
        raise BodyError(f"{path} has joints of vertices that the mesh, of {count} vertices, has not")
    return names, {
        "bone_names": np.array(names), "bone_parent": np.array(parents, np.int16),
        "bone_head_joint": ends["head"], "bone_tail_joint": ends["tail"], "joint_names": np.array(joint_names),
        "joint_vertex_counts": np.array([len(v) for v in vertices], np.int16), "joint_vertices": flat,
    }  # fmt: skip


def _read_weights(path: Path, bones: list[str], count: int) -> dict[str, AnyArray]:
    """Skin weights as parallel arrays: vertex, bone, value."""
    weights = _read_json(path, "weights")["weights"]
    if unknown := sorted(set(weights) - set(bones)):
        raise BodyError(f"{path} weighs bones that the rig has not: {', '.join(unknown[:5])}")
    vertex: list[int] = []
    bone: list[int] = []
    value: list[float] = []
    try:
        for number, name in enumerate(bones):
            for index, weight in weights.get(name, ()):
                vertex.append(int(index))
                bone.append(number)
                value.append(float(weight))
    except (TypeError, ValueError) as error:
        raise BodyError(f"{path} is not a file of MakeHuman's weights: {error}") from None
    if not vertex or not 0 <= min(vertex) <= max(vertex) < count:
        raise BodyError(f"{path} weighs vertices that the mesh, of {count} vertices, has not")
    return {
        "weight_vertex": np.array(vertex, np.int32), "weight_bone": np.array(bone, np.int16),
        "weight_value": np.array(value, np.float32),
    }  # fmt: skip


def _read_target(path: Path, count: int) -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.float16]]:
    """Indices (n,) and offsets (n, 3) in decimetres of one morph target."""
    lines = [line for line in _read_text(path).splitlines() if line.strip() and not line.startswith("#")]
    try:
        table = np.array([[float(value) for value in line.split()] for line in lines], np.float64).reshape(-1, 4)
    except ValueError:
        raise BodyError(f"{path} is not a target: its lines should be 'vertex dx dy dz'") from None
    index = table[:, 0].astype(np.int64)
    if len(index) and not 0 <= index.min() <= index.max() < min(count, 1 << 16):
        raise BodyError(f"{path} moves vertices that the mesh, of {count} vertices, has not")
    return index.astype(np.uint16), table[:, 1:].astype(np.float16)
