"""The lifting network's input of many people at once, on any device, as `top_down.lifting.completion` makes it live.

Needs torch. N people, K joints of `skeleton.H36M17`; that both give the same numbers is tested.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dualpose_ros.skeleton import H36M17, K
from dualpose_ros.top_down.lifting.completion import LONGEST_GAP_S, MIN_CONFIDENCE, MIRRORED_VIEW, TRUST
from dualpose_ros.top_down.lifting.person_view import FARTHEST, MIN_EXTENT, NEAREST


@dataclass(frozen=True)
class ViewTensors:
    """`person_view.PersonView` as tensors."""

    centre: Tensor
    to_camera: Tensor
    extent: Tensor
    rays: Tensor
    confidence: Tensor

    def scaled(self) -> Tensor:
        """All joints in units of the extent: (N, K, 2)."""
        return (self.rays / self.extent[:, None, None]).clamp(-FARTHEST, FARTHEST)

    def scaled_joints(self) -> Tensor:
        """Joints in units of the extent, (0, 0) where not found: (N, K, 2)."""
        return torch.where((self.confidence > 0)[..., None], self.scaled(), 0.0)

    def joints_found(self) -> Tensor:
        """`scaled_joints` and their confidence: (N, K, 3)."""
        return torch.cat([self.scaled_joints(), self.confidence[..., None]], dim=2)

    def features(self) -> Tensor:
        """Log extent and the two angles of the viewing direction, (N, 3)."""
        return torch.cat([torch.log(self.extent)[:, None] + 2.0, torch.atan(self.centre)], dim=1)


def view_person(rays: Tensor, confidence: Tensor, weight: Tensor | None = None) -> ViewTensors:
    """The view of people whose joints lie at rays (N, K, 2), found with confidence (N, K), weighed by weight (N, K)."""
    weight = confidence if weight is None else weight
    total = weight.sum(dim=1).clamp(min=1e-9)
    clean = torch.where((weight > 0)[..., None], rays, 0.0)
    centre = (weight[..., None] * clean).sum(dim=1) / total[:, None]
    to_camera = turned_to(centre)
    seen = through(to_camera, clean)
    middle = (weight[..., None] * seen).sum(dim=1) / total[:, None]
    spread = ((seen - middle[:, None]) ** 2).sum(dim=2)
    extent = torch.sqrt((weight * spread).sum(dim=1) / total)
    return ViewTensors(centre, to_camera, extent.clamp(min=MIN_EXTENT), seen, confidence)


def turned_to(rays: Tensor) -> Tensor:
    """Rotations (N, 3, 3) as of `camera.turned_to`."""
    direction = torch.cat([rays, torch.ones_like(rays[..., :1])], dim=-1)
    x, y, z = (direction / torch.linalg.vector_norm(direction, dim=-1, keepdim=True)).unbind(-1)
    share = 1 / (1 + z)
    parts = [1 - x * x * share, -x * y * share, x, -x * y * share, 1 - y * y * share, y, -x, -y, z]
    return torch.stack(parts, dim=-1).unflatten(-1, (3, 3))


def through(to_camera: Tensor, rays: Tensor) -> Tensor:
    """Rays (N, K, 2) of the camera as seen by virtual cameras (N, 3, 3)."""
    return _turned(rays, to_camera.transpose(1, 2))


def back(to_camera: Tensor, rays: Tensor) -> Tensor:
    """Rays (N, K, 2) of virtual cameras (N, 3, 3) as the camera sees them."""
    return _turned(rays, to_camera)


def _turned(rays: Tensor, rotation: Tensor) -> Tensor:
    turned = rays @ rotation[:, :, :2].transpose(1, 2) + rotation[:, None, :, 2]
    return turned[..., :2] / turned[..., 2:].clamp(min=NEAREST)


def complete(rays: Tensor, confidence: Tensor, gcn: nn.Module | None) -> tuple[ViewTensors, Tensor]:
    """The view of completed people and their features (N, F) less the time; as `completion.complete`."""
    confidence = torch.where(confidence > MIN_CONFIDENCE, confidence, 0.0)
    rays = torch.where((confidence > 0)[..., None], rays, 0.0)
    found = view_person(rays, confidence)
    if gcn is None:
        blank = rays.new_zeros(len(rays), K, 4)
        return found, _features(found, blank[..., 0], blank[..., 1:], found.scaled_joints())
    joints_2d, log_stddev, joints_rel = _completed(found, gcn)
    kept = (confidence**TRUST)[..., None]
    completed = kept * rays + (1 - kept) * back(found.to_camera, joints_2d * found.extent[:, None, None])
    whole = view_person(completed, confidence, torch.ones_like(confidence))
    turn = whole.to_camera.transpose(1, 2) @ found.to_camera
    return whole, _features(whole, log_stddev, joints_rel @ turn.transpose(1, 2), whole.scaled())


def _completed(found: ViewTensors, gcn: nn.Module) -> tuple[Tensor, Tensor, Tensor]:
    """What the GCN says of people and of their mirror images, averaged."""
    joints, view = found.joints_found(), found.features()
    both = gcn(torch.cat([joints, mirrored(joints)]), torch.cat([view, view * view.new_tensor(MIRRORED_VIEW)]))
    (joints_2d, other_2d), (log_stddev, other_log), (lifted, other_lifted) = (part.chunk(2) for part in both)
    return (
        (joints_2d + mirrored(other_2d)) / 2,
        (log_stddev + other_log[:, list(H36M17.mirror)]) / 2,
        (lifted + mirrored(other_lifted)) / 2,
    )


def mirrored(joints: Tensor) -> Tensor:
    """As `completion.mirrored`."""
    turned = joints[:, list(H36M17.mirror)]
    return torch.cat([-turned[..., :1], turned[..., 1:]], dim=-1)


def _features(view: ViewTensors, log_stddev: Tensor, joints_rel: Tensor, scaled: Tensor) -> Tensor:
    parts = (scaled.flatten(1), view.confidence, log_stddev, joints_rel.flatten(1), view.features())
    return torch.cat([*parts, scaled.new_zeros(len(scaled), 1)], dim=1)


def time_feature(elapsed_s: Tensor) -> Tensor:
    """As `completion.time_feature`."""
    return torch.log(30 * elapsed_s.clamp(1 / 240, LONGEST_GAP_S))
