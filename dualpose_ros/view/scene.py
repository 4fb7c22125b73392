"""What the live view shows, as rerun's archetypes: people, camera, ground, curves.

N people, K joints of `skeleton.H36M17`, metres in the camera's optical frame, pixels of the image. Each function gives
what to log by its entity path; nothing here has state or talks to a server.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import rerun as rr
import rerun.blueprint as rrb

from dualpose_ros.arrays import AnyFloats, Mask, RgbImage
from dualpose_ros.camera import Camera, Ground
from dualpose_ros.drawing import label_of, seen_joints, seen_place, track_colour
from dualpose_ros.people import SEEN, Pose3D, TrackingState
from dualpose_ros.skeleton import H36M17

SCENE, CAMERA = "scene", "scene/camera"
IMAGE, GROUND, PEOPLE = f"{CAMERA}/image", f"{SCENE}/ground", f"{SCENE}/people"
DEPTH, LATENCY = "depth", "latency"
TIMELINE = "stamp"

Archetypes = dict[str, Any]

_ALPHA = {TrackingState.TENTATIVE: 90, TrackingState.CONFIRMED: 255, TrackingState.COASTING: 130}
_BONE_M, _JOINT_M, _LABEL_LIFT_M = 0.015, 0.025, 0.18
_FRUSTUM_M = 0.6


def people(poses: Sequence[Pose3D], min_score: float = SEEN) -> Archetypes:
    """Skeletons in space and over the image, and the depth of each track.

    Guessed joints (scores under `min_score`), ones that are no numbers, and their bones are left out; so are people
    without any joint left. An image without people takes away those of the one before.
    """
    shown = [(pose, seen) for pose in poses if (seen := seen_joints(pose, min_score)).any()]
    colours = [(*track_colour(pose.track_id), _ALPHA[pose.state]) for pose, _ in shown]
    joints = [pose.joints_cam[seen] for pose, seen in shown]
    bones = [_bones(pose.joints_cam, seen) for pose, seen in shown]
    # Up is -y in the optical frame.
    tops = [points[np.argmin(points[:, 1])] - (0, _LABEL_LIFT_M, 0) for points in joints]
    flat = [seen & np.isfinite(pose.keypoints_px).all(axis=1) for pose, seen in shown]
    flat_bones = [_bones(pose.keypoints_px, seen) for (pose, _), seen in zip(shown, flat, strict=True)]
    found: Archetypes = {
        f"{PEOPLE}/joints": rr.Points3D(_stacked(joints, 3), colors=_each(colours, joints), radii=_JOINT_M),
        f"{PEOPLE}/bones": rr.LineStrips3D(_stacked(bones, 2, 3), colors=_each(colours, bones), radii=_BONE_M),
        f"{PEOPLE}/labels": rr.Points3D(
            np.reshape(tops, (-1, 3)), labels=[label_of(pose) for pose, _ in shown], colors=colours, radii=0.0,
            show_labels=True,
        ),
        f"{IMAGE}/bones": rr.LineStrips2D(
            _stacked(flat_bones, 2, 2), colors=_each(colours, flat_bones), radii=rr.Radius.ui_points(1.5)
        ),
    }  # fmt: skip
    for pose, _ in shown:
        place = seen_place(pose, min_score)
        if place is not None and pose.track_id >= 0:
            found[f"{DEPTH}/{pose.track_id}"] = rr.Scalars(float(place[1]))
    return found


def depth_curve(track_id: int) -> Archetypes:
    """The name and colour, logged once, of the curve of a track's depth."""
    line = rr.SeriesLines(colors=track_colour(track_id), names=f"#{track_id}")
    return {f"{DEPTH}/{track_id}": line}


def image(pixels: RgbImage, jpeg_quality: int) -> Archetypes:
    """The image (H, W, 3), as JPEG."""
    return {IMAGE: rr.Image(pixels, color_model="RGB").compress(jpeg_quality=jpeg_quality)}


def camera(model: Camera) -> Archetypes:
    """The camera's frustum; the distortion of a lens is left out."""
    pinhole = rr.Pinhole(
        image_from_camera=model.matrix,
        resolution=(model.width, model.height),
        camera_xyz=rr.ViewCoordinates.RDF,
        image_plane_distance=_FRUSTUM_M,
    )
    return {IMAGE: pinhole}


def axes() -> Archetypes:
    """The optical frame: x right, y down, z ahead."""
    return {SCENE: rr.ViewCoordinates.RDF}


def ground_grid(ground: Ground, reach_m: int = 10) -> Archetypes:
    """A line every metre of the ground ahead of the camera, `reach_m` far and half of that to each side."""
    ahead, right = ground.level_axes
    foot = ground.down * ground.height_m
    half = reach_m // 2
    across = [[foot + z * ahead + x * right for x in (-half, half)] for z in range(reach_m + 1)]
    along = [[foot + z * ahead + x * right for z in (0, reach_m)] for x in range(-half, half + 1)]
    return {GROUND: rr.LineStrips3D(np.array(across + along), colors=(120, 120, 120), radii=0.005)}


def latencies(node: str, values: Mapping[str, str]) -> Archetypes:
    """Curves of a node's diagnostics: how long its stage works, and how old a frame is when it is done, in ms."""
    named = {"stage_ms_p50": "stage", "latency_ms_p50": "age"}
    return {f"{LATENCY}/{node}/{named[k]}": rr.Scalars(float(v)) for k, v in values.items() if k in named}


def layout() -> Any:
    """The page: image and scene above, depth and latencies over time below."""
    return rrb.Blueprint(
        rrb.Vertical(
            rrb.Horizontal(
                rrb.Spatial2DView(origin=IMAGE, name="image"),
                rrb.Spatial3DView(origin=SCENE, name="people", line_grid=rrb.LineGrid3D(visible=False)),
            ),
            rrb.Horizontal(
                rrb.TimeSeriesView(origin=DEPTH, name="depth in m"),
                rrb.TimeSeriesView(origin=LATENCY, name="latency in ms"),
            ),
            row_shares=[3, 1],
        ),
        rrb.TimePanel(timeline=TIMELINE, state="collapsed", play_state="following"),
        rrb.BlueprintPanel(state="collapsed"),
        rrb.SelectionPanel(state="collapsed"),
    )


def _bones(points: AnyFloats, usable: Mask) -> AnyFloats:
    """The bones (B, 2, D) both of whose ends are usable."""
    pairs = [pair for pair in H36M17.bones if usable[pair[0]] and usable[pair[1]]]
    return np.asarray(points[np.array(pairs, dtype=int).reshape(-1, 2)])


def _stacked(parts: Sequence[AnyFloats], *row: int) -> npt.NDArray[np.float32]:
    """One after another, as floats of the size that rerun has them in."""
    return np.concatenate([np.zeros((0, *row)), *parts], dtype=np.float32)


def _each(colours: Iterable[tuple[int, ...]], parts: Sequence[AnyFloats]) -> list[tuple[int, ...]]:
    """Each person's colour as often as it has rows."""
    return [colour for colour, part in zip(colours, parts, strict=True) for _ in range(len(part))]
