"""Pictures of poses: 2D skeletons over an image, and people seen from above.

Images are RGB (H, W, 3) uint8. N people, K joints of `skeleton.H36M17`.
"""

import colorsys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import numpy.typing as npt

from dualpose_ros.arrays import Floats, Mask, RgbImage
from dualpose_ros.paths import written_whole
from dualpose_ros.people import SEEN, Pose3D, TrackingState
from dualpose_ros.skeleton import H36M17

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Colour = tuple[int, int, int]

_GOLDEN = 0.618033988749895
_BACKGROUND, _GRID, _TEXT = (250, 250, 250), (222, 222, 222), (90, 90, 90)
_FONT = cv2.FONT_HERSHEY_SIMPLEX
# cv2 draws at sixteenths of a pixel with this shift.
_SHIFT = 4


def track_colour(track_id: int) -> Colour:
    """RGB colour of a track: the same id always has the same, neighbouring ids differ widely."""
    hue = (track_id * _GOLDEN) % 1.0
    lightness = 0.50 if track_id % 2 else 0.62
    red, green, blue = colorsys.hls_to_rgb(hue, lightness, 0.85)
    return round(red * 255), round(green * 255), round(blue * 255)


def seen_joints(pose: Pose3D, min_score: float = SEEN) -> Mask:
    """The joints (K,) to show of a person: those that are no guesses, at places that are numbers."""
    return np.asarray((pose.joint_scores >= min_score) & np.isfinite(pose.joints_cam).all(axis=1))


def draw_skeletons(image: RgbImage, poses: Iterable[Pose3D], min_score: float = SEEN) -> RgbImage:
    """A copy of the image with each person's bones, id and depth in metres, the nearest on top.

    Joints with a score under `min_score` or without finite pixels are left out. Coasting people are drawn as thin bones
    alone, tentative ones without a label.
    """
    canvas = np.ascontiguousarray(image).copy()
    scale = max(canvas.shape[0], 240) / 480
    for pose in sorted(poses, key=lambda pose: -_depth(pose)):
        _draw_person(canvas, pose, min_score, scale)
    return canvas


def _depth(pose: Pose3D) -> float:
    """Depth of the root in metres, infinity where it has none."""
    depth = float(pose.joints_cam[H36M17.root, 2])
    return depth if np.isfinite(depth) else np.inf


def _draw_person(canvas: RgbImage, pose: Pose3D, min_score: float, scale: float) -> None:
    points = np.asarray(pose.keypoints_px, dtype=np.float64)
    # Far outside, cv2's fixed-point coordinates would overflow.
    usable = np.isfinite(points).all(axis=1) & (np.abs(points) < 1e5).all(axis=1)
    is_coasting = pose.state is TrackingState.COASTING
    usable &= seen_joints(pose, min_score)
    colour = track_colour(pose.track_id)
    width = max(1, round((1 if is_coasting else 2.5) * scale))
    for parent, child in H36M17.bones:
        if usable[parent] and usable[child]:
            shade = _shaded(colour, 0.6) if H36M17.joint_names[child].startswith("right_") else colour
            cv2.line(canvas, _fixed(points[parent]), _fixed(points[child]), shade, width, cv2.LINE_AA, _SHIFT)
    for point in points[usable & (not is_coasting)]:
        cv2.circle(canvas, _fixed(point), round(2.5 * scale * 2**_SHIFT), colour, -1, cv2.LINE_AA, _SHIFT)
    if pose.state is not TrackingState.TENTATIVE and usable.any():
        _label(canvas, label_of(pose), points[usable], colour, scale)


def seen_place(pose: Pose3D, min_score: float = SEEN) -> Floats | None:
    """Where somebody stands, (x, z) in metres: the root, or the middle of the joints seen; None if there are none."""
    seen = seen_joints(pose, min_score)
    joints = pose.joints_cam[[H36M17.root]] if seen[H36M17.root] else pose.joints_cam[seen]
    return np.asarray(joints[:, [0, 2]], dtype=np.float64).mean(axis=0) if seen.any() else None


def label_of(pose: Pose3D) -> str:
    """Short text for a person: id and depth in metres."""
    depth = _depth(pose)
    return f"#{pose.track_id} {depth:.1f} m" if np.isfinite(depth) else f"#{pose.track_id}"


def _label(canvas: RgbImage, text: str, points: Floats, colour: Colour, scale: float) -> None:
    """Text on a filled box above the person, kept inside the image."""
    size = max(0.45 * scale, 0.33)
    (width, height), base = cv2.getTextSize(text, _FONT, size, max(1, round(scale)))
    x = int(np.clip(points[:, 0].mean() - width / 2, 0, max(canvas.shape[1] - width, 0)))
    y = int(np.clip(points[:, 1].min() - 8 * scale, height + base, canvas.shape[0] - 1))
    cv2.rectangle(canvas, (x - 2, y - height - 3), (x + width + 2, y + base), colour, -1)
    ink = (0, 0, 0) if np.dot(colour, (0.299, 0.587, 0.114)) > 128 else (255, 255, 255)
    cv2.putText(canvas, text, (x, y), _FONT, size, ink, max(1, round(scale)), cv2.LINE_AA)


def _fixed(point: Floats) -> tuple[int, int]:
    return round(float(point[0]) * 2**_SHIFT), round(float(point[1]) * 2**_SHIFT)


def _shaded(colour: Colour, factor: float) -> Colour:
    red, green, blue = (round(channel * factor) for channel in colour)
    return red, green, blue


def top_view(
    poses: Iterable[Pose3D],
    size_px: tuple[int, int] = (480, 480),
    depth_m: float = 10.0,
    hfov: float | None = None,
    trails: Mapping[int, npt.ArrayLike] | None = None,
) -> RgbImage:
    """People seen from above, (height, width, 3) for `size_px` = (width, height).

    The camera sits at the bottom middle and looks up the picture; `depth_m` is the depth at
    the top, and both axes have one scale, with a line every metre. `hfov` in radians draws
    the edges of the view, `trails` maps track ids to past root positions (T, 2) as (x, z) in
    metres. Joints with a score under SEEN and people outside the picture are left out.
    """
    width, height = size_px
    view = _TopView(width, height, depth_m)
    canvas = np.full((height, width, 3), _BACKGROUND, dtype=np.uint8)
    view.draw_grid(canvas)
    if hfov is not None:
        view.draw_field(canvas, hfov)
    for track_id, trail in (trails or {}).items():
        points = np.asarray(trail, dtype=np.float64).reshape(-1, 2)
        points = points[np.isfinite(points).all(axis=1)]
        if len(points) > 1:
            line = np.round(view.to_px(points)).astype(np.int32).reshape(-1, 1, 2)
            cv2.polylines(canvas, [line], False, track_colour(track_id), 1, cv2.LINE_AA)
    for pose in poses:
        view.draw_person(canvas, pose, SEEN)
    return canvas


_PLAN_LINES = 480


class _TopView:
    """Metres of the camera's x-z plane to pixels of a top view."""

    _MARGIN_PX = 24

    def __init__(self, width: int, height: int, depth_m: float) -> None:
        if not depth_m > 0:
            raise ValueError(f"depth_m is {depth_m}; it must be positive")
        self._width, self._height, self._depth_m = width, height, depth_m
        # Everything is drawn for a picture of 480 lines; larger ones are looked at in the same size.
        self._scale = max(min(width, height) / _PLAN_LINES, 1.0)
        self._margin_px = self._MARGIN_PX * self._scale
        self._px_per_m = max(height - 2 * self._margin_px, 1) / depth_m

    def to_px(self, points: Floats) -> Floats:
        """Pixels (..., 2) of points (..., 2) = (x, z) in metres."""
        right = self._width / 2 + points[..., 0] * self._px_per_m
        down = self._height - self._margin_px - points[..., 1] * self._px_per_m
        return np.clip(np.stack([right, down], axis=-1), -1e4, 1e4)

    def draw_grid(self, canvas: RgbImage) -> None:
        """A line every metre, depths named every second one, and the camera."""
        half = self._width / 2 / self._px_per_m
        for x in range(-int(half), int(half) + 1):
            self._line(canvas, (x, 0), (x, self._depth_m), _GRID)
        for z in range(int(self._depth_m) + 1):
            self._line(canvas, (-half, z), (half, z), _GRID)
            if z and z % 2 == 0:
                x_px, y_px = self._pixel((-half, z))
                self._text(canvas, f"{z} m", (x_px + 3, y_px - 3), 0.4, _TEXT)
        size, width = round(14 * self._scale), round(2 * self._scale)
        cv2.drawMarker(canvas, self._pixel((0, 0)), _TEXT, cv2.MARKER_TRIANGLE_UP, size, width)

    def draw_field(self, canvas: RgbImage, hfov: float) -> None:
        """The edges of the camera's view."""
        reach = self._depth_m * np.tan(min(hfov, 3.0) / 2)
        for side in (-reach, reach):
            self._line(canvas, (0, 0), (side, self._depth_m), (170, 170, 170))

    def draw_person(self, canvas: RgbImage, pose: Pose3D, min_score: float) -> None:
        """A disc with the id where a person stands, shoulders as a bar: how they face."""
        place = seen_place(pose, min_score)
        if place is None:
            return
        colour = track_colour(pose.track_id)
        x_px, y_px = self._pixel(place)
        if not (0 <= x_px < self._width and 0 <= y_px < self._height):
            return
        shoulders = [H36M17.index("left_shoulder"), H36M17.index("right_shoulder")]
        ends = np.asarray(pose.joints_cam[shoulders][:, [0, 2]], dtype=np.float64)
        if seen_joints(pose, min_score)[shoulders].all():
            self._line(canvas, ends[0], ends[1], colour, 3)
        filled = round(2 * self._scale) if pose.state is TrackingState.COASTING else -1
        cv2.circle(canvas, (x_px, y_px), round(7 * self._scale), colour, filled, cv2.LINE_AA)
        right, down = round(10 * self._scale), round(4 * self._scale)
        self._text(canvas, label_of(pose), (x_px + right, y_px + down), 0.42, (30, 30, 30))

    def _text(self, canvas: RgbImage, text: str, at: tuple[int, int], size: float, colour: Colour) -> None:
        """Words inside the picture, as far as they fit."""
        (width, _), _ = cv2.getTextSize(text, _FONT, size * self._scale, round(self._scale))
        at = max(min(at[0], self._width - width), 0), at[1]
        cv2.putText(canvas, text, at, _FONT, size * self._scale, colour, round(self._scale), cv2.LINE_AA)

    def _pixel(self, point: npt.ArrayLike) -> tuple[int, int]:
        x_px, y_px = np.round(self.to_px(np.asarray(point, dtype=np.float64))).astype(int)
        return int(x_px), int(y_px)

    def _line(self, canvas: RgbImage, start: npt.ArrayLike, end: npt.ArrayLike, colour: Colour, width: int = 1) -> None:
        width = round(width * self._scale)
        cv2.line(canvas, self._pixel(start), self._pixel(end), colour, width, cv2.LINE_AA)


def beside(left: RgbImage, right: RgbImage) -> RgbImage:
    """Two images of one height beside each other; ValueError where their heights differ."""
    if left.shape[0] != right.shape[0]:
        raise ValueError(f"images of heights {left.shape[0]} and {right.shape[0]} don't go beside each other")
    return np.concatenate([left, right], axis=1)


def write_picture(path: Path, picture: RgbImage) -> None:
    """Write a picture in the form that the name's suffix says, whole or not at all, making the folder; OSError."""
    form = path.suffix.lower()
    if not cv2.haveImageWriter(f"picture{form}"):
        raise OSError(f"{path}: pictures can't be written as {form or 'a file without a suffix'}")
    with written_whole(path) as file:
        file.write_bytes(cv2.imencode(form, picture[..., ::-1])[1].tobytes())


def write_figure(path: Path, figure: "Figure", dots_per_inch: float | None = None) -> None:
    """Write a figure of Matplotlib's as PNG, whole or not at all, making the folder; OSError."""
    with written_whole(path) as file:
        figure.savefig(file, format="png", dpi=dots_per_inch or "figure")
