"""The guidance that the top-down branch would give of labelled frames."""

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from dualpose_ros.arrays import AnyFloats, Indices, Mask, RgbImage
from dualpose_ros.datasets.labels import LabelledImage
from dualpose_ros.heatmap import Heatmaps
from dualpose_ros.lab.evaluation.joints import jittered
from dualpose_ros.lab.evaluation.people import asked_for
from dualpose_ros.top_down.estimator import PatchMaps

BOX_JITTER = 0.04
"""Standard deviation of each side of the boxes that guidance comes from, in parts of the longer side."""

_NARROWEST_PX = 2.0


class MapMaker(Protocol):
    """What guidance is made by: `top_down.estimator.PoseEstimator`."""

    def maps(self, image: RgbImage, boxes_px: AnyFloats, /) -> PatchMaps: ...


@dataclass(frozen=True)
class Guide:
    """Makes a frame's guidance as the top-down branch would, from its people's jittered boxes.

    heatmap_cells: longer side of the combined heatmaps.
    """

    estimator: MapMaker
    heatmap_cells: int = 160

    def patches(self, frame: LabelledImage, rng: np.random.Generator) -> tuple[PatchMaps, Indices]:
        """The patches' maps (P) of people who are asked for, and the index (P,) of each one's person."""
        boxes = frame.people.boxes_px
        usable = asked_for(frame.people) & (boxes[:, 2:] - boxes[:, :2] > _NARROWEST_PX).all(axis=1)
        chosen = np.flatnonzero(usable)
        return self.estimator.maps(frame.image, jittered(boxes[chosen], BOX_JITTER, rng)), chosen

    def combined(self, frame: LabelledImage, maps: PatchMaps, kept: Mask | None = None) -> Heatmaps:
        """The heatmaps of the patches (P), or of the `kept` (P,) of them alone, in one of the image."""
        if kept is not None:
            tags = None if maps.tags is None else maps.tags[kept]
            maps = replace(maps, heatmaps=maps.heatmaps[kept], tags=tags, cell_to_image=maps.cell_to_image[kept])
        height, width = frame.image.shape[:2]
        return maps.combined((height, width), self.heatmap_cells)
