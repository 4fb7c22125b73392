"""Clips are read back as written, split by name alone, and refused with a reason."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dualpose_ros.datasets.motion import SPLITS, MocapError, at_rate, load_clips, split_of
from dualpose_ros.skeleton import H36M17
from support.data import data_path

NAMES = [f"walking/walking_{i}" for i in range(40)]


def write(path: Path, **changes: object) -> Path:
    rng = np.random.default_rng(0)
    lengths = np.arange(1, len(NAMES) + 1, dtype=np.int32)
    content: dict[str, Any] = {
        "joints_m": rng.normal(size=(int(lengths.sum()), 17, 3)).astype(np.float32),
        "clip_lengths": lengths,
        "clip_names": np.array(NAMES),
        "joint_names": np.array(H36M17.joint_names),
        "fps": np.int64(60),
    }
    content.update(changes)
    np.savez(path, **{name: value for name, value in content.items() if value is not None})
    return path


def test_clips_are_the_slices_of_the_file(tmp_path: Path) -> None:
    path = write(tmp_path / "clips.npz")
    joints = np.load(path)["joints_m"]
    clips = load_clips(path, split="all")
    assert [clip.name for clip in clips] == NAMES
    start = 0
    for i, clip in enumerate(clips):
        np.testing.assert_array_equal(clip.joints_m, joints[start : start + i + 1])
        assert clip.fps == 60
        assert clip.duration_s == pytest.approx(i / 60)
        start += i + 1


def test_the_name_alone_decides_the_split(tmp_path: Path) -> None:
    path = write(tmp_path / "clips.npz")
    parts = [{clip.name for clip in load_clips(path, split)} for split in SPLITS if split != "all"]
    assert set().union(*parts) == set(NAMES)
    assert sum(len(part) for part in parts) == len(NAMES)
    for name in NAMES:
        digest = hashlib.sha256(name.encode()).hexdigest()
        assert (name in parts[SPLITS.index("held_out")]) == (int(digest[:16], 16) % 5 == 0)


def test_about_a_fifth_is_held_out_and_a_ninth_of_the_rest_validates() -> None:
    splits = [split_of(f"clip_{i}") for i in range(5000)]
    assert splits.count("held_out") / 5000 == pytest.approx(0.2, abs=0.02)
    assert splits.count("validation") / 5000 == pytest.approx(0.8 / 9, abs=0.015)


def test_at_rate_samples_a_known_curve() -> None:
    times = np.arange(50) / 50.0
    joints = np.tile(times[:, None, None], (1, 17, 3))
    sampled = at_rate(joints, 50.0, 30.0)
    np.testing.assert_allclose(sampled[:, 0, 0], np.arange(len(sampled)) / 30.0, atol=1e-9)
    assert len(sampled) == 30


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fps": None}, "has no fps"),
        ({"joint_names": np.array(H36M17.joint_names[::-1])}, "joints are"),
        ({"joints_m": np.zeros((820, 16, 3))}, "shape"),
        ({"clip_lengths": np.ones(40, dtype=np.int32)}, "add up to 40"),
        ({"clip_lengths": np.zeros(40, dtype=np.int32)}, "empty"),
        ({"joints_m": np.full((820, 17, 3), np.nan)}, "not finite"),
        ({"fps": np.float64(0)}, "fps"),
    ],
)
def test_bad_files_are_refused_with_a_reason(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    path = write(tmp_path / "clips.npz", **changes)
    with pytest.raises(MocapError, match=message):
        load_clips(path)


def test_missing_and_broken_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MocapError, match="does not exist"):
        load_clips(tmp_path / "none.npz")
    broken = tmp_path / "broken.npz"
    broken.write_bytes(b"PK\x03\x04 but no archive")
    with pytest.raises(MocapError, match="not a readable"):
        load_clips(broken)
    with pytest.raises(ValueError, match="split 'test'"):
        load_clips(broken, split="test")


def test_the_real_clips() -> None:
    motion = data_path("motion/cmu_train_h36m17_60hz.npz")
    train, validation, held_out = (load_clips(motion, split) for split in ("train", "validation", "held_out"))
    assert len(train) + len(validation) + len(held_out) == 72
    assert 0.1 < len(held_out) / 72 < 0.3
    for clip in [*train, *held_out]:
        bones = [np.linalg.norm(clip.joints_m[:, c] - clip.joints_m[:, p], axis=-1) for p, c in H36M17.bones]
        assert np.max(np.std(bones, axis=1)) < 0.01


@pytest.mark.parametrize("file", ["cmu_train_h36m17_60hz.npz", "cmu_more_h36m17_60hz.npz"])
def test_captured_joints_lie_where_the_skeleton_has_them(file: str) -> None:
    """Shares of the leg against de Leva, J. Biomech. 29, 1996, table 4 (thigh and shank 0.856 m, hips to shoulders
    0.515, upper arm 0.282, forearm 0.269, men of 1.741 m)."""
    clips = load_clips(data_path("motion") / file, "all")
    joints = np.concatenate([clip.joints_m[::10] for clip in clips]).astype(np.float64)
    at = {name: joints[:, index] for index, name in enumerate(H36M17.joint_names)}

    def apart(a: np.ndarray, b: np.ndarray) -> float:
        return float(np.median(np.linalg.norm(a - b, axis=1)))

    hips, shoulders = (at["left_hip"] + at["right_hip"]) / 2, (at["left_shoulder"] + at["right_shoulder"]) / 2
    assert apart(at["pelvis"], hips) < 0.002
    assert apart(at["spine"], (at["pelvis"] + at["thorax"]) / 2) < 0.002
    assert apart(at["thorax"], shoulders) == pytest.approx(0.05, abs=0.01)
    assert apart(at["neck"], shoulders) == pytest.approx(0.13, abs=0.02)
    leg = apart(at["left_hip"], at["left_knee"]) + apart(at["left_knee"], at["left_ankle"])
    assert apart(hips, shoulders) / leg == pytest.approx(0.60, abs=0.06)
    assert apart(at["left_shoulder"], at["left_elbow"]) / leg == pytest.approx(0.33, abs=0.04)
    assert apart(at["left_elbow"], at["left_wrist"]) / leg == pytest.approx(0.31, abs=0.04)
    assert apart(at["head_top"], at["neck"]) / leg == pytest.approx(0.23, abs=0.03)
