"""Photographs written as a cache of labelled images, which networks are trained on."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from dualpose_ros.datasets.cache import shard_path, write_shard
from dualpose_ros.datasets.coco import Photograph, load

SHARD_SIZE = 200


def plan(photographs: Sequence[Photograph]) -> list[list[Photograph]]:
    """The pictures of each shard: of one split each, in an order that mixes sources and depends on names alone."""
    shards: list[list[Photograph]] = []
    for split in ("validation", "train"):
        chosen = sorted((p for p in photographs if p.split == split), key=_mixed)
        shards += [chosen[start : start + SHARD_SIZE] for start in range(0, len(chosen), SHARD_SIZE)]
    return shards


def missing(shards: Sequence[Sequence[Photograph]], out: Path) -> int:
    """How many pictures `write` still has to write."""
    return sum(len(shard) for index, shard in enumerate(shards) if not shard_path(out, index).is_file())


def write(
    shards: Sequence[Sequence[Photograph]], out: Path, max_side: int = 640, encoding: str = ".jpg", quality: int = 93
) -> Iterator[int]:
    """Write the shards that are not there yet, yielding how many pictures each holds.

    Errors as of `coco.load`; shards already written stay, so that another call goes on.
    """
    for index, shard in enumerate(shards):
        if shard_path(out, index).is_file():
            continue
        images = [load(photograph, max_side) for photograph in shard]
        write_shard(shard_path(out, index), images, quality, encoding, shard[0].split)
        yield len(shard)


def _mixed(photograph: Photograph) -> bytes:
    return hashlib.sha256(f"{photograph.path.parent.name}/{photograph.path.name}".encode()).digest()
