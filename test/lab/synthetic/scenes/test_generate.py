"""Shards are the same for the same seed whoever makes them, go on where they stopped, and need no files."""

from pathlib import Path

import numpy as np
import pytest

from dualpose_ros.datasets.cache import ShardDataset
from dualpose_ros.lab.synthetic.body.body import BodyError
from dualpose_ros.lab.synthetic.scenes import generate
from dualpose_ros.lab.synthetic.scenes.world import WorldConfig

CONFIG = WorldConfig(cast=2, textures=2, poses=3, seated=2, props=1)


@pytest.fixture(autouse=True)
def short_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generate, "SHARD_SIZE", 2)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def write(kind: str, out: Path, count: int, seed: int, workers: int) -> list[int]:
    return list(generate.write_samples(kind, out, count, seed, CONFIG, workers))


def test_worlds_are_the_same_by_seed_whatever_the_number_of_workers(tmp_path: Path) -> None:
    assert write("patches", tmp_path / "one", 5, 7, 1) == [2, 2, 1]
    assert sorted(write("patches", tmp_path / "two", 5, 7, 2)) == [1, 2, 2]
    write("patches", tmp_path / "other", 2, 8, 1)
    one, two, other = (contents(tmp_path / name) for name in ("one", "two", "other"))
    assert list(one) == ["shard_00000.npz", "shard_00001.npz", "shard_00002.npz"]
    assert one == two
    assert one["shard_00000.npz"] != other["shard_00000.npz"] and one["shard_00000.npz"] != one["shard_00001.npz"]


def test_interrupted_runs_go_on_with_what_is_missing(tmp_path: Path) -> None:
    write("frames", tmp_path, 5, 3, 1)
    whole = contents(tmp_path)
    (tmp_path / "shard_00001.npz").unlink()
    untouched = (tmp_path / "shard_00000.npz").stat().st_mtime_ns
    assert write("frames", tmp_path, 5, 3, 1) == [2]
    assert contents(tmp_path) == whole
    assert (tmp_path / "shard_00000.npz").stat().st_mtime_ns == untouched
    assert write("frames", tmp_path, 5, 3, 1) == []
    assert write("frames", tmp_path, 8, 3, 1) == [2]


def test_what_is_written_is_what_was_drawn(tmp_path: Path) -> None:
    write("patches", tmp_path, 2, 5, 1)
    drawn = generate.make_samples("patches", CONFIG, 5, 0, 2)
    dataset = ShardDataset(tmp_path)
    for stored, sample in zip(map(dataset.__getitem__, range(len(dataset))), drawn, strict=False):
        np.testing.assert_array_equal(stored.mask, sample.mask)
        np.testing.assert_array_equal(stored.people.joints_cam, sample.people.joints_cam)
        np.testing.assert_array_equal(stored.people.visibility, sample.people.visibility)
        assert stored.camera == sample.camera
        assert np.abs(stored.image.astype(int) - sample.image).mean() < 6  # JPEG
    assert len(ShardDataset(tmp_path)) == 2


def test_enlarged_frames_show_the_same_scene_in_more_pixels(tmp_path: Path) -> None:
    small = generate.make_samples("frames", CONFIG, 5, 0, 2)
    large = generate.make_samples("frames", CONFIG, 5, 0, 2, enlarge=1.5)
    # The first one's camera is drawn before anything that the number of pixels has a say in.
    assert large[0].image.shape[0] == round(1.5 * small[0].image.shape[0])
    assert large[0].camera.fx == pytest.approx(1.5 * small[0].camera.fx, rel=0.01)
    list(generate.write_samples("frames", tmp_path, 2, 5, CONFIG, 1, 1.5))
    assert ShardDataset(tmp_path)[0].image.shape == large[0].image.shape


def test_files_that_cannot_be_used_fail_before_any_work(tmp_path: Path) -> None:
    config = WorldConfig(body=tmp_path / "absent.npz")
    with pytest.raises(BodyError, match=r"absent\.npz does not exist"):
        list(generate.write_samples("patches", tmp_path / "out", 4, 0, config, 2))
    assert list((tmp_path / "out").iterdir()) == []


def test_a_world_of_the_real_mesh_can_be_drawn(mesh_path: Path) -> None:
    config = WorldConfig(body=mesh_path, cast=2, textures=2, poses=3, seated=2, props=1)
    patch, *_ = generate.make_samples("patches", config, 0, 0, 1)
    assert patch.image.shape == (288, 288, 3) and (patch.mask == 1).sum() > 300
    frame, *_ = generate.make_samples("frames", config, 0, 0, 1)
    assert frame.image.dtype == np.uint8


def test_rates_are_consistent() -> None:
    figures = generate.measure_patch_rate(CONFIG, size=64, count=6)
    assert set(figures) == {
        "patches_per_s", "patch_ms", "patch_ms_low", "patch_ms_high", "world_s", "reference_ms", "ratio"
    }  # fmt: skip
    assert 0 < figures["patch_ms_low"] <= figures["patch_ms"] <= figures["patch_ms_high"]
    assert figures["ratio"] == pytest.approx(figures["patch_ms"] / figures["reference_ms"])
    assert 0 < figures["patches_per_s"] < 1 / figures["world_s"] * generate.SHARD_SIZE
