"""What a rendered image knows about itself: the exact ground truth of the synthetic world.

N people, K joints of `skeleton.H36M17`, pixels of the image, metres in the camera frame.
"""

from __future__ import annotations

from dataclasses import dataclass

from dualpose_ros.arrays import Float32s, Int32s, RgbImage, Rows, UInt8s
from dualpose_ros.camera import Camera

OUTSIDE, HIDDEN, VISIBLE = 0, 1, 2
"""Visibility of a joint: outside the image, behind something (by depth), or in view."""

OCCLUDER = 255
"""Value of the mask where something that is no person lies in front."""


@dataclass(frozen=True, eq=False)
class People(Rows):
    """Ground truth of all people in one image.

    ids (N,) int; boxes_px (N, 4), of the whole body clipped to the image;
    joints_px (N, K, 2); visibility (N, K) uint8; joints_cam (N, K, 3);
    visible_fraction (N,): pixels of the person in view over those without occlusion.
    """

    ids: Int32s
    boxes_px: Float32s
    joints_px: Float32s
    visibility: UInt8s
    joints_cam: Float32s
    visible_fraction: Float32s


@dataclass(frozen=True)
class LabelledImage:
    """An RGB image (H, W, 3) uint8, its mask (H, W) uint8, its people and its camera.

    The mask holds 0 for background, n + 1 for person n, OCCLUDER for anything else in front.
    """

    image: RgbImage
    mask: UInt8s
    people: People
    camera: Camera
