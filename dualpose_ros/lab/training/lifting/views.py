"""What a camera and a 2D network make of a movement: sequences for lifting, with their 3D truth. Needs torch.

N sequences, M frames, K joints of `skeleton.H36M17`. World y up; camera optical frame
x right, y down, z forward; metres and seconds; rays are normalised image coordinates.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from dualpose_ros.lab.training.lifting.bodies import BodyConfig, MotionTensors, draw_motion, turned_about_y
from dualpose_ros.lab.training.lifting.clothes import ClothesConfig, seeming
from dualpose_ros.lab.training.lifting.dice import Dice
from dualpose_ros.lab.training.lifting.faults import (
    ErrorTensors,
    FaultConfig,
    hidden_for_good,
    lost,
    modelled_errors,
    real_errors,
    stolen,
    visible_size,
)
from dualpose_ros.settings import Settings, setting, share
from dualpose_ros.skeleton import ROOT

MIN_FOUND = 3
"""Frames with fewer joints found are none: the top-down stage gives no pose."""

NEAREST_M = 0.15
"""Joints nearer than this, or behind the camera, are not seen."""


@dataclass(frozen=True)
class CameraConfig(Settings):
    """Where cameras are."""

    hfov_deg: tuple[float, float] = setting(
        (40.0, 100.0), "range of horizontal fields of view", unit="degrees", above=0, below=180
    )
    distance_m: tuple[float, float] = setting((1.0, 12.0), "range of people's distances", unit="m", above=0)
    height_m: tuple[float, float] = setting((0.3, 3.0), "range of heights that cameras hang at", unit="m")
    elevation_deg: tuple[float, float] = setting(
        (-20.0, 37.0), "range of elevations from which the others look at people", unit="degrees", least=-90, most=90
    )
    elevated: float = share(0.5, "share of those others")
    roll_deg: float = setting(32.0, "largest roll, either way", unit="degrees", least=0, most=180)
    rolled: float = share(0.5, "share of cameras that are rolled")


@dataclass(frozen=True)
class ViewConfig(Settings):
    """People, cameras, and 2D errors."""

    bodies: BodyConfig = setting(BodyConfig(), "whose movements are drawn, and at which frame rates")
    cameras: CameraConfig = setting(CameraConfig(), "where cameras are")
    clothes: ClothesConfig = setting(ClothesConfig(), "how far off joints seem under clothes and hair")
    faults: FaultConfig = setting(FaultConfig(), "what 2D networks get wrong")
    measured: float = share(0.6, "share of people with the errors of a real network, where such are given")
    exact: float = share(0.4, "share of people without errors")
    whole: float = share(0.5, "share of people without faults")


@dataclass(frozen=True)
class Sequences:
    """times (N, M) ascending; rays (N, M, K, 2) as found, with scores (N, M, K), 0 = not found; joints_cam
    (N, M, K, 3), the truth; frames (N,): the first so many of the M frames are there, the rest is to be ignored."""

    times: Tensor
    rays: Tensor
    scores: Tensor
    joints_cam: Tensor
    frames: Tensor

    @property
    def there(self) -> Tensor:
        """Which frames (N, M) are not to be ignored."""
        return torch.arange(self.times.shape[1], device=self.times.device) < self.frames[:, None]


def draw_sequences(
    bank: MotionTensors, config: ViewConfig, dice: Dice, count: int, frames: int, errors: ErrorTensors | None = None
) -> Sequences:
    """Random passages of the bank, seen by random cameras and by an imperfect 2D network.

    With `errors`, those that a network really made replace the modelled ones in config.measured of the people.
    """
    times, world = draw_motion(bank, config.bodies, dice, count, frames)
    joints_cam, half_view = film(world, times, config.cameras, dice)
    exact = dice.happens((count, 1, 1), config.exact)
    shown = torch.where(exact[..., None], joints_cam, seeming(joints_cam, config.clothes, dice))
    rays = shown[..., :2] / shown[..., 2:].clamp(min=NEAREST_M)
    outside = (shown[..., 2] < NEAREST_M) | (rays.abs() > half_view[:, None, None]).any(dim=-1)
    scores = torch.where(outside, 0.0, 1.0)
    whole = dice.happens((count, 1, 1), config.whole)
    clock = torch.where(times.isfinite(), times, 0.0)
    if config.whole < 1:
        scores = torch.where(whole, scores, hidden_for_good(scores, rays, config.faults, dice))
    size = visible_size(rays, scores)
    if config.exact < 1:
        noisy, noisy_scores = modelled_errors(rays, scores, size, clock, config.faults, dice, whole)
        if errors is not None:
            real, real_scores = real_errors(rays, scores, size, clock, errors, dice)
            chosen = dice.happens((count, 1, 1), config.measured)
            noisy = torch.where(chosen[..., None], real, noisy)
            noisy_scores = torch.where(chosen, real_scores, noisy_scores)
        rays = torch.where(exact[..., None], rays, noisy)
        scores = torch.where(exact, scores, noisy_scores)
    scores = scores.clamp(min=0)
    if config.whole < 1:
        faulty_rays, faulty_scores = stolen(rays, scores, size, clock, dice)
        faulty_scores = lost(faulty_scores, clock, dice)
        rays = torch.where(whole[..., None], rays, faulty_rays)
        scores = torch.where(whole, scores, faulty_scores)
    return _kept(times, rays, scores, joints_cam)


def _kept(times: Tensor, rays: Tensor, scores: Tensor, joints_cam: Tensor) -> Sequences:
    """The frames in which the person was found, first, in the order of time."""
    found = ((scores > 0).sum(dim=2) >= MIN_FOUND) & times.isfinite()
    order = torch.argsort((~found).to(torch.uint8), dim=1, stable=True)
    rows = torch.arange(len(times), device=times.device)[:, None]
    clock = torch.where(times.isfinite(), times, 0.0)
    return Sequences(clock[rows, order], rays[rows, order], scores[rows, order], joints_cam[rows, order], found.sum(1))


def film(world: Tensor, times: Tensor, config: CameraConfig, dice: Dice) -> tuple[Tensor, Tensor]:
    """Joints (N, M, K, 3) in the frame of a slightly moving camera, and the half view (N, 2) in rays."""
    count = len(world)
    distance = dice.log_uniform((count,), *config.distance_m)
    half_x = torch.tan(torch.deg2rad(dice.uniform((count,), *config.hfov_deg)) / 2)
    aspect = world.new_tensor([0.5625, 0.75, 1.0, 1.333])[dice.below((count,), 4)]
    half = torch.stack([half_x, half_x * aspect], dim=1)
    root = world[:, -1, ROOT]
    azimuth = dice.uniform((count,), -math.pi, math.pi)
    rise = dice.normal((count,), 1.4, 0.5).clamp(*config.height_m) - root[:, 1]
    above = distance * torch.sin(torch.deg2rad(dice.uniform((count,), *config.elevation_deg)))
    rise = torch.where(dice.happens((count,), config.elevated), above, rise)
    rise = torch.minimum(torch.maximum(rise, -0.8 * distance), 0.8 * distance)
    flat = torch.sqrt(distance**2 - rise**2)
    eye = root + torch.stack([flat * torch.sin(azimuth), rise, flat * torch.cos(azimuth)], dim=1)
    yaw = azimuth + math.pi + torch.atan(half[:, 0] * dice.normal((count,), 0.0, 0.4).clamp(-0.9, 0.9))
    pitch = torch.atan2(rise, flat) + torch.atan(half[:, 1] * dice.normal((count,), 0.0, 0.3).clamp(-0.8, 0.8))
    roll = dice.normal((count,), 0.0, 0.05)
    widest = math.radians(config.roll_deg)
    roll = torch.where(dice.happens((count,), config.rolled), dice.uniform((count,), -widest, widest), roll)
    moving = dice.happens((count, 1), 0.4)
    t = torch.where(times.isfinite(), times, 0.0)
    speed = dice.normal((count, 3)) * world.new_tensor([0.3, 0.05, 0.3]) * moving
    eyes = eye[:, None] + speed[:, None] * t[..., None]
    points = (world - eyes[:, :, None]).flatten(1, 2) @ camera_axes(yaw, pitch, roll).transpose(1, 2)
    return turned_about_y(points.view_as(world), t * dice.normal((count, 1), 0.0, 0.15) * moving), half


def camera_axes(yaw: Tensor, pitch: Tensor, roll: Tensor) -> Tensor:
    """Rotations (N, 3, 3), world -> camera, of cameras that face yaw, look down by pitch and lean by roll."""
    flat, up = torch.cos(pitch), -torch.sin(pitch)
    z = torch.stack([flat * torch.sin(yaw), up, flat * torch.cos(yaw)], dim=-1)
    x = torch.stack([-torch.cos(yaw), torch.zeros_like(yaw), torch.sin(yaw)], dim=-1)
    y = torch.linalg.cross(z, x)
    c, s = torch.cos(roll)[:, None], torch.sin(roll)[:, None]
    return torch.stack([c * x + s * y, c * y - s * x, z], dim=1)
