"""What `dualpose synth` is asked to make where something else is already."""

from pathlib import Path

import numpy as np
import pytest

from dualpose_ros.camera import Camera
from dualpose_ros.datasets.cache import shard_path, write_shard
from dualpose_ros.datasets.labels import LabelledImage, Origin, People
from dualpose_ros.errors import InputError
from dualpose_ros.lab.making import Making, make
from dualpose_ros.lab.synthetic.scenes.patches import PATCH_SIDE


def empty_image(width: int, height: int, source: str = "rendered") -> LabelledImage:
    camera = Camera(width, height, 300.0, 300.0, width / 2, height / 2)
    blank = np.zeros((height, width), np.uint8)
    return LabelledImage(np.zeros((height, width, 3), np.uint8), blank, People.empty(), camera, Origin(source))


@pytest.mark.parametrize(
    ("held", "size", "other"), [("patches", (PATCH_SIDE, PATCH_SIDE), "frames"), ("frames", (384, 288), "patches")]
)
def test_images_of_one_kind_are_not_made_among_those_of_the_other(
    held: str, size: tuple[int, int], other: str, tmp_path: Path
) -> None:
    write_shard(shard_path(tmp_path, 0), [empty_image(*size)])
    making = Making(tmp_path, 8, 0, 1, None, None, 1.0, 1, 1.0)
    with pytest.raises(InputError, match=f"holds {held} already: choose another folder for {other}"):
        make(other, making)
    make(held, making)


def test_images_are_not_made_among_photographs(tmp_path: Path) -> None:
    write_shard(shard_path(tmp_path, 0), [empty_image(384, 288, "coco")])
    with pytest.raises(InputError, match="holds photographs already: choose another folder for frames"):
        make("frames", Making(tmp_path, 300, 0, 1, None, None, 1.0, 1, 1.0))
