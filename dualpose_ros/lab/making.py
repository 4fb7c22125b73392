"""What `dualpose synth` makes of the synthetic world: images, clips, recordings."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dualpose_ros.datasets.cache import missing_shards, read_shard
from dualpose_ros.datasets.labels import Origin
from dualpose_ros.errors import InputError
from dualpose_ros.lab.evaluation.record import missing_sequences, write_recordings
from dualpose_ros.lab.synthetic.scenes.clip import ClipConfig, write_clip
from dualpose_ros.lab.synthetic.scenes.generate import SHARD_SIZE, load_assets, write_samples
from dualpose_ros.lab.synthetic.scenes.patches import PATCH_SIDE
from dualpose_ros.lab.synthetic.scenes.sequences import SequenceConfig
from dualpose_ros.lab.synthetic.scenes.world import WorldConfig


@dataclass(frozen=True)
class Making:
    """What to make; see the options of `dualpose synth`."""

    out: Path
    count: int
    seed: int
    workers: int
    body: Path | None
    mocap: Path | None
    seconds: float
    length: int
    enlarge: float


def make(kind: str, making: Making) -> tuple[int, Iterator[int]]:
    """How many images there are to make, and their making step by step, what is there already left out.

    kind: "patches", "frames", "clip" or "recordings". InputError where a file is missing or the folder
    holds another kind.
    """
    out, count, seed = making.out, making.count, making.seed
    for name, path in (("--body", making.body), ("--mocap", making.mocap)):
        if path is not None and not (path.is_file() or (name == "--mocap" and path.is_dir())):
            raise InputError(f"{name} {path} is no file")
    world = WorldConfig(body=making.body, mocap=making.mocap)
    load_assets(world)  # bad files fail here, once, before any worker starts
    if kind == "clip":
        clip = ClipConfig(duration_s=making.seconds)
        return round(clip.duration_s * clip.fps), write_clip(out, seed, world, clip)
    if kind == "recordings":
        config = SequenceConfig(frames=making.length)
        return missing_sequences(out, count), write_recordings(out, count, seed, world, making.workers, config)
    _check_kind(kind, out)
    missing = missing_shards(out, -(-count // SHARD_SIZE))
    total = sum(min(SHARD_SIZE, count - index * SHARD_SIZE) for index in missing)
    return total, write_samples(kind, out, count, seed, world, making.workers, making.enlarge)


def _check_kind(kind: str, out: Path) -> None:
    """InputError where a folder holds images of the other kind, or others' photographs."""
    for path in sorted(out.glob("shard_*.npz"))[:1]:
        arrays = read_shard(path).arrays
        held = "patches" if (arrays["camera_size"] == PATCH_SIDE).all() else "frames"
        held = held if (arrays["source"] == Origin().source).all() else "photographs"
        if held != kind:
            raise InputError(f"--out {out} holds {held} already: choose another folder for {kind}")
