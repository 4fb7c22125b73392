"""The flip test: what mirrored patches add, with networks whose answer is known."""

from __future__ import annotations

import itertools
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from dualpose_ros.arrays import AnyArray, Floats, UInt8s
from dualpose_ros.inference.engine import EngineError, TensorSpec
from dualpose_ros.skeleton import H36M17
from dualpose_ros.top_down.estimator import FLIP_UP_TO, PoseEstimator, patch_size, unflip

K, SIZE = H36M17.num_joints, 64


class Bright:
    """Every joint's map is the patch's own brightness; with `sided`, left joints see only its left half."""

    def __init__(self, sided: bool, size: int | str = SIZE) -> None:
        self.sided, self.patches = sided, 0
        self.inputs = {"patches": TensorSpec("patches", np.dtype(np.uint8), ("N", size, size, 3))}
        self.outputs: tuple[str, ...] = ("heatmaps", "tags")
        self.metadata: dict[str, str] = {}

    def run(self, inputs: Mapping[str, AnyArray]) -> dict[str, AnyArray]:
        self.patches += len(inputs["patches"])
        patches = inputs["patches"].astype(np.float32)[..., 0] / 255
        cells = patches.reshape(len(patches), SIZE // 4, 4, SIZE // 4, 4).mean(axis=(2, 4))
        maps = np.repeat(cells[:, None], K, axis=1)
        if self.sided:
            maps[:, H36M17.index("left_knee"), :, SIZE // 8 :] = 0
            maps[:, H36M17.index("right_knee"), :, : SIZE // 8] = 0
        return {"heatmaps": maps, "tags": 2 * maps}


def picture() -> tuple[UInt8s, Floats]:
    image = np.random.default_rng(0).integers(0, 200, (90, 80, 3), dtype=np.uint8)
    return image, np.array([[10.0, 20, 50, 70], [30.0, 5, 70, 60]])


def test_a_network_that_treats_both_sides_alike_gains_nothing() -> None:
    image, boxes = picture()
    network = Bright(sided=True)
    plain = PoseEstimator(Bright(sided=True), flip_up_to=0)(image, boxes)
    flipped = PoseEstimator(network, flip_test=True, closer=1)(image, boxes)
    np.testing.assert_allclose(flipped.maps.heatmaps, plain.maps.heatmaps, atol=1e-6)
    assert network.patches == 2 * len(boxes)


def test_the_average_of_both_views() -> None:
    image, boxes = picture()

    class Uneven(Bright):
        """Twice as bright where the mirrored patches are."""

        def run(self, inputs: Mapping[str, AnyArray]) -> dict[str, AnyArray]:
            factor = np.repeat([1, 2], len(boxes))[:, None, None, None]
            return {name: value * factor for name, value in super().run(inputs).items()}

    plain = PoseEstimator(Bright(sided=False), flip_up_to=0)(image, boxes)
    flipped = PoseEstimator(Uneven(sided=False), flip_test=True, closer=1)(image, boxes)
    np.testing.assert_allclose(flipped.maps.heatmaps, 1.5 * plain.maps.heatmaps, atol=1e-6)


def test_what_a_closer_patch_shows_comes_back_to_its_place() -> None:
    """A smooth picture is the same in both; at the rim, which the mirrored patch lacks, the other one rules."""
    row, column = np.mgrid[0:200, 0:200]
    image = np.repeat((120 + 60 * np.sin(row / 25) * np.cos(column / 40))[..., None], 3, axis=2).astype(np.uint8)
    boxes = np.array([[50.0, 40, 140, 130]])
    plain, closer = (
        PoseEstimator(Bright(sided=True), flip_up_to=up_to, closer=0.8)(image, boxes).maps for up_to in (0, 1)
    )
    knees = [H36M17.index(f"{side}_knee") for side in ("left", "right")]
    whole = np.delete(np.arange(K), knees)
    assert not np.array_equal(closer.heatmaps, plain.heatmaps)
    np.testing.assert_allclose(closer.heatmaps[:, whole], plain.heatmaps[:, whole], atol=0.015)
    np.testing.assert_array_equal(closer.heatmaps[..., 0, :], plain.heatmaps[..., 0, :])


@pytest.mark.parametrize(("most_ms", "patches"), [(29.0, [6] * 8 + [3] * 2), (31.0, [6] * 10)])
def test_a_slow_processor_looks_at_no_mirrored_patches(
    most_ms: float, patches: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three of them take 30 ms; the first calls take longer, and say nothing."""
    clock = itertools.accumulate(seconds for count in patches for seconds in (0.0, 0.01 * count))
    slow = itertools.accumulate(seconds for _ in range(2) for seconds in (0.0, 1.0))
    times = itertools.chain(slow, (2.0 + now for now in clock))
    monkeypatch.setattr(time, "thread_time", lambda: next(times))
    image, where = picture()
    network, seen = Bright(sided=True), list[int]()
    slow_one = PoseEstimator(network, flip_most_ms=most_ms)
    for _ in patches:
        slow_one(image, np.tile(where[:1], (3, 1)))
        seen.append(network.patches - sum(seen))
    assert seen == patches


@pytest.mark.parametrize(
    ("boxes", "settings", "patches"),
    [
        (FLIP_UP_TO, {}, 2 * FLIP_UP_TO),
        (FLIP_UP_TO + 1, {}, FLIP_UP_TO + 1),
        (FLIP_UP_TO, {"flip_up_to": 0}, FLIP_UP_TO),
        (FLIP_UP_TO + 1, {"flip_test": True}, 2 * FLIP_UP_TO + 2),
    ],
)
def test_mirrored_patches_are_added_where_people_are_few(boxes: int, settings: dict[str, Any], patches: int) -> None:
    image, where = picture()
    network = Bright(sided=True)
    PoseEstimator(network, **settings)(image, np.tile(where[:1], (boxes, 1)))
    assert network.patches == patches


def test_unflip_twice_is_nothing() -> None:
    maps = np.random.default_rng(1).random((2, K, 5, 7)).astype(np.float32)
    np.testing.assert_array_equal(unflip(unflip(maps)), maps)
    np.testing.assert_array_equal(unflip(maps)[1, 4, 2], maps[1, H36M17.mirror[4], 2, ::-1])


def test_patch_size_is_the_networks_own() -> None:
    assert patch_size(Bright(False)) == SIZE
    with pytest.raises(EngineError, match=r"no top-down network.*patches"):
        patch_size(Bright(False, size="S"))


class OnePerson(Bright):
    """A network without tags, whose maps each have one dot, at a place of the joint's own."""

    def run(self, inputs: Mapping[str, AnyArray]) -> dict[str, AnyArray]:
        maps = np.zeros((len(inputs["patches"]), K, SIZE // 4, SIZE // 4), np.float32)
        for joint in range(K):
            maps[:, joint, 3 + joint // 5, 4 + joint % 5] = 0.9
        maps[1:, 4:] = 0
        maps[2:] = 0
        return {"heatmaps": maps}


def test_a_network_without_tags_sees_one_person_a_patch() -> None:
    image, boxes = picture()
    found = PoseEstimator(OnePerson(sided=False), enlarge=1.0)(image, np.concatenate([boxes[:1], boxes[:1], boxes]))
    first, second, third, _ = found.poses
    assert first is not None and second is not None and third is None
    assert (first.scores > 0).all()
    assert ((second.scores > 0) == (np.arange(K) < 4)).all()
    # The same person in the same box twice: nothing is merged.
    np.testing.assert_allclose(second.joints_px[:4], first.joints_px[:4])
    cell = np.stack([4 + np.arange(K) % 5, 3 + np.arange(K) // 5], axis=1)
    side = 50.0  # of the box, and so of the patch
    expected = np.array([30.0, 45.0]) + ((4 * cell + 1.5) - (SIZE - 1) / 2) * side / SIZE
    assert np.abs(first.joints_px - expected).max() < 1.0
