"""Writing the synthetic world to disk: shards of patches or frames, in parallel, resumable."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from dualpose_ros.synthetic.body import BodyModel
from dualpose_ros.synthetic.cache import missing_shards, shard_path, write_shard
from dualpose_ros.synthetic.frames import make_frame
from dualpose_ros.synthetic.labels import LabelledImage
from dualpose_ros.synthetic.patches import make_patch
from dualpose_ros.synthetic.world import Array, World, WorldConfig, load_model, load_world_clips, make_world

SHARD_SIZE = 200

_KINDS: dict[str, Callable[[World, np.random.Generator], LabelledImage]] = {"patches": make_patch, "frames": make_frame}


@dataclass(frozen=True)
class _Job:
    kind: str
    out: Path
    index: int
    count: int
    seed: int
    config: WorldConfig


@lru_cache(maxsize=2)
def _assets(config: WorldConfig) -> tuple[BodyModel, tuple[Array, ...]]:
    """The files that a process reads once."""
    return load_model(config), load_world_clips(config)


def make_samples(kind: str, config: WorldConfig, seed: int, index: int, count: int) -> list[LabelledImage]:
    """The samples of shard `index`: `count` patches or frames, the same for the same seed and configuration."""
    rng = np.random.default_rng([seed, sorted(_KINDS).index(kind), index])
    model, clips = _assets(config)
    world = make_world(config, rng, model, clips)
    return [_KINDS[kind](world, rng) for _ in range(count)]


def _run(job: _Job) -> int:
    samples = make_samples(job.kind, job.config, job.seed, job.index, job.count)
    write_shard(shard_path(job.out, job.index), samples)
    return job.count


def write_samples(
    kind: str, out: Path, count: int, seed: int, config: WorldConfig, workers: int | None = None
) -> Iterator[int]:
    """Write `count` samples of a kind ("patches" or "frames") as shards, yielding how many each new shard holds.

    Shards that are there already are kept, so that an interrupted run goes on where it stopped.
    """
    out.mkdir(parents=True, exist_ok=True)
    _assets(config)  # bad files fail here, once, before any worker starts
    shards = -(-count // SHARD_SIZE)
    jobs = [
        _Job(kind, out, index, min(SHARD_SIZE, count - index * SHARD_SIZE), seed, config)
        for index in missing_shards(out, shards)
    ]
    workers = min(workers or os.cpu_count() or 1, max(len(jobs), 1))
    if workers == 1:
        yield from map(_run, jobs)
        return
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        yield from pool.imap_unordered(_run, jobs)
