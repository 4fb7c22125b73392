import gzip
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from dualpose_ros.datasets.coco import load, read_coco, split_of
from dualpose_ros.datasets.joint_names import inner_joint, to_inner
from dualpose_ros.datasets.keypoint_file import CocoError
from dualpose_ros.datasets.labels import HIDDEN, UNKNOWN, VISIBLE
from dualpose_ros.datasets.shares import Share, parse_shares
from dualpose_ros.skeleton import COCO17, H36M17
from support.coco_folder import HEIGHT, WIDTH, coco, keypoints, save


def test_joints_are_found_by_name_and_what_nobody_judged_stays_unknown(tmp_path: Path) -> None:
    seen = {"left_hip": 2, "right_hip": 1, "left_wrist": 2}
    coco(tmp_path, 1, keypoints=keypoints(seen))
    people = read_coco(tmp_path)[0].people
    state = {name: int(people.visibility[0, k]) for k, name in enumerate(H36M17.joint_names)}
    assert {name for name, v in state.items() if v != UNKNOWN} == {"pelvis", "left_hip", "right_hip", "left_wrist"}
    assert state["left_hip"] == VISIBLE and state["right_hip"] == HIDDEN and state["pelvis"] == HIDDEN
    at = {name: people.joints_px[0, H36M17.index(name)] for name in ("pelvis", "left_hip", "right_hip")}
    np.testing.assert_allclose(at["pelvis"], (at["left_hip"] + at["right_hip"]) / 2)
    np.testing.assert_allclose(people.joints_px[people.visibility == UNKNOWN], 0)
    assert np.isnan(people.joints_cam).all()


def test_trunk_joints_of_others_lie_elsewhere_unless_an_alias_says_so() -> None:
    assert inner_joint("neck") == inner_joint("thorax") == inner_joint("nose") == -1
    assert inner_joint("neck", {"neck": "thorax"}) == H36M17.index("thorax")
    assert inner_joint("L-Knee") == inner_joint("leftKnee") == H36M17.index("left_knee")
    assert inner_joint("top_head") == H36M17.index("head_top")
    own = np.array([[[1.0, 2.0], [3.0, 4.0]]])
    joints, seen = to_inner(("pelvis", "left_hip"), own, np.array([[VISIBLE, VISIBLE]], np.uint8))
    np.testing.assert_allclose(joints[0, H36M17.index("pelvis")], [1, 2])
    assert (seen != UNKNOWN).sum() == 2


def test_crowds_and_people_without_keypoints_are_boxes_alone(tmp_path: Path) -> None:
    content = coco(tmp_path, 1)
    content["annotations"] += [
        {"image_id": 0, "bbox": [0, 0, 30, 30], "iscrowd": 1, "keypoints": keypoints({"left_hip": 2})},
        {"image_id": 0, "bbox": [80, 0, 30, 30], "keypoints": keypoints({})},
    ]
    content["images"][0]["all_detections"] = [[12, 6, 58, 68], [90, 50, 20, 25]]
    save(tmp_path, content)
    people = read_coco(tmp_path)[0].people
    # The first detection is the labelled person; the second is somebody whom nobody labelled.
    assert len(people) == 4
    assert (people.visibility[1:] == UNKNOWN).all() and (people.visibility[0] != UNKNOWN).any()
    np.testing.assert_array_equal(people.visible_fraction, [1, 0, 1, 1])
    np.testing.assert_allclose(people.boxes_px[3], [89.5, 49.5, 109.5, 74.5])


def test_the_folder_says_the_split_or_the_file_name_does(tmp_path: Path) -> None:
    content = coco(tmp_path, 3)
    content["images"][0]["split"], content["images"][1]["split"] = "val", "train"
    (tmp_path / "person_keypoints.json").unlink()
    (tmp_path / "person_keypoints.json.gz").write_bytes(gzip.compress(json.dumps(content).encode()))
    assert [p.split for p in read_coco(tmp_path)] == ["validation", "train", split_of("002.png")]
    share = np.mean([split_of(f"{n}.jpg") == "validation" for n in range(4000)])
    assert 0.03 < share < 0.07


def test_a_picture_made_smaller_keeps_its_labels_in_place(tmp_path: Path) -> None:
    coco(tmp_path, 1)
    photograph = read_coco(tmp_path)[0]
    whole, small = load(photograph), load(photograph, WIDTH // 2)
    assert small.image.shape == (HEIGHT // 2, WIDTH // 2, 3)
    hip = H36M17.index("left_hip")
    np.testing.assert_allclose(small.people.joints_px[0, hip] + 0.5, (whole.people.joints_px[0, hip] + 0.5) / 2)
    np.testing.assert_allclose(small.people.boxes_px + 0.5, (whole.people.boxes_px + 0.5) / 2)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"annotations": 3}, "annotations"),
        ({"categories": [{"name": "person"}]}, "keypoints"),
        ({"images": [{"file_name": "000.png"}]}, "images[0] has no 'id'"),
        ({"images": [{"id": 0, "file_name": "000.png", "width": 4}]}, "height"),
    ],
)
def test_a_bad_file_is_named_with_the_field(tmp_path: Path, change: dict[str, Any], named: str) -> None:
    content = coco(tmp_path, 1)
    (tmp_path / "person_keypoints.json").write_text(json.dumps({**content, **change}))
    with pytest.raises(CocoError, match=r"person_keypoints\.json") as raised:
        read_coco(tmp_path)
    assert named in str(raised.value)


@pytest.mark.parametrize("name", ["person", "Person", "worker"])
def test_what_is_no_person_is_passed_over(tmp_path: Path, name: str) -> None:
    content = coco(tmp_path, 2, category_id=4)
    content["categories"] = [{"id": 9, "name": "dog"}, {**content["categories"][0], "id": 4, "name": name}]
    content["annotations"].append({"image_id": 0, "bbox": [80, 0, 30, 30], "category_id": 9})
    save(tmp_path, content)
    assert [len(photograph.people) for photograph in read_coco(tmp_path)] == [1, 1]


@pytest.mark.parametrize("place", [[float("nan"), 5.0, 2], [None, None, 2]])
def test_a_joint_without_a_place_is_not_judged(tmp_path: Path, place: list[Any]) -> None:
    flat = keypoints({"left_hip": 2, "left_knee": 2})
    at = 3 * COCO17.joint_names.index("left_knee")
    coco(tmp_path, 1, keypoints=[*flat[:at], *place, *flat[at + 3 :]])
    people = read_coco(tmp_path)[0].people
    assert {H36M17.joint_names[k] for k in np.flatnonzero(people.visibility[0] != UNKNOWN)} == {"left_hip"}
    assert np.isfinite(people.joints_px).all()


@pytest.mark.parametrize("box", [[float("nan"), 5, 9, 9], [30, 30, -20, 5]])
def test_a_box_that_is_none_is_named(tmp_path: Path, box: list[float]) -> None:
    coco(tmp_path, 1, bbox=box)
    with pytest.raises(CocoError, match=r"annotations\[0\], of image_id 0: bbox .* is no box"):
        read_coco(tmp_path)


def test_a_picture_that_is_there_twice_is_named(tmp_path: Path) -> None:
    content = coco(tmp_path, 1)
    (tmp_path / "person_keypoints.json").write_text(json.dumps({**content, "images": content["images"] * 2}))
    with pytest.raises(CocoError, match=r"images\[1\] has the id 0, which another image has"):
        read_coco(tmp_path)


def test_splits_go_by_the_names_that_data_sets_give_them(tmp_path: Path) -> None:
    stated = {
        "valid": "validation",
        "val2017": "validation",
        "Training": "train",
        "test": "test",
        "": split_of("004.png"),
    }
    content = coco(tmp_path, len(stated))
    for image, split in zip(content["images"], stated, strict=True):
        image["split"] = split
    save(tmp_path, content)
    assert [p.split for p in read_coco(tmp_path)] == list(stated.values())
    content["images"][0]["split"] = "held_out"
    save(tmp_path, content)
    with pytest.raises(CocoError, match=r"images\[0\] or its annotations: the split 'held_out' is none of train, "):
        read_coco(tmp_path)


def test_a_picture_of_absurd_shape_is_named(tmp_path: Path) -> None:
    content = coco(tmp_path, 1, bbox=[10, 0, 60, 1], keypoints=None)
    content["images"][0].update(width=60_000, height=1)
    cv2.imwrite(str(tmp_path / "images" / "000.png"), np.zeros((1, 60_000, 3), np.uint8))
    save(tmp_path, content)
    with pytest.raises(CocoError, match=r"000\.png: .*absurd"):
        load(read_coco(tmp_path)[0])


def test_a_picture_that_is_missing_or_of_another_size_is_named(tmp_path: Path) -> None:
    coco(tmp_path, 2)
    (tmp_path / "images" / "000.png").unlink()
    cv2.imwrite(str(tmp_path / "images" / "001.png"), np.zeros((9, 9, 3), np.uint8))
    for photograph, what in zip(read_coco(tmp_path), ("cannot be read", "9x9"), strict=True):
        with pytest.raises(CocoError, match=what):
            load(photograph)


def test_shares_are_said_after_a_colon(tmp_path: Path) -> None:
    odd = tmp_path / "run:2"
    odd.mkdir()
    assert parse_shares(["real:0.6", "plain", str(odd)]) == (
        Share(Path("real"), 0.6), Share(Path("plain")), Share(odd),
    )  # fmt: skip
    for text in ("real:much", "real:0", "real:-1"):
        with pytest.raises(ValueError, match=text):
            parse_shares([text])
