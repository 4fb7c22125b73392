from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dualpose_ros.cli import main
from dualpose_ros.datasets.cache import ShardDataset, list_shards, prescribed_split, split_shards
from dualpose_ros.datasets.coco import read_coco
from dualpose_ros.datasets.importing import plan, write
from dualpose_ros.datasets.keypoint_file import CocoError
from support.coco_folder import coco, keypoints, save


def test_import_writes_shards_of_one_split_each_and_goes_on_where_it_stopped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root, out = tmp_path / "set", tmp_path / "shards"
    content = coco(root, 4)
    for image, split in zip(content["images"], ("val", "train", "train", "train"), strict=True):
        image.update(split=split, source="squeezed" if split == "val" else "plain")
    save(root, content)
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
    coco(tmp_path / "other", 205)
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


def imported(root: Path, out: Path, **how: Any) -> int:
    """How many pictures an import of a folder writes."""
    return sum(write(plan(read_coco(root)), out, **how))


@pytest.mark.parametrize("change", ["joints", "name", "quality", "weight"])
def test_shards_of_other_labels_or_options_are_not_passed_off_as_these(tmp_path: Path, change: str) -> None:
    root, out = tmp_path / "set", tmp_path / "out"
    content = coco(root, 2)
    for image in content["images"]:
        image["split"] = "train"
    save(root, content)
    assert imported(root, out) == 2 and imported(root, out) == 0
    if change == "joints":
        content["annotations"][0]["keypoints"] = keypoints({"left_hip": 2, "left_knee": 2})
    elif change == "name":
        for image in content["images"]:
            image["file_name"] = f"b{image['file_name']}"
    save(root, content)
    with pytest.raises(CocoError, match=r"shard_00000\.npz holds other labels or options than these"):
        if change == "weight":
            from dualpose_ros.datasets.coco import ImportOptions

            list(write(plan(read_coco(root, ImportOptions(weights={"set": 0.5}))), out))
        else:
            imported(root, out, **({"quality": 80} if change == "quality" else {}))


def test_shards_of_a_longer_import_are_named_before_anything_is_written(tmp_path: Path) -> None:
    root, out = tmp_path / "set", tmp_path / "out"
    content = coco(root, 3)
    for image, split in zip(content["images"], ("val", "train", "train"), strict=True):
        image["split"] = split
    save(root, content)
    imported(root, out)
    for image in content["images"]:
        image["split"] = "train"
    save(root, content)
    (out / "shard_00000.npz").unlink()
    with pytest.raises(CocoError, match=r"shard_00001\.npz is one more shard than these pictures fill"):
        imported(root, out)
    assert [path.name for path in list_shards(out)] == ["shard_00001.npz"]


def test_a_shard_without_a_digest_goes_on_being_of_use(tmp_path: Path) -> None:
    root, out = tmp_path / "set", tmp_path / "out"
    coco(root, 2)
    imported(root, out)
    for path in list_shards(out):
        with np.load(path) as held:
            arrays = {name: held[name] for name in held.files if name != "digest"}
        np.savez(path, **arrays)
    assert imported(root, out) == 0 and len(ShardDataset(out)) == 2


def test_pictures_to_test_on_are_in_no_shard(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root, out = tmp_path / "set", tmp_path / "out"
    content = coco(root, 3)
    for image, split in zip(content["images"], ("val", "train", "test"), strict=True):
        image["split"] = split
    save(root, content)
    command = ["data", "import", "coco", "--root", str(root), "--out", str(out)]
    assert main(command) == 0
    said = capsys.readouterr().out
    assert "2 in all, 1 of them for validation" in said and "split 'test', kept apart and in no shard: 1" in said
    assert len(ShardDataset(out)) == 2
    for image in content["images"]:
        image["split"] = "test"
    save(root, content)
    assert main(command) == 2
    assert "all 3 pictures are of the split 'test'" in capsys.readouterr().err


def test_an_import_without_a_joint_that_is_known_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / "set"
    content = coco(root, 2)
    content["categories"][0]["keypoints"] = [f"p{n}" for n in range(17)]
    save(root, content)
    command = ["data", "import", "coco", "--root", str(root), "--out", str(tmp_path / "out")]
    assert main(command) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "none of its joints p0, p1, " in said and "--joint SOURCE.NAME=JOINT" in said
    assert main([*command, "--joint", "set.p99=left_hip"]) == 2
    assert "no joint of 'set' is called 'p99'; they are p0, p1, " in " ".join(capsys.readouterr().err.split())
    assert main([*command, "--joint", "set.p11=left_hip"]) == 0
    assert "2 of them with joints of ours" in capsys.readouterr().out
