"""A person on the image as a virtual camera sees it that looks straight at them, and the way back to metres.

With the camera's axis through the middle of the 2D joints and their size divided out, a person looks the
same wherever they stand. N people, K joints of `skeleton.H36M17`; rays are undistorted normalised image
coordinates. Training and live code share this file.
"""

from dataclasses import dataclass

import numpy as np

from dualpose_ros.arrays import AnyFloats, Float32s, Floats, Rows
from dualpose_ros.camera import turned_to

NUM_VIEW_FEATURES = 3
MIN_EXTENT = 1e-4
FARTHEST = 8.0
NEAREST = 0.1
"""Bounds of extents, of joints in extents, and of the depth that rays are divided by."""


@dataclass(frozen=True, eq=False)
class PersonView(Rows):
    """centre (N, 2): the ray that the virtual camera looks along; to_camera (N, 3, 3): its axes -> camera axes;
    extent (N,): RMS distance of the joints from their middle, in virtual rays; rays (N, K, 2) in the
    virtual camera and confidence (N, K), 0 = not found."""

    centre: AnyFloats
    to_camera: AnyFloats
    extent: AnyFloats
    rays: AnyFloats
    confidence: AnyFloats

    def scaled(self) -> AnyFloats:
        """All joints in units of the extent: (N, K, 2)."""
        return np.asarray(np.clip(self.rays / self.extent[:, None, None], -FARTHEST, FARTHEST))

    def scaled_joints(self) -> Float32s:
        """Joints in units of the extent, (0, 0) where not found: (N, K, 2)."""
        return np.where((self.confidence > 0)[..., None], self.scaled(), 0.0).astype(np.float32)

    def joints_found(self) -> Float32s:
        """`scaled_joints` and their confidence, what the GCN takes: (N, K, 3)."""
        return np.concatenate([self.scaled_joints(), self.confidence[..., None].astype(np.float32)], axis=2)

    def features(self) -> Float32s:
        """What scaling took away: log extent and the two angles of the viewing direction, (N, 3)."""
        return np.concatenate([np.log(self.extent)[:, None] + 2.0, np.arctan(self.centre)], axis=1).astype(np.float32)


def view_person(rays: AnyFloats, confidence: AnyFloats, weight: AnyFloats | None = None) -> PersonView:
    """People as virtual cameras see them that look straight at them.

    rays: (N, K, 2), where joints were found; confidence: (N, K), 0 where not; weight: (N, K), how much each joint
    counts for centre and extent; the confidence without.
    """
    weight = confidence if weight is None else weight
    total = np.maximum(weight.sum(axis=1), 1e-9)
    clean = np.where((weight > 0)[..., None], rays, 0.0)
    centre = (weight[..., None] * clean).sum(axis=1) / total[:, None]
    to_camera = turned_to(centre)
    seen = through(to_camera, clean)
    middle = (weight[..., None] * seen).sum(axis=1) / total[:, None]
    spread = ((seen - middle[:, None]) ** 2).sum(axis=2)
    extent = np.sqrt((weight * spread).sum(axis=1) / total)
    return PersonView(centre, to_camera, np.maximum(extent, MIN_EXTENT), seen, confidence)


def through(to_camera: AnyFloats, rays: AnyFloats) -> AnyFloats:
    """Rays (N, K, 2) of the camera as seen by virtual cameras (N, 3, 3)."""
    turned = _turn(rays, to_camera.transpose(0, 2, 1))
    return np.asarray(turned[..., :2] / np.maximum(turned[..., 2:], NEAREST))


def back(to_camera: AnyFloats, rays: AnyFloats) -> AnyFloats:
    """Rays (N, K, 2) of virtual cameras (N, 3, 3) as the camera sees them."""
    turned = _turn(rays, to_camera)
    return np.asarray(turned[..., :2] / np.maximum(turned[..., 2:], NEAREST))


def _turn(rays: AnyFloats, rotation: AnyFloats) -> AnyFloats:
    """Directions (N, K, 3): rotations (N, 3, 3) times rays (N, K, 2) with a z of 1."""
    return np.asarray(rays @ rotation[:, :, :2].transpose(0, 2, 1) + rotation[:, None, :, 2])


def place_root(view: PersonView, joints: AnyFloats, stddev: AnyFloats, depth: AnyFloats) -> Floats:
    """Where root-relative joints project best.

    x and y are the weighted least-squares solution over the joints found, or lie on the axis where none was.

    view: of the people; joints: (N, K, 3) in metres along the virtual camera's axes; stddev: (N, K) of them; depth:
    (N,) of the root along the virtual camera's z axis.
    Returns root positions (N, 3) in the camera frame.
    """
    z = joints[..., 2] + depth[:, None]
    wanted = view.rays * z[..., None] - joints[..., :2]
    weight = view.confidence / np.maximum(stddev, 0.01) ** 2
    total = weight.sum(axis=1)
    place = np.einsum("nk,nkc->nc", weight, wanted) / np.maximum(total, 1e-9)[:, None]
    root = np.concatenate([place, depth[:, None]], axis=1)
    return np.asarray(np.einsum("nab,nb->na", view.to_camera, root), dtype=np.float64)
