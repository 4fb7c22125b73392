"""The pinhole camera: intrinsics as real inputs, pixels to rays and back; and the ground before it.

Camera optical frame (REP-103): x right, y down, z forward, metres. A pixel's centre
lies at integer coordinates, as in CameraInfo and OpenCV.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import cv2
import numpy as np
import numpy.typing as npt

from dualpose_ros.arrays import AnyFloats, Floats, Mask, RgbImage
from dualpose_ros.settings import Settings, setting


class CameraError(ValueError):
    """Intrinsics that no image can have come from."""


class ImageError(ValueError):
    """An image that is none, or not of its camera."""


MOST_OFF_AXIS = np.radians(85.0)
"""The largest angle from a camera's axis, in radians, that rays of a fisheye are told apart at."""

_TINY = 1e-12
_LONGEST_PIXEL, _FARTHEST_CENTRE = 1.5, 0.25
_MOST_SKEW, _NOISE, _NARROWEST = 0.01, 1e-3, np.radians(4.0)
_HALVINGS = 50


@dataclass(frozen=True)
class Camera:
    """Intrinsics of one image: size and focal lengths in pixels, distortion of OpenCV's pinhole or fisheye model.

    `distortion` of a fisheye (ROS's equidistant) is k1 to k4 of Kannala and Brandt (2006): a ray at the angle theta
    from the axis is seen at fx (theta + k1 theta^3 + ... + k4 theta^9) from the centre. Rays are x / z and y / z, so
    that what lies further than MOST_OFF_AXIS from the axis is taken for being there.

    Raises CameraError on construction if a value is not finite, a focal length or the
    size is not positive, the focal length is absurd for the size (field of view under
    1 or over 175 degrees) or the principal point lies more than one image size outside.
    """

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float
    distortion: tuple[float, ...] = ()
    fisheye: bool = False

    def __post_init__(self) -> None:
        values = (self.fx, self.fy, self.cx, self.cy, *self.distortion)
        if not np.all(np.isfinite(values)):
            raise CameraError(f"camera intrinsics are not finite: {values}")
        if self.width <= 0 or self.height <= 0:
            raise CameraError(f"image size {self.width}x{self.height} is not positive")
        if self.fx <= 0 or self.fy <= 0:
            raise CameraError(
                f"focal length fx={self.fx}, fy={self.fy} is not positive: the camera is not "
                "calibrated; give it a calibration file or a field of view"
            )
        for name, size, focal in (("horizontal", self.width, self.fx), ("vertical", self.height, self.fy)):
            fov = np.degrees(size / focal if self.fisheye else 2 * np.arctan2(size / 2, focal))
            if not 1 <= fov <= (360 if self.fisheye else 175):
                raise CameraError(f"{name} field of view of {fov:.2f} degrees is absurd (focal {focal:g} pixels)")
        if not (-self.width <= self.cx <= 2 * self.width and -self.height <= self.cy <= 2 * self.height):
            raise CameraError(f"principal point ({self.cx}, {self.cy}) is far outside the image")
        if self.fisheye and len(self.distortion) not in (0, 4):
            raise CameraError(f"{len(self.distortion)} distortion coefficients; a fisheye has 4")
        if len(self.distortion) not in (0, 4, 5, 8, 12, 14):
            raise CameraError(f"{len(self.distortion)} distortion coefficients; OpenCV takes 0, 4, 5, 8, 12 or 14")

    @property
    def matrix(self) -> Floats:
        """K, 3 x 3."""
        return np.array([[self.fx, 0.0, self.cx], [0.0, self.fy, self.cy], [0.0, 0.0, 1.0]])

    @property
    def is_distorted(self) -> bool:
        """Whether it is other than a pinhole: a fisheye, or any distortion coefficient is non-zero."""
        return self.fisheye or any(self.distortion)

    @property
    def hfov(self) -> float:
        """Horizontal field of view in radians, at the height of the principal point."""
        edges = np.array([[-0.5, self.cy], [self.width - 0.5, self.cy]])
        left, right = np.arctan(pixels_to_rays(self, edges)[:, 0])
        return float(right - left)

    @property
    def doubt(self) -> str:
        """What is odd about it in words, empty where nothing is: such cameras are rarer than bad calibrations."""
        if not 1 / _LONGEST_PIXEL <= self.fx / self.fy <= _LONGEST_PIXEL:
            return f"fx {self.fx:.4g} and fy {self.fy:.4g} differ: pixels are square as a rule"
        if self.hfov < _NARROWEST:
            return f"its field of view of {np.degrees(self.hfov):.3g} degrees is a telescope's: were radians meant?"
        for name, centre, size in (("cx", self.cx, self.width), ("cy", self.cy, self.height)):
            if abs((centre + 0.5) / size - 0.5) > _FARTHEST_CENTRE:
                return (
                    f"{name} {centre:.4g} is far from the middle of {size} pixels: are cx and cy swapped, "
                    "or is the image cropped without its camera_info?"
                )
        edges = np.array([[0.0, self.cy], [self.width - 1.0, self.cy], [self.cx, 0.0], [self.cx, self.height - 1.0]])
        if self.fisheye:
            reach = float(np.linalg.norm((edges - (self.cx, self.cy)) / (self.fx, self.fy), axis=1).max())
            bent = _bent(self, np.linspace(0, MOST_OFF_AXIS, 200))
            folds = bool((np.diff(bent) <= 0)[bent[:-1] < reach].any())
        else:
            back = rays_to_pixels(self, pixels_to_rays(self, edges))
            folds = bool((np.abs(back - edges).max(axis=1) > 1).any())
        return "its distortion folds within the image, so that rays are wrong there" if folds else ""

    def resized(self, width: int, height: int) -> Camera:
        """The camera of the same image resampled to another size (pixel centres kept aligned)."""
        sx, sy = width / self.width, height / self.height
        cx, cy = (self.cx + 0.5) * sx - 0.5, (self.cy + 0.5) * sy - 0.5
        return replace(self, width=width, height=height, fx=self.fx * sx, fy=self.fy * sy, cx=cx, cy=cy)


def cropped_and_binned(camera: Camera, region: Sequence[int], binning: Sequence[int]) -> Camera:
    """The camera of images of a part of its sensor (sensor_msgs/CameraInfo).

    region: x, y, width and height in pixels, of no size for all of it; binning: pixels across and down that then became
    one, 0 for 1.
    """
    size = cropped_and_binned_size((camera.width, camera.height), region, binning)
    x, y, width, height = region
    if width and height:
        camera = replace(camera, width=width, height=height, cx=camera.cx - x, cy=camera.cy - y)
    return camera if (camera.width, camera.height) == size else camera.resized(*size)


def cropped_and_binned_size(size: tuple[int, int], region: Sequence[int], binning: Sequence[int]) -> tuple[int, int]:
    """Width and height of images of a part of a sensor of this size; region and binning as above."""
    width, height = region[2:] if all(region[2:]) else size
    return width // max(binning[0], 1), height // max(binning[1], 1)


PINHOLE_MODELS = ("", "plumb_bob", "rational_polynomial", "radtan", "pinhole", "pinhole-radtan")
FISHEYE_MODELS = ("equidistant", "fisheye", "equi", "kannala_brandt", "kannala_brandt4", "pinhole-equi")
NO_DISTORTION = ("none", "no", "nodist", "no_distortion", "pinhole-none")


def camera_from_model(
    width: int, height: int, model: str, matrix: npt.ArrayLike, distortion: npt.ArrayLike = ()
) -> Camera:
    """Camera from K, D and the name of the distortion model, as CameraInfo and calibration files have them.

    width, height, K and D as in `camera_from_matrix`, and the model in ROS's words or those of calibration tools.

    CameraError for a model that is none of these, or as `camera_from_matrix`.
    """
    name = model.strip().lower()
    d = np.asarray(distortion, dtype=np.float64).reshape(-1)
    if name in FISHEYE_MODELS:
        if np.any(d[4:]):
            raise CameraError(f"distortion model '{model}' with {d.size} coefficients; a fisheye has 4")
        return camera_from_matrix(width, height, matrix, np.pad(d[:4], (0, 4 - d[:4].size)), fisheye=True)
    if name in NO_DISTORTION and np.any(d):
        raise CameraError(f"distortion model '{model}' says that there is no distortion, but D is not zero")
    if name not in (*PINHOLE_MODELS, *NO_DISTORTION):
        known = ", ".join((*PINHOLE_MODELS[1:3], *FISHEYE_MODELS[:2]))
        raise CameraError(
            f"distortion model '{model}' is not supported ({known} are): "
            "rectify the image first and set the parameter 'rectified'"
        )
    return camera_from_matrix(width, height, matrix, d if np.any(d) else ())


def camera_from_matrix(
    width: int, height: int, matrix: npt.ArrayLike, distortion: npt.ArrayLike = (), *, fisheye: bool = False
) -> Camera:
    """Camera from K and D as CameraInfo holds them.

    width, height: of the image in pixels; matrix: K, nine values row by row; distortion: D, as many coefficients as
    OpenCV takes; none without. fisheye: whether D is that of a fisheye.
    CameraError if K is all zero, of another size or form, or as `Camera`.
    """
    k = np.asarray(matrix, dtype=np.float64).reshape(-1)
    if k.size != 9:
        raise CameraError(f"K has {k.size} values instead of 9")
    if not np.any(k):
        raise CameraError("K is all zero: the camera is not calibrated; give it a calibration file or a field of view")
    is_odd = np.abs(k[[3, 6, 7]]).max() > _NOISE or min(abs(k[8]), abs(k[8] - 1)) > _NOISE
    if is_odd or abs(k[1]) > _MOST_SKEW * abs(k[0]):
        raise CameraError(f"K is {k.tolist()}, not fx 0 cx, 0 fy cy, 0 0 1: is it transposed, scaled or skewed?")
    d = tuple(float(v) for v in np.asarray(distortion, dtype=np.float64).reshape(-1))
    return Camera(width, height, float(k[0]), float(k[4]), float(k[2]), float(k[5]), d, fisheye)


def camera_from_hfov(width: int, height: int, hfov: float) -> Camera:
    """Undistorted, centred camera with square pixels.

    width, height: of the image in pixels; hfov: horizontal field of view in radians.
    CameraError if the field of view is not between 0 and pi, or as `Camera`.
    """
    if not 0 < hfov < np.pi:
        raise CameraError(f"horizontal field of view {hfov} rad is not between 0 and pi")
    focal = width / (2 * np.tan(hfov / 2))
    return Camera(width, height, focal, focal, (width - 1) / 2, (height - 1) / 2)


def check_image(image: RgbImage, camera: Camera | None = None) -> None:
    """ImageError unless an image is uint8 RGB (H, W, 3) with at least one pixel, and of the camera's size if given."""
    if not isinstance(image, np.ndarray) or image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        what = f"{image.dtype} {image.shape}" if isinstance(image, np.ndarray) else type(image).__name__
        raise ImageError(f"expected an RGB image, uint8 (H, W, 3), not {what}")
    if image.size == 0:
        raise ImageError(f"image is empty: {image.shape[1]}x{image.shape[0]}")
    if camera is not None and image.shape[:2] != (camera.height, camera.width):
        raise ImageError(f"image is {image.shape[1]}x{image.shape[0]}, but its camera {camera.width}x{camera.height}")


def project(camera: Camera, points_cam: AnyFloats) -> Floats:
    """Pixels (..., 2) of points (..., 3) in metres; NaN for points not in front of the camera."""
    points = np.asarray(points_cam, dtype=np.float64)
    depth = np.where(points[..., 2:] > 1e-6, points[..., 2:], np.nan)
    return rays_to_pixels(camera, points[..., :2] / depth)


def rays_to_pixels(camera: Camera, rays: AnyFloats) -> Floats:
    """Pixels (..., 2) of undistorted normalised rays (..., 2) = (x / z, y / z)."""
    rays = np.asarray(rays, dtype=np.float64)
    if not camera.is_distorted:
        return np.asarray(rays * (camera.fx, camera.fy) + (camera.cx, camera.cy))
    if camera.fisheye:
        radius = np.linalg.norm(rays, axis=-1, keepdims=True)
        scale = _bent(camera, np.arctan(radius)) / np.maximum(radius, _TINY)
        return np.asarray(rays * np.where(radius > _TINY, scale, 1.0) * (camera.fx, camera.fy) + (camera.cx, camera.cy))
    points = np.concatenate([rays, np.ones_like(rays[..., :1])], axis=-1).reshape(-1, 1, 3)
    zero = np.zeros(3)
    pixels, _ = cv2.projectPoints(points, zero, zero, camera.matrix, np.array(camera.distortion))
    return np.asarray(pixels, dtype=np.float64).reshape(rays.shape)


def in_view(camera: Camera, pixels: AnyFloats) -> Mask:
    """Which pixels (..., 2) lie on the camera's image."""
    places = np.asarray(pixels, dtype=np.float64)
    return np.asarray(((places >= -0.5) & (places < np.array([camera.width, camera.height]) - 0.5)).all(axis=-1))


def pixels_to_rays(camera: Camera, pixels: AnyFloats) -> Floats:
    """Undistorted normalised rays (..., 2) = ((u - cx) / fx, (v - cy) / fy) of pixels (..., 2)."""
    pixels = np.asarray(pixels, dtype=np.float64)
    if not camera.is_distorted:
        return np.asarray((pixels - (camera.cx, camera.cy)) / (camera.fx, camera.fy))
    if pixels.size == 0:
        return pixels.copy()
    if camera.fisheye:
        bent = (pixels - (camera.cx, camera.cy)) / (camera.fx, camera.fy)
        radius = np.linalg.norm(bent, axis=-1, keepdims=True)
        scale = np.tan(_straightened(camera, radius)) / np.maximum(radius, _TINY)
        return np.asarray(bent * np.where(radius > _TINY, scale, 1.0))
    points, matrix, distortion = pixels.reshape(-1, 1, 2), camera.matrix, np.array(camera.distortion)
    criteria = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 50, 1e-9)
    if iterate := getattr(cv2, "undistortPointsIter", None):  # OpenCV 4; its undistortPoints stops after five rounds
        rays = iterate(points, matrix, distortion, None, None, criteria)
    else:
        rays = cv2.undistortPoints(points, matrix, distortion, criteria=criteria)
    return np.asarray(rays, dtype=np.float64).reshape(pixels.shape)


def _bent(camera: Camera, theta: Floats) -> Floats:
    """Distance from the centre over the focal length at which a fisheye shows rays at angles (...) from its axis."""
    square = theta * theta
    series = np.ones_like(theta)
    for power, k in enumerate(camera.distortion, start=1):
        series = series + k * square**power
    return np.asarray(theta * series)


def _straightened(camera: Camera, radius: Floats) -> Floats:
    """Inverse of `_bent` by bisection, so that it ends for any coefficients: angles (...) up to MOST_OFF_AXIS."""
    low, high = np.zeros_like(radius), np.full_like(radius, MOST_OFF_AXIS)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        under = _bent(camera, middle) < radius
        low, high = np.where(under, middle, low), np.where(under, high, middle)
    return np.asarray((low + high) / 2)


def back_project(camera: Camera, pixels: AnyFloats, depth: AnyFloats) -> Floats:
    """Points in the camera frame of pixels at known depths.

    camera: of the image; pixels: (..., 2), distorted as the image is; depth: z (...,) in metres.
    Returns points (..., 3) in metres.
    """
    rays = pixels_to_rays(camera, pixels)
    z = np.asarray(depth, dtype=np.float64)[..., None]
    return np.concatenate([rays * z, z], axis=-1)


def turned_to(rays: AnyFloats) -> Floats:
    """Rotations (..., 3, 3) whose columns are the axes of virtual cameras that look along rays (..., 2).

    They turn the z axis onto the ray (x / z, y / z) the shortest way; a virtual camera's points times them
    are those of the camera.
    """
    rays = np.asarray(rays, dtype=np.float64)
    direction = np.concatenate([rays, np.ones_like(rays[..., :1])], axis=-1)
    direction /= np.linalg.norm(direction, axis=-1, keepdims=True)
    x, y, z = np.moveaxis(direction, -1, 0)
    shared = 1 / (1 + z)
    rows = [[1 - x * x * shared, -x * y * shared, x], [-x * y * shared, 1 - y * y * shared, y], [-x, -y, z]]
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


class GroundError(ValueError):
    """A plane that no camera can stand on."""


@dataclass(frozen=True)
class GroundAccuracy(Settings):
    """How far the ground may be off from where it is said to be; for as long as a run, and for all people alike."""

    height_stddev: float = setting(
        0.01, "deviation of the camera's height above the ground, as a share of it", above=0, most=1
    )
    pitch_stddev_rad: float = setting(0.005, "deviation of the camera's pitch", unit="rad", above=0, most=1)
    roll_stddev_rad: float = setting(0.005, "deviation of the camera's roll", unit="rad", above=0, most=1)


@dataclass(frozen=True)
class Ground:
    """down (3,): the unit vector toward the ground, straight across it; height_m: of the camera above it.

    Raises GroundError for what is not finite, a height that is not positive, or a ground that lies behind the image.
    """

    down: Floats
    height_m: float
    accuracy: GroundAccuracy = GroundAccuracy()

    def __post_init__(self) -> None:
        if not (np.isfinite(self.down).all() and np.isfinite(self.height_m)):
            raise GroundError(f"the ground is not finite: down {self.down}, camera {self.height_m} m above it")
        if not self.height_m > 0:
            raise GroundError(f"the camera is {self.height_m:.3g} m above the ground; it must be above it")
        if abs(float(np.linalg.norm(self.down)) - 1) > 1e-3:
            raise GroundError(f"down is {self.down}, no unit vector")

    @cached_property
    def level_axes(self) -> tuple[Floats, Floats]:
        """Unit vectors (3,) along the ground: ahead of the camera, and to its right."""
        across = np.array([0.0, 0.0, 1.0]) if abs(self.down[2]) < 0.99 else np.array([0.0, -1.0, 0.0])
        ahead = across - (across @ self.down) * self.down
        ahead /= np.linalg.norm(ahead)
        return ahead, np.cross(self.down, ahead)


def ground_below(
    height_m: float, pitch_rad: float = 0.0, roll_rad: float = 0.0, accuracy: GroundAccuracy | None = None
) -> Ground:
    """The ground under a camera.

    height_m: of the camera above it; pitch_rad: by how much the camera looks down; roll_rad: by how much its right side
    is lower than its left; accuracy: how sure all that is.
    GroundError as `Ground`.
    """
    level = np.cos(pitch_rad)
    down = np.array([np.sin(roll_rad) * level, np.cos(roll_rad) * level, np.sin(pitch_rad)])
    return Ground(down, height_m, accuracy if accuracy is not None else GroundAccuracy())


@dataclass(frozen=True)
class GroundConfig(Settings):
    """The ground under a camera that neither tilts nor rises; of others it comes with each frame."""

    camera_height_m: float = setting(
        0.0, "height of the camera above the ground; 0: not known", unit="m", least=0, most=100
    )
    camera_pitch_rad: float = setting(0.0, "by how much the camera looks down", unit="rad", least=-1.6, most=1.6)
    camera_roll_rad: float = setting(
        0.0, "by how much the camera's right side is lower than its left", unit="rad", least=-3.2, most=3.2
    )
    accuracy: GroundAccuracy = setting(
        GroundAccuracy(), "how far the ground may be off, here and where it comes from TF"
    )

    def ground(self) -> Ground | None:
        """The ground, None where no height is given."""
        if not self.camera_height_m:
            return None
        return ground_below(self.camera_height_m, self.camera_pitch_rad, self.camera_roll_rad, self.accuracy)


def ground_config(height_m: float, pitch_deg: float = 0.0, roll_deg: float = 0.0) -> GroundConfig:
    """The settings of a camera's ground in degrees, as people give them; SettingError names what is out of range."""
    if not height_m > 0:
        raise GroundError(f"the camera's height is {height_m:g} m; it must be above the ground")
    return GroundConfig(height_m, float(np.radians(pitch_deg)), float(np.radians(roll_deg)))
