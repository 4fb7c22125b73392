"""dualpose-synth-v2: twenty videos, drawn the same on every machine, and what branches find in them.

The videos follow from captured movements and a body (docs/data.md), a seed, and this package's way to draw. Their truth
is checked against figures kept beside this file, so that nobody compares figures of two benchmarks.
"""

import json
from collections.abc import Callable
from functools import cached_property
from pathlib import Path

import numpy as np
from rich.progress import track

from dualpose_ros.arrays import Floats
from dualpose_ros.datasets.motion import load_clips
from dualpose_ros.datasets.recordings import Recordings, joined, load_recordings, save_recordings
from dualpose_ros.errors import InputError
from dualpose_ros.lab.evaluation.branches import Branches
from dualpose_ros.lab.evaluation.data_folder import find_data
from dualpose_ros.lab.evaluation.record import record
from dualpose_ros.lab.evaluation.worlds import held_out_world, scripts_of
from dualpose_ros.lab.synthetic.scenes.sequences import Script, SequenceConfig
from dualpose_ros.lab.synthetic.scenes.world import World
from dualpose_ros.weights import networks_digest

NAME = "dualpose-synth-v2"
SEED, SEQUENCES, FRAMES = 2022, 20, 20
KEPT = Path(__file__).with_name("synth_v2.json")
TOLERANCES = (0.0, 0.0, 2e-3, 2e-3, 2e-3, 5e-3)
"""Of `signature`'s columns: machines round differently, and a pixel at an edge may be another's."""


class Benchmark:
    """The videos, drawn when they are first asked for. data: the folder of captured movements and bodies."""

    def __init__(self, data: Path) -> None:
        self._data = data

    @cached_property
    def _drawn(self) -> tuple[World, list[Script]]:
        mocap, body = find_data(self._data)
        world, clips = held_out_world(mocap, body, SEED), load_clips(mocap, "held_out")
        return world, scripts_of(world, clips, (SEED, 5), SEQUENCES, SequenceConfig(frames=FRAMES))

    def recorded(self, what: str, branches: Callable[[], Branches], keep: Path | None) -> Recordings:
        """What branches find in all videos; those that these networks found before are read from a folder of `keep`, if
        named, and the others written there.

        InputError if the videos are not those of the benchmark.
        """
        folder = None if keep is None else keep / f"{what} {networks_digest()}".replace(" ", "_")
        missing = [n for n in range(SEQUENCES) if folder is None or not _file(folder, n).is_file()]
        found, loaded = {}, branches() if missing else None
        for number in track(missing, f"{NAME}: {what}", transient=True):
            assert loaded is not None
            world, scripts = self._drawn
            found[number] = next(record(world, [scripts[number]], loaded))
            if folder is not None:
                save_recordings(_file(folder, number), found[number])
        every = joined(found.values()) if folder is None else load_recordings(folder)
        check(every)
        return every


def _file(folder: Path, number: int) -> Path:
    return folder / f"recordings_{number:05d}.npz"


def signature(recordings: Recordings) -> Floats:
    """Of each sequence: frames, true people over all frames, the mean of their joints in metres, the mean share of them
    that is in view: (S, 6)."""
    frames, truth = recordings.frames, recordings.truth
    rows = []
    for number in np.unique(frames.sequence):
        own = frames.sequence[truth.frame] == number
        middle = truth.joints_cam[own].astype(np.float64).reshape(-1, 3).mean(axis=0) if own.any() else np.zeros(3)
        seen = float(truth.visible_fraction[own].mean()) if own.any() else 0.0
        rows.append([float((frames.sequence == number).sum()), float(own.sum()), *middle.tolist(), seen])
    return np.array(rows, dtype=np.float64).reshape(-1, len(TOLERANCES))


def check(recordings: Recordings, kept: Path = KEPT) -> None:
    """InputError if recordings are of other videos than the benchmark's; it says which sequence differs."""
    wanted = np.array(json.loads(kept.read_text(encoding="utf-8"))["sequences"], dtype=np.float64)
    found = signature(recordings)
    if found.shape == wanted.shape:
        wrong = np.flatnonzero((np.abs(found - wanted) > np.array(TOLERANCES)).any(axis=1))
        if not len(wrong):
            return
        what = f"sequence {wrong[0]} is {np.round(found[wrong[0]], 3)}, not {np.round(wanted[wrong[0]], 3)}"
    else:
        what = f"there are {len(found)} sequences, not {len(wanted)}"
    raise InputError(
        f"these videos are not {NAME}'s ({what}): their figures can't be compared; take the movements and the body of "
        "docs/data.md, and remove --recordings of another version"
    )
