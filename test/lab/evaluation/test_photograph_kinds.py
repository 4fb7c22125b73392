import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from dualpose_ros.lab.evaluation.photographs import _COCO_AT, SHARED, Person, kind_of


def person(at: float = 0.0, hidden: tuple[str, ...] = (), knee_y: float = 130.0) -> Person:
    """Somebody upright: shoulders at 20, hips at 80, knees at `knee_y`, ankles at 180; moved across by `at`."""
    height = {"shoulder": 20.0, "elbow": 50.0, "wrist": 75.0, "hip": 80.0, "knee": knee_y, "ankle": 180.0}
    joints, seen = np.zeros((len(SHARED), 2)), np.full(len(SHARED), 2)
    for name, place in _COCO_AT.items():
        side, _, joint = name.partition("_")
        joints[place] = (at + (30 if side == "left" else 10), height[joint])
        seen[place] = 0 if name in hidden else 2
    return Person(np.array([at, 0.0, at + 40, 190.0]), joints, seen, 5000.0)


@pytest.mark.parametrize(
    ("one", "others", "kind"),
    [
        (person(), [], "whole"),
        (person(knee_y=85.0), [], "seated"),
        (person(hidden=("left_ankle",)), [], "whole"),
        (person(hidden=("left_ankle", "right_ankle")), [], "cut"),
        (person(), [person(5.0)], "whole"),
        (person(), [person(5.0), person(-5.0)], "crowd"),
        (person(), [person(300.0), person(600.0)], "whole"),
    ],
)
def test_kinds_of_people(one: Person, others: list[Person], kind: str) -> None:
    assert kind_of(one, [one, *others]) == kind


def test_a_detector_is_measured_on_a_folder_of_photographs(tmp_path: Path) -> None:
    from dualpose_ros.lab.evaluation.detector import evaluate_detector_photographs

    (tmp_path / "images").mkdir()
    cv2.imwrite(str(tmp_path / "images" / "a.png"), np.full((120, 160, 3), 90, np.uint8))
    content = {
        "images": [{"id": 1, "file_name": "a.png", "width": 160, "height": 120}],
        "annotations": [
            {"image_id": 1, "bbox": [20, 10, 40, 90], "keypoints": [0] * 3},
            {"image_id": 1, "bbox": [100, 10, 9, 20], "keypoints": [0] * 3},
        ],
        "categories": [{"name": "person", "keypoints": ["nose"]}],
    }
    (tmp_path / "person_keypoints.json").write_text(json.dumps(content))
    result = evaluate_detector_photographs(tmp_path, "own", 5, tmp_path / "out")
    (row,) = result["tables"]["detection"]
    # The smaller one is neither asked for nor counted as wrong; nobody is there to be found in plain grey.
    assert row["people"] == 1 and row["images"] == 1 and row["recall"] == 0
    assert (tmp_path / "out" / "detected_001.jpg").is_file()
