from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dualpose_ros.camera import Camera
from dualpose_ros.datasets.cache import (
    CacheError,
    ShardDataset,
    list_shards,
    missing_shards,
    read_shard,
    shard_path,
    split_shards,
    write_shard,
)
from dualpose_ros.datasets.labels import LabelledImage, People


def make(seed: int, people: int, height: int = 48, width: int = 64) -> LabelledImage:
    rng = np.random.default_rng(seed)
    ramp = np.stack(np.meshgrid(np.linspace(20, 230, width), np.linspace(220, 30, height)), axis=-1)
    image = np.concatenate([ramp, np.full((height, width, 1), 10.0 * (seed % 20))], axis=-1).astype(np.uint8)
    mask = rng.integers(0, people + 1, (height, width)).astype(np.uint8)
    mask[0, 0] = 255
    labels = People(
        ids=rng.integers(-5, 100, people).astype(np.int32),
        boxes_px=rng.normal(size=(people, 4)).astype(np.float32),
        joints_px=rng.normal(size=(people, 17, 2)).astype(np.float32),
        visibility=rng.integers(0, 3, (people, 17)).astype(np.uint8),
        joints_cam=rng.normal(size=(people, 17, 3)).astype(np.float32),
        visible_fraction=rng.random(people).astype(np.float32),
    )
    distortion = tuple(rng.normal(0, 0.1, 5)) if seed % 2 else ()
    return LabelledImage(image, mask, labels, Camera(width, height, 50.0 + seed, 51.0, 31.5, 23.5, distortion))


def assert_same(a: LabelledImage, b: LabelledImage) -> None:
    np.testing.assert_array_equal(a.mask, b.mask)
    assert a.camera == b.camera
    for field in People.__dataclass_fields__:
        left, right = getattr(a.people, field), getattr(b.people, field)
        assert left.dtype == right.dtype
        np.testing.assert_array_equal(left, right)
    assert a.image.shape == b.image.shape and a.image.dtype == np.uint8
    # JPEG loses a little; channels in the wrong order would lose much more.
    assert np.abs(a.image.astype(int) - b.image).mean() < 3


@pytest.fixture
def cache(tmp_path: Path) -> Any:
    samples = [make(seed, people, width=64 + 8 * seed) for seed, people in enumerate([2, 0, 3, 1, 0])]
    write_shard(shard_path(tmp_path, 0), samples[:3])
    write_shard(shard_path(tmp_path, 1), samples[3:])
    return tmp_path, samples


@pytest.mark.parametrize("in_ram", [True, False])
def test_round_trip_in_any_order(cache: Any, in_ram: Any) -> None:
    folder, samples = cache
    dataset = ShardDataset(folder, cache_in_ram=in_ram)
    assert len(dataset) == 5
    for index in (4, 0, 3, 1, 2, 2):
        assert_same(samples[index], dataset[index])
    assert len(list(dataset)) == 5  # type: ignore[call-overload]  # Python iterates by index
    with pytest.raises(IndexError, match="image 5 of 5"):
        dataset[5]


def test_samples_are_copies(cache: Any) -> None:
    dataset = ShardDataset(cache[0])
    dataset[0].people.joints_px[:] = 0
    dataset[0].image[:] = 0
    assert_same(cache[1][0], dataset[0])


def test_nothing_but_whole_shards_appears(cache: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, samples = cache
    assert {p.name for p in folder.iterdir()} == {"shard_00000.npz", "shard_00001.npz"}
    assert missing_shards(folder, 4) == [2, 3]

    def disk_full(file: Any, **arrays: Any) -> None:
        file.write(b"half a shard")
        raise OSError("no space left on device")

    monkeypatch.setattr(np, "savez", disk_full)
    with pytest.raises(OSError, match="no space"):
        write_shard(shard_path(folder, 2), samples)
    assert missing_shards(folder, 3) == [2]
    assert {p.name for p in folder.iterdir()} == {"shard_00000.npz", "shard_00001.npz"}


@pytest.mark.parametrize("in_ram", [True, False])
def test_damage_is_found_and_named(cache: Any, in_ram: Any) -> None:
    folder, _ = cache
    path = shard_path(folder, 1)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(CacheError, match=r"shard_00001\.npz is damaged.*delete this shard"):
        ShardDataset(folder, cache_in_ram=in_ram)
    # One flipped byte in the middle of the pixels is enough: the container has checksums.
    at = data.index(b"\xff\xd8\xff") + 200
    path.write_bytes(data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :])
    with pytest.raises(CacheError, match=r"shard_00001\.npz is damaged"):
        ShardDataset(folder, cache_in_ram=in_ram)[4]


def test_arrays_that_do_not_fit_are_named(cache: Any) -> None:
    folder, _ = cache
    path = shard_path(folder, 0)
    arrays: dict[str, Any] = dict(read_shard(path).arrays)
    np.savez(path, **{**arrays, "joints_px": arrays["joints_px"][:-1]})
    with pytest.raises(CacheError, match="joints_px"):
        read_shard(path)
    np.savez(path, **{**arrays, "version": np.array([99])})
    with pytest.raises(CacheError, match="format 99"):
        read_shard(path)
    np.savez(path, **{k: v for k, v in arrays.items() if k != "camera_size"})
    with pytest.raises(CacheError, match="camera_size"):
        read_shard(path)
    broken = arrays["image_bytes"].copy()
    broken[:500] = 0
    np.savez(path, **{**arrays, "image_bytes": broken})
    with pytest.raises(CacheError, match=r"shard_00000\.npz: image 0 can't be decoded"):
        read_shard(path).sample(0)


def test_what_can_not_be_written_is_refused(tmp_path: Path) -> None:
    good = make(0, 1)
    with pytest.raises(ValueError, match="no images"):
        write_shard(tmp_path / "shard_00000.npz", [])
    floats = LabelledImage(good.image.astype(np.float32), good.mask, good.people, good.camera)
    with pytest.raises(ValueError, match="sample 1: image is float32"):
        write_shard(tmp_path / "shard_00000.npz", [good, floats])
    cut = LabelledImage(good.image, good.mask[1:], good.people, good.camera)
    with pytest.raises(ValueError, match="sample 0: mask"):
        write_shard(tmp_path / "shard_00000.npz", [cut])
    with pytest.raises(ValueError, match=r"People\.joints_cam has"):
        replace(good.people, joints_cam=good.people.joints_cam[:, :5])
    assert not list(tmp_path.iterdir())


def test_missing_cache_is_named(tmp_path: Path) -> None:
    with pytest.raises(CacheError, match="is no directory"):
        list_shards(tmp_path / "nowhere")
    with pytest.raises(CacheError, match="holds no shard"):
        ShardDataset(tmp_path)


def test_split_is_by_shard_and_stays_when_the_cache_grows(tmp_path: Path) -> None:
    for index in range(40):
        shard_path(tmp_path, index).touch()
    train, val = split_shards(tmp_path, 0.2, seed=3)
    assert set(train) | set(val) == set(list_shards(tmp_path)) and not set(train) & set(val)
    assert 2 <= len(val) <= 16
    assert split_shards(tmp_path, 0.2, seed=3) == (train, val)
    assert split_shards(tmp_path, 0.2, seed=4)[1] != val
    for index in range(40, 60):
        shard_path(tmp_path, index).touch()
    grown = split_shards(tmp_path, 0.2, seed=3)
    assert set(train) <= set(grown[0]) and set(val) <= set(grown[1])


@pytest.mark.parametrize("fraction", [0.01, 0.99])
def test_both_sides_of_a_split_have_a_shard(tmp_path: Path, fraction: Any) -> None:
    shard_path(tmp_path, 0).touch()
    with pytest.raises(CacheError, match="split needs two"):
        split_shards(tmp_path, fraction)
    shard_path(tmp_path, 1).touch()
    train, val = split_shards(tmp_path, fraction)
    assert len(train) == len(val) == 1
