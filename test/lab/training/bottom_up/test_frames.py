"""Frames as the device makes them: labels follow the pixels, depth the focal length, guidance the joints; boxes err."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from dualpose_ros.camera import camera_from_hfov, project
from dualpose_ros.datasets.labels import HIDDEN, OUTSIDE, VISIBLE, LabelledImage, People
from dualpose_ros.lab.training.bottom_up.batch import Batch
from dualpose_ros.lab.training.bottom_up.device_batches import draw_batch, plain_batch
from dualpose_ros.lab.training.bottom_up.device_guide import DeviceGuide, faulty_boxes, true_boxes
from dualpose_ros.lab.training.bottom_up.frames import FrameConfig
from dualpose_ros.lab.training.losses import ABSENT
from dualpose_ros.lab.training.on_device.frames import frame_rows
from dualpose_ros.lab.training.on_device.views import Draws, PhotometryConfig
from dualpose_ros.people import box_iou
from dualpose_ros.skeleton import H36M17, K
from support.device_rows import on_device

CONFIG, SAME_LOOK = FrameConfig(), PhotometryConfig(0, 0, 0, 0)
SHADES = np.stack([40 + 12 * np.arange(K), 240 - 12 * np.arange(K), (90 * np.arange(K)) % 250], axis=1)


def dotted_frame(seed: int, people: int = 2) -> LabelledImage:
    """People as dots in 3D, each joint in a colour of its own, on grey, seen by a camera that is not centred."""
    rng = np.random.default_rng(seed)
    camera = replace(camera_from_hfov(640, 480, 1.1), cx=300.0, cy=250.0)
    middle = np.stack([rng.uniform(-1, 1, people), rng.uniform(-0.3, 0.3, people), rng.uniform(3, 5, people)], axis=1)
    joints_cam = middle[:, None] + rng.uniform(-0.6, 0.6, (people, K, 3))
    joints = project(camera, joints_cam)
    image = np.full((480, 640, 3), 128, np.uint8)
    for n in range(people):
        for k in range(K):
            at = (round(float(joints[n, k, 0])), round(float(joints[n, k, 1])))
            cv2.circle(image, at, 6, tuple(float(v) for v in SHADES[k]), -1)
    outside = ((joints < 0) | (joints > (639, 479))).any(axis=2)
    boxes = np.concatenate([joints.min(axis=1), joints.max(axis=1)], axis=1)
    labels = People(
        np.arange(people, dtype=np.int32), boxes.astype(np.float32), joints.astype(np.float32),
        np.where(outside, OUTSIDE, VISIBLE).astype(np.uint8), joints_cam.astype(np.float32),
        np.ones(people, np.float32),
    )  # fmt: skip
    return LabelledImage(image, np.zeros((480, 640), np.uint8), labels, camera)


class Guide(DeviceGuide):
    """Answers with how bright the patches are, for every joint."""

    def __init__(self) -> None:
        self._size, self._engine = 192, self  # type: ignore[assignment]

    def answers(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        bright = torch.nn.functional.avg_pool2d(inputs["patches"].float().amax(-1)[:, None] / 255, 4)
        return {"heatmaps": bright.expand(-1, K, -1, -1)}


def rows_of(*samples: LabelledImage) -> dict[str, Tensor]:
    return on_device(row for s in samples for row in frame_rows(s, 640, CONFIG.hidden_weight, CONFIG.min_visible, 1.0))


def drawn(sample: LabelledImage, seed: int) -> Batch:
    return draw_batch(rows_of(sample), Guide(), replace(CONFIG, on_person=1.0), SAME_LOOK, Draws(seed, "cpu"))


@pytest.mark.parametrize("seed", range(12))
def test_labels_follow_the_pixels(seed: int) -> None:
    batch = drawn(dotted_frame(100 + seed, people=1), seed)
    assert batch.image.shape == (1, 256, 320, 3) and batch.guidance.shape == (1, K, 64, 80)
    right = {False: 0, True: 0}
    seen = np.flatnonzero(batch.weights[0, 0] == 1)
    for k in seen:
        x, y = np.rint(batch.joints_px[0, 0, k].numpy()).astype(int)
        for flipped in (False, True):
            shade = SHADES[H36M17.mirror[k] if flipped else k]
            right[flipped] += bool(np.abs(batch.image[0, y, x].numpy().astype(int) - shade).max() < 30)
    # Dots may cover each other; sides are exchanged where the frame was mirrored, of all joints or of none.
    assert len(seen) and max(right.values()) >= 0.75 * len(seen)


@pytest.mark.parametrize("seed", range(6))
def test_depth_and_focal_length_agree_with_the_picture(seed: int) -> None:
    """A joint's depth times its offset from the principal point is f times its place: holds after any zoom."""
    sample = dotted_frame(200 + seed, people=1)
    batch = drawn(sample, seed)
    z = (batch.root_depth[0, 0] + batch.rel_depth[0, 0]).numpy()
    truth = sample.people.joints_cam[0].astype(float)
    if abs(truth[:, 2] - z).max() > 1e-3:  # mirrored
        truth = truth[list(H36M17.mirror)] * (-1, 1, 1)
    np.testing.assert_allclose(z, truth[:, 2], atol=1e-4)
    for axis in (0, 1):
        a, b = 3, 16
        pixels = float((batch.joints_px[0, 0, a] - batch.joints_px[0, 0, b])[axis])
        assert pixels == pytest.approx(float(batch.focal_px[0]) * (truth[a] / z[a] - truth[b] / z[b])[axis], abs=0.05)


def test_guidance_lies_on_the_joints() -> None:
    sample = dotted_frame(5, people=1)
    dots = np.where((sample.image == 128).all(axis=-1, keepdims=True), 0, sample.image).astype(np.uint8)
    batch = plain_batch(rows_of(replace(sample, image=dots)), Guide(), CONFIG)
    for k in np.flatnonzero(batch.weights[0, 0] == 1):
        x, y = np.rint((batch.joints_px[0, 0, k].numpy() - 1.5) / 4).astype(int)
        assert batch.guidance[0, k, y, x] > 60
    assert batch.guidance.float().mean() < 20


def test_who_is_hidden_or_outside_is_marked() -> None:
    sample = dotted_frame(7)
    visibility, hardly = sample.people.visibility.copy(), sample.people.visible_fraction.copy()
    visibility[0, 5], hardly[1] = HIDDEN, 0.05
    people = replace(sample.people, visibility=visibility, visible_fraction=hardly)
    weights = {}
    batch = plain_batch(rows_of(replace(sample, people=people)), Guide(), CONFIG)
    for row, depth in zip(batch.weights[0].numpy(), batch.root_depth[0].numpy(), strict=True):
        weights[round(float(depth), 3)] = row
    first, second = (weights[round(float(people.joints_cam[n, H36M17.root, 2]), 3)] for n in range(2))
    assert first[5] == np.float32(CONFIG.hidden_weight)
    assert set(np.unique(second)) <= {ABSENT, 0.0}
    assert (first[people.visibility[0] == OUTSIDE] == ABSENT).all()


def test_boxes_go_wrong_as_often_as_asked() -> None:
    rows = rows_of(*(dotted_frame(8, people=4) for _ in range(200)))
    exact = replace(CONFIG, missed=0.0, merged=0.0, shifted=0.0, empty=0.0, unguided=0.0)

    def boxes(config: FrameConfig) -> list[np.ndarray]:
        found, picture = faulty_boxes(rows, config, Draws(3, "cpu"))
        return [found[picture == n].numpy().astype(np.float64) for n in range(200)]

    true = true_boxes(rows)[0][:4].numpy().astype(np.float64)
    assert min(box_iou(found, true).max(axis=0).min() for found in boxes(exact)) > 0.5
    counts = [len(found) for found in boxes(replace(exact, missed=1.0))]
    assert 4 * 0.6 < np.mean(counts) < 4 * 0.9  # half of the frames lose half on average
    assert all(len(found) == 5 for found in boxes(replace(exact, empty=1.0)))
    assert 0.35 < np.mean([len(found) == 0 for found in boxes(replace(exact, unguided=0.5))]) < 0.65


def test_merged_boxes_hold_both_people() -> None:
    sample = dotted_frame(8)
    boxes = np.array([[100, 100, 200, 300], [150, 120, 260, 310]], dtype=np.float32)
    rows = rows_of(*[replace(sample, people=replace(sample.people, boxes_px=boxes))] * 40)
    config = replace(CONFIG, missed=0.0, merged=1.0, shifted=0.0, empty=0.0, unguided=0.0)
    both = np.array([[100, 100, 260, 310]], dtype=np.float64)
    found = faulty_boxes(rows, config, Draws(1, "cpu"))[0].numpy().reshape(40, 2, 4).astype(np.float64)
    assert min(box_iou(one, both).min() for one in found) > 0.6
    exact = faulty_boxes(rows, replace(config, merged=0.0), Draws(1, "cpu"))[0].numpy().reshape(40, 2, 4)
    np.testing.assert_allclose(np.sort(exact.mean(axis=0), axis=0), np.sort(boxes, axis=0), atol=6)


def test_sizes_that_no_network_takes_are_refused() -> None:
    with pytest.raises(ValueError, match="width is 300; it must be 32 to 8192 in steps of 32"):
        FrameConfig(width=300)
