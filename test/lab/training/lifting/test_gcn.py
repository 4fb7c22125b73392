"""The directed GCN: which way its edges run, what its streams add up to, and that it learns."""

import numpy as np
import pytest
import torch
from torch import Tensor

from dualpose_ros.lab.training.lifting import gcn as training
from dualpose_ros.lab.training.lifting.bank import BankConfig, make_bank
from dualpose_ros.lab.training.lifting.sequences import NOISY, MotionData
from dualpose_ros.lab.training.losses import gaussian_nll
from dualpose_ros.lab.training.settings import filled, read_settings
from dualpose_ros.skeleton import H36M17
from dualpose_ros.top_down.lifting import gcn_network
from dualpose_ros.top_down.lifting.gcn_network import DirectedGCN, DirectedLayer, GCNConfig
from support.data import ROOT

CONFIG = ROOT / "config" / "training" / "gcn.yaml"
SMALL = GCNConfig(channels=16, layers=2)
DATA = MotionData(bank=BankConfig(motions=16, bodies=4, motion_s=3.0), sequences=16, frames=4, chunks=4)
WRIST, ELBOW = H36M17.index("left_wrist"), H36M17.index("left_elbow")


def heard_from(listener: int, speaker: int, confidence: Tensor) -> float:
    """How much a node changes with another one, through the edge between them alone."""
    torch.manual_seed(0)
    layer = DirectedLayer(SMALL)
    torch.nn.init.zeros_(layer.body.weight)
    nodes = torch.randn(1, H36M17.num_joints, SMALL.channels, requires_grad=True)
    out, _ = layer(nodes, confidence[None])
    (gradient,) = torch.autograd.grad(out[0, listener].pow(2).sum(), nodes)
    return float(gradient[0, speaker].abs().sum())


def test_edges_run_from_confident_to_weak_joints() -> None:
    confidence = torch.full((H36M17.num_joints,), 0.9)
    confidence[WRIST] = 0.05
    to_weak, to_confident = heard_from(WRIST, ELBOW, confidence), heard_from(ELBOW, WRIST, confidence)
    assert to_weak > 20 * to_confident
    confidence[WRIST] = 0.0
    assert heard_from(ELBOW, WRIST, confidence) == 0


def test_joints_that_are_no_neighbours_are_not_heard() -> None:
    confidence = torch.full((H36M17.num_joints,), 0.9)
    confidence[WRIST] = 0.0
    assert heard_from(WRIST, H36M17.index("right_ankle"), confidence) == 0


def test_confidence_spreads_by_a_joint_a_layer() -> None:
    layer = DirectedLayer(GCNConfig(reach=0.9))
    confidence = torch.zeros(1, H36M17.num_joints)
    confidence[0, H36M17.index("left_shoulder")] = 1.0
    nodes = torch.zeros(1, H36M17.num_joints, 48)
    _, once = layer(nodes, confidence)
    _, twice = layer(nodes, once)
    assert once[0, ELBOW] == pytest.approx(0.9) and once[0, WRIST] == 0
    assert twice[0, WRIST] == pytest.approx(0.81)


def test_bones_add_up_to_joints() -> None:
    joints = torch.randn(H36M17.num_joints, 3)
    joints = joints - joints[:1]
    bones = joints - joints[[max(p, 0) for p in H36M17.parents]]
    torch.testing.assert_close(gcn_network._path() @ bones, joints)


def test_a_joint_not_found_says_nothing_by_its_place() -> None:
    torch.manual_seed(0)
    model = DirectedGCN(SMALL).eval()
    joints = torch.rand(2, H36M17.num_joints, 3)
    joints[1] = joints[0]
    joints[:, WRIST] = 0
    view = torch.zeros(2, 3)
    out = model(joints, view)
    assert out[2].shape == (2, H36M17.num_joints, 3)
    assert torch.equal(out[2][:, 0], torch.zeros(2, 3))
    for part in out:
        torch.testing.assert_close(part[0], part[1])


def test_what_is_drawn_keeps_its_digits_where_the_network_computes_in_bfloat16() -> None:
    bank = make_bank(DATA.bank, np.random.default_rng(0))
    task = training.GCNTask(training.GCNTraining(network=SMALL, data=DATA), (bank, bank))
    draw = task.collate([(3, NOISY)])
    with torch.autocast("cpu", torch.bfloat16):
        rounded = task.drawn(draw)
    for part, whole in zip(rounded, task.drawn(draw), strict=True):
        torch.testing.assert_close(part, whole, rtol=0, atol=0)


def test_a_few_steps_lower_the_loss_and_find_missing_joints() -> None:
    torch.manual_seed(0)
    bank = make_bank(DATA.bank, np.random.default_rng(0))
    task = training.GCNTask(training.GCNTraining(network=SMALL, data=DATA), (bank, bank))
    batch = task.collate([(seed, NOISY) for seed in range(6)])
    drawn = task.drawn(batch)
    assert torch.all(torch.isfinite(drawn.joints)) and torch.all(torch.isfinite(drawn.place))
    model = task.build_model().train()
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    with torch.no_grad():
        before = task.validate(model, [batch])
    losses = []
    for _ in range(60):
        loss, _ = task.loss(model, batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    with torch.no_grad():
        after = task.validate(model, [batch])
    assert losses[-1] < 0.6 * losses[0]
    assert after["missing_2d_noisy"] < 0.8 * before["missing_2d_noisy"]


def test_the_settings_that_ship_are_read() -> None:
    settings = filled(training.GCNTraining, read_settings(CONFIG)["task"], str(CONFIG))
    assert settings.network == GCNConfig() and settings.data.sequences > 1


def test_the_likelihood_is_best_at_the_true_deviation() -> None:
    error = torch.linalg.vector_norm(0.07 * torch.randn(20000, 3, generator=torch.Generator().manual_seed(0)), dim=1)
    candidates = torch.log(torch.tensor([0.05, 0.06, 0.07, 0.08, 0.1]))
    losses = [float(gaussian_nll(error, c.expand(20000), axes=3)) for c in candidates]
    assert int(np.argmin(losses)) == 2
