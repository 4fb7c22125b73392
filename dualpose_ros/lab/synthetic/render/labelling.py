"""Exact ground truth from a depth buffer: boxes, visibility by depth, how much of each person is in view."""

import numpy as np

from dualpose_ros.arrays import Float32s, Floats, Int32s, UInt8s
from dualpose_ros.camera import project
from dualpose_ros.datasets.labels import HIDDEN, OUTSIDE, VISIBLE, People
from dualpose_ros.lab.synthetic.render import raster
from dualpose_ros.lab.synthetic.render.geometry import Actor, Geometry, View

_JOINT_DEPTH_M = np.array(
    [0.22, 0.2, 0.13, 0.12, 0.2, 0.13, 0.12, 0.22, 0.2, 0.17, 0.14, 0.14, 0.1, 0.1, 0.14, 0.1, 0.1]
)
"""How deep inside the body each joint of H36M17 lies: a surface this much nearer hides it."""

_SILHOUETTE_SIZE = 128
"""Longer side of the buffer that a whole silhouette is measured on, pixels."""


def label_people(
    actors: list[Actor], view: View, geometry: Geometry, points: Float32s, nearness: Float32s, face_id: Int32s,
    pixels: Int32s, factor: int,
) -> People:  # fmt: skip
    """The people of a picture from its depth buffer, supersampled `factor` times.

    points (V, 3) on the supersampled screen; pixels (256,) counts the samples in view of each object.
    """
    camera = view.camera
    spans = geometry.vertex_spans
    boxes = np.array([raster.bounds(points, spans[n], spans[n + 1]) for n in range(len(spans) - 1)]).reshape(-1, 4)
    n = len(actors)
    joints_cam = np.array([actor.joints_m for actor in actors]).reshape(n, 17, 3) @ view.rotation.T + view.translation
    joints_px = np.nan_to_num(project(camera, joints_cam), nan=-1e4)
    limits = np.array([camera.width - 1, camera.height - 1] * 2)
    found = np.where((boxes[:n, 2] >= boxes[:n, 0])[:, None], (boxes[:n] + 0.5) / factor - 0.5, -9.0)
    visibility = np.empty((n, 17), np.uint8)
    share = np.empty(n)
    for person in range(n):
        visibility[person] = _visibility(
            joints_cam[person], joints_px[person], (camera.width, camera.height), nearness, face_id, geometry,
            person + 1, factor,
        )  # fmt: skip
        total = pixels[person + 1]
        if _overlapped(boxes, person):
            total = max(total, _silhouette_size(geometry, points, person, boxes[person], face_id.shape))
        share[person] = pixels[person + 1] / max(total, 1)
    return People(
        np.array([actor.person_id for actor in actors], np.int32), np.clip(found, 0, limits).astype(np.float32),
        joints_px.astype(np.float32), visibility, joints_cam.astype(np.float32), share.astype(np.float32),
    )  # fmt: skip


def _overlapped(boxes: Floats, index: int) -> bool:
    """Whether any other object's box meets that of one."""
    low, high = np.maximum(boxes[:, :2], boxes[index, :2]), np.minimum(boxes[:, 2:], boxes[index, 2:])
    return bool(np.delete((low <= high).all(1), index).any())


def _silhouette_size(geometry: Geometry, points: Float32s, person: int, box: Float32s, shape: tuple[int, ...]) -> int:
    """Samples that the person alone would cover in the image, measured on a coarser buffer around the person."""
    low = np.floor(np.clip(box[:2], 0, [shape[1] - 1, shape[0] - 1]))
    high = np.ceil(np.clip(box[2:], 0, [shape[1] - 1, shape[0] - 1]))
    step = max(1, int(np.ceil((high - low).max() / _SILHOUETTE_SIZE)))
    width, height = (int(v) for v in np.ceil((high - low + 1) / step))
    first, last = geometry.vertex_spans[person], geometry.vertex_spans[person + 1]
    local = points[first:last].copy()
    local[:, :2] = (local[:, :2] - low + 0.5) / step - 0.5
    nearness = np.zeros((height, width), np.float32)
    chosen = slice(geometry.face_spans[person], geometry.face_spans[person + 1])
    faces = geometry.faces[chosen] - np.int32(first)
    raster.rasterise(local, faces, geometry.face_closed[chosen], nearness, np.empty((height, width), np.int32))
    return int(np.count_nonzero(nearness)) * step * step


def _visibility(
    joints_cam: Floats, joints_px: Floats, size: tuple[int, int], nearness: Float32s, face_id: Int32s,
    geometry: Geometry, number: int, factor: int,
) -> UInt8s:  # fmt: skip
    """OUTSIDE, HIDDEN (something nearer than the joint's own flesh) or VISIBLE for each joint."""
    width, height = size
    x, y = np.round(joints_px[:, 0]).astype(int), np.round(joints_px[:, 1]).astype(int)
    inside = (x >= 0) & (y >= 0) & (x < width) & (y < height) & (joints_cam[:, 2] > raster.NEAR)
    row = np.clip(y, 0, height - 1) * factor + factor // 2
    column = np.clip(x, 0, width - 1) * factor + factor // 2
    face = face_id[row, column]
    covered = face >= 0
    surface = np.where(covered, 1 / np.maximum(nearness[row, column], 1e-6), np.inf)
    owner = np.where(covered, geometry.face_object[np.maximum(face, 0)], 0) if len(geometry.faces) else 0 * face
    hidden = surface < joints_cam[:, 2] - _JOINT_DEPTH_M
    hidden |= covered & (owner != number) & (surface < joints_cam[:, 2])
    return np.where(inside, np.where(hidden, HIDDEN, VISIBLE), OUTSIDE).astype(np.uint8)
