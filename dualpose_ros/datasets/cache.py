"""Labelled images on disk: shards of encoded images with their ground truth, read at random.

A shard is one `shard_00000.npz` without compression: JPEG bytes of the images, PNG bytes of the
masks, both concatenated with offsets, and flat arrays of people, cameras and origins. It appears under its
name only when it is complete, so a writer that was stopped goes on with the shards that are missing.
Images may be encoded in any way that OpenCV tells by itself; shards of format 1 lack origins and are rendered.
"""

import contextlib
import io
import os
import re
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import cv2
import numpy as np

from dualpose_ros.arrays import DAMAGED, AnyArray, Ints, UInt8s
from dualpose_ros.camera import Camera
from dualpose_ros.datasets.labels import RENDERED_ORIGIN, LabelledImage, Origin, People
from dualpose_ros.paths import written_whole

JPEG_QUALITY = 93
FORMAT_VERSION = 2
_READABLE = (1, 2)
SPLITS = ("", "train", "validation")
"""Sides of a shard: whichever `split_shards` draws, or one that its data set prescribes."""
_QUALITY = {".jpg": cv2.IMWRITE_JPEG_QUALITY, ".webp": cv2.IMWRITE_WEBP_QUALITY}
_NAME = re.compile(r"shard_(\d{5,})\.npz")


class CacheError(ValueError):
    """A cache directory or shard that can't be read; the message names the file."""


def shard_path(directory: Path | str, index: int) -> Path:
    """Where shard `index` of a cache lies."""
    return Path(directory) / f"shard_{index:05d}.npz"


def list_shards(directory: Path | str) -> list[Path]:
    """The complete shards of a cache by number; CacheError if there are none."""
    folder = Path(directory)
    if not folder.is_dir():
        raise CacheError(f"{folder} is no directory; make a cache with `dualpose synth`")
    shards = sorted((p for p in folder.iterdir() if _NAME.fullmatch(p.name)), key=_shard_index)
    if not shards:
        raise CacheError(f"{folder} holds no shard_*.npz; make a cache with `dualpose synth`")
    return shards


def missing_shards(directory: Path | str, count: int) -> list[int]:
    """Indices below `count` whose shard is not there yet: what a resumed writer still has to make."""
    return [i for i in range(count) if not shard_path(directory, i).is_file()]


def _shard_index(path: Path) -> int:
    match = _NAME.fullmatch(path.name)
    assert match is not None
    return int(match.group(1))


def write_shard(
    path: Path | str,
    samples: Sequence[LabelledImage],
    quality: int = JPEG_QUALITY,
    encoding: str = ".jpg",
    split: str = "",
    digest: str = "",
) -> None:
    """Write images with their labels as one shard, whole or not at all (temporary file, then rename).

    encoding: ".jpg", or ".webp" for half of the size at the same quality; split: one of SPLITS;
    digest: of what the images were made from, kept with them.
    ValueError names the sample whose arrays don't fit each other or that OpenCV can't encode.
    """
    if encoding not in _QUALITY or split not in SPLITS:
        raise ValueError(f"encoding {encoding!r} is none of {', '.join(_QUALITY)}, or split {split!r} of {SPLITS}")
    path = Path(path)
    if not samples:
        raise ValueError(f"no images to write into {path}")
    for index, sample in enumerate(samples):
        _check_sample(sample, index)
    arrays: dict[str, AnyArray] = {"version": np.int64(FORMAT_VERSION).reshape(1)}
    arrays["split"] = np.array([SPLITS.index(split)], np.uint8)
    if digest:
        arrays["digest"] = np.array([digest])
    options = (_QUALITY[encoding], quality)
    _pack(arrays, "image", (_encode(encoding, s.image[..., ::-1], options) for s in samples))
    _pack(arrays, "mask", (_encode(".png", s.mask, (cv2.IMWRITE_PNG_COMPRESSION, 6)) for s in samples))
    arrays["people_offsets"] = _offsets([len(s.people) for s in samples])
    people = People.concatenate([s.people for s in samples])
    arrays |= {item.name: np.asarray(getattr(people, item.name), item.metadata["dtype"]) for item in fields(People)}
    cameras = [s.camera for s in samples]
    arrays["camera_size"] = np.array([(c.width, c.height) for c in cameras], np.int32)
    arrays["camera_f_c"] = np.array([(c.fx, c.fy, c.cx, c.cy) for c in cameras], np.float64)
    arrays["distortion_offsets"] = _offsets([len(c.distortion) for c in cameras])
    arrays["distortion"] = np.array([v for c in cameras for v in c.distortion], np.float64)
    origins = [s.origin for s in samples]
    arrays["source"] = np.array([o.source for o in origins])
    arrays["origin"] = np.array([(o.weight, o.stretch, o.complete) for o in origins], np.float32)
    with written_whole(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]
        file.flush()
        os.fsync(file.fileno())


def _check_sample(sample: LabelledImage, index: int) -> None:
    image, mask = sample.image, sample.mask
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"sample {index}: image is {image.dtype} {image.shape}, not uint8 (H, W, 3)")
    if mask.dtype != np.uint8 or mask.shape != image.shape[:2]:
        raise ValueError(f"sample {index}: mask is {mask.dtype} {mask.shape}, not uint8 {image.shape[:2]}")


def _encode(extension: str, pixels: UInt8s, options: tuple[int, ...]) -> UInt8s:
    done, data = cv2.imencode(extension, np.ascontiguousarray(pixels), options)
    if not done:
        raise ValueError(f"OpenCV can't encode an array of shape {pixels.shape} as {extension}")
    return np.asarray(data, np.uint8).reshape(-1)


def _offsets(lengths: Sequence[int]) -> Ints:
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


def _pack(arrays: dict[str, AnyArray], name: str, parts: Iterable[UInt8s]) -> None:
    blobs = list(parts)
    arrays[f"{name}_bytes"] = np.concatenate(blobs)
    arrays[f"{name}_offsets"] = _offsets([len(b) for b in blobs])


@dataclass(frozen=True)
class Shard:
    """One shard in memory, images still encoded; `sample(i)` decodes image i."""

    path: Path
    arrays: dict[str, AnyArray]

    def __len__(self) -> int:
        return len(self.arrays["camera_size"])

    def sample(self, index: int) -> LabelledImage:
        """Decode image `index`; CacheError if its bytes are damaged."""
        a = self.arrays
        image = self._decode("image", index, cv2.IMREAD_COLOR)
        mask = self._decode("mask", index, cv2.IMREAD_GRAYSCALE)
        start, stop = a["people_offsets"][index : index + 2]
        people = People(**{item.name: a[item.name][start:stop].copy() for item in fields(People)})
        width, height = (int(v) for v in a["camera_size"][index])
        d_start, d_stop = a["distortion_offsets"][index : index + 2]
        fx, fy, cx, cy = (float(v) for v in a["camera_f_c"][index])
        distortion = tuple(float(v) for v in a["distortion"][d_start:d_stop])
        camera = Camera(width, height, fx, fy, cx, cy, distortion)
        return LabelledImage(np.ascontiguousarray(image[..., ::-1]), mask, people, camera, self.origin(index))

    def origin(self, index: int) -> Origin:
        """Where image `index` comes from."""
        if "origin" not in self.arrays:
            return RENDERED_ORIGIN
        weight, stretch, complete = (float(v) for v in self.arrays["origin"][index])
        return Origin(str(self.arrays["source"][index]), weight, stretch, complete > 0)

    def _decode(self, name: str, index: int, flag: int) -> UInt8s:
        start, stop = self.arrays[f"{name}_offsets"][index : index + 2]
        pixels = cv2.imdecode(self.arrays[f"{name}_bytes"][start:stop], flag)
        if pixels is None:
            raise CacheError(f"{self.path}: {name} {index} can't be decoded; delete this shard and make it again")
        return np.asarray(pixels, np.uint8)


def read_shard(path: Path | str) -> Shard:
    """Load a shard whole; CacheError names it if it is missing, damaged or of another format."""
    path = Path(path)
    try:
        # One read, then parsing from memory: np.load on a path would seek once an array.
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        _check_arrays(arrays)
    except DAMAGED as error:
        raise CacheError(f"{path} is damaged ({error}); delete this shard and make it again") from error
    return Shard(path, arrays)


def _check_arrays(arrays: dict[str, AnyArray]) -> None:
    """ValueError or KeyError unless all arrays of the format are there and fit each other."""
    version = int(arrays["version"][0])
    if version not in _READABLE:
        raise ValueError(f"format {version}, but this program reads {' and '.join(map(str, _READABLE))}")
    count = len(arrays["camera_size"])
    lengths = {"image": "image_bytes", "mask": "mask_bytes", "people": "ids", "distortion": "distortion"}
    for name, data in lengths.items():
        offsets = arrays[f"{name}_offsets"]
        if len(offsets) != count + 1 or offsets[-1] != len(arrays[data]):
            raise ValueError(f"{name}_offsets don't fit")
    People(**{item.name: arrays[item.name] for item in fields(People)})
    if arrays["camera_f_c"].shape != (count, 4):
        raise ValueError(f"camera_f_c has shape {arrays['camera_f_c'].shape}")
    if version > 1 and (arrays["origin"].shape != (count, 3) or arrays["source"].shape != (count,)):
        raise ValueError(f"origin has shape {arrays['origin'].shape}, source {arrays['source'].shape}")


class ShardDataset:
    """The labelled images of a cache, by index, decoded on access (a torch map-style dataset).

    directory: the cache, or an explicit list of shards (see `split_shards`). With `cache_in_ram` all
    encoded bytes are loaded now and shared with forked workers; otherwise a shard is read when its image
    is asked for and only the latest one is kept. CacheError names a shard that can't be read.
    """

    def __init__(self, directory: Path | str | Sequence[Path], cache_in_ram: bool = True) -> None:
        if isinstance(directory, (str, Path)):
            self.paths = list_shards(directory)
        else:
            self.paths = list(directory)
        self._cached: dict[int, Shard] = {}
        counts = []
        for number, path in enumerate(self.paths):
            if cache_in_ram:
                self._cached[number] = read_shard(path)
                counts.append(len(self._cached[number]))
            else:
                counts.append(_shard_length(path))
        self._starts = _offsets(counts)
        self._keeps_all = cache_in_ram

    def __len__(self) -> int:
        return int(self._starts[-1])

    def __getitem__(self, index: int) -> LabelledImage:
        if not 0 <= index < len(self):
            raise IndexError(f"image {index} of {len(self)}")
        number = int(np.searchsorted(self._starts, index, side="right")) - 1
        if number not in self._cached:
            assert not self._keeps_all
            self._cached = {number: read_shard(self.paths[number])}
        return self._cached[number].sample(index - int(self._starts[number]))


def choose_images(directory: Path | str, count: int, rng: np.random.Generator) -> tuple[ShardDataset, list[int]]:
    """A cache's images, and up to `count` random indices of them, ascending; CacheError if there are no shards."""
    images = ShardDataset(directory)
    return images, [int(i) for i in np.sort(rng.permutation(len(images))[:count])]


def _shard_length(path: Path) -> int:
    """Number of images of a shard from its camera array alone."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return len(file["camera_size"])
    except DAMAGED as error:
        raise CacheError(f"{path} is damaged ({error}); delete this shard and make it again") from error


def split_shards(directory: Path | str, val_fraction: float = 0.1, seed: int = 0) -> tuple[list[Path], list[Path]]:
    """Training and validation shards of a cache: whole shards, so that scenes never lie in both.

    A shard's side is the one that it was written for, otherwise it depends on `seed` and its own number only,
    so it stays there when the cache grows; except that one shard at least lies on each side. CacheError if there
    are fewer than two.
    """
    if not 0 < val_fraction < 1:
        raise ValueError(f"val_fraction {val_fraction} is not between 0 and 1")
    shards = list_shards(directory)
    if len(shards) < 2:
        raise CacheError(f"{directory} holds one shard only, but a split needs two; make a larger cache")
    draws = {p: _draw(p, seed) for p in shards}
    val = [p for p in shards if draws[p] < val_fraction] or [min(shards, key=draws.__getitem__)]
    if len(val) == len(shards):
        val.remove(max(shards, key=draws.__getitem__))
    return [p for p in shards if p not in val], val


def prescribed_split(path: Path) -> str:
    """The side that a shard was written for, "" for none; damage shows when it is read."""
    with contextlib.suppress(OSError, ValueError, IndexError, EOFError, zipfile.BadZipFile), np.load(path) as file:
        return SPLITS[int(file["split"][0])] if "split" in file.files else ""
    return ""


def _draw(path: Path, seed: int) -> float:
    """A shard's place between validation (0) and training (1): prescribed, or random."""
    side = prescribed_split(path)
    if side:
        return 0.0 if side == "validation" else 1.0
    return float(np.random.default_rng((seed, _shard_index(path))).random())
