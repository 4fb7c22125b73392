"""What the evaluations of the branches draw on: a world that nothing learnt from, images of it."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from rich.progress import track

from dualpose_ros.datasets.labels import LabelledImage
from dualpose_ros.datasets.motion import Clip
from dualpose_ros.lab.synthetic.scenes.sequences import Script, SequenceConfig, draw_sequence
from dualpose_ros.lab.synthetic.scenes.world import World, WorldConfig, load_model, load_world_clips, make_world

Draw = Callable[[World, np.random.Generator], LabelledImage]


def held_out_world(mocap: Path, body: Path | None, seed: int) -> World:
    """Another world than any that training drew, of clips that no training sees."""
    config = WorldConfig(body=body, mocap=mocap, cast=24, textures=24, poses=120, seated=30)
    clips = load_world_clips(config, "held_out")
    return make_world(config, np.random.default_rng((seed, 99)), load_model(config), clips)


def drawn(world: World, draw: Draw, count: int, seed: tuple[int, int], what: str) -> Iterator[LabelledImage]:
    """So many images, each from a seed of its own, under a progress bar that says `what` they are."""
    for index in track(range(count), description=what, transient=True):
        yield draw(world, np.random.default_rng((*seed, index)))


def scripts_of(
    world: World, clips: Sequence[Clip], seed: tuple[int, ...], count: int, config: SequenceConfig
) -> list[Script]:
    """So many videos to be rendered, each from a seed of its own."""
    return [draw_sequence(world, list(clips), np.random.default_rng((*seed, i)), config) for i in range(count)]
