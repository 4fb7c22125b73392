"""COCO's average precision against the data set's own evaluation, and by hand."""

import contextlib
import io

import numpy as np
import pytest

from dualpose_ros.metrics.keypoints import FoundKeypoints, TrueKeypoints, keypoint_figures
from dualpose_ros.skeleton import COCO17

SIGMAS = np.array(COCO17.oks_sigmas)


def pictures(seed: int = 0, count: int = 30) -> tuple[list[TrueKeypoints], list[FoundKeypoints]]:
    """Made-up pictures with crowds, people without labels, misses, doubles, swaps and ghosts."""
    rng = np.random.default_rng(seed)
    truth, found = [], []
    for _ in range(count):
        people = int(rng.integers(0, 7))
        corner, size = rng.uniform(0, 300, (people, 2)), rng.uniform(30, 120, (people, 2))
        joints = corner[:, None] + rng.uniform(0, 1, (people, 17, 2)) * size[:, None]
        labelled = rng.random((people, 17)) < rng.choice([0.0, 0.8], p=[0.15, 0.85], size=(people, 1))
        truth.append(
            TrueKeypoints(
                joints, labelled, size.prod(axis=1) * 0.5, np.concatenate([corner, size], 1), rng.random(people) < 0.1
            )
        )
        off = joints + rng.normal(0, 1, joints.shape) * rng.choice([1.0, 4.0, 15.0], (people, 1, 1))
        every = np.concatenate([off[rng.random(people) < 0.8], off[rng.random(people) < 0.3]])
        every = np.concatenate([every, rng.uniform(0, 300, (int(rng.integers(0, 20)), 17, 2))])
        found.append(FoundKeypoints(every, np.round(rng.random(len(every)), 2)))
    return truth, found


def coco_figures(truth: list[TrueKeypoints], found: list[FoundKeypoints]) -> list[float]:
    coco = pytest.importorskip("pycocotools.coco", reason="pycocotools is not installed")
    from pycocotools.cocoeval import COCOeval

    annotations: list[dict[str, object]] = []
    answers: list[dict[str, object]] = []
    for image, (picture, answer) in enumerate(zip(truth, found, strict=True)):
        for n in range(len(picture)):
            keypoints = np.concatenate([picture.joints_px[n], 2.0 * picture.labelled[n][:, None]], axis=1)
            annotations.append(
                {"id": len(annotations) + 1, "image_id": image, "category_id": 1, "iscrowd": int(picture.crowd[n]),
                 "area": picture.area_px[n], "bbox": list(picture.boxes_px[n]), "keypoints": keypoints.ravel().tolist(),
                 "num_keypoints": int(picture.labelled[n].sum())}
            )  # fmt: skip
        for n in range(len(answer)):
            keypoints = np.concatenate([answer.joints_px[n], np.ones((17, 1))], axis=1)
            answers.append({"image_id": image, "category_id": 1, "score": float(answer.scores[n]),
                            "keypoints": keypoints.ravel().tolist()})  # fmt: skip
    with contextlib.redirect_stdout(io.StringIO()):
        one = coco.COCO()
        one.dataset = {"info": {}, "images": [{"id": i} for i in range(len(truth))], "categories": [{"id": 1}],
                       "annotations": annotations}  # fmt: skip
        one.createIndex()
        evaluation = COCOeval(one, one.loadRes(answers), "keypoints")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return [float(evaluation.stats[i]) for i in (0, 1, 2, 5)]


@pytest.mark.parametrize("seed", range(4))
def test_the_data_sets_own_evaluation_says_the_same(seed: int) -> None:
    truth, found = pictures(seed)
    figures = keypoint_figures(truth, found, SIGMAS)
    assert [figures[name] for name in ("ap", "ap50", "ap75", "ar")] == pytest.approx(coco_figures(truth, found), 1e-9)
    assert 0.01 < figures["ap"] < 0.9


def test_one_of_two_people_found_exactly() -> None:
    """Half of the recall levels (51 of 101) at precision 1, the others at 0."""
    joints = np.stack([np.full((17, 2), 10.0), np.full((17, 2), 200.0)])
    labelled, boxes = np.ones((2, 17), bool), np.array([[0.0, 0, 20, 20], [190, 190, 20, 20]])
    truth = TrueKeypoints(joints, labelled, np.full(2, 400.0), boxes, np.zeros(2, bool))
    figures = keypoint_figures([truth], [FoundKeypoints(joints[:1], np.ones(1))], SIGMAS)
    assert figures["ap"] == pytest.approx(51 / 101) and figures["ar"] == 0.5 and figures["people"] == 2


def test_a_joint_that_was_not_found_is_not_similar() -> None:
    joints = np.full((1, 17, 2), 10.0)
    truth = TrueKeypoints(joints, np.ones((1, 17), bool), np.full(1, 400.0), np.array([[0.0, 0, 20, 20]]),
                          np.zeros(1, bool))  # fmt: skip
    part = joints.copy()
    part[0, :6] = np.nan
    figures = keypoint_figures([truth], [FoundKeypoints(part, np.ones(1))], SIGMAS)
    # 11 of 17 joints are a similarity of 0.647: right at 0.5, 0.55 and 0.6.
    assert figures["ar"] == pytest.approx(0.3)


def test_nobody_to_find_is_not_a_number() -> None:
    nobody = TrueKeypoints(np.zeros((0, 17, 2)), np.zeros((0, 17), bool), np.zeros(0), np.zeros((0, 4)),
                           np.zeros(0, bool))  # fmt: skip
    figures = keypoint_figures([nobody], [FoundKeypoints(np.zeros((1, 17, 2)), np.ones(1))], SIGMAS)
    assert np.isnan(figures["ap"]) and np.isnan(figures["ar"])
