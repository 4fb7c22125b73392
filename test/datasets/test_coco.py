import gzip
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from scipy.io import savemat

from dualpose_ros.cli import main
from dualpose_ros.datasets.cache import ShardDataset, list_shards, prescribed_split, split_shards
from dualpose_ros.datasets.coco import CocoError, load, read_coco, split_of
from dualpose_ros.datasets.joint_names import inner_joint, to_inner
from dualpose_ros.datasets.labels import HIDDEN, UNKNOWN, VISIBLE
from dualpose_ros.datasets.lsp import LSP_JOINTS, read_lsp
from dualpose_ros.datasets.shares import Share, parse_shares
from dualpose_ros.skeleton import COCO17, H36M17

WIDTH, HEIGHT = 120, 80


def keypoints(seen: dict[str, int]) -> list[float]:
    """COCO's flat list: joint number j at (3 j, 2 j), with the visibilities named, 0 elsewhere."""
    return [v for j, name in enumerate(COCO17.joint_names) for v in (3.0 * j, 2.0 * j, seen.get(name, 0))]


def coco(root: Path, images: int = 3, **person: Any) -> dict[str, Any]:
    """Write a folder of `images` pictures with one person each, and return its annotations."""
    (root / "images").mkdir(parents=True)
    content: dict[str, Any] = {
        "images": [{"id": n, "file_name": f"{n:03d}.png", "width": WIDTH, "height": HEIGHT} for n in range(images)],
        "annotations": [
            {"image_id": n, "bbox": [10, 5, 60, 70], "iscrowd": 0, "keypoints": keypoints({"left_hip": 2}), **person}
            for n in range(images)
        ],
        "categories": [{"name": "person", "keypoints": list(COCO17.joint_names)}],
    }
    for n in range(images):
        picture = np.random.default_rng(n).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
        cv2.imwrite(str(root / "images" / f"{n:03d}.png"), picture)
    (root / "person_keypoints.json").write_text(json.dumps(content))
    return content


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
    assert inner_joint("L-Knee") == H36M17.index("left_knee") and inner_joint("top_head") == H36M17.index("head_top")
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
    (tmp_path / "person_keypoints.json").write_text(json.dumps(content))
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
    (tmp_path / "person_keypoints.json").write_text(json.dumps(content))
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
    with pytest.raises(CocoError, match=r"images\[0\] or its annotations: .*bbox .* is no box"):
        read_coco(tmp_path)


def test_a_picture_that_is_there_twice_is_named(tmp_path: Path) -> None:
    content = coco(tmp_path, 1)
    (tmp_path / "person_keypoints.json").write_text(json.dumps({**content, "images": content["images"] * 2}))
    with pytest.raises(CocoError, match=r"images\[1\] has the id 0, which another image has"):
        read_coco(tmp_path)


def test_a_picture_of_absurd_shape_is_named(tmp_path: Path) -> None:
    content = coco(tmp_path, 1)
    content["images"][0].update(width=60_000, height=1)
    cv2.imwrite(str(tmp_path / "images" / "000.png"), np.zeros((1, 60_000, 3), np.uint8))
    (tmp_path / "person_keypoints.json").write_text(json.dumps(content))
    with pytest.raises(CocoError, match=r"000\.png: .*absurd"):
        load(read_coco(tmp_path)[0])


def test_a_picture_that_is_missing_or_of_another_size_is_named(tmp_path: Path) -> None:
    coco(tmp_path, 2)
    (tmp_path / "images" / "000.png").unlink()
    cv2.imwrite(str(tmp_path / "images" / "001.png"), np.zeros((9, 9, 3), np.uint8))
    for photograph, what in zip(read_coco(tmp_path), ("cannot be read", "9x9"), strict=True):
        with pytest.raises(CocoError, match=what):
            load(photograph)


def test_import_writes_shards_of_one_split_each_and_goes_on_where_it_stopped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root, out = tmp_path / "set", tmp_path / "shards"
    content = coco(root, 4)
    for image, split in zip(content["images"], ("val", "train", "train", "train"), strict=True):
        image.update(split=split, source="squeezed" if split == "val" else "plain")
    (root / "person_keypoints.json").write_text(json.dumps(content))
    command = ["data", "import", "coco", "--root", str(root), "--out", str(out), "--webp", "90"]
    options = ["--squashed", "squeezed=1.33", "--weight", "plain=0.5", "--incomplete", "squeezed"]
    assert main([*command, *options]) == 0
    shards = list_shards(out)
    assert [prescribed_split(path) for path in shards] == ["validation", "train"]
    train, validation = split_shards(out)
    assert validation == shards[:1] and train == shards[1:]
    held_out, kept = ShardDataset(validation)[0], ShardDataset(train)[0]
    assert held_out.origin.stretch == pytest.approx(1.33) and not held_out.origin.complete
    assert kept.origin.weight == 0.5 and kept.origin.complete and kept.origin.source == "plain"
    shards[1].unlink()
    capsys.readouterr()
    assert main([*command, *options]) == 0
    assert "3 pictures written, 4 in all" in capsys.readouterr().out
    assert len(ShardDataset(out)) == 4
    coco(tmp_path / "other", 2)
    assert main(["data", "import", "coco", "--root", str(tmp_path / "other"), "--out", str(out)]) == 2
    assert "shard_00000.npz holds other pictures than these" in capsys.readouterr().err
    shards[0].write_bytes(b"PK\3\4")
    assert main([*command, *options]) == 2
    assert "shard_00000.npz is damaged" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--weight", "plain"], "--weight plain"),
        (["--squashed", "plain=0.5"], "--squashed plain=0.5"),
        (["--joint", "plain.neck=nose"], "--joint plain.neck=nose"),
        (["--annotations", "nowhere.json"], "nowhere.json"),
        (["--incomplete", "plian"], "'plian'; they are of "),
        (["--joint", "plian.nose=head_top"], "'plian'; they are of "),
    ],
)
def test_import_names_what_is_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], named: str
) -> None:
    coco(tmp_path / "set", 1)
    command = ["data", "import", "coco", "--root", str(tmp_path / "set"), "--out", str(tmp_path / "out")]
    assert main([*command, *options]) == 2
    assert named in capsys.readouterr().err


@pytest.mark.parametrize("extended", [False, True])
def test_lsp_joints_are_read_in_both_of_its_forms(tmp_path: Path, extended: bool) -> None:
    (tmp_path / "images").mkdir()
    joints = np.random.default_rng(0).uniform(20, 60, (2, len(LSP_JOINTS), 2))
    flags = np.zeros((2, len(LSP_JOINTS)))
    wrist = LSP_JOINTS.index("left_wrist")
    flags[:, :] = 1 if extended else 0
    flags[0, wrist] = 0 if extended else 1
    rows = np.concatenate([joints + 1, flags[..., None]], axis=2)
    savemat(tmp_path / "joints.mat", {"joints": rows.transpose(1, 2, 0) if extended else rows.transpose(2, 1, 0)})
    for n in range(2):
        cv2.imwrite(str(tmp_path / "images" / f"im{n:04d}.jpg"), np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    first, second = read_lsp(tmp_path)
    assert not first.origin.complete
    inner = H36M17.index("left_wrist")
    assert first.people.visibility[0, inner] == (UNKNOWN if extended else HIDDEN)
    assert second.people.visibility[0, inner] == VISIBLE
    np.testing.assert_allclose(second.people.joints_px[0, inner], joints[1, wrist], atol=1e-4)
    assert first.people.visibility[0, H36M17.index("neck")] == UNKNOWN
    assert first.people.visibility[0, H36M17.index("head_top")] == VISIBLE


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_joint_of_lsp_without_a_place_is_unknown(tmp_path: Path, value: float) -> None:
    (tmp_path / "images").mkdir()
    cv2.imwrite(str(tmp_path / "images" / "im0001.jpg"), np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    rows = np.ones((len(LSP_JOINTS), 3, 1))
    rows[:, :2, 0] = np.random.default_rng(0).uniform(20, 60, (len(LSP_JOINTS), 2))
    rows[LSP_JOINTS.index("left_wrist"), 0] = value
    savemat(tmp_path / "joints.mat", {"joints": rows})
    (picture,) = read_lsp(tmp_path)
    assert picture.people.visibility[0, H36M17.index("left_wrist")] == UNKNOWN
    assert picture.people.visibility[0, H36M17.index("left_elbow")] == VISIBLE
    assert np.isfinite(picture.people.joints_px).all() and np.isfinite(picture.people.boxes_px).all()


def test_shares_are_said_after_a_colon(tmp_path: Path) -> None:
    odd = tmp_path / "run:2"
    odd.mkdir()
    assert parse_shares(["real:0.6", "plain", str(odd)]) == (
        Share(Path("real"), 0.6), Share(Path("plain")), Share(odd),
    )  # fmt: skip
    for text in ("real:much", "real:0", "real:-1"):
        with pytest.raises(ValueError, match=text):
            parse_shares([text])
