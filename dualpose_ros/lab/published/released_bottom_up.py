"""What the paper's released bottom-up network finds in a picture: its input, and its maps read as its authors do.

N people, 14 joints of the network, H x W pixels of its input; numpy alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from scipy.ndimage import maximum_filter
from scipy.optimize import linear_sum_assignment

from dualpose_ros.arrays import AnyFloats, Float32s, Floats, RgbImage
from dualpose_ros.inference.engine import Engine, EngineError

JOINTS = 14
FLIPPED = [0, 4, 5, 6, 1, 2, 3, 7, 11, 12, 13, 8, 9, 10]
ORDER = (0, 1, 4, 2, 5, 3, 6, 7, 8, 11, 9, 12, 10, 13)
"""In which joints are put together: the pelvis first."""

SIDE, STEP = 512, 64
SIGMA_PX, LEAST_GAUSSIAN = 4.0, 0.01
WINDOW, MOST_PEOPLE, LEAST_PEAK, FARTHEST_TAG, TAG_STEP = 5, 30, 0.1, 1.0, 1.5
_MEAN = np.array([0.485, 0.456, 0.406], dtype=np.float32)
_STDDEV = np.array([0.229, 0.224, 0.225], dtype=np.float32)


@dataclass(frozen=True)
class WholePerson:
    """joints_px (14, 2) in the image, and depths (14,) in the network's own unit: the root's, the others added."""

    joints_px: Floats
    depths: Floats


def find_people(
    engine: Engine, image: RgbImage, top_down_px: Sequence[AnyFloats], side: int = SIDE
) -> list[WholePerson]:
    """Everybody in an RGB image; joints of `skeleton.H36M17` (17, 2) that top-down poses have guide the network.

    EngineError if the network's answer is not of the released one's form.
    """
    to_input, width, height = _affine(image.shape[1], image.shape[0], side)
    picture = cv2.warpAffine(image, to_input, (width, height)).astype(np.float32) / 255
    guides = guidance(
        [np.asarray(joints) @ to_input[:, :2].T + to_input[:, 2] for joints in top_down_px], width, height
    )
    stacked = np.concatenate([((picture - _MEAN) / _STDDEV).transpose(2, 0, 1), guides])[None].astype(np.float32)
    maps, mirrored = (_maps(engine, part) for part in (stacked, np.ascontiguousarray(stacked[..., ::-1])))
    heat, depths = maps[:JOINTS], maps[2 * JOINTS :]
    tags = np.stack([maps[JOINTS : 2 * JOINTS], mirrored[JOINTS : 2 * JOINTS, :, ::-1][FLIPPED]], axis=-1)
    found = []
    for joints, joint_tags in group(heat, tags):
        places = completed(joints, joint_tags, heat, tags)
        rows, columns = (np.clip(places[:, a].astype(np.intp), 0, heat.shape[2 - a] - 1) for a in (1, 0))
        root = depths[0, rows[0], columns[0]]
        rest = root + depths[np.arange(1, JOINTS), rows[1:], columns[1:]]
        back = cv2.invertAffineTransform(to_input)
        found.append(WholePerson(places[:, :2] @ back[:, :2].T + back[:, 2], np.append(root, rest).astype(np.float64)))
    return found


def _affine(width: int, height: int, side: int) -> tuple[Floats, int, int]:
    """Image -> input (2, 3): the shorter side becomes `side`, about the middle; and the input's width and height."""
    scale = side / min(width, height)
    wide, high = (side if n == min(width, height) else int((side / min(width, height) * n + STEP - 1) // STEP * STEP)
                  for n in (width, height))  # fmt: skip
    middle = (int(width / 2 + 0.5), int(height / 2 + 0.5))
    return np.array([[scale, 0, wide / 2 - scale * middle[0]], [0, scale, high / 2 - scale * middle[1]]]), wide, high


def guidance(people: Sequence[AnyFloats], width: int, height: int) -> Float32s:
    """Heatmaps (17, H, W) of people's joints (17, 2): Gaussians cut off, the largest of all people."""
    maps = np.zeros((17, height, width), dtype=np.float32)
    for joints in people:
        across, down = (np.arange(n)[None] - joints[:, axis, None] for axis, n in ((0, width), (1, height)))
        value = np.exp(-(across[:, None] ** 2 + down[:, :, None] ** 2) / (2 * SIGMA_PX**2))
        maps = np.maximum(maps, np.where(value > LEAST_GAUSSIAN, value, 0)).astype(np.float32)
    return maps


def _maps(engine: Engine, pictures: Float32s) -> Float32s:
    """The maps (42, H, W) of one input, at its size."""
    given = np.asarray(next(iter(engine.run({next(iter(engine.inputs)): pictures}).values())))
    if given.shape[:2] != (1, 3 * JOINTS):
        raise EngineError(f"this is no released bottom-up network: it answers {given.shape}, not (1, 42, h, w)")
    size = (pictures.shape[3], pictures.shape[2])
    return np.stack([cv2.resize(channel, size, interpolation=cv2.INTER_LINEAR) for channel in given[0]])


def group(heat: Float32s, tags: Float32s) -> list[tuple[Floats, Floats]]:
    """People as joints (14, 3), x, y and value, zero where not found, and the mean of their tags (2,).

    heat (14, H, W), tags (14, H, W, 2); joint after joint goes to the people so far by the distance of tags, rounded.
    """
    people: list[Floats] = []
    own_tags: list[list[Floats]] = []
    for joint in ORDER:
        peaks = np.where(maximum_filter(heat[joint], WINDOW, mode="nearest") == heat[joint], heat[joint], 0)
        best = np.argsort(-peaks, axis=None, kind="stable")[:MOST_PEOPLE]
        rows, columns = np.unravel_index(best[peaks.ravel()[best] > LEAST_PEAK], peaks.shape)
        values, told = peaks[rows, columns].astype(np.float64), tags[joint, rows, columns].astype(np.float64)
        off = np.array([[np.linalg.norm(t - np.mean(own, axis=0)) for own in own_tags] for t in told])
        owner = np.full(len(values), -1)
        if people and len(values):
            extra = np.zeros((len(values), max(len(values) - len(people), 0)))
            cost = np.concatenate([np.round(off) * 100 - values[:, None], extra], axis=1)
            for row, column in zip(*linear_sum_assignment(cost), strict=True):
                if column < len(people) and off[row, column] < FARTHEST_TAG:
                    owner[row] = column
        for number, person in enumerate(owner.tolist()):
            if person < 0:
                people.append(np.zeros((JOINTS, 3)))
                own_tags.append([])
                person = len(people) - 1
            people[person][joint] = columns[number], rows[number], values[number]
            own_tags[person].append(told[number])
    return [(joints, np.mean(own, axis=0)) for joints, own in zip(people, own_tags, strict=True)]


def completed(joints: Floats, tag: Floats, heat: Float32s, tags: Float32s) -> Floats:
    """A person's joints (14, 3): those not found from the maps, where their tag is like the person's; all of them a
    quarter of a pixel toward the larger neighbour, and at the middle of their pixel."""
    found = joints.copy()
    for joint in range(JOINTS):
        if found[joint, 2] <= 0:
            like = heat[joint] - np.round(np.linalg.norm(tags[joint] - tag, axis=-1) / TAG_STEP)
            best = divmod(int(like.argmax()), like.shape[1])
            found[joint] = best[1], best[0], heat[joint][best]
        column, row = (int(value) for value in found[joint, :2])
        padded = np.pad(heat[joint], 1, mode="edge")[row : row + 3, column : column + 3]
        found[joint, 0] += 0.5 + (0.25 if padded[1, 2] > padded[1, 0] else -0.25)
        found[joint, 1] += 0.5 + (0.25 if padded[2, 1] > padded[0, 1] else -0.25)
    return found
