"""Random views of labelled images, many at a time, on the device that trains: geometry, things in front, photometry.

N images a batch, P people an image, K joints. A view (N, 2, 3) is an affine map from pixels of the network's input
to pixels of the stored image; pixel centres lie at integer coordinates. Everything random comes from one `Draws`,
so that a seed decides a batch.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from dualpose_ros.settings import Settings, share

_LUMA = (0.299, 0.587, 0.114)


class Draws:
    """Random numbers on a device, from a seed."""

    def __init__(self, seed: int, device: torch.device | str) -> None:
        self.device = torch.device(device)
        self._generator = torch.Generator(self.device).manual_seed(seed)

    def uniform(self, *shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
        """Numbers in low..high."""
        return low + (high - low) * torch.rand(*shape, generator=self._generator, device=self.device)

    def normal(self, *shape: int, stddev: float = 1.0, limit: float = 10.0) -> Tensor:
        """Gaussian numbers of mean 0, clipped at `limit` either way."""
        numbers = torch.randn(*shape, generator=self._generator, device=self.device)
        return (stddev * numbers).clamp(-limit, limit)

    def chance(self, probability: float, *shape: int) -> Tensor:
        """True with a probability."""
        return torch.rand(*shape, generator=self._generator, device=self.device) < probability

    def integers(self, high: int, *shape: int) -> Tensor:
        """Whole numbers in 0..high - 1."""
        return torch.randint(high, shape, generator=self._generator, device=self.device)

    def choose(self, weights: Tensor, count: int) -> Tensor:
        """Indices (count,) drawn with replacement by weights (M,)."""
        return torch.multinomial(weights, count, replacement=True, generator=self._generator)

    def order(self, count: int) -> Tensor:
        """A permutation of 0..count - 1."""
        return torch.randperm(count, generator=self._generator, device=self.device)


def similarity_views(
    centre: Tensor, side: Tensor, angle: Tensor, mirrored: Tensor, stretch: Tensor, size: int
) -> Tensor:
    """Views (N, 2, 3) of square inputs of `size` pixels.

    centre (N, 2) and side (N,) of the squares in stored pixels, angle (N,) in radians, mirrored (N,), and
    stretch (N,): how much wider the picture is shown than it is stored, its area kept.
    """
    step = side / size
    cos, sin = torch.cos(angle) * step, torch.sin(angle) * step
    flip = torch.where(mirrored, -1.0, 1.0)
    linear = torch.stack([torch.stack([cos * flip, -sin], -1), torch.stack([sin * flip, cos], -1)], -2)
    wide = stretch.sqrt()
    linear = torch.stack([1 / wide, wide], -1)[:, :, None] * linear
    middle = torch.full_like(centre, (size - 1) / 2)
    shift = centre - (linear @ middle[..., None])[..., 0]
    return torch.cat([linear, shift[..., None]], -1)


def inverse_views(views: Tensor) -> Tensor:
    """Affine maps (N, 2, 3) the other way round."""
    linear = torch.linalg.inv(views[:, :, :2])
    return torch.cat([linear, -linear @ views[:, :, 2:]], -1)


def move_points(affine: Tensor, points: Tensor) -> Tensor:
    """Points (N, ..., 2) through affine maps (N, 2, 3)."""
    flat = points.flatten(1, -2)
    return (flat @ affine[:, :, :2].transpose(1, 2) + affine[:, None, :, 2]).view(points.shape)


def move_boxes(affine: Tensor, boxes: Tensor) -> Tensor:
    """Upright boxes (N, P, 4) around boxes (N, P, 4) moved by affine maps (N, 2, 3).

    A turned box is bounded by its inscribed ellipse's extent, which a body fills better than the corners.
    """
    linear = affine[:, :, :2]
    middle = move_points(affine, (boxes[..., :2] + boxes[..., 2:]) / 2)
    half = (((boxes[..., 2:] - boxes[..., :2]) / 2) ** 2 @ (linear**2).transpose(1, 2)).sqrt()
    return torch.cat([middle - half, middle + half], -1)


def show(images: Tensor, views: Tensor, size: tuple[int, int], mode: str = "bilinear") -> Tensor:
    """Images (N, H, W, C) of bytes through views, as floats (N, C, h, w) in 0..255; 0 beyond the stored image."""
    height, width = size
    x = torch.arange(width, device=images.device, dtype=torch.float32)
    y = torch.arange(height, device=images.device, dtype=torch.float32)
    grid = torch.stack(torch.meshgrid(x, y, indexing="xy"), -1)
    source = grid.view(1, -1, 2) @ views[:, :, :2].transpose(1, 2) + views[:, None, :, 2]
    extent = torch.tensor([images.shape[2], images.shape[1]], device=images.device, dtype=torch.float32)
    place = ((source * 2 + 1) / extent - 1).view(-1, height, width, 2)
    pixels = images.permute(0, 3, 1, 2).float()
    return F.grid_sample(pixels, place, mode=mode, padding_mode="zeros", align_corners=False)


@dataclass(frozen=True)
class PhotometryConfig(Settings):
    """How pictures vary in look."""

    tone: float = share(0.7, "share of pictures with another tone and other colours")
    coarse: float = share(0.25, "share of pictures with fewer pixels")
    blur: float = share(0.25, "share of pictures that are blurred")
    noise: float = share(0.35, "share of pictures with noise")
    grey: float = share(0.06, "share without colours, of those with another tone")


def photometry(x: Tensor, draws: Draws, config: PhotometryConfig) -> Tensor:
    """Pictures (N, 3, H, W) in 0..1 with another tone, white balance, contrast, saturation, sharpness and noise."""
    count, _, height, width = x.shape
    one = (count, 1, 1, 1)
    x = torch.where(draws.chance(config.tone, *one), _toned(x, draws, config.grey), x)
    small = F.interpolate(x, scale_factor=0.4, mode="area")
    coarse = F.interpolate(small, size=(height, width), mode="bilinear", align_corners=False)
    x = torch.where(draws.chance(config.coarse, *one), coarse, x)
    x = torch.where(draws.chance(config.blur, *one), F.avg_pool2d(x, 3, 1, 1, count_include_pad=False), x)
    strength = -0.03 * draws.uniform(*one, low=0.05).log() * draws.chance(config.noise, *one)
    return (x + strength * draws.normal(*x.shape)).clamp(0, 1)


def _toned(x: Tensor, draws: Draws, grey_chance: float) -> Tensor:
    count = len(x)
    one = (count, 1, 1, 1)
    white = torch.exp(draws.normal(count, 3, 1, 1) * x.new_tensor([0.12, 0.05, 0.12]).view(1, 3, 1, 1))
    gamma = torch.exp(draws.normal(*one, stddev=0.22, limit=0.7))
    gain = torch.exp(draws.normal(*one, stddev=0.2, limit=0.5))
    contrast, offset = draws.uniform(*one, low=0.65, high=1.4), draws.uniform(*one, low=-0.12, high=0.12)
    y = (((x * white).clamp(min=1e-4) ** gamma) * gain - 0.4) * contrast + 0.4 + offset
    grey = (y * x.new_tensor(_LUMA).view(1, 3, 1, 1)).sum(1, keepdim=True)
    saturation = draws.uniform(*one, low=0.3, high=1.6) * ~draws.chance(grey_chance, *one)
    return grey + saturation * (y - grey)


def cover(x: Tensor, draws: Draws, probability: float, shapes: int = 2) -> tuple[Tensor, Tensor]:
    """Lay rectangles and ellipses of plain colour or of other pictures over pictures (N, 3, H, W) in 0..1.

    Each of `shapes` is there with `probability`. Returns the pictures, and where something lies (N, H, W).
    """
    count, _, height, width = x.shape
    columns = torch.arange(width, device=x.device).view(1, 1, -1) / width
    rows = torch.arange(height, device=x.device).view(1, -1, 1) / height
    covered = torch.zeros(count, height, width, dtype=torch.bool, device=x.device)
    for _ in range(shapes):
        at, half = draws.uniform(2, count, 1, 1), draws.uniform(2, count, 1, 1, low=0.03, high=0.18)
        across, down = (columns - at[0]).abs() / half[0], (rows - at[1]).abs() / half[1]
        box = torch.maximum(across, down) < 1
        shape = torch.where(draws.chance(0.5, count, 1, 1), box, across**2 + down**2 < 1)
        shape = shape & draws.chance(probability, count, 1, 1)
        plain = draws.uniform(count, 3, 1, 1).expand_as(x)
        filling = torch.where(draws.chance(0.5, count, 1, 1, 1), x.roll(1, 0), plain)
        x = torch.where(shape[:, None], filling, x)
        covered |= shape
    return x, covered


def end_of_picture(size: tuple[int, int], draws: Draws, count: int, probability: float, most: float = 0.3) -> Tensor:
    """Where pictures have ended (N, H, W): up to `most` of one side, the lower one most often."""
    height, width = size
    side = (draws.uniform(count) * 5).long().clamp(max=3)  # 0 left, 1 top, 2 right, 3 bottom twice as often
    depth = draws.uniform(count, low=0.03, high=most)
    columns = (torch.arange(width, device=draws.device) + 0.5).view(1, 1, -1) / width
    rows = (torch.arange(height, device=draws.device) + 0.5).view(1, -1, 1) / height
    place = torch.stack(torch.broadcast_tensors(columns, rows, 1 - columns, 1 - rows))[:, 0]
    ended = place[side] < depth.view(-1, 1, 1)
    return ended & draws.chance(probability, count, 1, 1)


def at_points(maps: Tensor, points: Tensor) -> Tensor:
    """Values (N, P, K) of maps (N, H, W) at the pixels nearest to points (N, P, K, 2), clamped into the maps."""
    height, width = maps.shape[1:]
    cell = points.nan_to_num(-1e4).clamp(-1e4, 1e4).round().long()
    flat = cell[..., 1].clamp(0, height - 1) * width + cell[..., 0].clamp(0, width - 1)
    return maps.flatten(1).gather(1, flat.flatten(1)).view(points.shape[:-1])
