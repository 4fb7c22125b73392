import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dualpose_ros.datasets.keypoint_file import CocoError, KeypointFile, read_keypoint_file
from dualpose_ros.skeleton import COCO17
from support.coco_folder import HEIGHT, WIDTH, coco, keypoints, save

Content = dict[str, Any]
LABELLED = {"left_hip": 2, "left_knee": 2, "right_knee": 1}


def read(root: Path, content: Content) -> KeypointFile:
    """What is read of annotations."""
    save(root, content)
    return read_keypoint_file(root / "person_keypoints.json")


def counts(file: KeypointFile) -> list[int]:
    """How many people each picture has."""
    return [len(picture.people) for picture in file.pictures]


def each(change: Callable[[Content], object]) -> Callable[[Content], None]:
    """The change, made to every annotation."""

    def changed(content: Content) -> None:
        for annotation in content["annotations"]:
            change(annotation)

    return changed


def corners(annotation: Content) -> None:
    x, y, width, height = annotation["bbox"]
    annotation["bbox"] = [x, y, x + width, y + height]


def shares(annotation: Content) -> None:
    x, y, width, height = annotation["bbox"]
    annotation["bbox"] = [x / WIDTH, y / HEIGHT, width / WIDTH, height / HEIGHT]


def joint_shares(annotation: Content) -> None:
    rows = zip(*[iter(annotation["keypoints"])] * 3, strict=True)
    annotation["keypoints"] = [v for x, y, seen in rows for v in (x / WIDTH, y / HEIGHT, seen)]


def unlike_ids(content: Content) -> None:
    for image in content["images"]:
        image["id"] = str(image["id"])
    for annotation in content["annotations"]:
        annotation["image_id"] = float(annotation["image_id"])


def one_entry_a_person(content: Content) -> None:
    """As converters of MPII write it: an entry of images for each person."""
    content["images"] = [{**content["images"][n % 2], "id": 10 + n} for n in range(4)]
    content["annotations"] = [
        {**content["annotations"][0], "bbox": [10 + n, 5, 60, 70], "image_id": 10 + n} for n in range(4)
    ]


@pytest.mark.parametrize(
    ("change", "people"),
    [
        (lambda content: None, [1, 1]),
        (unlike_ids, [1, 1]),
        (lambda content: content["annotations"].extend(content["annotations"][:1]), [1, 1]),
        (one_entry_a_person, [2, 2]),
    ],
)
def test_everybody_is_read_once_whatever_ids_look_like(
    tmp_path: Path, change: Callable[[Content], None], people: list[int]
) -> None:
    content = coco(tmp_path, 2)
    change(content)
    assert counts(read(tmp_path, content)) == people


def test_boxes_of_everybody_are_those_of_all_entries_of_a_picture(tmp_path: Path) -> None:
    content = coco(tmp_path, 1)
    content["images"] = [
        {**content["images"][0], "id": 0},
        {**content["images"][0], "id": 1, "all_detections": [[0, 0, 9, 9]]},
        {**content["images"][0], "id": 2, "all_detections": [[0, 0, 9, 9], [1, 0, 9, 9]], "file_name": "./000.png"},
    ]
    (picture,) = read(tmp_path, content).pictures
    assert picture.entry["all_detections"] == [[0, 0, 9, 9], [1, 0, 9, 9]]
    content["images"][1]["width"] = 3
    with pytest.raises(CocoError, match=r"images\[1\] is of 000\.png as images\[0\] is, but has another 'width'"):
        read(tmp_path, content)


def test_kinds_of_people_all_count_and_others_by_whatever_number_none(tmp_path: Path) -> None:
    names = list(COCO17.joint_names)
    content = coco(tmp_path, 2)
    for number, annotation in enumerate(content["annotations"]):
        annotation["category_id"] = 1 + number
    content["categories"] = [{"id": n, "name": name, "keypoints": names} for n, name in ((1, "player"), (2, "referee"))]
    assert counts(read(tmp_path, content)) == [1, 1]
    content["categories"] = [{"id": 1, "name": "face", "keypoints": ["nose"] * 17},
                             {"id": 2, "name": "people", "keypoints": names}]  # fmt: skip
    assert counts(read(tmp_path, content)) == [0, 1]
    content["categories"] = [{"id": 1, "name": "person", "keypoints": names}, {"id": 2, "name": "dog"}]
    content["annotations"][1]["category_id"] = 2.0
    assert counts(read(tmp_path, content)) == [1, 0]
    content["annotations"][1]["category_id"] = 3
    with pytest.raises(CocoError, match=r"annotations\[1\] has the category_id 3, which no category has"):
        read(tmp_path, content)
    content["categories"] = [{"id": 1, "name": "player", "keypoints": names},
                             {"id": 3, "name": "horse", "keypoints": names[:4]}]  # fmt: skip
    with pytest.raises(CocoError, match="categories player, horse have different 'keypoints'"):
        read(tmp_path, content)


def test_of_a_part_of_the_pictures_the_others_labels_are_passed_over(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    content = coco(tmp_path, images=3)
    save(tmp_path, {**content, "images": content["images"][1:]})
    file = read_keypoint_file(tmp_path / "person_keypoints.json")
    assert [len(picture.people) for picture in file.pictures] == [1, 1]
    assert "1 annotations of people are of no picture" in caplog.text and "passed over" in caplog.text


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        (each(lambda a: a.update(image_id=f"{a['image_id']:04d}")),
         "3 annotations of people are of no picture of 'images', whose ids are like '0'; the first is annotations[0] "
         "with image_id '0000'"),
        (each(lambda a: a.update(image_id=0.5)), "annotations[0] has the image_id 0.5, neither"),
        (each(lambda a: a.pop("bbox")), "annotations[0] has no 'bbox'"),
        (each(lambda a: a.pop("image_id")), "annotations[0] has no 'image_id'"),
        (each(lambda a: a.update(keypoints=[1, 2, 2])),
         "annotations[0], of image_id 0: keypoints holds 3 numbers, not three for each of 17"),
        (each(lambda a: a.update(keypoints=keypoints({"left_hip": 0.93}))),  # type: ignore[dict-item]
         "annotations[0], of image_id 0: a keypoint's v is 0.93, not 0"),
        (each(corners), "people have boxes of x0, y0, x1, y1 by the look of it"),
        (each(shares), "3 of 3 people have boxes or joints in shares of the picture"),
        (each(joint_shares), "3 of 3 people have boxes or joints in shares of the picture"),
        (each(lambda a: a.update(bbox=[0, 0, 0, 0])), "3 of 3 people have boxes without any area"),
        (each(lambda a: a.update(bbox=[500, 500, 20, 20])), "3 of 3 people have boxes or joints mostly outside"),
        (lambda content: [image.update(width=WIDTH // 3, height=HEIGHT // 3) for image in content["images"]],
         "3 of 3 people have boxes or joints mostly outside"),
        (lambda content: content.update(images=[], annotations=[]), "'images' is empty"),
        (lambda content: content["images"].append(content["images"][0]), "images[3] has the id 0, which another image"),
        (lambda content: content["categories"].extend([{"id": 1, "name": "cat"}, {"id": 1.0, "name": "dog"}]),
         "two categories have the id 1"),
        (lambda content: content["categories"][0].update(keypoints=["left_hip"] * 17), "have the name left_hip twice"),
    ],
)  # fmt: skip
def test_what_cannot_be_right_is_named(tmp_path: Path, change: Callable[[Content], None], wrong: str) -> None:
    content = coco(tmp_path, 3, keypoints=keypoints(LABELLED))
    for number, annotation in enumerate(content["annotations"]):
        annotation["bbox"] = [10 + 20 * number, 5, 62, 70]
    change(content)
    with pytest.raises(CocoError, match=rf"person_keypoints\.json: .*{re.escape(wrong)}"):
        read(tmp_path, content)


@pytest.mark.parametrize("bbox", [[0, 0, 0, 0], [500, 500, 9, 9], [0, 0, 0.5, 0.5], [70, 5, 100, 70]])
def test_a_single_odd_box_stops_no_data_set(tmp_path: Path, bbox: list[float]) -> None:
    content = coco(tmp_path, 5)
    content["annotations"][2]["bbox"] = bbox
    assert counts(read(tmp_path, content)) == [1] * 5


def test_people_who_lean_out_of_their_pictures_are_no_corners(tmp_path: Path) -> None:
    content = coco(tmp_path, 4)
    for annotation, box in zip(
        content["annotations"], ([80, 5, 60, 70], [60, 20, 50, 70], [70, 2, 60, 70], [90, 5, 40, 70]), strict=True
    ):
        annotation["bbox"] = box
    assert counts(read(tmp_path, content)) == [1] * 4
