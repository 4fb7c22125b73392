"""Writing the synthetic world to disk: shards of patches or frames, in parallel, resumable."""

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from dualpose_ros.datasets.cache import missing_shards, shard_path, write_shard
from dualpose_ros.datasets.labels import LabelledImage
from dualpose_ros.lab.processes import in_processes
from dualpose_ros.lab.synthetic.body.body import BodyModel
from dualpose_ros.lab.synthetic.scenes.frames import make_frame
from dualpose_ros.lab.synthetic.scenes.patches import make_patch
from dualpose_ros.lab.synthetic.scenes.world import Clips, WorldConfig, load_model, load_world_clips, make_world

SHARD_SIZE = 200

_KINDS: dict[str, Callable[..., LabelledImage]] = {"patches": make_patch, "frames": make_frame}


@dataclass(frozen=True)
class _Job:
    kind: str
    out: Path
    index: int
    count: int
    seed: int
    config: WorldConfig
    enlarge: float


@lru_cache(maxsize=2)
def load_assets(config: WorldConfig) -> tuple[BodyModel, Clips]:
    """The files that a process reads once."""
    return load_model(config), load_world_clips(config)


def make_samples(
    kind: str, config: WorldConfig, seed: int, index: int, count: int, enlarge: float = 1.0
) -> list[LabelledImage]:
    """The samples of shard `index`: `count` patches or frames, the same for the same seed and configuration.

    enlarge: of frames, over the sizes that they have otherwise.
    """
    rng = np.random.default_rng([seed, sorted(_KINDS).index(kind), index])
    model, clips = load_assets(config)
    world = make_world(config, rng, model, clips)
    sized = {"enlarge": enlarge} if kind == "frames" else {}
    return [_KINDS[kind](world, rng, **sized) for _ in range(count)]


def _run(job: _Job) -> int:
    samples = make_samples(job.kind, job.config, job.seed, job.index, job.count, job.enlarge)
    write_shard(shard_path(job.out, job.index), samples)
    return job.count


def write_samples(
    kind: str, out: Path, count: int, seed: int, config: WorldConfig, workers: int | None = None, enlarge: float = 1.0
) -> Iterator[int]:
    """Write `count` samples of a kind ("patches" or "frames") as shards, yielding how many each new shard holds.

    enlarge: see `make_samples`.

    Shards that are there already are kept, so that an interrupted run goes on where it stopped.
    """
    out.mkdir(parents=True, exist_ok=True)
    shards = -(-count // SHARD_SIZE)
    jobs = [
        _Job(kind, out, index, min(SHARD_SIZE, count - index * SHARD_SIZE), seed, config, enlarge)
        for index in missing_shards(out, shards)
    ]
    yield from in_processes(_run, jobs, workers or os.cpu_count() or 1)


def measure_patch_rate(config: WorldConfig, size: int = 256, count: int = 100) -> dict[str, float]:
    """CPU time that patches of size x size take on one core, worlds shared by SHARD_SIZE patches included.

    Returns patches_per_s, patch_ms (median of single patches), patch_ms_low and patch_ms_high (quartiles),
    world_s, reference_ms and ratio: patch_ms over that of a Gaussian blur of the patch in floating point
    (sigma 5 px), which takes turns with the patches, so that other load on the machine meets both alike.
    """
    model, clips = load_assets(config)
    make_patch(make_world(replace(config, cast=1, poses=1, seated=1), np.random.default_rng(0), model, clips),
               np.random.default_rng(0), size)  # fmt: skip
    started = time.process_time()
    world = make_world(config, np.random.default_rng(1), model, clips)
    world_s = time.process_time() - started
    rng, canvas = np.random.default_rng(2), np.zeros((size, size, 3), np.float32)
    seconds = np.empty((count, 2))
    for row in seconds:
        started = time.process_time()
        make_patch(world, rng, size)
        row[0] = time.process_time() - started
        cv2.GaussianBlur(canvas, (0, 0), 5.0)
        row[1] = time.process_time() - started - row[0]
    low, median, high = np.percentile(1000 * seconds[:, 0], [25, 50, 75])
    reference_ms = 1000 * float(np.median(seconds[:, 1]))
    return {
        "patches_per_s": float(1 / (seconds[:, 0].mean() + world_s / SHARD_SIZE)),
        "patch_ms": float(median), "patch_ms_low": float(low), "patch_ms_high": float(high),
        "world_s": world_s, "reference_ms": reference_ms, "ratio": float(median) / max(reference_ms, 1e-6),
    }  # fmt: skip
