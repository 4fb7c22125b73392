"""2D poses of people whose boxes are known: patches, network, decoding and merging in one call.

N boxes, K joints. Shared by the live stage and by evaluation on photographs.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from dualpose_ros.arrays import AnyFloats, Float32s, Floats, RgbImage, UInt8s
from dualpose_ros.heatmap import Heatmaps, combine_heatmaps
from dualpose_ros.inference.engine import Engine, EngineError
from dualpose_ros.people import Pose2D
from dualpose_ros.skeleton import H36M17
from dualpose_ros.top_down.decode import DecodeConfig, decode_patches, decode_single, refuse_nan
from dualpose_ros.top_down.merge import MergeConfig, merge_patches, own_poses
from dualpose_ros.top_down.patch import (
    ENLARGE,
    apply_affines,
    cell_to_patch,
    compose_affines,
    extract_patches,
    invert_affines,
    patch_affines,
)
from dualpose_ros.top_down.published import KNOWN, PublishedEngine, hide_surroundings

FLIP_UP_TO = 4
"""Boxes up to which mirrored patches are added. OKS rises by 0.01 to 0.02 on real and rendered pictures, for the time
of as many people more: four take what eight take without, which is one call of the network."""

FLIP_MOST_MS = 20.0
"""Milliseconds of the processor that those may take a frame."""

_JUDGED_CALLS = 8
"""Calls of the network, of which the first are slow, until its time is known."""

CLOSER = 0.9
"""Side of a mirrored patch over that of the patch. Seen at another scale, people gain a little more."""


@dataclass(frozen=True)
class PatchMaps:
    """heatmaps (N, K, h, w) of patches, tags of the same shape where the network has any, and the
    affines (N, 2, 3) from their cells to the image."""

    heatmaps: Float32s
    tags: Float32s | None
    cell_to_image: Floats

    def combined(self, image_size: tuple[int, int], longest: int) -> Heatmaps:
        """All patches' heatmaps in one of the image, whose size is (H, W)."""
        return combine_heatmaps(self.heatmaps, self.cell_to_image, image_size, H36M17.joint_names, longest)


@dataclass(frozen=True)
class PatchPoses:
    """poses: one a box, None where its patch shows nobody; maps: what they were read from; others: gives people of the
    patches who are no box's own."""

    poses: list[Pose2D | None]
    maps: PatchMaps
    others: Callable[[], list[Pose2D]] = list


def patch_size(engine: Engine) -> int:
    """Side in pixels of the patches that a top-down network takes; EngineError if it takes none."""
    spec = engine.inputs.get("patches")
    if spec is None or len(spec.shape) != 4 or not isinstance(spec.shape[1], int) or spec.shape[1] != spec.shape[2]:
        found = ", ".join(f"{name} {value}" for name, value in engine.inputs.items())
        raise EngineError(f"this is no top-down network: it should take patches [N, S, S, 3], not {found}")
    return spec.shape[1]


def unflip(maps: Float32s) -> Float32s:
    """Maps (N, K, h, w) of mirrored patches as those of the patches: columns reversed, sides exchanged."""
    return maps[:, list(H36M17.mirror), :, ::-1]


def _about_middle(size: int, factor: float) -> Floats:
    """Affine (2, 3) that scales a square of this side about its middle."""
    shift = (1 - factor) * (size - 1) / 2
    return np.array([[factor, 0.0, shift], [0.0, factor, shift]])


def _mean_of_mirrored(maps: Float32s, closer: float) -> Float32s:
    """Maps (N, K, h, w) of patches averaged, as far as those reach, with those of mirrored patches that follow them
    (2N, ...), whose sides are `closer` times as long."""
    own, other = np.split(maps, 2)
    other = unflip(other)
    if closer == 1:
        return np.asarray(np.float32(0.5) * (own + other))
    side = own.shape[-1]
    matrix = _about_middle(side, closer)
    reach = cv2.warpAffine(np.ones((side, side), np.float32), matrix, (side, side))
    back = [cv2.warpAffine(np.ascontiguousarray(m.transpose(1, 2, 0)), matrix, (side, side)) for m in other]
    return np.asarray((own + np.stack(back).transpose(0, 3, 1, 2)) / (1 + reach))


class PoseEstimator:
    """The top-down network with what comes before and after it."""

    def __init__(
        self,
        engine: Engine,
        enlarge: float = ENLARGE,
        decode: DecodeConfig | None = None,
        merge: MergeConfig | None = None,
        batch: int = 8,
        flip_test: bool = False,
        flip_up_to: int = FLIP_UP_TO,
        flip_most_ms: float = math.inf,
        closer: float = CLOSER,
    ) -> None:
        """A network without tags sees one person a patch, so nothing is merged. `known_joints`: how many it can find.

        engine: the network; enlarge: side of a patch over the longer side of its box; decode, merge: what makes a
        person of a patch, and of several; batch: patches that go through the network at a time; it bounds memory, not
        the result. flip_test: average with the mirrored patches' maps, for twice the time, however many there are;
        flip_up_to: do so up to this number of boxes, unless the network is a published one: those take longer and gain
        less; flip_most_ms: and while those take no more than this, by the least time that a patch has taken.
        closer: side of mirrored patches over that of patches; those of published networks are as large.
        EngineError if the network takes no patches.
        """
        self.engine, self.enlarge, self.batch = engine, enlarge, batch
        self.flip_test, self.flip_up_to, self.closer = flip_test, flip_up_to, closer
        self.flip_most_ms, self._patch_ms, self._calls = flip_most_ms, math.inf, 0
        self.patch_size, self.aspect, self.known_joints = patch_size(engine), 1.0, H36M17.num_joints
        if isinstance(engine, PublishedEngine):
            self.enlarge, self.aspect, self.known_joints = enlarge * engine.enlarge, engine.aspect, len(KNOWN)
            self.flip_up_to, self.closer = 0, 1.0
        self.decode, self.merge = decode or DecodeConfig(), merge or MergeConfig()

    def __call__(
        self,
        image: RgbImage,
        boxes_px: AnyFloats,
        previous: Sequence[Pose2D | None] = (),
        when_seen: Callable[[PatchMaps], None] = lambda maps: None,
    ) -> PatchPoses:
        """2D poses of people in an image.

        image: RGB (H, W, 3) uint8; boxes_px: (N, 4), whose poses are wanted; previous: each one's last pose, as in
        `merge.merge_patches`; when_seen: called with what the network answers, before poses are read from it.
        EngineError if the network's outputs are not those of a top-down network; ValueError if a box is unusable or the
        network answers NaN.
        """
        boxes = np.asarray(boxes_px, dtype=np.float64).reshape(-1, 4)
        to_patch = patch_affines(boxes, self.patch_size, self.enlarge, self.aspect)
        to_image = invert_affines(to_patch)
        corners = apply_affines(to_patch, boxes.reshape(-1, 2, 2)).reshape(-1, 4)
        maps = self._maps(image, to_patch, to_image, corners)
        when_seen(maps)
        if len(boxes) == 0:
            return PatchPoses([], maps)
        if maps.tags is None:
            return PatchPoses(own_poses(decode_single(maps.heatmaps, self.decode), to_image), maps)
        people = decode_patches(maps.heatmaps, maps.tags, corners, self.decode)
        merged = merge_patches(people, to_image, self.merge, previous)
        return PatchPoses(merged.poses, maps, merged.others)

    def maps(self, image: RgbImage, boxes_px: AnyFloats) -> PatchMaps:
        """What the network answers for patches around boxes (N, 4); errors as of a call."""
        to_patch = patch_affines(boxes_px, self.patch_size, self.enlarge, self.aspect)
        corners = apply_affines(to_patch, np.asarray(boxes_px, dtype=np.float64).reshape(-1, 2, 2)).reshape(-1, 4)
        return self._maps(image, to_patch, invert_affines(to_patch), corners)

    def _maps(self, image: RgbImage, to_patch: Floats, to_image: Floats, corners: Floats) -> PatchMaps:
        cell_to_image = compose_affines(to_image, cell_to_patch())
        if len(to_patch) == 0:
            return PatchMaps(np.zeros((0, H36M17.num_joints, 1, 1), np.float32), None, cell_to_image)
        patches = extract_patches(image, to_patch, self.patch_size)
        if isinstance(self.engine, PublishedEngine) and self.engine.margin is not None:
            hide_surroundings(patches, corners, self.engine.margin)
        if self._mirrors(len(patches)):
            closer = patches
            if self.closer != 1:
                zoom = _about_middle(self.patch_size, 1 / self.closer)
                closer = extract_patches(image, compose_affines(zoom, to_patch), self.patch_size)
            heatmaps, tags = self._run(np.concatenate([patches, closer[:, :, ::-1]]))
            heatmaps = _mean_of_mirrored(heatmaps, self.closer)
            tags = None if tags is None else _mean_of_mirrored(tags, self.closer)
        else:
            heatmaps, tags = self._run(patches)
        refuse_nan(heatmaps)
        return PatchMaps(heatmaps, tags, cell_to_image)

    def _mirrors(self, patches: int) -> bool:
        is_slow = self._calls >= _JUDGED_CALLS and patches * self._patch_ms > self.flip_most_ms
        return self.flip_test or (patches <= self.flip_up_to and not is_slow)

    def _run(self, patches: UInt8s) -> tuple[Float32s, Float32s | None]:
        """Heatmaps (N, K, h, w), and tags of the same shape where the network has any."""
        # Not by the clock: an answer should not depend on what else the machine does.
        started_s, self._calls = time.thread_time(), self._calls + 1
        parts = [
            self.engine.run({"patches": patches[start : start + self.batch]})
            for start in range(0, len(patches), self.batch)
        ]
        self._patch_ms = min(self._patch_ms, 1000 * (time.thread_time() - started_s) / len(patches))
        if "heatmaps" not in parts[0]:
            raise EngineError(f"this is no top-down network: it has no output heatmaps but {', '.join(parts[0])}")
        whole = parts[0]
        if len(parts) > 1:
            whole = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        heatmaps, tags = whole["heatmaps"], whole.get("tags")
        if heatmaps.shape[1] != H36M17.num_joints or (tags is not None and heatmaps.shape != tags.shape):
            shape = None if tags is None else tags.shape
            raise EngineError(f"this is no top-down network: heatmaps {heatmaps.shape}, tags {shape}")
        return heatmaps, tags
