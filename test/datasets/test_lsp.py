from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy.io import savemat

from dualpose_ros.datasets.keypoint_file import CocoError
from dualpose_ros.datasets.labels import HIDDEN, UNKNOWN, VISIBLE
from dualpose_ros.datasets.lsp import LSP_JOINTS, read_lsp
from dualpose_ros.skeleton import H36M17

WIDTH, HEIGHT = 120, 80


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
        cv2.imwrite(str(tmp_path / "images" / f"im{n + 1:04d}.jpg"), np.zeros((HEIGHT, WIDTH, 3), np.uint8))
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


def named(root: Path, names: list[str], columns: int) -> None:
    """A folder of pictures of the names, and `columns` people, person n with the right hip at (20 + n, 9)."""
    (root / "images").mkdir()
    joints = np.random.default_rng(0).uniform(20, 60, (columns, len(LSP_JOINTS), 3))
    joints[..., 2] = 1
    joints[:, LSP_JOINTS.index("right_hip"), :2] = [(21 + n, 10) for n in range(columns)]
    savemat(root / "joints.mat", {"joints": joints.transpose(1, 2, 0)})
    for name in names:
        cv2.imwrite(str(root / "images" / name), np.zeros((HEIGHT, WIDTH, 3), np.uint8))


def test_the_number_of_a_picture_says_whose_labels_it_has(tmp_path: Path) -> None:
    named(tmp_path, [f"im{n}.jpg" for n in range(1, 13)], 12)
    hip = H36M17.index("right_hip")
    found = {p.path.name: float(p.people.joints_px[0, hip, 0]) for p in read_lsp(tmp_path)}
    assert found == {f"im{n}.jpg": pytest.approx(19 + n) for n in range(1, 13)}


@pytest.mark.parametrize(
    ("names", "wrong"),
    [
        (["im0001.jpg", "im0002.jpg", "im0004.jpg"], r"im0004\.jpg is none of im1\.jpg to im3\.jpg"),
        (["im0001.jpg", "im0002.jpg", "im0002 (1).jpg"], r"im0002 \(1\)\.jpg is none of"),
        (["im0001.jpg", "im1.jpg", "im0002.jpg"], r"im1\.jpg has the number of im0001\.jpg"),
        (["im0001.jpg", "im0003.jpg"], "holds 2 im.*: number 2 lacks"),
        (["im0001.JPG"], "holds 0 im.*: number 1 lacks"),
    ],
)
def test_a_picture_that_lacks_or_is_too_many_is_named(tmp_path: Path, names: list[str], wrong: str) -> None:
    named(tmp_path, names, 3)
    with pytest.raises(CocoError, match=wrong):
        read_lsp(tmp_path)


def test_labels_of_larger_pictures_are_named(tmp_path: Path) -> None:
    named(tmp_path, ["im1.jpg", "im2.jpg", "im3.jpg"], 3)
    for path in (tmp_path / "images").iterdir():
        cv2.imwrite(str(path), np.zeros((HEIGHT // 2, WIDTH // 2, 3), np.uint8))
    with pytest.raises(CocoError, match="of 42 joints lie outside their pictures"):
        read_lsp(tmp_path)
