import dataclasses
from pathlib import Path
from typing import Any

import cv2
import dacite
import numpy as np
import pytest
import torch
import yaml
from torch import Tensor, nn

from dualpose_ros.backbone import HRNetConfig
from dualpose_ros.camera import camera_from_hfov
from dualpose_ros.datasets.labels import HIDDEN, OUTSIDE, VISIBLE, LabelledImage, Origin, People
from dualpose_ros.inference.export import export_onnx
from dualpose_ros.inference.load import load_engine
from dualpose_ros.lab.synthetic.scenes.patches import PATCH_SIDE
from dualpose_ros.lab.training.loop.task import TrainConfig
from dualpose_ros.lab.training.losses import ABSENT
from dualpose_ros.lab.training.on_device.views import Draws, PhotometryConfig
from dualpose_ros.lab.training.top_down.batch import Batch
from dualpose_ros.lab.training.top_down.device_patches import DeviceViews, draw_patches, patch_rows, plain_patches
from dualpose_ros.lab.training.top_down.task import TopDownTask, TopDownTraining, sides_right, target_scores
from dualpose_ros.paths import share_dir
from dualpose_ros.settings import SettingError
from dualpose_ros.skeleton import H36M17, K
from dualpose_ros.top_down.patch import extract_patches, patch_affines
from support.device_rows import on_device

SIZE = 320
TINY = HRNetConfig(stem=16, widths=(8, 16), blocks=1, modules=(1,), out_channels=16)
GEOMETRY_ONLY = DeviceViews(photometry=PhotometryConfig(0, 0, 0, 0), occluders=0, image_border=0)
SHADES = np.stack([40 + 12 * np.arange(K), 240 - 12 * np.arange(K), (90 * np.arange(K)) % 250], axis=1)


def dotted_person(seed: int, people: int = 1, dot: int = 5) -> LabelledImage:
    """People as coloured dots, each joint of person 0 in a colour of its own, on grey."""
    rng = np.random.default_rng(seed)
    image, mask = np.full((SIZE, SIZE, 3), 128, np.uint8), np.zeros((SIZE, SIZE), np.uint8)
    joints = rng.uniform(70, 250, (people, K, 2)).astype(np.float32)
    for n in reversed(range(people)):
        for k in range(K):
            at = (round(float(joints[n, k, 0])), round(float(joints[n, k, 1])))
            shade = SHADES[k] if n == 0 else np.full(3, 20 * n)
            cv2.circle(image, at, dot, tuple(float(v) for v in shade), -1)
            cv2.circle(mask, at, dot, (n + 1,), -1)
    boxes = np.concatenate([joints.min(axis=1) - dot, joints.max(axis=1) + dot], axis=1)
    visibility = np.full((people, K), VISIBLE, np.uint8)
    labels = People(
        np.arange(people, dtype=np.int32), boxes, joints, visibility, np.zeros((people, K, 3), np.float32),
        np.ones(people, np.float32),
    )  # fmt: skip
    return LabelledImage(image, mask, labels, camera_from_hfov(SIZE, SIZE, 1.0))


def drawn(sample: LabelledImage, seed: int, config: DeviceViews = GEOMETRY_ONLY) -> Batch:
    return draw_patches(on_device(patch_rows(sample, SIZE, config, True)), 192, config, Draws(seed, "cpu"))


def shown(*samples: LabelledImage) -> Batch:
    """As the live stage sees them."""
    return plain_patches(on_device(r for s in samples for r in patch_rows(s, SIZE, DeviceViews(), True)), 192, 1.25)


@pytest.mark.parametrize("seed", range(40))
def test_labels_follow_the_pixels(seed: int) -> None:
    """Every joint's colour lies at its new place, or its mirror's colour where sides are exchanged."""
    batch = drawn(dotted_person(1000 + seed), seed)
    image, joints = batch.patches[0].numpy(), batch.joints_px[0, 0].numpy()
    matches = {False: 0, True: 0}
    visible = np.flatnonzero((batch.weights[0, 0].numpy() == 1) & (np.abs(joints - 95.5) < 92).all(axis=1))
    for k in visible:
        x, y = np.rint(joints[k]).astype(int)
        for mirrored in (False, True):
            shade = SHADES[H36M17.mirror[k] if mirrored else k]
            matches[mirrored] += bool(np.abs(image[y, x].astype(int) - shade).max() < 25)
    # Dots may cover each other, and are drawn at whole pixels; all but a few must be where they belong.
    assert len(visible) >= 4 and max(matches.values()) >= 0.75 * len(visible)


def test_both_orientations_occur_and_mirroring_exchanges_sides() -> None:
    sample = dotted_person(7)
    wrist = H36M17.index("left_wrist")
    truth = sample.people.joints_px[0].astype(float)
    kinds = set()
    for seed in range(30):
        joints = drawn(sample, seed).joints_px[0, 0].numpy().astype(float)
        a, b, c = joints[[0, 7, 10]]  # joints on the body's middle keep their names
        before = truth[[0, 7, 10]]
        after, source = np.linalg.det([b - a, c - a]), np.linalg.det([before[1] - before[0], before[2] - before[0]])
        mirrored = bool(after * source < 0)
        kinds.add(mirrored)
        source = H36M17.mirror[wrist] if mirrored else wrist
        similar = np.linalg.norm(joints[wrist] - joints[0]) / np.linalg.norm(b - a)
        expected = np.linalg.norm(truth[source] - before[0]) / np.linalg.norm(before[1] - before[0])
        assert similar == pytest.approx(expected, rel=1e-3)
    assert kinds == {False, True}


def test_the_same_seed_draws_the_same_patch() -> None:
    a, b, c = (drawn(dotted_person(1, people=3), seed, DeviceViews()) for seed in (5, 5, 6))
    assert torch.equal(a.patches, b.patches) and torch.equal(a.joints_px, b.joints_px)
    assert not torch.equal(a.patches, c.patches)


def test_live_view_is_what_the_live_stage_cuts() -> None:
    sample = dotted_person(3, people=2)
    batch = shown(sample)
    affine = patch_affines(sample.people.boxes_px[:1], 192)
    live = extract_patches(sample.image, affine, 192)[0]
    assert np.abs(batch.patches[0].numpy().astype(int) - live).mean() < 1
    expected = sample.people.joints_px @ affine[0, :, :2].T + affine[0, :, 2]
    np.testing.assert_allclose(batch.joints_px[0, :2], expected, atol=0.01)
    assert (batch.weights[0, 2:] == ABSENT).all()


def test_weights_by_visibility_and_place() -> None:
    sample = dotted_person(4, people=3)
    visibility, joints, boxes = (
        v.copy() for v in (sample.people.visibility, sample.people.joints_px, sample.people.boxes_px)
    )
    visibility[0, :3] = (OUTSIDE, HIDDEN, VISIBLE)
    joints[0, 5], joints[0, 2], joints[0, 0], joints[0, 1] = (-40, 100), (200, 200), (210, 180), (190, 170)
    boxes[0] = (60, 60, 260, 260)
    people = dataclasses.replace(
        sample.people, visibility=visibility, joints_px=joints, boxes_px=boxes,
        visible_fraction=np.array([0.06, 0.1, 0.9], np.float32),
    )  # fmt: skip
    weights = shown(dataclasses.replace(sample, people=people)).weights[0]
    assert weights[0, [0, 1, 2, 5]].tolist() == pytest.approx([0.0, 0.3, 1.0, ABSENT])
    assert sorted(weights[1:3].amax(1).tolist()) == [0.0, 1.0]  # the hardly visible one is masked


@pytest.fixture
def task() -> TopDownTask:
    return TopDownTask(TopDownTraining(), TINY)


LEARNT, HELD_OUT = ([dotted_person(10 * k + i, 1 + i % 2) for i in range(4)] for k in (0, 2))


def test_training_lowers_the_loss_and_validation_measures_it(task: TopDownTask) -> None:
    torch.manual_seed(0)
    batch = shown(*LEARNT)
    assert batch.patches.dtype == torch.uint8
    model = task.build_model()
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    losses = []
    for _ in range(40):
        loss, parts = task.loss(model.train(), batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]
    assert set(parts) == {"heatmap", "sides", "pull", "push", "target_tag"}
    with torch.no_grad():
        figures = task.validate(model.eval(), [shown(*HELD_OUT)])
        learnt = task.validate(model.eval(), [batch])
    assert all(0.6 < learnt[name] <= 1 for name in ("oks", "oks_visible", "pck", "sides")), "of what it was trained on"
    assert figures["oks"] < learnt["oks"] and figures["loss"] > learnt["loss"]
    assert np.isfinite(figures["loss"]) and task.objective(figures) == 1 - figures["oks"]


def test_perfect_maps_measure_as_perfect(task: TopDownTask) -> None:
    batch = shown(*HELD_OUT)

    class Oracle(nn.Module):
        def forward(self, patches: Tensor) -> tuple[Tensor, Tensor]:
            from dualpose_ros.lab.training.losses import heatmap_targets

            own = batch.joints_px[:, :1], batch.weights[:, :1]
            heat, _ = heatmap_targets(*own, (64, 64))
            return heat, torch.full_like(heat, 2.0)

    figures = task.validate(Oracle(), [batch])
    assert figures["oks"] > 0.99 and figures["pck"] > 0.99


def test_scores_written_out() -> None:
    rng = np.random.default_rng(0)
    truth, box = rng.uniform(50, 200, (K, 2)), np.array([50.0, 50, 150, 250])
    found = truth + rng.normal(0, 8, (K, 2))
    weights = rng.choice([ABSENT, 0.0, 0.5, 1.0], K)
    scores = (rng.random(K) < 0.8).astype(float)
    terms, near = [], []
    for k in range(K):
        if weights[k] > 0:
            distance = np.linalg.norm(found[k] - truth[k]) if scores[k] else 1e9
            terms.append(np.exp(-(distance**2) / (2 * 0.5 * 100 * 200 * (2 * H36M17.oks_sigmas[k]) ** 2)))
            near.append(bool(distance < 20))
    target = truth.astype(np.float32), weights.astype(np.float32), box.astype(np.float32)
    result = target_scores(found[None], scores[None], 0, *target)
    assert result[0] == pytest.approx(np.mean(terms), abs=1e-6) and result[2] == pytest.approx(np.mean(near))
    nobody = target_scores(found[None], scores[None], -1, *target)
    assert nobody.tolist() == [0, 0, 0]


def test_exported_network_takes_bytes_and_clips_heatmaps(task: TopDownTask, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model: Any = task.build_model().eval()
    with torch.no_grad():
        model.heatmap_head.weight.mul_(100)
    export_onnx(model, task.export_spec(), tmp_path / "top_down.onnx")
    engine = load_engine(tmp_path / "top_down.onnx")
    for count in (1, 3):
        outputs = engine.run(
            {"patches": np.random.default_rng(0).integers(0, 256, (count, 192, 192, 3), dtype=np.uint8)}
        )
        assert outputs["heatmaps"].shape == outputs["tags"].shape == (count, K, 48, 48)
        assert outputs["heatmaps"].min() == 0 and outputs["heatmaps"].max() == 1


def test_shipped_settings_load() -> None:
    settings = yaml.safe_load((share_dir() / "config" / "training" / "top_down.yaml").read_text())["task"]
    training = dacite.from_dict(TopDownTraining, settings, dacite.Config(strict=True, cast=[tuple, float]))
    assert training.views.rotate < DeviceViews().rotate


def test_of_images_without_people_nothing_is_learnt() -> None:
    sample = dotted_person(0)
    nobody = People(*(getattr(sample.people, f.name)[:0] for f in dataclasses.fields(People)))
    assert patch_rows(dataclasses.replace(sample, people=nobody), SIZE, DeviceViews(), True) == []


def test_many_patches_are_drawn_in_parts_and_none_is_lost() -> None:
    rows = on_device(row for seed in range(70) for row in patch_rows(dotted_person(seed), SIZE, GEOMETRY_ONLY, True))
    batch = draw_patches(rows, 64, GEOMETRY_ONLY, Draws(3, "cpu"))
    assert all(part is not None and len(part) == 70 for part in batch)
    # Where a joint is, its dot is: patches and labels stay together.
    for n in (0, 31, 32, 69):
        for k in np.flatnonzero((batch.weights[n, 0] >= 1).numpy()):
            x, y = (round(float(v)) for v in batch.joints_px[n, 0, k])
            assert not (batch.patches[n, y, x] == 128).all()


def test_of_a_frame_everybody_has_a_patch_and_of_a_rendered_patch_its_own_person() -> None:
    config = TrainConfig(Path("out"), Path("cache"), epochs=1.0)
    to_rows = TopDownTask(TopDownTraining(), TINY).device_recipe(config).to_rows
    frame = dotted_person(3, people=2)
    assert len(to_rows(frame)) == 2
    camera = camera_from_hfov(PATCH_SIDE, PATCH_SIDE, 1.0)
    blank = np.zeros((PATCH_SIDE, PATCH_SIDE, 3), np.uint8)
    patch = LabelledImage(blank, blank[..., 0], frame.people, camera)
    assert len(to_rows(patch)) == 1
    assert len(to_rows(dataclasses.replace(patch, origin=Origin("street")))) == 2


def test_a_network_of_one_person_learns_from_the_patchs_own_alone() -> None:
    one = TopDownTask(TopDownTraining(people="one"), TINY)
    torch.manual_seed(0)
    model = one.build_model().train()
    batch = shown(*HELD_OUT[:3])
    loss, parts = one.loss(model, batch)
    assert parts.keys() == {"heatmap", "sides"}
    elsewhere = batch._replace(joints_px=torch.cat([batch.joints_px[:, :1], batch.joints_px[:, 1:] + 30], dim=1))
    again, _ = one.loss(model, elsewhere)
    assert loss.item() == pytest.approx(again.item())
    with torch.no_grad():
        figures = one.validate(model.eval(), [batch])
    assert np.isfinite(one.objective(figures))
    assert one.export_spec().outputs == ("heatmaps",)
    with pytest.raises(SettingError, match="people is 'few'; it must be all or one"):
        TopDownTraining(people="few")


def test_sides_count_pairs_that_are_apart_and_visible() -> None:
    rng = np.random.default_rng(2)
    truth = rng.uniform(0, 200, (K, 2)).astype(np.float32)
    truth[H36M17.index("left_knee")] = truth[H36M17.index("right_knee")] + 2
    weights = np.ones(K, np.float32)
    weights[H36M17.index("right_wrist")] = 0.5
    box = np.array([0, 0, 100, 200], np.float32)
    assert sides_right(truth.astype(float), truth, weights, box).tolist() == [True] * 4
    mirrored = truth[list(H36M17.mirror)].astype(float)
    assert sides_right(mirrored, truth, weights, box).tolist() == [False] * 4
    assert sides_right(truth.astype(float), truth, weights * 0.5, box).size == 0
