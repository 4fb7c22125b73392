"""Scores as chances: who counts as real, what is drawn of it, and the scale that is fitted."""

from pathlib import Path

import numpy as np
import pytest

from dualpose_ros.datasets.coco import make_people
from dualpose_ros.datasets.labels import UNKNOWN, VISIBLE
from dualpose_ros.errors import InputError
from dualpose_ros.fusion.probability import SITUATIONS, ScoreScale, probabilities
from dualpose_ros.lab.evaluation.scores import (
    Judged,
    Measured,
    calibration_error,
    chance_error,
    draw_reliability,
    evaluate_scores,
    fit_rows,
    fitted,
    lies_within,
    on_photograph,
    threshold_rows,
)
from dualpose_ros.people import Persons, Poses, Source
from dualpose_ros.skeleton import K
from support.coco_folder import coco, save


def drawn(scale: ScoreScale, count: int = 4000, seed: int = 0) -> Judged:
    """People who are there as often as a scale says."""
    rng = np.random.default_rng(seed)
    scores, situation = rng.uniform(0, 1, count), rng.integers(0, 3, count)
    return Judged(scores, situation, rng.random(count) < probabilities(scores, situation, scale))


def test_scores_that_are_chances_have_no_error_and_others_have() -> None:
    scale = ScoreScale()
    told = drawn(scale)
    right = calibration_error(told, scale)
    wrong = calibration_error(told, ScoreScale(*((0.0, 1.0),) * len(SITUATIONS)))
    assert right is not None and wrong is not None
    assert right < 0.03 < 0.15 < wrong
    assert calibration_error(told[:0], scale) is None


def test_few_people_have_an_error_by_chance_alone() -> None:
    scale = ScoreScale()
    few = [drawn(scale, 90, seed) for seed in range(200)]
    measured = np.mean([calibration_error(told, scale) for told in few])
    assert np.mean([chance_error(told, scale) for told in few]) == pytest.approx(measured, rel=0.05)
    many = chance_error(drawn(scale), scale)
    assert many is not None and many < 0.02 < 0.05 < measured
    assert chance_error(few[0][:0], scale) is None


def test_the_scale_is_found_again() -> None:
    scale = ScoreScale(both=(2.0, 1.5), top_down=(-1.0, 0.8), bottom_up=(0.5, 2.0))
    rows = fit_rows([drawn(scale, 12_000), drawn(scale, 12_000, 1), drawn(scale)[:0]])
    assert [row["seen"] for row in rows] == list(SITUATIONS[:3])
    for row, line in zip(rows, (scale.both, scale.top_down, scale.bottom_up), strict=True):
        assert (row["offset"], row["slope"]) == pytest.approx(line, abs=0.15)
    assert fitted(np.array([0.2, 0.4]), np.array([True, True]), np.ones(2))[1] > 0


def test_thresholds_give_and_take() -> None:
    scores, real = np.array([0.9, 0.8, 0.5, 0.5]), np.array([True, False, True, False])
    people = Judged(scores, np.zeros(4, int), real)
    rows = threshold_rows("here", Measured(people, 4, 2), ScoreScale(both=(0.0, 1.0)))
    figures = {row["min_score"]: (row["found"], row["ghosts_an_image"]) for row in rows}
    assert figures[0.0] == (0.5, 1.0) and figures[0.7] == (0.25, 0.5)


def test_each_person_of_a_photograph_counts_once() -> None:
    joints = np.random.default_rng(0).uniform(50, 150, (K, 2))
    box = np.concatenate([joints.min(axis=0), joints.max(axis=0)])
    truth = np.zeros((2, K, 2))
    truth[0] = joints
    seen = np.full((2, K), UNKNOWN, np.uint8)
    seen[0] = VISIBLE
    boxes = np.stack([box, box + 200])
    people = make_people(boxes, truth, seen, np.zeros(2, bool), (640, 480))
    found = np.stack([joints + 2, joints + 5, joints + 201, joints + np.array([300, 0])])
    count = len(found)
    poses = Poses(np.zeros((count, K, 3)), np.full((count, K), 0.9), np.ones((count, K)), np.ones(count))
    persons = Persons.seen(poses, found, Source.FUSED, np.arange(count))
    assert on_photograph(people, persons).tolist() == [True, False, True, False]
    assert on_photograph(people[:0], persons).tolist() == [False] * count
    assert len(on_photograph(people, persons[:0])) == 0


def test_who_is_in_a_crowd_lies_in_its_box() -> None:
    boxes = np.array([[0.0, 0, 10, 20], [6, 0, 16, 20], [30, 30, 40, 40]])
    crowds = np.array([[-5.0, -5, 11, 50], [35, 35, 90, 90]])
    assert lies_within(boxes, crowds).tolist() == [True, False, False]
    assert not lies_within(boxes, crowds[:0]).any() and len(lies_within(boxes[:0], crowds)) == 0


def test_something_has_to_be_looked_at(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--root"):
        evaluate_scores(tmp_path, 0, sequences=0)


def test_a_folder_without_a_picture_for_validation_is_named_before_anything_is_rendered(tmp_path: Path) -> None:
    content = coco(tmp_path, 2)
    for image in content["images"]:
        image.update(split="train", source="mine")
    save(tmp_path, content)
    with pytest.raises(InputError, match=r"no picture of the validation split .*--every-split takes all"):
        evaluate_scores(tmp_path, 0, tmp_path)
    with pytest.raises(InputError, match="no picture whose people all have boxes without --incomplete"):
        evaluate_scores(tmp_path, 0, tmp_path, ["mine"], every_split=True)


def test_the_diagram_is_written(tmp_path: Path) -> None:
    scale = ScoreScale()
    draw_reliability(tmp_path / "here" / "scores.png", {"one": drawn(scale), "other": drawn(scale, 50)}, scale)
    assert (tmp_path / "here" / "scores.png").read_bytes().startswith(b"\x89PNG")
