"""Photographs written as a cache of labelled images, which networks are trained on."""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from dualpose_ros.arrays import DAMAGED
from dualpose_ros.datasets.cache import shard_path, write_shard
from dualpose_ros.datasets.coco import CocoError, Photograph, load

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

    Errors as of `coco.load`; shards already written stay, so that another call goes on. CocoError where they are of
    other pictures, by their sources and numbers of people.
    """
    for index, shard in enumerate(shards):
        path = shard_path(out, index)
        if path.is_file():
            _check_kept(path, shard)
            continue
        images = [load(photograph, max_side) for photograph in shard]
        write_shard(path, images, quality, encoding, shard[0].split)
        yield len(shard)


def _check_kept(path: Path, shard: Sequence[Photograph]) -> None:
    try:
        with np.load(path) as kept:
            sources, counts = kept["source"], np.diff(kept["people_offsets"]).tolist()
    except DAMAGED as error:
        raise CocoError(f"{path} is damaged, or no shard of an import; delete it") from error
    if list(sources) != [p.origin.source for p in shard] or counts != [len(p.people) for p in shard]:
        raise CocoError(f"{path} holds other pictures than these; choose another --out, or delete its shards")


def _mixed(photograph: Photograph) -> bytes:
    return hashlib.sha256(f"{photograph.path.parent.name}/{photograph.path.name}".encode()).digest()
