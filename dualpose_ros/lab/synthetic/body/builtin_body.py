"""A body made of round solids, for when no mesh file is given: same parts, joints and layers."""

import numpy as np

from dualpose_ros.arrays import Floats, Int32s
from dualpose_ros.lab.synthetic.body.body import SKIN, SUIT, BodyModel
from dualpose_ros.lab.synthetic.body.rig import PART, PARTS

# (part, start, end, radius at start, radius at end, depth over width), metres, left side and middle
_SOLIDS: tuple[tuple[str, tuple[float, ...], tuple[float, ...], float, float, float], ...] = (
    ("pelvis", (0, 0.86, 0), (0, 1.02, 0), 0.16, 0.155, 0.7),
    ("abdomen", (0, 1.0, 0), (0, 1.18, 0.01), 0.15, 0.145, 0.68),
    ("chest", (0, 1.15, 0.01), (0, 1.40, 0), 0.15, 0.165, 0.65),
    ("neck", (0, 1.42, 0), (0, 1.54, 0.015), 0.058, 0.055, 1.0),
    ("head", (0, 1.55, 0.02), (0, 1.68, 0.02), 0.075, 0.085, 1.2),
    ("left_clavicle", (0.04, 1.42, 0), (0.17, 1.40, 0), 0.065, 0.062, 1.0),
    ("left_upper_arm", (0.18, 1.40, 0), (0.36, 1.19, 0), 0.055, 0.043, 1.0),
    ("left_forearm", (0.36, 1.19, 0), (0.50, 1.0, 0.07), 0.042, 0.03, 1.0),
    ("left_hand", (0.50, 1.0, 0.07), (0.57, 0.91, 0.11), 0.036, 0.026, 0.6),
    ("left_thigh", (0.095, 0.92, 0), (0.10, 0.49, 0.01), 0.09, 0.06, 1.0),
    ("left_shin", (0.10, 0.49, 0.01), (0.10, 0.08, 0), 0.057, 0.04, 1.0),
    ("left_foot", (0.10, 0.05, -0.04), (0.11, 0.035, 0.16), 0.045, 0.032, 0.9),
)

_RING, _STEPS = 14, 9


def _solid(start: Floats, end: Floats, first: float, last: float, flat: float) -> tuple[Floats, Int32s]:
    """A tapered tube with round ends: vertices and outward-wound triangles."""
    axis = end - start
    length = float(np.linalg.norm(axis))
    axis = axis / length
    side = np.cross([0.0, 0.0, 1.0], axis)
    side = side / np.linalg.norm(side) if np.linalg.norm(side) > 1e-6 else np.array([1.0, 0.0, 0.0])
    other = np.cross(axis, side)
    turn = np.linspace(0, np.pi, _STEPS)  # along the profile, pole to pole
    circle = np.linspace(0, 2 * np.pi, _RING, endpoint=False)
    radius = np.interp(-np.cos(turn), [-1, 1], [first, last])
    along = np.where(turn < np.pi / 2, -np.cos(turn) * first, length - np.cos(turn) * last)
    across = np.maximum(np.sin(turn), 1e-3) * radius
    around = np.cos(circle)[:, None] * side + flat * np.sin(circle)[:, None] * other
    vertices = start + along[:, None, None] * axis + across[:, None, None] * around
    rows, columns = np.meshgrid(np.arange(_STEPS - 1), np.arange(_RING), indexing="ij")
    a = rows * _RING + columns
    b = rows * _RING + (columns + 1) % _RING
    halves = [np.stack([a, b, b + _RING], -1), np.stack([a, b + _RING, a + _RING], -1)]
    faces = np.stack(halves, axis=2).reshape(-1, 3)
    return vertices.reshape(-1, 3), faces.astype(np.int32)


def builtin_body() -> BodyModel:
    """A person of about 1.77 m, rest pose with arms down and outwards, facing +z."""
    vertices, faces, layers, index = [], [], [], []
    count = 0
    origin = np.zeros((len(PARTS), 3))
    for layer, grow in ((SKIN, 1.0), (SUIT, 1.06)):
        for part, start, end, first, last, flat in _SOLIDS:
            for side in ("left", "right") if part.startswith("left") else ("",):
                flip = np.array([-1.0, 1.0, 1.0] if side == "right" else [1.0, 1.0, 1.0])
                name = part.replace("left", side) if side else part
                if layer == SUIT and name in ("head", "neck", "left_hand", "right_hand"):
                    continue
                solid, triangles = _solid(np.array(start), np.array(end), first * grow, last * grow, flat)
                vertices.append(solid * flip)
                faces.append((triangles[:, ::-1] if side == "right" else triangles) + count)
                layers.append(np.full(len(triangles), layer, np.int8))
                index.append(np.full(len(solid), PART[name], np.int32))
                count += len(solid)
                origin[PART[name]] = np.array(start) * flip
    origin[PART["pelvis"]] = (origin[PART["left_thigh"]] + origin[PART["right_thigh"]]) / 2
    origin[PART["left_foot"]], origin[PART["right_foot"]] = (0.10, 0.08, 0.0), (-0.10, 0.08, 0.0)
    markers = np.arange(count, count + len(PARTS))
    points = np.concatenate([*vertices, origin])
    owner = np.concatenate([*index, np.arange(len(PARTS), dtype=np.int32)])
    skin_index = np.zeros((len(points), 4), np.int32)
    skin_index[:, 0] = owner
    skin_weight = np.zeros((len(points), 4), np.float32)
    skin_weight[:, 0] = 1
    return BodyModel(
        points, np.concatenate(faces), np.concatenate(layers), skin_index, skin_weight,
        np.zeros(len(points), np.float32), tuple(np.array([marker]) for marker in markers), {},
    )  # fmt: skip
