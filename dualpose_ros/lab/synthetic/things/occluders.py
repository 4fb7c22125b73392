"""Things close to the lens, out of focus, to paste over a finished image."""

import cv2
import numpy as np
import numpy.typing as npt

from dualpose_ros.arrays import Float32s, RgbImage
from dualpose_ros.lab.synthetic.backdrop import materials
from dualpose_ros.lab.synthetic.looks.noise import TILE, fractal, smooth_field
from dualpose_ros.lab.synthetic.looks.textures import cloth_colour


def foreground_occluder(rng: np.random.Generator, height: int, width: int) -> tuple[RgbImage, Float32s]:
    """One near thing: colours (H, W, 3) uint8 sRGB and coverage (H, W) float32 in 0..1.

    Table edges, poles, bars, leaves, boxes, cups, random cut-outs; never a person. It covers 2 to 55 % of
    the image before its edge is blurred.
    """
    shapes = (_table, _pole, _bars, _leaves, _box, _vessel, _edge, _cutout)
    shares = np.array([0.24, 0.10, 0.08, 0.14, 0.16, 0.10, 0.06, 0.12])
    for _ in range(8):
        mask = np.zeros((height, width), np.uint8)
        shapes[int(rng.choice(len(shapes), p=shares / shares.sum()))](rng, mask)
        covered = np.count_nonzero(mask) / mask.size
        if 0.02 <= covered <= 0.55:
            break
    else:
        mask[:] = 0
        mask[int(0.8 * height) :] = 255
    rgb = _surface(rng, height, width)
    sigma = (
        float(rng.choice([0.4, rng.uniform(0.5, 2.5), rng.uniform(2, 7)], p=[0.3, 0.5, 0.2])) * max(height, width) / 256
    )
    alpha = cv2.GaussianBlur(mask, (0, 0), sigma)
    if sigma > 1:
        rgb = np.asarray(cv2.GaussianBlur(rgb, (0, 0), sigma * 0.7), dtype=np.uint8)
    return rgb, np.asarray(alpha, dtype=np.float32) * np.float32(1 / 255)


def _surface(rng: np.random.Generator, height: int, width: int) -> RgbImage:
    """What the thing is made of: a material at random scale and angle, shaded."""
    kinds = (
        "planks",
        "fabric",
        "plaster",
        "metal",
        "foliage",
        "noise",
        "painting",
        "brick",
        "cabinet",
        "poster",
        "goods",
    )
    tile = materials.atlas()[int(rng.integers(0, 2))][materials.pick(rng, *kinds)][..., :3]
    size = tile.shape[0]
    scale = size / TILE * 256 / max(height, width) * rng.uniform(0.5, 2.0)
    angle = rng.uniform(-0.4, 0.4) + rng.integers(4) * np.pi / 2
    c, s = scale * np.cos(angle), scale * np.sin(angle)
    to_tile = np.array([[c, -s, rng.uniform(0, size)], [s, c, rng.uniform(0, size)]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    rgb = cv2.warpAffine(np.ascontiguousarray(tile), to_tile, (width, height), flags=flags, borderMode=cv2.BORDER_WRAP)
    gain = np.clip(rng.uniform(0.35, 1.1) + 0.2 * smooth_field(rng, height, width, 2), 0.1, 1.5)
    if rng.random() < 0.5:
        rgb = rgb * np.float32(rng.uniform(0.1, 0.6)) + cloth_colour(rng) * np.float32(rng.uniform(0.3, 0.8))
    return np.asarray(np.clip(rgb * gain[..., None], 0, 255), dtype=np.uint8)


def _polygon(mask: RgbImage, points: npt.ArrayLike) -> None:
    """Fill a polygon given in 0..1 of the image."""
    size = np.array(mask.shape[::-1])
    cv2.fillPoly(mask, [np.rint(np.asarray(points, np.float64) * size).astype(np.int32)], 255, cv2.LINE_AA)


def _table(rng: np.random.Generator, mask: RgbImage) -> None:
    """A table top or counter from below, often with things standing on it."""
    left, right = 1 - rng.uniform(0.12, 0.45, 2)
    if rng.random() < 0.6:
        right = left + rng.normal(0, 0.02)
    _polygon(mask, [(-0.1, left), (1.1, right), (1.1, 1.1), (-0.1, 1.1)])
    for _ in range(int(rng.integers(0, 4))):
        x, w, h = rng.uniform(0, 1), rng.uniform(0.03, 0.12), rng.uniform(0.05, 0.25)
        slim_a, slim_b = rng.uniform(0.4, 1, 2)
        outline = [(x - w, left + 0.02), (x - w * slim_a, left - h), (x + w * slim_b, left - h), (x + w, left + 0.02)]
        _polygon(mask, outline)


def _pole(rng: np.random.Generator, mask: RgbImage) -> None:
    x, lean, w = rng.uniform(0, 1), rng.normal(0, 0.08), rng.uniform(0.02, 0.13)
    _polygon(mask, [(x - w, -0.1), (x + w, -0.1), (x + lean + w, 1.1), (x + lean - w, 1.1)])


def _bars(rng: np.random.Generator, mask: RgbImage) -> None:
    step, w, lean = rng.uniform(0.12, 0.4), rng.uniform(0.006, 0.03), rng.normal(0, 0.05)
    upright = rng.random() < 0.6
    for x in np.arange(rng.uniform(-0.1, 0.1), 1.1, step):
        bar = np.array([(x - w, -0.1), (x + w, -0.1), (x + lean + w, 1.1), (x + lean - w, 1.1)])
        _polygon(mask, bar if upright else bar[:, ::-1])
    if rng.random() < 0.6:
        y = rng.uniform(0.3, 0.9)
        _polygon(mask, [(-0.1, y), (1.1, y), (1.1, y + 2 * w), (-0.1, y + 2 * w)])


def _leaves(rng: np.random.Generator, mask: RgbImage) -> None:
    """Leaves or grass that grow in from a side."""
    side = int(rng.integers(3))
    for _ in range(int(rng.integers(6, 40))):
        along, reach, w = rng.uniform(0, 1), rng.uniform(0.05, 0.45), rng.uniform(0.01, 0.06)
        bend = rng.normal(0, 0.12)
        blade = np.array([(along - w, 1.05), (along + bend * 0.4 - w, 1 - reach * 0.5), (along + bend, 1 - reach),
                          (along + bend * 0.4 + w, 1 - reach * 0.5), (along + w, 1.05)])  # fmt: skip
        if side:
            blade = np.stack([blade[:, 1] if side == 1 else 1 - blade[:, 1], blade[:, 0]], axis=1)
        _polygon(mask, blade)


def _box(rng: np.random.Generator, mask: RgbImage) -> None:
    """A block from below or a side: a chair's back, a monitor, a bag, a box."""
    x, w, h = rng.uniform(0, 1), rng.uniform(0.1, 0.35), rng.uniform(0.15, 0.6)
    lean = rng.normal(0, 0.04, 4)
    box = np.array([(x - w, 1 - h + lean[0]), (x + w, 1 - h + lean[1]), (x + w + lean[2], 1.1), (x - w + lean[3], 1.1)])
    _polygon(mask, box if rng.random() < 0.8 else np.stack([box[:, 1], box[:, 0]], axis=1))


def _vessel(rng: np.random.Generator, mask: RgbImage) -> None:
    """A bottle, vase, cup or ball standing before the lens."""
    y = np.linspace(0, 1, 20)
    radius = np.interp(y, np.linspace(0, 1, 5), rng.uniform(0.02, 0.16, 5))
    x, top = rng.uniform(0.05, 0.95), rng.uniform(0.3, 0.8)
    y = top + y * (1.05 - top)
    _polygon(mask, np.concatenate([np.stack([x + radius, y], 1), np.stack([x - radius, y], 1)[::-1]]))


def _edge(rng: np.random.Generator, mask: RgbImage) -> None:
    """A door, wall or window edge along one side."""
    a, b = rng.uniform(0.06, 0.35) + rng.normal(0, 0.05, 2)
    edge = np.array([(-0.1, -0.1), (a, -0.1), (b, 1.1), (-0.1, 1.1)])
    if rng.random() < 0.5:
        edge[:, 0] = 1 - edge[:, 0]
    _polygon(mask, edge)


def _cutout(rng: np.random.Generator, mask: RgbImage) -> None:
    """A blob or polygon anywhere: what no list foresees."""
    if rng.random() < 0.5:
        points = rng.uniform(0, 1, 2) + rng.uniform(0.08, 0.3) * rng.normal(0, 1, (int(rng.integers(3, 8)), 2))
        _polygon(mask, points)
        return
    height, width = mask.shape
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j].astype(np.float32)
    at, size = rng.uniform(0, 1, 2), rng.uniform(0.1, 0.3)
    distance = np.hypot(x - at[0], y - at[1]) / size + 0.25 * fractal(rng, height, width, smooth=True)
    mask[distance < 1] = 255
