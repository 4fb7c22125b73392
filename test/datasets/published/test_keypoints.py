"""Readers of COCO and CrowdPose on small files of their true formats."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dualpose_ros.datasets.predictions import FoundPeople
from dualpose_ros.datasets.published import keypoints
from dualpose_ros.datasets.published.catalogue import open_dataset
from dualpose_ros.datasets.published.truth import DatasetError
from dualpose_ros.lab.evaluation.protocols.pictures import COCO_AP
from dualpose_ros.skeleton import COCO17
from support.published_frames import frames_of


def test_crowdpose_and_coco(tmp_path: Path) -> None:
    images = [{"id": n, "file_name": f"{n}.jpg", "width": 640, "height": 480, "crowdIndex": index}
              for n, index in enumerate((0.05, 0.5, 0.95))]  # fmt: skip
    row = [100.0, 50.0, 2.0] * 13 + [0.0, 0.0, 0.0]
    annotations = [{"id": n, "image_id": n, "bbox": [10, 20, 30, 40], "keypoints": row} for n in range(3)]
    path = tmp_path / "crowdpose_test.json"
    path.write_text(json.dumps({"images": images, "annotations": annotations}))
    sequences = open_dataset("crowdpose", tmp_path)
    assert [s.name for s in sequences] == ["easy", "hard", "medium"]
    (frame,) = sequences[2].frames()
    assert frame.people.visible.sum() == 13 and frame.people.area_px[0] == pytest.approx(0.53 * 1200)
    assert frame.people.boxes_px[0].tolist() == [10, 20, 40, 60] and len(keypoints.CROWDPOSE) == 14
    other = {**annotations[0], "bbox": [11, 20, 30, 40]}
    path.write_text(json.dumps({"images": images, "annotations": [annotations[0], other]}))
    with pytest.raises(DatasetError, match="image 0: annotation id 0 is there twice"):
        frames_of("crowdpose", tmp_path)
    path.write_text(json.dumps({"images": [*images, images[1]], "annotations": annotations}))
    with pytest.raises(DatasetError, match=r"crowdpose_test\.json: images\[3\] has the id 1, which another image has"):
        frames_of("crowdpose", tmp_path)


def labelled(root: Path, names: list[str], rows: np.ndarray, **more: Any) -> Path:
    """COCO's file of one picture with one person, whose joints are called so."""
    content = {
        "images": [{"id": 1, "file_name": "1.jpg", "width": 640, "height": 480}],
        "annotations": [{"id": 5, "image_id": 1, "category_id": 1, "bbox": [0, 0, 9, 9], "area": 50,
                         "keypoints": rows.reshape(-1).tolist()}],
        "categories": [{"id": 1, "name": "person", "keypoints": names}],
        **more,
    }  # fmt: skip
    path = root / "person_keypoints.json"
    path.write_text(json.dumps(content))
    return path


def rows_by_name(names: list[str]) -> np.ndarray:
    """x says which of COCO's joints it is, whatever its place."""
    return np.array([[COCO17.joint_names.index(name) if name in COCO17.joint_names else 99, 7, 2] for name in names])


def test_joints_go_by_their_names(tmp_path: Path) -> None:
    mirrored = ["Tail", *sorted(COCO17.joint_names, reverse=True)]
    path = labelled(tmp_path, [n.replace("left_", "l-") for n in mirrored], rows_by_name(mirrored))
    (frame,) = frames_of("coco", tmp_path)
    assert frame.people.joints_px[0, :, 0].tolist() == list(range(17))
    content = json.loads(path.read_text())
    names = ["head", "neck", *keypoints.CROWDPOSE[:12]]
    content["categories"][0]["keypoints"] = names
    content["annotations"][0]["keypoints"] = np.array([[n, 7, 2] for n in range(14)]).reshape(-1).tolist()
    (tmp_path / "crowdpose_test.json").write_text(json.dumps(content))
    (frame,) = frames_of("crowdpose", tmp_path)
    assert frame.people.joints_px[0, :, 0].tolist() == [*range(2, 14), 0, 1]


def test_what_is_labelled_of_other_categories_is_passed_over(tmp_path: Path) -> None:
    names = list(COCO17.joint_names)
    row = rows_by_name(names)
    person = {"id": 5, "image_id": 1, "category_id": 1, "bbox": [0, 0, 9, 9], "keypoints": row.reshape(-1).tolist()}
    dog = {**person, "id": 6, "category_id": 18}
    categories = [{"id": 18, "name": "dog", "keypoints": names}, {"id": 1, "name": "person", "keypoints": names}]
    labelled(tmp_path, names, row, categories=categories, annotations=[dog, person])
    assert frames_of("coco", tmp_path)[0].people.ids.tolist() == [5]
    labelled(tmp_path, names, row, categories=categories, annotations=[dog])
    with pytest.raises(DatasetError, match="labels nobody"):
        frames_of("coco", tmp_path)
    labelled(tmp_path, names, row, annotations=[dog])
    with pytest.raises(DatasetError, match=r"annotations\[0\] has the category_id 18, which no category has"):
        frames_of("coco", tmp_path)


def test_who_is_annotated_twice_or_in_two_entries_of_one_picture_is_scored_once(tmp_path: Path) -> None:
    names = list(COCO17.joint_names)
    path = labelled(tmp_path, names, rows_by_name(names))
    content = json.loads(path.read_text())
    (image,), (person,) = content["images"], content["annotations"]
    content["images"] += [{**image, "id": "2"}, {**image, "id": 3, "file_name": "./1.jpg"}]
    content["annotations"] += [{**person, "id": 6}, {**person, "id": 7, "image_id": 2.0},
                               {**person, "id": 8, "image_id": 3, "bbox": [20, 0, 9, 9]}]  # fmt: skip
    path.write_text(json.dumps(content))
    (frame,) = frames_of("coco", tmp_path)
    assert frame.index == 1 and frame.people.ids.tolist() == [5, 8]


def test_areas_that_are_null_or_0_are_those_of_the_box(tmp_path: Path) -> None:
    names = list(COCO17.joint_names)
    path = labelled(tmp_path, names, rows_by_name(names))
    content = json.loads(path.read_text())
    for area in (None, 0, 0.53 * 81):
        content["annotations"][0]["area"] = area
        path.write_text(json.dumps(content))
        assert frames_of("coco", tmp_path)[0].people.area_px == pytest.approx(0.53 * 81)
    for wrong in (-4, "large", [9], True):
        content["annotations"][0]["area"] = wrong
        path.write_text(json.dumps(content))
        with pytest.raises(DatasetError, match=r"image 1: annotations\[0\]: area is"):
            frames_of("coco", tmp_path)


def test_labels_that_say_nothing_of_the_pictures_are_named(tmp_path: Path) -> None:
    names = list(COCO17.joint_names)
    labelled(tmp_path, names[1:], rows_by_name(names[1:]))
    with pytest.raises(DatasetError, match=r"person_keypoints\.json: nose is not among the keypoints of people"):
        frames_of("coco", tmp_path)
    labelled(tmp_path, [*names, "Nose"], rows_by_name([*names, "nose"]))
    with pytest.raises(DatasetError, match="nose is twice among"):
        frames_of("coco", tmp_path)
    labelled(tmp_path, names, rows_by_name(names), images=[{"id": 2, "file_name": "a", "width": 9, "height": 9}])
    with pytest.raises(
        DatasetError, match=r"1 annotations of people are of no picture .* annotations\[0\] with image_id 1"
    ):
        frames_of("coco", tmp_path)
    labelled(tmp_path, names, rows_by_name(names) * [1, 1, 0])
    (sequence,) = open_dataset("coco", tmp_path)
    pairs = ((f, FoundPeople(*(np.zeros((0, *s)) for s in ((), (), (17, 3), (17, 2))))) for f in sequence.frames())
    with pytest.raises(DatasetError, match="nobody on these pictures has a labelled joint"):
        COCO_AP.tables({"pictures": COCO_AP.measure(sequence, pairs)})
