"""Clothes, hair and skin: which faces of a body are drawn, of which material, how far from the skin."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from dualpose_ros.arrays import Float32s, Floats, Int32s, Mask
from dualpose_ros.lab.synthetic.body.body import EYE, HAIR, SKIN, SKIRT, SUIT, Body
from dualpose_ros.lab.synthetic.body.rig import PART, PARTS, Rig, normalised
from dualpose_ros.lab.synthetic.looks.textures import cloth_colour, hair_colours, skin_tones
from dualpose_ros.lab.synthetic.render.raster import vertex_normals

SKIN_M, HAIR_M, TOP_M, BOTTOM_M, SHOE_M, EYE_M, HAT_M = range(7)
"""Materials of a person."""


@dataclass(frozen=True)
class Materials:
    """Shading tables, one row a material: see `shading.shade`. colour is linear RGB."""

    colour: Float32s
    params: Float32s
    texture_id: Int32s


@dataclass(frozen=True)
class Dressed:
    """A person ready to be posed: what is drawn of the body, with clothes on, and its materials.

    vertices (V, 3) at rest; skin_index, skin_weight (V, 4) over `rig.PARTS`; detail (V,) as in `BodyModel`;
    faces (F, 3); face_closed (F,), whether a face belongs to a closed surface; face_material (F,);
    face_uv (F, 3, 2) metres.
    """

    rig: Rig
    vertices: Float32s
    skin_index: Int32s
    skin_weight: Float32s
    detail: Float32s
    faces: Int32s
    face_closed: Mask
    face_material: Int32s
    face_uv: Float32s
    materials: Materials


@dataclass(frozen=True)
class Outfit:
    """What a person wears. Lengths run from 0 (none) to 1 (to the wrist, to the ankle)."""

    sleeve: float
    leg: float
    hem_m: float
    top_thickness_m: float
    bottom_thickness_m: float
    bare_chest: bool
    skirt: float
    skirt_is_top: bool
    shoes: bool
    boot: float
    hair: str
    neckline_m: float


def random_outfit(rng: np.random.Generator) -> Outfit:
    """Draw an outfit: from swimwear to winter coats, tight to loose."""
    kind = rng.choice(["light", "office", "winter", "sport", "dress", "bare"], p=[0.34, 0.2, 0.2, 0.14, 0.09, 0.03])
    sleeve = {
        "light": rng.choice([0.0, 0.2, 0.3, 0.45, 1.0]), "office": rng.choice([0.3, 0.7, 1.0, 1.0]), "winter": 1.0,
        "sport": rng.choice([0.0, 0.25, 0.4, 1.0]), "dress": rng.choice([0.0, 0.0, 0.25, 1.0]), "bare": 0.0,
    }[str(kind)]  # fmt: skip
    leg = {
        "light": rng.choice([0.3, 0.45, 1.0, 1.0]), "office": 1.0, "winter": 1.0,
        "sport": rng.choice([0.3, 0.45, 0.8, 1.0]), "dress": rng.choice([0.0, 0.0, 1.0]),
        "bare": rng.choice([0.1, 0.4]),
    }[str(kind)]  # fmt: skip
    loose = rng.beta(1.2, 2.5)
    coat = kind == "winter" and rng.random() < 0.4
    skirted = kind == "dress" or coat or (kind == "light" and rng.random() < 0.12)
    return Outfit(
        sleeve=float(np.clip(sleeve + rng.normal(0, 0.05), 0, 1)),
        leg=float(np.clip(leg + rng.normal(0, 0.05), 0.05, 1)),
        hem_m=float(rng.uniform(-0.02, 0.18)),
        top_thickness_m=float(0.004 + 0.045 * loose + (rng.uniform(0.01, 0.03) if kind == "winter" else 0)),
        bottom_thickness_m=float(0.003 + 0.035 * rng.beta(1.2, 2.5)) if kind != "dress" else 0.003,
        bare_chest=bool(kind == "bare"),
        skirt=float(rng.uniform(0.25, 0.6) if coat else rng.uniform(0.3, 0.95)) if skirted else 0.0,
        skirt_is_top=bool(coat or kind == "dress"),
        shoes=bool(kind != "bare" and rng.random() < 0.95),
        boot=float(rng.uniform(0.1, 0.8) if rng.random() < 0.15 else 0),
        hair=str(rng.choice(["bald", "short", "medium", "long", "cap", "hood"], p=[0.07, 0.4, 0.14, 0.22, 0.12, 0.05])),
        neckline_m=float(rng.uniform(-0.06, 0.04)),
    )


@dataclass(frozen=True)
class _Regions:
    """Per-face facts of a body at rest: main part, fraction along the limb, centroid."""

    part: Int32s
    along: Float32s
    centre: Float32s

    def within(self, *names: str) -> Mask:
        table = np.zeros(len(PARTS), np.bool_)
        table[[PART[name] for name in names]] = True
        return table[self.part]

    def arms(self, joint: str) -> Mask:
        return self.within(f"left_{joint}", f"right_{joint}")


def _regions(body: Body) -> _Regions:
    """Facts of quads, the same for both of their halves, so that clothes end along rows of quads."""
    model, rig = body.model, body.rig
    first, second, third, fourth = (body.vertices[model.faces[half::2, corner]] for half, corner in _QUAD)
    centre = (first + second + third + fourth) / np.float32(4)
    part = model.face_part[::2]
    along = np.zeros(len(part), np.float32)
    for side in ("left", "right"):
        for name, end in _BONES:
            chosen = part == PART[f"{side}_{name}"]
            start = rig.origins[PART[f"{side}_{name}"]]
            bone = rig.origins[PART[f"{side}_{end}"]] - start
            along[chosen] = (centre[chosen] - start) @ bone / (bone @ bone)
    return _Regions(*(np.repeat(values, 2, axis=0) for values in (part, along, centre)))


_QUAD = ((0, 0), (0, 1), (0, 2), (1, 2))
_BONES = (("upper_arm", "forearm"), ("forearm", "hand"), ("thigh", "shin"), ("shin", "foot"))


def _down_to(region: _Regions, upper_part: str, lower_part: str, length: float) -> Mask:
    """Faces of both limbs down to a share of their length."""
    upper, lower = region.arms(upper_part), region.arms(lower_part)
    return (upper & (region.along < 2 * length)) | (lower & (region.along < 2 * length - 1))


_TRUNK = ("abdomen", "chest", "pelvis", "left_clavicle", "right_clavicle", "neck", "left_thigh", "right_thigh")


def _heights(body: Body, outfit: Outfit) -> tuple[float, float]:
    """Heights of the waist and of the neckline."""
    return (
        float(body.rig.origins[PART["abdomen"], 1]) + 0.02,
        float(body.rig.origins[PART["neck"], 1]) + outfit.neckline_m,
    )


def _boot_top(outfit: Outfit) -> float:
    """Where shoes begin, as a fraction along the shin."""
    return 0.97 - 0.8 * outfit.boot


def _clothed(body: Body, region: _Regions, outfit: Outfit) -> tuple[Mask, Mask, Mask]:
    """Faces that the top, the bottom and the shoes cover, whatever layer they are of."""
    waist, neck = _heights(body, outfit)
    y = region.centre[:, 1]
    top = region.within(*_TRUNK) & (y > waist - outfit.hem_m) & (y < neck)
    top |= _down_to(region, "upper_arm", "forearm", outfit.sleeve)
    if outfit.bare_chest:
        top[:] = False
    hips = region.within("pelvis", "abdomen") & (y <= waist)
    bottom = (hips | _down_to(region, "thigh", "shin", outfit.leg)) & ~top
    shoes = np.zeros_like(top)
    if outfit.shoes:
        shoes = region.arms("foot") | (region.arms("shin") & (region.along > _boot_top(outfit)))
    return top, bottom & ~shoes, shoes


def _on_head(body: Body, region: _Regions) -> tuple[Float32s, Float32s]:
    """Where faces lie on the head: 0 at the neck to 1 at the top, 0 at the back to 1 at the nose."""
    head = region.within("head") & (body.model.layer == SKIN)
    y, z = region.centre[:, 1], region.centre[:, 2]
    low, high = body.rig.origins[PART["head"], 1], body.rig.joints[10, 1]
    back, front = z[head].min(), z[head].max()
    return (y - low) / max(high - low, 1e-3), (z - back) / max(front - back, 1e-3)


def _before_face(body: Body, region: _Regions) -> Mask:
    """Faces that hang before the face: long hair leaves it free."""
    up, ahead = _on_head(body, region)
    return (ahead > 0.6) & (up < 0.72)


def _scalp(body: Body, region: _Regions, rng: np.random.Generator) -> Mask:
    """Faces of the skin that hair grows on, by place relative to the head."""
    up, ahead = _on_head(body, region)
    hairline = rng.uniform(0.68, 0.8)
    return region.within("head") & ((up > hairline) | ((ahead < 0.42) & (up > 0.0)) | ((ahead < 0.52) & (up > 0.3)))


def _straighten_hems(body: Body, outfit: Outfit, cloth: Mask, material: Int32s) -> Float32s:
    """Rest vertices (V, 3) with those of cloth that lie between two materials moved onto the line of the hem."""
    model, rig = body.model, body.rig
    ends = np.zeros((2, len(model.vertices)), np.int32)  # least and greatest material around each vertex
    ends[0] = 99
    for corner in range(3):
        np.minimum.at(ends[0], model.faces[cloth, corner], material[cloth])
        np.maximum.at(ends[1], model.faces[cloth, corner], material[cloth] + 1)
    chosen = np.flatnonzero(ends[0] + 1 < ends[1])
    points, part = body.vertices[chosen].astype(np.float64), model.skin_index[chosen, 0]
    waist, neck = _heights(body, outfit)
    planes: list[tuple[tuple[str, ...], Floats, Floats]]
    planes = [(_TRUNK, np.array([0.0, y, 0.0]), np.array([0.0, 1.0, 0.0])) for y in (waist, waist - outfit.hem_m, neck)]
    lengths = {"upper_arm": [2 * outfit.sleeve], "forearm": [2 * outfit.sleeve - 1], "thigh": [2 * outfit.leg],
               "shin": [2 * outfit.leg - 1, _boot_top(outfit)]}  # fmt: skip
    for side in ("left", "right"):
        for name, end in _BONES:
            start, stop = rig.origins[PART[f"{side}_{name}"]], rig.origins[PART[f"{side}_{end}"]]
            axis = normalised(stop - start)
            planes += [((f"{side}_{name}",), start + share * (stop - start), axis) for share in lengths[name]]
    shift, least = np.zeros_like(points), np.full(len(chosen), _HEM_REACH_M)
    for names, origin, normal in planes:
        distance = (origin - points) @ normal
        nearer = np.isin(part, [PART[name] for name in names]) & (np.abs(distance) < least)
        least[nearer] = np.abs(distance[nearer])
        shift[nearer] = distance[nearer, None] * normal
    vertices = body.vertices.copy()
    vertices[chosen] += shift.astype(np.float32)
    return vertices


_HEM_REACH_M = 0.04
"""Vertices farther than this from a hem are left where they are."""


def _spread(faces: Int32s, chosen: Mask, among: Mask) -> Mask:
    """The chosen faces and those of `among` that share a vertex with them."""
    touched = np.zeros(int(faces.max()) + 1, np.bool_)
    touched[faces[chosen]] = True
    return chosen | (among & touched[faces].any(1))


def _face_uv(body: Body, drawn: Mask) -> Float32s:
    """Texture coordinates in metres for the corners of drawn faces: along the arm, or upright elsewhere."""
    vertices, faces, part = body.vertices, body.model.faces[drawn], body.model.face_part[drawn]
    x, z = vertices[:, 0], np.float32(0.7) * vertices[:, 2]
    uv = np.stack([x + z, -vertices[:, 1]], axis=-1)[faces]
    for side in ("left", "right"):
        start, end = body.rig.joints[11 if side == "left" else 14], body.rig.joints[13 if side == "left" else 16]
        bone = (end - start) / np.linalg.norm(end - start)
        axes = np.stack([np.cross(bone, [0.0, 0.0, 1.0]) + np.array([0, 0, 0.7]), bone], axis=-1)
        along = vertices @ axes.astype(np.float32) - (start @ axes).astype(np.float32)
        chosen = np.isin(part, [PART[f"{side}_{name}"] for name in ("upper_arm", "forearm", "hand")])
        uv[chosen] = along[faces[chosen]]
    return np.asarray(uv + np.float32(8.0), dtype=np.float32)


def dress(body: Body, rng: np.random.Generator, num_textures: int, outfit: Outfit | None = None) -> Dressed:
    """Put clothes and hair on a body; textures are drawn from an atlas of `num_textures`."""
    outfit = outfit or random_outfit(rng)
    model, region = body.model, _regions(body)
    top, bottom, shoes = _clothed(body, region, outfit)
    scalp = _scalp(body, region, rng)
    skin, suit = model.layer == SKIN, model.layer == SUIT
    has_suit = bool(suit.any())
    cloth = suit if has_suit else skin
    material = np.full(len(model.faces), -1, np.int32)
    bare = skin & (~(top | bottom | shoes) | region.arms("hand") | region.within("head"))
    material[_spread(model.faces, bare, skin) if has_suit else bare] = SKIN_M  # on beneath the hems
    for covered, name in ((top, TOP_M), (bottom, BOTTOM_M), (shoes, SHOE_M)):
        material[cloth & covered & ~region.within("head", "left_hand", "right_hand")] = name
    material[model.layer == EYE] = EYE_M
    if outfit.hair != "bald":
        material[skin & scalp] = {"cap": HAT_M, "hood": TOP_M}.get(outfit.hair, HAIR_M)
    y = region.centre[:, 1]
    if outfit.skirt > 0:
        waist, ankle = body.rig.origins[PART["abdomen"], 1], body.rig.joints[3, 1]
        skirt = (model.layer == SKIRT) & (y > waist - outfit.skirt * (waist - ankle))
        material[skirt] = TOP_M if outfit.skirt_is_top else BOTTOM_M
    if outfit.hair in ("long", "medium"):
        low = {"long": rng.uniform(-0.35, -0.05), "medium": rng.uniform(-0.05, 0.08)}[outfit.hair]
        hangs = y > body.rig.origins[PART["head"], 1] + low
        material[(model.layer == HAIR) & hangs & ~_before_face(body, region)] = HAIR_M
    drawn = material >= 0
    hemmed = replace(body, vertices=_straighten_hems(body, outfit, cloth, material)) if has_suit else body
    vertices = _inflate(hemmed, outfit, material, drawn, rng)
    uv = _face_uv(body, drawn)
    in_use = np.zeros(len(model.vertices), np.bool_)
    in_use[model.faces[drawn]] = True
    used = np.flatnonzero(in_use)
    faces = (np.cumsum(in_use, dtype=np.int32) - np.int32(1))[model.faces[drawn]]
    return Dressed(
        body.rig, vertices[used], model.skin_index[used], model.skin_weight[used], model.detail[used],
        faces, np.isin(model.layer[drawn], (SKIN, EYE)), material[drawn], uv, _materials(rng, num_textures, outfit),
    )  # fmt: skip


def _inflate(body: Body, outfit: Outfit, material: Int32s, drawn: Mask, rng: np.random.Generator) -> Float32s:
    """Move vertices outward by the thickness of what they carry, uneven as cloth is."""
    vertices, faces = body.vertices, body.model.faces
    thickness = np.zeros(len(vertices), np.float32)
    head = 0.12 * float(body.rig.joints[10, 1] - body.rig.origins[PART["head"], 1])
    amounts = {
        TOP_M: outfit.top_thickness_m, BOTTOM_M: outfit.bottom_thickness_m, SHOE_M: 0.012,
        HAIR_M: head * {"short": rng.uniform(0.1, 0.7), "medium": 1.0, "long": 0.8}.get(outfit.hair, 0.3),
        HAT_M: head * rng.uniform(0.4, 1.6),
    }  # fmt: skip
    for name, amount in amounts.items():
        thickness[faces[drawn & (material == name)]] = amount
    phase = rng.uniform(0, 6.28, 3)
    waves = np.sin(vertices @ rng.normal(0, 18, (3, 3)).astype(np.float32) + phase).mean(1)
    thickness *= 1 + 0.6 * waves.astype(np.float32)
    normals = vertex_normals(vertices, faces[(body.model.layer <= HAIR)])
    return np.asarray(vertices + normals * thickness[:, None], dtype=np.float32)


def _linear(colour: npt.ArrayLike) -> Floats:
    return (np.asarray(colour, dtype=np.float64) / 255.0) ** 2.2


def _materials(rng: np.random.Generator, num_textures: int, outfit: Outfit) -> Materials:
    """Colours, textures and gloss of one person's materials."""
    colour = np.zeros((7, 3))
    params = np.zeros((7, 5))
    texture = np.full(7, -1, np.int32)
    colour[SKIN_M] = _linear(skin_tones(rng))
    params[SKIN_M] = (0, 1, rng.uniform(0.0, 0.25), 0.05, 18)
    hair = _linear(hair_colours(rng))
    colour[HAIR_M] = hair
    params[HAIR_M] = (0, 1, rng.uniform(0.0, 0.2), 0.9, 12)
    for name in (TOP_M, BOTTOM_M, HAT_M, SHOE_M):
        colour[name] = _linear(cloth_colour(rng))
        patterned = rng.random() < {TOP_M: 0.75, BOTTOM_M: 0.5, HAT_M: 0.4, SHOE_M: 0.3}[name]
        texture[name] = rng.integers(num_textures) if patterned else -1
        bump = rng.uniform(0.2, 1.2) if name != SHOE_M else 0.1
        params[name] = (rng.uniform(0.6, 1.0), rng.uniform(1.2, 6.0), max(rng.normal(-0.02, 0.1), 0), bump, 10)
    if rng.random() < 0.1:  # overalls, suits, uniforms
        colour[BOTTOM_M], params[BOTTOM_M], texture[BOTTOM_M] = colour[TOP_M], params[TOP_M], texture[TOP_M]
    colour[EYE_M] = rng.uniform(0.02, 0.25)
    params[EYE_M] = (0, 1, 0.4, 0, 40)
    return Materials(colour.astype(np.float32), params.astype(np.float32), texture)
