"""Recording both branches on many synthetic videos, in parallel and resumable: `dualpose synth recordings`."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dualpose_ros.datasets.labels import People
from dualpose_ros.datasets.motion import load_clips
from dualpose_ros.datasets.recordings import PARTS, Recordings, collected, joined, save_recordings
from dualpose_ros.lab.evaluation.branches import Branches
from dualpose_ros.lab.evaluation.people import match_people
from dualpose_ros.lab.processes import in_processes
from dualpose_ros.lab.synthetic.scenes.sequences import Script, SequenceConfig, draw_sequence, render_sequence
from dualpose_ros.lab.synthetic.scenes.world import World, WorldConfig, load_model, make_world
from dualpose_ros.people import Pose3D
from dualpose_ros.skeleton import K

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
    yield from in_processes(_run, jobs, workers)


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


def record(world: World, scripts: Sequence[Script], branches: Branches) -> Iterator[Recordings]:
    """Render each script and run both branches on it: a recording of one sequence each."""
    for script in scripts:
        yield _record_one(world, script, branches)


def _record_one(world: World, script: Script, branches: Branches) -> Recordings:
    branches.restart()
    camera = script.views[0].camera
    rows: dict[str, list[dict[str, object]]] = {name: [] for name in PARTS}
    intrinsics = (camera.fx, camera.fy, camera.cx, camera.cy, camera.width, camera.height)
    for frame, (image, stamp_s) in enumerate(zip(render_sequence(world, script), script.stamps_s, strict=True)):
        found = branches.process(image.image, round(stamp_s * 1e9), camera)
        rows["frames"].append(dict(sequence=0, stamp_s=stamp_s, camera=intrinsics, down=script.down(frame),
                                   level=script.level))  # fmt: skip
        first = len(rows["truth"])
        rows["truth"] += _truth_rows(frame, image.people, script.actions)
        for name, persons in (("top_down", found.top_down), ("bottom_up", found.bottom_up)):
            match = match_people(image.people, np.array([p.keypoints_px for p in persons]).reshape(-1, K, 2))
            rows[name] += estimate_rows(frame, [first + index if index >= 0 else -1 for index in match], persons)
    return Recordings(*(collected(name, rows[name]) for name in PARTS))


def _truth_rows(frame: int, people: People, actions: tuple[str, ...]) -> list[dict[str, object]]:
    names = ("joints_cam", "joints_px", "visibility", "visible_fraction", "boxes_px")
    return [
        {"frame": frame, "person": people.ids[i], "action": actions[people.ids[i]],
         **{name: getattr(people, name)[i] for name in names}}
        for i in range(len(people))
    ]  # fmt: skip


def estimate_rows(frame: int, truth: Sequence[int], persons: Sequence[Pose3D]) -> list[dict[str, object]]:
    """Rows of `recordings.Estimates` for the people that a branch published of a frame, each with its true one."""
    names = ("joints_cam", "joint_scores", "joint_stddev", "score", "keypoints_px")
    return [
        {"frame": frame, "track": person.track_id, "truth": owner, **{name: getattr(person, name) for name in names}}
        for person, owner in zip(persons, truth, strict=True)
    ]
