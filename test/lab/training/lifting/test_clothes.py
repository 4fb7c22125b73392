"""Joints as they seem under clothes and hair."""

import numpy as np
import pytest
import torch
from torch import Tensor

from dualpose_ros.lab.training.lifting import bodies, clothes, views
from dualpose_ros.lab.training.lifting.bank import BankConfig, make_bank
from dualpose_ros.lab.training.lifting.bodies import BodyConfig, MotionTensors, draw_motion
from dualpose_ros.lab.training.lifting.dice import Dice
from dualpose_ros.skeleton import H36M17

CPU = torch.device("cpu")
ALL = clothes.ClothesConfig(dressed=1.0)
index = H36M17.index


@pytest.fixture(scope="module")
def moving() -> MotionTensors:
    return MotionTensors.of(make_bank(BankConfig(motions=24, bodies=4, motion_s=3.0), np.random.default_rng(0)), CPU)


@pytest.fixture(scope="module")
def joints(moving: MotionTensors) -> Tensor:
    return draw_motion(moving, BodyConfig(as_captured=True), Dice(0, CPU), 3000, 2)[1]


def test_joints_seem_a_few_centimetres_off_and_shoulders_move_together(joints: Tensor) -> None:
    moved = clothes.seeming(joints, ALL, Dice(1, CPU)) - joints
    torso = joints[:, :, index("thorax")] - joints[:, :, H36M17.root]
    length = torch.linalg.vector_norm(torso, dim=-1)
    distance = torch.linalg.vector_norm(moved, dim=-1).mean(dim=(0, 1))
    assert distance[[index("left_shoulder"), index("right_hip"), index("head_top")]].min() > 0.02
    assert distance[[index("left_wrist"), index("right_ankle")]].min() > 0.01
    assert distance.max() < 0.12
    up = (moved * torso[:, :, None]).sum(dim=-1) / length[..., None] ** 2
    sides = up[:, 0, [index("left_shoulder"), index("right_shoulder")]].T
    assert np.corrcoef(sides.numpy())[0, 1] > 0.5
    assert abs(float(up.mean())) < 0.01


def test_what_seems_elsewhere_stays_with_the_body(joints: Tensor) -> None:
    """The same in every frame of somebody who turns, whichever way they face."""
    still = joints[:, :1].expand(-1, 4, -1, -1)
    moved = clothes.seeming(still, ALL, Dice(2, CPU))
    torch.testing.assert_close(moved[:, 0], moved[:, 3])
    quarter = torch.tensor([[0.0, 0, -1], [0, 1, 0], [1, 0, 0]])
    turned = clothes.seeming(still @ quarter, ALL, Dice(2, CPU))
    torch.testing.assert_close(turned, moved @ quarter, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("config", [clothes.ClothesConfig(dressed=0.0), clothes.ClothesConfig(amount=0.0)])
def test_nobody_is_moved_who_is_not_dressed(joints: Tensor, config: clothes.ClothesConfig) -> None:
    assert torch.equal(clothes.seeming(joints, config, Dice(3, CPU)), joints)


def test_a_network_that_reads_proportions_can_not_tell_an_adult_from_a_child(joints: Tensor) -> None:
    """Heads of dressed adults, as long as they seem against the torso, reach into those of children."""
    captured = torch.ones(len(joints), dtype=torch.bool)
    share = {}
    for name, children in (("adults", 0.0), ("children", 1.0)):
        scales = bodies.body_scales(joints[:, -1], captured, BodyConfig(children=children), Dice(4, CPU))
        body = bodies.with_bone_lengths(joints, scales)
        for looks, seen in (("bare", body), ("dressed", clothes.seeming(body, ALL, Dice(5, CPU)))):
            head = torch.linalg.vector_norm(seen[:, 0, index("head_top")] - seen[:, 0, index("neck")], dim=-1)
            share[name, looks] = head / torch.linalg.vector_norm(seen[:, 0, index("thorax")] - seen[:, 0, 0], dim=-1)
    middle = float(share["children", "bare"].median())
    reach = {looks: float((share["adults", looks] > middle).float().mean()) for looks in ("bare", "dressed")}
    assert reach["dressed"] > 2 * reach["bare"] and reach["dressed"] > 0.03


def test_only_people_with_2d_errors_are_dressed(moving: MotionTensors) -> None:
    views_of = {
        exact: views.draw_sequences(
            moving, views.ViewConfig(exact=exact, whole=1.0, measured=0.0, clothes=ALL,
                                     faults=views.FaultConfig(noise=0.0)), Dice(6, CPU), 40, 3,
        )
        for exact in (1.0, 0.0)
    }  # fmt: skip
    for exact, drawn in views_of.items():
        found = (drawn.scores > 0) & drawn.there[..., None]
        rays = drawn.joints_cam[..., :2] / drawn.joints_cam[..., 2:]
        away = torch.linalg.vector_norm((rays - drawn.rays) * drawn.joints_cam[..., 2:], dim=-1)[found]
        assert float(away.median()) < 1e-5 if exact else 0.01 < float(away.median()) < 0.08
