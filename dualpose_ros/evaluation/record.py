"""Recording both branches on many synthetic videos, in parallel and resumable: `dualpose synth recordings`."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dualpose_ros.datasets.mocap import load_clips
from dualpose_ros.evaluation.branches import Branches
from dualpose_ros.evaluation.recordings import joined, record, save_recordings
from dualpose_ros.synthetic.sequences import SequenceConfig, draw_sequence
from dualpose_ros.synthetic.world import WorldConfig, load_model, make_world

SHARD_SIZE = 8
"""Sequences of one world, in one file."""

_SEED = 7
"""Keeps these worlds apart from those of patches and frames with the same seed."""


@dataclass(frozen=True)
class _Job:
    path: Path
    index: int
    count: int
    seed: int
    world: WorldConfig
    config: SequenceConfig


def write_recordings(
    out: Path, count: int, seed: int, world: WorldConfig, workers: int = 1, config: SequenceConfig | None = None
) -> Iterator[int]:
    """Record `count` sequences with the shipped networks, yielding how many each new file holds.

    Files that are there already are kept, so that an interrupted run goes on where it stopped. `config`
    says what the sequences are like.
    """
    out.mkdir(parents=True, exist_ok=True)
    jobs = [
        _Job(path, index, min(SHARD_SIZE, count - index * SHARD_SIZE), seed, world, config or SequenceConfig())
        for index in range(-(-count // SHARD_SIZE))
        if not (path := out / f"recordings_{index:05d}.npz").is_file()
    ]
    workers = min(workers, max(len(jobs), 1))
    if workers == 1:
        yield from map(_run, jobs)
        return
    # More threads than workers only get into each other's way.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        yield from pool.imap_unordered(_run, jobs)


def missing_sequences(out: Path, count: int) -> int:
    """How many of `count` sequences are not recorded yet."""
    starts = range(0, count, SHARD_SIZE)
    absent = [start for start in starts if not (out / f"recordings_{start // SHARD_SIZE:05d}.npz").is_file()]
    return sum(min(SHARD_SIZE, count - start) for start in absent)


def _run(job: _Job) -> int:
    rng = np.random.default_rng([job.seed, _SEED, job.index])
    clips = load_clips(job.world.mocap) if job.world.mocap else []
    joints = tuple(clip.joints_m for clip in clips)
    world = make_world(job.world, rng, load_model(job.world), joints)
    scripts = [draw_sequence(world, clips, rng, job.config) for _ in range(job.count)]
    save_recordings(job.path, joined(record(world, scripts, Branches())))
    return job.count
