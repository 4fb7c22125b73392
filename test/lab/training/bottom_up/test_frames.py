"""Training frames: labels follow the pixels through mirror and zoom, depth follows the focal length, boxes go wrong."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from dualpose_ros.arrays import AnyFloats, RgbImage  # noqa: E402
from dualpose_ros.camera import camera_from_hfov, project  # noqa: E402
from dualpose_ros.datasets.labels import HIDDEN, OUTSIDE, VISIBLE, LabelledImage, People  # noqa: E402
from dualpose_ros.heatmap import UINT8_SCALE, Heatmaps, combined_grid  # noqa: E402
from dualpose_ros.lab.training.bottom_up.frames import FrameConfig, faulty_boxes, mirrored, plain_frame, training_frame  # noqa: E402
from dualpose_ros.lab.training.losses import ABSENT  # noqa: E402
from dualpose_ros.people import box_iou  # noqa: E402
from dualpose_ros.skeleton import H36M17  # noqa: E402

K = H36M17.num_joints
CONFIG = FrameConfig(photometric=0.0)
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


def true_heatmaps(sample: LabelledImage) -> Heatmaps:
    """Combined heatmaps as a perfect top-down branch makes them."""
    (rows, columns), to_image = combined_grid((480, 640))
    y, x = np.mgrid[:rows, :columns]
    cells = (sample.people.joints_px.astype(float) - to_image[:, 2]) / to_image[0, 0]
    square = (x - cells[..., 0, None, None]) ** 2 + (y - cells[..., 1, None, None]) ** 2
    return Heatmaps(
        H36M17.joint_names, np.rint(255 * np.exp(-square / 4.5).max(axis=0)).astype(np.uint8), to_image, UINT8_SCALE
    )


def no_guide(image: RgbImage, boxes: AnyFloats) -> Heatmaps:
    (rows, columns), to_image = combined_grid((image.shape[0], image.shape[1]))
    return Heatmaps(H36M17.joint_names, np.zeros((K, rows, columns), np.uint8), to_image, UINT8_SCALE)


def test_a_mirror_exchanges_sides_and_the_camera_still_fits() -> None:
    sample = dotted_frame(1)
    turned = mirrored(sample)
    np.testing.assert_allclose(project(turned.camera, turned.people.joints_cam), turned.people.joints_px, atol=1e-3)
    left, right = H36M17.index("left_wrist"), H36M17.index("right_wrist")
    for n in range(2):
        x, y = np.rint(turned.people.joints_px[n, left]).astype(int)
        if 0 <= x < 640 and 0 <= y < 480:
            assert np.abs(turned.image[y, x].astype(int) - SHADES[right]).max() < 3
    np.testing.assert_array_equal(mirrored(turned).image, sample.image)
    np.testing.assert_allclose(mirrored(turned).people.joints_cam, sample.people.joints_cam)
    assert (turned.people.boxes_px[:, 2] > turned.people.boxes_px[:, 0]).all()


@pytest.mark.parametrize("seed", range(12))
def test_labels_follow_the_pixels(seed: int) -> None:
    sample = dotted_frame(100 + seed, people=1)
    frame = training_frame(sample, np.random.default_rng(seed), replace(CONFIG, on_person=1.0), no_guide, None)
    assert frame.image.shape == (256, 320, 3) and frame.guidance.shape == (K, 64, 80)
    right = {False: 0, True: 0}
    seen = 0
    for n in range(len(frame.joints_px)):
        for k in np.flatnonzero(frame.weights[n] == 1):
            x, y = np.rint(frame.joints_px[n, k]).astype(int)
            seen += 1
            for flipped in (False, True):
                shade = SHADES[H36M17.mirror[k] if flipped else k]
                right[flipped] += bool(np.abs(frame.image[y, x].astype(int) - shade).max() < 30)
    # Dots may cover each other; sides are exchanged where the frame was mirrored, of all joints or of none.
    assert seen > 0 and max(right.values()) >= 0.75 * seen


@pytest.mark.parametrize("seed", range(6))
def test_depth_and_focal_length_agree_with_the_picture(seed: int) -> None:
    """A joint's depth times its offset from the principal point is f times its place: holds after any zoom."""
    sample = dotted_frame(200 + seed, people=1)
    frame = training_frame(sample, np.random.default_rng(seed), replace(CONFIG, on_person=1.0), no_guide, None)
    assert len(frame.joints_px) == 1
    z = frame.root_depth[0] + frame.rel_depth[0]
    truth = sample.people.joints_cam[0].astype(float)
    if abs(truth[:, 2] - z).max() > 1e-3:  # mirrored
        truth = truth[list(H36M17.mirror)] * (-1, 1, 1)
    np.testing.assert_allclose(z, truth[:, 2], atol=1e-4)
    for axis in (0, 1):
        a, b = 3, 16
        pixels = (frame.joints_px[0, a] - frame.joints_px[0, b])[axis]
        assert pixels == pytest.approx(frame.focal_px * (truth[a] / z[a] - truth[b] / z[b])[axis], abs=0.05)


def test_guidance_lies_on_the_joints() -> None:
    sample = dotted_frame(5, people=1)
    frame = plain_frame(sample, CONFIG, lambda image, boxes: true_heatmaps(sample))
    for k in np.flatnonzero(frame.weights[0] == 1):
        x, y = np.rint((frame.joints_px[0, k] - 1.5) / 4).astype(int)
        assert frame.guidance[k, y, x] > 150
    assert frame.image.shape == (256, 320, 3)


def test_some_frames_have_no_guidance_and_some_the_detectors_boxes() -> None:
    sample, asked = dotted_frame(6), []

    def guide(image: RgbImage, boxes: AnyFloats) -> Heatmaps:
        asked.append(len(boxes))
        return no_guide(image, boxes)

    config = replace(CONFIG, unguided=0.5, detected=0.5)
    for seed in range(60):
        training_frame(sample, np.random.default_rng(seed), config, guide, lambda image: np.zeros((7, 4)))
    assert 18 <= len(asked) <= 42
    assert 6 <= asked.count(7) <= 30


def test_who_is_hidden_or_outside_is_marked() -> None:
    sample = dotted_frame(7)
    visibility = sample.people.visibility.copy()
    visibility[0, 5] = HIDDEN
    hardly = sample.people.visible_fraction.copy()
    hardly[1] = 0.05
    people = replace(sample.people, visibility=visibility, visible_fraction=hardly)
    frame = plain_frame(replace(sample, people=people), CONFIG, no_guide)
    assert frame.weights[0, 5] == np.float32(CONFIG.hidden_weight)
    assert set(np.unique(frame.weights[1])) <= {ABSENT, 0.0}
    beyond = people.visibility[0] == OUTSIDE
    assert (frame.weights[0][beyond] == ABSENT).all()


def test_boxes_go_wrong_as_often_as_asked() -> None:
    sample = dotted_frame(8, people=4)
    exact = replace(CONFIG, missed=0.0, merged=0.0, shifted=0.0, empty=0.0)
    found = np.stack([faulty_boxes(sample, np.random.default_rng(s), exact) for s in range(40)])
    true = sample.people.boxes_px
    assert min(box_iou(boxes, true).max(axis=0).min() for boxes in found) > 0.5
    none = replace(exact, missed=1.0)
    counts = [len(faulty_boxes(sample, np.random.default_rng(s), none)) for s in range(200)]
    assert 4 * 0.6 < np.mean(counts) < 4 * 0.9  # half of the frames lose half on average
    empty = replace(exact, empty=1.0)
    assert all(len(faulty_boxes(sample, np.random.default_rng(s), empty)) == 5 for s in range(10))


def test_merged_boxes_hold_both_people() -> None:
    sample = dotted_frame(8)
    boxes = np.array([[100, 100, 200, 300], [150, 120, 260, 310]], dtype=np.float32)
    sample = replace(sample, people=replace(sample.people, boxes_px=boxes))
    config = replace(CONFIG, missed=0.0, merged=1.0, shifted=0.0, empty=0.0)
    both = np.array([[100, 100, 260, 310]], dtype=np.float64)
    for seed in range(10):
        found = faulty_boxes(sample, np.random.default_rng(seed), config)
        assert len(found) == 2 and box_iou(found, both).min() > 0.6
    exact = np.stack([faulty_boxes(sample, np.random.default_rng(s), replace(config, merged=0.0)) for s in range(40)])
    np.testing.assert_allclose(exact.mean(axis=0), boxes, atol=6)


def test_sizes_that_no_network_takes_are_refused() -> None:
    with pytest.raises(ValueError, match="width is 300; it must be 32 to 8192 in steps of 32"):
        FrameConfig(width=300)
