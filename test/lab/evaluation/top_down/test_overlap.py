"""Overlapping people: the scenes are as asked, and scores are what a known 2D network earns."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from dualpose_ros.datasets.labels import LabelledImage
from dualpose_ros.lab.evaluation.top_down.overlap import overlap_row, score_overlap
from dualpose_ros.lab.synthetic.scenes.overlap import OVERLAP, make_overlap
from dualpose_ros.lab.synthetic.scenes.world import WorldConfig, load_model, make_world
from dualpose_ros.people import Pose2D, box_iou


@pytest.fixture(scope="module")
def images() -> list[LabelledImage]:
    config = WorldConfig(cast=3, textures=3, poses=6, seated=2, props=1)
    world = make_world(config, np.random.default_rng(0), load_model(config), ())
    return [make_overlap(world, np.random.default_rng(i)) for i in range(4)]


def test_boxes_overlap_as_asked(images: list[LabelledImage]) -> None:
    for image in images:
        boxes = image.people.boxes_px
        assert len(boxes) == 2
        assert OVERLAP[0] <= float(box_iou(boxes[:1], boxes[1:])[0, 0]) <= OVERLAP[1]


class Teller:
    """A 2D network that tells true joints with an offset, and nothing of the person it is told to miss."""

    def __init__(self, images: list[LabelledImage], offset_px: float = 0.0, missed: int = -1) -> None:
        self.images, self.offset, self.missed, self.at = images, offset_px, missed, 0

    def __call__(self, image: Any, boxes: Any) -> Any:
        people = self.images[self.at].people
        self.at += 1
        poses = [
            None if person == self.missed else Pose2D(people.joints_px[person] + self.offset, np.ones(17))
            for person in range(len(people))
        ]
        return SimpleNamespace(poses=poses)


class TrueLifter:
    """Lifts to the true 3D pose, in the order of the images."""

    def __init__(self, images: list[LabelledImage]) -> None:
        self.images, self.at = images, 0

    def reset(self) -> None:
        pass

    def update(self, stamp_ns: int, camera: Any, poses: Any) -> Any:
        truth = self.images[self.at].people.joints_cam.astype(np.float64)
        self.at += 1
        return {person: SimpleNamespace(joints_rel=truth[person] - truth[person][:1]) for person, _ in poses}


def score(images: list[LabelledImage], **told: Any) -> Any:
    return score_overlap(images, Teller(images, **told), TrueLifter(images), 0)  # type: ignore[arg-type]


def test_the_truth_scores_all_and_an_offset_nothing(images: list[LabelledImage]) -> None:
    row = overlap_row("true", score(images))
    assert row["pck2d_0.2_torso"] == row["pck150_rel"] == row["found"] == 100
    far = overlap_row("far", score(images, offset_px=300.0))
    assert far["pck2d_0.2_torso"] == 0 and far["found"] == 100


def test_who_is_missed_scores_nothing(images: list[LabelledImage]) -> None:
    missed = score(images, missed=0)
    assert 0 < missed.found.mean() < 1
    assert (missed.pck_2d[~missed.found] == 0).all() and (missed.pck_rel[~missed.found] == 0).all()
    assert (missed.pck_2d[missed.found] == 1).all()
