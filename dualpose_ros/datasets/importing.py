"""Photographs written as a cache of labelled images, which networks are trained on."""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from dualpose_ros.arrays import DAMAGED
from dualpose_ros.datasets.cache import CacheError, list_shards, shard_path, write_shard
from dualpose_ros.datasets.coco import Photograph, load
from dualpose_ros.datasets.keypoint_file import CocoError

SHARD_SIZE = 200


def plan(photographs: Sequence[Photograph]) -> list[list[Photograph]]:
    """The pictures of each shard: of one split each, in an order that mixes sources and depends on names alone.

    Those of the split "test" are in none. CocoError where no others are left.
    """
    shards: list[list[Photograph]] = []
    for split in ("validation", "train"):
        chosen = sorted((p for p in photographs if p.split == split), key=_mixed)
        shards += [chosen[start : start + SHARD_SIZE] for start in range(0, len(chosen), SHARD_SIZE)]
    if not shards:
        raise CocoError(f"all {len(photographs)} pictures are of the split 'test', which is kept apart from training")
    return shards


def missing(shards: Sequence[Sequence[Photograph]], out: Path) -> int:
    """How many pictures `write` still has to write."""
    return sum(len(shard) for index, shard in enumerate(shards) if not shard_path(out, index).is_file())


def write(
    shards: Sequence[Sequence[Photograph]], out: Path, max_side: int = 640, encoding: str = ".jpg", quality: int = 93
) -> Iterator[int]:
    """Write the shards that are not there yet, yielding how many pictures each holds.

    Errors as of `coco.load`; shards already written stay, so that another call goes on. CocoError, before anything is
    written, where they are of other pictures, labels or options, or there are more than are planned.
    """
    told = [_digest(shard, max_side, encoding, quality) for shard in shards]
    _check_kept(shards, told, out)
    for index, shard in enumerate(shards):
        path = shard_path(out, index)
        if not path.is_file():
            images = [load(photograph, max_side) for photograph in shard]
            write_shard(path, images, quality, encoding, shard[0].split, told[index])
            yield len(shard)


def _check_kept(shards: Sequence[Sequence[Photograph]], told: Sequence[str], out: Path) -> None:
    planned = {shard_path(out, index): index for index in range(len(shards))}
    try:
        kept = list_shards(out)
    except CacheError:
        return
    for path in kept:
        if path not in planned:
            raise CocoError(f"{path} is one more shard than these pictures fill; choose another --out, or delete it")
        index = planned[path]
        sources, counts = [p.origin.source for p in shards[index]], [len(p.people) for p in shards[index]]
        try:
            with np.load(path) as held:
                same = list(held["source"]) == sources and np.diff(held["people_offsets"]).tolist() == counts
                # A shard without a digest is of an earlier version.
                same_labels = "digest" not in held.files or str(held["digest"][0]) == told[index]
        except DAMAGED as error:
            raise CocoError(f"{path} is damaged, or no shard of an import; delete it") from error
        if not (same and same_labels):
            what = "other labels or options" if same else "other pictures"
            raise CocoError(f"{path} holds {what} than these; choose another --out, or delete its shards")


def _digest(shard: Sequence[Photograph], *how: object) -> str:
    """SHA-256 of the names, labels and origins of a shard's pictures, and of how they are stored."""
    digest = hashlib.sha256(repr(how).encode())
    for photograph in shard:
        digest.update(repr((photograph.path.name, photograph.width, photograph.height, photograph.split)).encode())
        digest.update(repr(photograph.origin).encode())
        for values in vars(photograph.people).values():
            digest.update(values.tobytes())
    return digest.hexdigest()


def _mixed(photograph: Photograph) -> bytes:
    return hashlib.sha256(f"{photograph.path.parent.name}/{photograph.path.name}".encode()).digest()
