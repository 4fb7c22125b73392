"""Guidance of frames whose patches are known."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from dualpose_ros.datasets.labels import LabelledImage
from dualpose_ros.heatmap import Heatmaps
from dualpose_ros.lab.evaluation.bottom_up.guide import Guide
from dualpose_ros.skeleton import K
from dualpose_ros.top_down.estimator import PatchMaps
from support.standing import CAMERA, at, truth_of


class Blobs:
    """A network that lights up a few cells for each box, of a value that tells the boxes apart."""

    def maps(self, image: Any, boxes_px: np.ndarray) -> PatchMaps:
        heatmaps = np.zeros((len(boxes_px), K, 8, 8), np.float32)
        heatmaps[:, :, 3:6, 3:6] = 0.2 * (1 + np.arange(len(boxes_px)))[:, None, None, None]
        middle = (boxes_px[:, :2] + boxes_px[:, 2:]) / 2
        affine = np.array([[[4.0, 0, x - 16], [0, 4.0, y - 16]] for x, y in middle]).reshape(-1, 2, 3)
        self.boxes = boxes_px
        return PatchMaps(heatmaps, None, affine)


def test_guidance_holds_whose_boxes_are_left() -> None:
    joints = at((-1.5, 5), (0, 5), (1.5, 5))
    people = truth_of(joints)
    people = replace(people, visible_fraction=np.array([1, 0.1, 1], np.float32))
    frame = LabelledImage(np.zeros((480, 640, 3), np.uint8), np.zeros((480, 640), np.uint8), people, CAMERA)
    blobs = Blobs()
    guide = Guide(blobs)
    maps, owners = guide.patches(frame, np.random.default_rng(0))
    assert owners.tolist() == [0, 2]
    side = (people.boxes_px[owners, 2:] - people.boxes_px[owners, :2]).max(axis=1, keepdims=True)
    off = np.abs(blobs.boxes - people.boxes_px[owners]) / side
    assert 0 < off.max() <= 0.2

    def brightest(heatmaps: Heatmaps) -> float:
        return float(heatmaps.data.max() * heatmaps.scale)

    assert brightest(guide.combined(frame, maps)) == pytest.approx(0.4, abs=0.01)
    assert brightest(guide.combined(frame, maps, np.array([True, False]))) == pytest.approx(0.2, abs=0.01)
    assert brightest(guide.combined(frame, maps, np.array([False, False]))) == 0
