"""Reading a clip's ground truth, and saying what is wrong with a bad one."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dualpose_ros.datasets.clip import ClipError, load_clip_truth

FRAMES, PEOPLE = 5, 3


def good() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    joints = rng.normal(0, 0.4, (FRAMES, PEOPLE, 17, 3)) + np.array([0, 0, 5])
    return {
        "stamps_s": np.arange(FRAMES) / 20,
        "ids": np.tile([4, 2, 9], (FRAMES, 1)),
        "joints_cam": joints.astype(np.float16),
        "joints_px": rng.uniform(0, 480, (FRAMES, PEOPLE, 17, 2)).astype(np.float32),
        "boxes_px": rng.uniform(0, 480, (FRAMES, PEOPLE, 4)),
        "visibility": rng.integers(0, 3, (FRAMES, PEOPLE, 17)).astype(np.uint8),
        "visible_fraction": rng.uniform(0, 1, (FRAMES, PEOPLE)),
        "present": np.ones((FRAMES, PEOPLE), bool),
        "intrinsics": np.array([500.0, 510.0, 319.5, 239.5, 640, 480]),
        "fps": np.float64(20),
    }


def written(path: Path, **changed: Any) -> Path:
    arrays = {**good(), **changed}
    np.savez_compressed(path, **{name: array for name, array in arrays.items() if array is not None})
    return path


def test_everything_is_read_back(tmp_path: Path) -> None:
    truth = load_clip_truth(written(tmp_path / "truth.npz"))
    source = good()
    assert (truth.num_frames, truth.num_people, truth.fps) == (FRAMES, PEOPLE, 20)
    assert truth.ids.tolist() == [4, 2, 9]
    assert (truth.camera.width, truth.camera.height) == (640, 480)
    assert (truth.camera.fx, truth.camera.fy, truth.camera.cx, truth.camera.cy) == (500, 510, 319.5, 239.5)
    for name in ("stamps_s", "joints_cam", "joints_px", "boxes_px", "visibility", "visible_fraction", "present"):
        np.testing.assert_array_equal(getattr(truth, name), source[name])
    assert truth.joints_cam.dtype == np.float64


def test_who_is_absent_may_hold_anything(tmp_path: Path) -> None:
    arrays = good()
    arrays["joints_cam"][2, 1] = np.nan
    arrays["present"][2, 1] = False
    truth = load_clip_truth(written(tmp_path / "truth.npz", **arrays))
    assert not truth.present[2, 1]


def _joints(value: float) -> np.ndarray:
    joints = good()["joints_cam"]
    joints[1, 2, 0, 2] = value
    return joints


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"joints_px": None}, "no array 'joints_px'"),
        ({"joints_cam": np.zeros((FRAMES, PEOPLE, 14, 3))}, "'joints_cam' has shape"),
        ({"present": np.ones((FRAMES, PEOPLE + 1), bool)}, "'present' has shape"),
        ({"ids": np.arange(FRAMES * PEOPLE).reshape(FRAMES, PEOPLE)}, "ids change between frames"),
        ({"ids": np.ones((FRAMES, PEOPLE), int)}, "same id"),
        ({"fps": np.float64(0)}, "not a positive rate"),
        ({"stamps_s": np.zeros(FRAMES)}, "does not increase"),
        ({"intrinsics": np.zeros(6)}, "intrinsics are unusable"),
        ({"intrinsics": np.full(6, np.nan)}, "intrinsics are unusable"),
        ({"joints_cam": _joints(np.nan)}, "not finite"),
        ({"joints_cam": _joints(-1.0)}, "not in front"),
        ({"visibility": np.full((FRAMES, PEOPLE, 17), "x")}, "instead of numbers"),
        ({name: value[:0] for name, value in good().items() if name not in ("intrinsics", "fps")}, "holds no frames"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, changed: dict[str, Any], message: str) -> None:
    path = written(tmp_path / "truth.npz", **changed)
    with pytest.raises(ClipError, match=message):
        load_clip_truth(path)


def test_a_missing_or_damaged_file_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ClipError, match="no ground truth at"):
        load_clip_truth(tmp_path / "truth.npz")
    path = written(tmp_path / "cut.npz")
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(ClipError, match="not a readable npz"):
        load_clip_truth(path)
    path.write_bytes(b"not an archive")
    with pytest.raises(ClipError, match="not a readable npz"):
        load_clip_truth(path)
    np.save(tmp_path / "single.npy", np.zeros(3))
    with pytest.raises(ClipError, match="not a readable npz"):
        load_clip_truth(tmp_path / "single.npy")
