"""What the live stages stored is read again where it is of the same stages and pictures, and nowhere else."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from dualpose_ros.cli import main
from dualpose_ros.lab.evaluation.protocols import live, run
from dualpose_ros.people import Persons
from dualpose_ros.skeleton import COCO17

SHOWN: list[int] = []


class Nobody:
    """Stages that find nobody, and note how bright what they are shown is."""

    def __init__(self, *_: Any) -> None:
        pass

    def restart(self) -> None:
        pass

    def process(self, image: np.ndarray, stamp_ns: int, camera: Any, stage: str) -> dict[str, Persons]:
        SHOWN.append(round(float(image.mean())))
        return {stage: Persons.of([])}


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """COCO's form of four pictures, each as bright as ten times its number."""
    monkeypatch.setattr(live, "_branches", lambda top_down: None)
    monkeypatch.setattr(live, "LiveStages", Nobody)
    SHOWN.clear()
    return coco(tmp_path / "coco")


def coco(root: Path, bright: int = 0) -> Path:
    (root / "images").mkdir(parents=True)
    for number in range(4):
        cv2.imwrite(
            str(root / "images" / f"{number}.png"), np.full((48, 64 + bright, 3), 10 * number + bright, np.uint8)
        )
    size = {"width": 64 + bright, "height": 48}
    images = [{"id": n, "file_name": f"{n}.png", **size} for n in range(4)]
    person = {"id": 0, "image_id": 0, "bbox": [0, 0, 9, 9], "keypoints": [5, 5, 2] * COCO17.num_joints}
    (root / "person_keypoints.json").write_text(json.dumps({"images": images, "annotations": [person]}))
    return root


def evaluate(root: Path, *more: str) -> int:
    return main(["eval", "coco", "--root", str(root), "--predictions", str(root.parent / "found"), *more])


def test_a_run_that_an_unreadable_picture_ended_goes_on_behind_it(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    last = root / "images" / "3.png"
    whole = last.read_bytes()
    last.write_bytes(b"no picture")
    assert evaluate(root) == 2 and "3.png" in capsys.readouterr().err
    assert SHOWN == [0, 10, 20]
    last.write_bytes(whole)
    assert evaluate(root) == 0 and SHOWN == [0, 10, 20, 30]
    assert evaluate(root, "--protocol", "coco-limbs") == 0 and evaluate(root, "--stored-only") == 0
    assert len(SHOWN) == 4


def test_what_is_found_is_stored_while_a_run_goes_on(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[int] = []
    monkeypatch.setattr(run, "_STORED_EVERY_S", -1.0)
    monkeypatch.setattr(run, "write_predictions", lambda folder, found: written.append(len(found.frames)))
    assert evaluate(root) == 0 and written == [1, 2, 3, 4, 4]


@pytest.mark.parametrize("more", [("--stage", "top_down"), ("--weights", "movenet:FILE.onnx")])
def test_what_another_stage_or_network_said_does_not_count(
    more: tuple[str, str], root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate(root) == 0
    assert evaluate(root, *more) == 2
    said = capsys.readouterr().err
    assert "pictures.json holds what 'dualpose_ros" in said and "--stored-only" in said and said.count("\n") == 1


def test_what_was_stored_by_others_or_before_counts_where_it_is_asked_for(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate(root) == 0
    path = root.parent / "found" / "pictures.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "system": "dualpose_ros 0.1.0, refined"}))
    assert evaluate(root) == 2
    assert "holds what 'dualpose_ros 0.1.0, refined' says, not 'dualpose_ros" in capsys.readouterr().err
    assert evaluate(root, "--stored-only") == 0


def test_what_was_said_of_other_pictures_does_not_count(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluate(root) == 0
    other = coco(root.parent / "other", 3)
    assert evaluate(other) == 2
    assert "frame 0 is of 0.png of" in capsys.readouterr().err
