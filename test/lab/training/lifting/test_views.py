"""Simulated views of people against their own geometry."""

import numpy as np
import pytest
import torch
from torch import Tensor

from dualpose_ros.lab.training.lifting import bodies, faults, views
from dualpose_ros.lab.training.lifting.bank import (
    BONES_OF_STATURE,
    SHARE_OF_STATURE,
    Bank,
    BankConfig,
    Sequence3D,
    collect,
    make_bank,
)
from dualpose_ros.lab.training.lifting.bodies import PARENTS, BodyConfig, MotionTensors, draw_motion
from dualpose_ros.lab.training.lifting.dice import Dice
from dualpose_ros.skeleton import H36M17

SMALL = BankConfig(motions=24, bodies=4, motion_s=3.0)
CPU = torch.device("cpu")
PLAIN = views.ViewConfig(exact=1.0, whole=1.0)
index = H36M17.index


@pytest.fixture(scope="module")
def bank() -> Bank:
    return make_bank(SMALL, np.random.default_rng(0))


@pytest.fixture(scope="module")
def moving(bank: Bank) -> MotionTensors:
    return MotionTensors.of(bank, CPU)


def bone_lengths(joints: Tensor) -> Tensor:
    return torch.linalg.vector_norm(joints - joints[..., PARENTS, :], dim=-1)[..., 1:]


def test_the_bank_is_whole_bodies_moving(bank: Bank) -> None:
    assert bank.lengths.sum() == len(bank.joints_m)
    assert bank.weight.sum() == pytest.approx(1)
    for start, length in zip(bank.starts, bank.lengths, strict=True):
        lengths = bone_lengths(torch.from_numpy(bank.joints_m[start : start + length]))
        assert np.ptp(lengths[:, :6].numpy(), axis=0).max() < 1e-3


def test_no_action_crowds_out_the_others() -> None:
    def of(action: str, frames: int, source: str = "captured") -> Sequence3D:
        return Sequence3D(np.random.default_rng(0).normal(size=(frames, 17, 3)), source, action)

    bank = collect(
        [of("salsa", 900), of("walk", 64), of("walk", 36), of("", 50, "made")], {"captured": 0.8, "made": 0.2}
    )
    np.testing.assert_allclose(bank.weight, [0.8 * 30 / 40, 0.8 * 10 / 40 * 0.64, 0.8 * 10 / 40 * 0.36, 0.2])
    np.testing.assert_array_equal(bank.captured, [True, True, True, False])


def test_bone_lengths_scale_and_directions_stay() -> None:
    rng = torch.Generator().manual_seed(0)
    joints = torch.randn((3, 5, 17, 3), generator=rng)
    scale = 0.8 + 0.4 * torch.rand((3, 17), generator=rng)
    out = bodies.with_bone_lengths(joints, scale)
    torch.testing.assert_close(bone_lengths(out), bone_lengths(joints) * scale[:, None, 1:], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(out[:, :, H36M17.root], joints[:, :, H36M17.root])


def test_captured_people_are_of_every_stature_and_some_are_children(moving: MotionTensors) -> None:
    config = BodyConfig(children=0.3)
    _, joints = draw_motion(moving, BodyConfig(as_captured=True), Dice(0, CPU), 2000, 2)
    scale = bodies.body_scales(joints[:, -1], torch.ones(2000, dtype=torch.bool), config, Dice(1, CPU))
    bones = bone_lengths(joints[:, -1]) * scale[:, 1:]
    stature = bones[:, [joint - 1 for joint in BONES_OF_STATURE]].sum(dim=1) / SHARE_OF_STATURE
    assert stature.min() > 0.94 and stature.max() < 2.06
    assert 0.2 < (stature < 1.45).float().mean() < 0.35
    adults, small = stature > 1.5, stature < 1.2
    assert stature[adults].mean() == pytest.approx(1.71, abs=0.02) and stature[adults].std() > 0.09
    head = bones[:, index("head_top") - 1] / stature
    assert head[small].mean() > 1.15 * head[adults].mean()


def test_bent_bodies_keep_their_bones_and_turn_with_themselves(moving: MotionTensors) -> None:
    _, joints = draw_motion(moving, BodyConfig(as_captured=True), Dice(2, CPU), 40, 5)
    out = bodies.bent(joints, Dice(3, CPU))
    torch.testing.assert_close(bone_lengths(out), bone_lengths(joints), rtol=1e-4, atol=1e-5)
    hips = [index("left_hip"), index("right_hip")]
    torch.testing.assert_close(out[:, :, hips], joints[:, :, hips])
    moved = torch.linalg.vector_norm(out - joints, dim=-1)
    assert 0.05 < moved[:, :, index("left_wrist")].mean() < 0.3
    quarter = torch.tensor([[0.0, 0, -1], [0, 1, 0], [1, 0, 0]])
    torch.testing.assert_close(bodies.bent(joints @ quarter, Dice(3, CPU)), out @ quarter, atol=1e-4, rtol=1e-4)


def test_exact_views_reproject_onto_their_truth(moving: MotionTensors) -> None:
    drawn = views.draw_sequences(moving, PLAIN, Dice(1, CPU), 60, 20)
    found = (drawn.scores > 0) & drawn.there[..., None]
    assert found.sum() > 0.5 * drawn.there.sum() * 17 > 3000
    rays = drawn.joints_cam[..., :2] / drawn.joints_cam[..., 2:]
    assert (rays - drawn.rays)[found].abs().max() < 1e-4
    assert torch.diff(drawn.times, dim=1)[drawn.there[:, 1:]].min() > 0


def test_the_same_seed_draws_the_same_sequences(moving: MotionTensors) -> None:
    first, again, other = (
        views.draw_sequences(moving, views.ViewConfig(), Dice(seed, CPU), 12, 10) for seed in (5, 5, 6)
    )
    assert torch.equal(first.rays, again.rays) and torch.equal(first.scores, again.scores)
    assert not torch.equal(first.rays, other.rays)
    assert first.rays.isfinite().all() and first.scores.min() == 0 and first.scores.max() <= 1


def test_frames_in_which_nobody_was_found_are_left_out(moving: MotionTensors) -> None:
    drawn = views.draw_sequences(moving, views.ViewConfig(), Dice(4, CPU), 300, 30)
    found = (drawn.scores > 0).sum(dim=2)
    assert found[drawn.there].min() >= views.MIN_FOUND
    assert 0.4 < drawn.there.float().mean() < 0.98
    assert (torch.diff(drawn.times, dim=1)[drawn.there[:, 1:]] > 0).all()


def test_a_recombined_person_faces_one_way_and_keeps_both_shapes(moving: MotionTensors) -> None:
    _, legs = draw_motion(moving, BodyConfig(as_captured=True), Dice(5, CPU), 40, 6)
    _, upper = draw_motion(moving, BodyConfig(as_captured=True), Dice(6, CPU), 40, 6)
    out = bodies.recombined(legs, upper)
    assert torch.equal(out[:, :, bodies.LEGS], legs[:, :, bodies.LEGS])
    above = np.delete(np.arange(17), [0, *np.flatnonzero(bodies.LEGS)])
    between = torch.cdist(out[:, :, above], out[:, :, above])
    torch.testing.assert_close(between, torch.cdist(upper[:, :, above], upper[:, :, above]), atol=2e-3, rtol=1e-3)
    # Turned by as much as the hips were apart: the same person recombined with herself is herself.
    turned = legs @ torch.tensor([[0.0, 0, -1], [0, 1, 0], [1, 0, 0]])
    torch.testing.assert_close(bodies.recombined(legs, turned), legs, atol=1e-4, rtol=1e-4)


def test_cameras_are_at_the_asked_distance_and_see_people(moving: MotionTensors) -> None:
    config = views.CameraConfig(distance_m=(3.0, 5.0), rolled=0.0, elevated=0.0)
    times, world = draw_motion(moving, BodyConfig(), Dice(2, CPU), 300, 20)
    joints_cam, half = views.film(world, times, config, Dice(3, CPU))
    torch.testing.assert_close(bone_lengths(joints_cam), bone_lengths(world), rtol=2e-3, atol=1e-4)
    distance = torch.linalg.vector_norm(joints_cam[:, -1, 0], dim=-1)
    assert distance.min() > 2.99 and distance.max() < 5.01
    up = world[:, -1, index("head_top"), 1] - world[:, -1, index("right_ankle"), 1]
    down = joints_cam[:, -1, index("right_ankle"), 1] - joints_cam[:, -1, index("head_top"), 1]
    assert (down[up > 1.2] > 0.5).all()
    inside = (joints_cam[:, -1, 0, :2] / joints_cam[:, -1, 0, 2:]).abs() < half
    assert inside.all(dim=1).float().mean() > 0.9
    left = joints_cam[:, -1, index("left_shoulder")] - joints_cam[:, -1, index("right_shoulder")]
    assert 0.3 < (left[:, 0] > 0).float().mean() < 0.7


def test_cameras_look_down_and_lean_as_far_as_asked(moving: MotionTensors) -> None:
    config = views.CameraConfig(elevated=1.0, rolled=1.0, roll_deg=30.0, elevation_deg=(-10.0, 35.0))
    world = torch.zeros(4000, 1, 17, 3)
    world[:, :, 1, 1] = 0.01  # a little above the root: which way is up
    joints_cam, _ = views.film(world, torch.zeros(4000, 1), config, Dice(0, CPU))
    sight = joints_cam[:, 0, 0] / torch.linalg.vector_norm(joints_cam[:, 0, 0], dim=-1, keepdim=True)
    up = (joints_cam[:, 0, 1] - joints_cam[:, 0, 0]) / 0.01
    above = -torch.rad2deg(torch.asin((sight * up).sum(dim=-1)))
    assert above.min() > -10.5 and above.max() < 35.5 and above.std() > 10
    lean = torch.rad2deg(torch.atan2(up[:, 0], -up[:, 1]))
    assert lean.abs().quantile(0.95) < 32 and lean.std() > 14


def test_camera_axes_are_a_rotation_that_faces_its_yaw() -> None:
    axes = views.camera_axes(torch.tensor([0.3]), torch.tensor([0.0]), torch.tensor([0.0]))[0]
    torch.testing.assert_close(axes @ axes.T, torch.eye(3))
    assert torch.linalg.det(axes) == pytest.approx(1)
    torch.testing.assert_close(axes[2], torch.tensor([np.sin(0.3), 0, np.cos(0.3)], dtype=torch.float32))
    torch.testing.assert_close(axes[1], torch.tensor([0.0, -1, 0]))


def standing(count: int, frames: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """rays, scores, size and clock of people who stand still, all joints found."""
    drop = torch.tensor([0.0, 0, 0.45, 0.9, 0, 0.45, 0.9, -0.2, -0.45, -0.65, -0.8, -0.5, -0.2, 0.1, -0.5, -0.2, 0.1])
    across = torch.tensor([0.0, -0.1, -0.1, -0.1, 0.1, 0.1, 0.1, 0, 0, 0, 0, 0.2, 0.2, 0.2, -0.2, -0.2, -0.2])
    rays = torch.stack([across, drop], dim=-1).expand(count, frames, 17, 2)
    scores = torch.ones(count, frames, 17)
    return rays, scores, faults.visible_size(rays, scores), (torch.arange(frames) / 30.0).expand(count, frames)


def test_noise_is_of_the_asked_size_and_faults_cost_joints() -> None:
    rays, scores, size, clock = standing(400, 28)
    everybody = torch.ones(400, 1, 1, dtype=torch.bool)
    config = faults.FaultConfig(noise=0.01)
    noisy, quality = faults.modelled_errors(rays, scores, size, clock, config, Dice(3, CPU), everybody)
    off = (noisy - rays).abs()
    assert 0.003 < off.median() / size.mean() < 0.01
    assert torch.diff(noisy - rays, dim=1).abs().mean() < off.mean() * 1.2
    assert quality.min() >= 0.08
    assert 0.5 < (faults.lost(scores, clock, Dice(4, CPU)) > 0).float().mean() < 0.9


def test_what_a_table_hides_stays_hidden_or_is_guessed_unsurely() -> None:
    rays, scores, _, clock = standing(500, 20)
    config = faults.FaultConfig(cut_below=0.0, cut_aside=0.0, headless=0.0, seated=1.0, guessed=0.5)
    hidden = faults.hidden_for_good(scores, rays, config, Dice(0, CPU))
    ankles = hidden[..., [index("left_ankle"), index("right_ankle")]]
    assert (ankles <= 0).all() and (hidden[..., index("left_hip")] == 1).all()
    assert 0.4 < (ankles < 0).float().mean() < 0.6
    assert (hidden == hidden[:, :1]).all()
    size = faults.visible_size(rays, hidden)
    assert size.max() < 1.71 - 0.4
    real = faults.ErrorTensors(torch.zeros(3, 17, 2), torch.ones(3, 17))
    found, quality = faults.real_errors(rays, hidden, size, clock, real, Dice(1, CPU))
    guessed = hidden < 0
    assert (quality[guessed] <= 0.35).all() and (quality[hidden == 0] == 0).all() and (quality[hidden == 1] == 1).all()
    off = torch.linalg.vector_norm(found - rays, dim=-1)
    assert off[guessed].median() > 0.05 and off[hidden == 1].max() < 0.05


def test_measured_errors_are_those_of_the_file_in_proportion_to_what_is_seen() -> None:
    rays, scores, size, clock = standing(200, 10)
    offsets = torch.zeros(1, 17, 2)
    offsets[0, index("left_wrist")] = torch.tensor([0.1, 0.0])
    found, quality = faults.real_errors(
        rays, scores, size, clock, faults.ErrorTensors(offsets, torch.full((1, 17), 0.7)), Dice(0, CPU)
    )
    assert (quality == 0.7).all()
    aside = (found - rays)[..., 0] / size[..., None]
    left, right = aside[:, :, index("left_wrist")].mean(dim=1), aside[:, :, index("right_wrist")].mean(dim=1)
    mirrored = right < -0.05
    assert 0.3 < mirrored.float().mean() < 0.7
    assert left[~mirrored].mean() == pytest.approx(0.1, abs=0.005)
    assert right[mirrored].mean() == pytest.approx(-0.1, abs=0.005)
    assert left[mirrored].abs().max() < 0.02


def test_spells_befall_as_often_as_asked() -> None:
    clock = (torch.arange(60) / 30.0).expand(4000, 60)
    befallen = faults.spells(Dice(7, CPU), clock, 1, 0.1, 0.2)[..., 0]
    begun = (torch.diff(befallen.int(), dim=1) > 0).sum() + befallen[:, 0].sum()
    # A chance of 0.1 a second, over two seconds and the time before in which one may have begun.
    assert 0.8 * 0.2 < begun / 4000 < 1.25 * 0.22


def test_stolen_limbs_are_of_the_size_of_the_person_and_score_less() -> None:
    rays, scores, size, clock = standing(500, 30)
    rays = rays + 0.1 * torch.randn((500, 1, 17, 2), generator=torch.Generator().manual_seed(0))
    out, quality = faults.stolen(rays, scores, size, clock, Dice(8, CPU))
    moved = (out != rays).any(dim=-1)
    assert 0.005 < moved.float().mean() < 0.2
    assert (quality[moved] <= 0.8).all() and (quality[~moved] == 1).all()
    assert torch.linalg.vector_norm(out - rays, dim=-1)[moved].max() < 3 * size.max()
