"""What is known of the people in an image: everything of rendered ones, some of photographed ones.

N people, K joints of `skeleton.H36M17`, pixels of the image, metres in the camera frame.
"""

from dataclasses import dataclass, field

import numpy as np

from dualpose_ros.arrays import Float32s, Int32s, RgbImage, Rows, UInt8s, rows_of
from dualpose_ros.camera import Camera
from dualpose_ros.skeleton import K

OUTSIDE, HIDDEN, VISIBLE, UNKNOWN = 0, 1, 2, 3
"""Visibility of a joint: outside the image, behind something (by depth), in view, or not judged.

Where an UNKNOWN joint is, nobody has said: it teaches neither where it is nor where it is not.
"""

OCCLUDER = 255
"""Value of the mask where something that is no person lies in front."""


@dataclass(frozen=True, eq=False)
class People(Rows):
    """Ground truth of all people in one image.

    ids (N,) int; boxes_px (N, 4), of the whole body clipped to the image;
    joints_px (N, K, 2), zero where UNKNOWN; visibility (N, K) uint8; joints_cam (N, K, 3), NaN in photographs;
    visible_fraction (N,): pixels of the person in view over those without occlusion; in photographs 1, and 0 for a
    crowd whose people have no boxes of their own. A person of whom only the box is known has all joints UNKNOWN.
    """

    ids: Int32s = field(metadata=rows_of(dtype=np.int32))
    boxes_px: Float32s = field(metadata=rows_of(4, dtype=np.float32))
    joints_px: Float32s = field(metadata=rows_of(K, 2, dtype=np.float32))
    visibility: UInt8s = field(metadata=rows_of(K, dtype=np.uint8))
    joints_cam: Float32s = field(metadata=rows_of(K, 3, dtype=np.float32))
    visible_fraction: Float32s = field(metadata=rows_of(dtype=np.float32))


@dataclass(frozen=True)
class Origin:
    """Where an image comes from and how far to trust what it does not say.

    source: a name; weight: how often it is drawn, against other images of its cache; stretch: by what factor its
    width may be wrong either way (1: exact; photographs squashed into squares have more); complete: everybody in
    it has a box, so that elsewhere there is nobody.
    """

    source: str = "rendered"
    weight: float = 1.0
    stretch: float = 1.0
    complete: bool = True


RENDERED_ORIGIN = Origin()


@dataclass(frozen=True)
class LabelledImage:
    """An RGB image (H, W, 3) uint8, its mask (H, W) uint8, its people and its camera.

    The mask holds 0 for background, n + 1 for person n, OCCLUDER for anything else in front; in photographs
    it is 0 throughout, and the camera is a guess. origin: what may be concluded from the image.
    """

    image: RgbImage
    mask: UInt8s
    people: People
    camera: Camera
    origin: Origin = RENDERED_ORIGIN
