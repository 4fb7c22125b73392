"""Stored predictions: there and back, and what is said of those that are damaged."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dualpose_ros.datasets import predictions
from dualpose_ros.datasets.published.truth import DatasetError


def made() -> predictions.Predictions:
    joints = np.arange(18.0).reshape(2, 3, 3)
    joints[1, 2] = np.nan
    people = predictions.FoundPeople(np.array([4, 9]), np.array([0.5, 1.0]), joints, np.full((2, 3, 2), np.nan))
    nobody = people[:0]
    return predictions.Predictions("TS1", "somebody's", ("pelvis", "neck", "tail"), {0: people, 7: nobody})


def test_there_and_back(tmp_path: Path) -> None:
    given = made()
    path = predictions.write_predictions(tmp_path, given)
    found = predictions.read_predictions(path)
    assert path == predictions.predictions_file(tmp_path, "TS1") and [p.name for p in tmp_path.iterdir()] == [
        "TS1.json"
    ]
    assert (found.sequence, found.system, found.joint_names) == (given.sequence, given.system, given.joint_names)
    np.testing.assert_allclose(found.frames[0].joints_cam, given.frames[0].joints_cam)
    assert np.isnan(found.frames[0].joints_px).all() and len(found.frames[7]) == 0


def test_joints_by_other_names() -> None:
    given = made()
    people = given.frames[0].renamed(given.joint_names, ("neck", "left_ear", "pelvis"))
    np.testing.assert_allclose(people.joints_cam[0], np.array([[3.0, 4, 5], [np.nan] * 3, [0, 1, 2]]))


def spoilt(content: dict[str, Any], what: str) -> None:
    person = content["frames"][0]["people"][0]
    if what == "format":
        content["format"] = "other-1"
    elif what == "twice":
        content["frames"][0]["people"][1]["id"] = 4
    elif what == "frame":
        content["frames"][1]["frame"] = 0
    elif what == "nan":
        person["joints_m"][1][2] = float("nan")
    elif what == "short":
        person["joints_m"].pop()
    elif what == "names":
        content["joint_names"][1] = "pelvis"
    else:
        del content["frames"][0]["people"]


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("format", "is of format 'other-1'"),
        ("twice", "frame 0: id 4 is there twice"),
        ("frame", r"frames\[1\]\.frame is 0, which is there already"),
        ("nan", r"people\[0\]\.joints_m\[1\] is .*: 3 finite numbers"),
        ("short", r"people\[0\]\.joints_m is no list of 3 joints"),
        ("names", "no list of different names"),
        ("people", "has no 'people'"),
    ],
)
def test_what_is_wrong_is_named(what: str, said: str, tmp_path: Path) -> None:
    path = predictions.write_predictions(tmp_path, made())
    content = json.loads(path.read_text())
    spoilt(content, what)
    path.write_text(json.dumps(content))
    with pytest.raises(DatasetError, match=said):
        predictions.read_predictions(path)


def test_a_file_cut_short_is_named(tmp_path: Path) -> None:
    path = predictions.write_predictions(tmp_path, made())
    path.write_text(path.read_text()[:-20])
    with pytest.raises(DatasetError, match=r"TS1\.json is no JSON, or cut short"):
        predictions.read_predictions(path)
