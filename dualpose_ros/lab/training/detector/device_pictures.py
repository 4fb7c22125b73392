"""Training pictures of the detector on the device: zoom, crop, mosaics, people pasted in, erasing, colour.

N pictures of H x W pixels, P boxes a picture.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from dualpose_ros.lab.training.on_device.frames import choose_person, draw_frame_views, padded
from dualpose_ros.lab.training.on_device.views import (
    Draws,
    PhotometryConfig,
    cover,
    inverse_views,
    move_boxes,
    photometry,
    show,
)
from dualpose_ros.settings import Settings, setting, share

_GREY = 114.0


@dataclass(frozen=True)
class DevicePictures(Settings):
    """How pictures made on the device vary."""

    zoom: tuple[float, float] = setting((0.8, 2.2), "range of scales; 1: the whole image fills the picture", above=0)
    zoom_on_person: float = share(0.5, "share of pictures that are scaled by person_zoom instead")
    person_zoom: tuple[float, float] = setting(
        (0.07, 1.6), "range of picture heights that a person's height becomes", above=0
    )
    stretch: float = setting(0.12, "the logarithm of width over height (standard deviation)", least=0, below=1)
    rotate: float = setting(0.06, "rotation (standard deviation)", unit="rad", least=0, most=3.2)
    mosaic: float = share(0.3, "share of pictures put together of four small ones: far people of photographs")
    paste: float = share(0.2, "share of pictures with rendered people of another pasted in")
    erase: float = share(0.15, "probability of each of two things in front")
    min_inside: float = share(0.15, "people of whose box less is in the picture are neither learnt nor punished")
    min_visible: float = share(0.15, "the same for the share of the person that is seen")
    min_side_px: float = setting(6.0, "the same for the smaller side of their box", unit="px", least=0)
    boxes: int = setting(24, "people of a picture, the largest", unit="people", least=1)
    photometry: PhotometryConfig = setting(PhotometryConfig(), "how pictures vary in look")


@dataclass(frozen=True)
class Pictures:
    """pixels (N, 4, H, W) in 0..255, the fourth channel people in view; boxes_px (N, P, 4), empty where nobody is;
    ignored (N, P)."""

    pixels: Tensor
    boxes_px: Tensor
    ignored: Tensor


def draw_pictures(
    rows: dict[str, Tensor], size: tuple[int, int], config: DevicePictures, draws: Draws
) -> tuple[Tensor, Pictures]:
    """Pictures uint8 (N, H, W, 3) of (width, height) = size from rows of `on_device.frames`, and what is in them."""
    drawn = _views(rows, size, config, draws)
    drawn = _with_mosaics(drawn, rows, size, config, draws)
    drawn = _with_pasted(drawn, config, draws)
    x, _ = cover(drawn.pixels[:, :3] / 255, draws, config.erase)
    x = photometry(x, draws, config.photometry)
    image = (255 * x).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous()
    return image, _clipped(drawn, size, config)


def plain_pictures(rows: dict[str, Tensor], size: tuple[int, int], config: DevicePictures) -> tuple[Tensor, Pictures]:
    """Stored pictures whole, scaled to fit into (width, height) from the top left, as uint8 (N, H, W, 3)."""
    scale = (rows["extent"].new_tensor(size) / rows["extent"]).amin(1)
    # The corner of the first pixel stays where it is.
    views = torch.zeros(len(scale), 2, 3, device=scale.device)
    views[:, 0, 0] = views[:, 1, 1] = 1 / scale
    views[:, :, 2] = (0.5 / scale - 0.5)[:, None]
    pixels = show(rows["image"], views, (size[1], size[0]))
    fill = torch.full((len(scale), 4, 1, 1), _GREY, device=scale.device)
    pixels = padded(pixels, rows, views, fill)
    there = rows["boxes"][..., 2:3] > rows["boxes"][..., :1]
    moved = move_boxes(inverse_views(views), rows["boxes"]) + 0.5
    drawn = Pictures(pixels, torch.where(there, moved, torch.zeros_like(moved)), rows["faint"])
    image = pixels[:, :3].round().to(torch.uint8).permute(0, 2, 3, 1).contiguous()
    return image, _clipped(drawn, size, config)


def _views(rows: dict[str, Tensor], size: tuple[int, int], config: DevicePictures, draws: Draws) -> Pictures:
    """Random views of stored pictures."""
    count = len(rows["image"])
    target = rows["extent"].new_tensor(size)
    fit = (target / rows["extent"]).amin(1)
    scale = fit * _log_uniform(draws, count, config.zoom)
    person = choose_person(rows, draws, config.zoom_on_person)
    tall = (person[1][:, 3] - person[1][:, 1]).clamp(min=1)
    wanted = _log_uniform(draws, count, config.person_zoom) * size[1] / tall
    wanted = torch.minimum(torch.maximum(wanted, config.zoom[0] * fit), 4 * fit)
    scale = torch.where(person[0], wanted, scale)
    views, _ = draw_frame_views(rows, size, draws, scale, person, config.rotate, config.stretch)
    pixels = show(rows["image"], views, (size[1], size[0]))
    fill = torch.where(draws.chance(0.5, count, 1, 1, 1), _GREY, 255 * draws.uniform(count, 3, 1, 1))
    pixels = padded(pixels, rows, views, torch.cat([fill, torch.zeros_like(fill[:, :1])], 1))
    there = rows["boxes"][..., 2:3] > rows["boxes"][..., :1]
    # Stored boxes are of pixel centres, the detector's of the picture's corner.
    moved = move_boxes(inverse_views(views), rows["boxes"]) + 0.5
    return Pictures(pixels, torch.where(there, moved, torch.zeros_like(moved)), rows["faint"])


def _log_uniform(draws: Draws, count: int, bounds: tuple[float, float]) -> Tensor:
    low, high = torch.tensor(bounds).log().tolist()
    return torch.exp(draws.uniform(count, low=low, high=high))


def _with_mosaics(
    drawn: Pictures, rows: dict[str, Tensor], size: tuple[int, int], config: DevicePictures, draws: Draws
) -> Pictures:
    """Some pictures replaced by four others of half the size."""
    count = len(drawn.pixels)
    mosaics = round(config.mosaic * count)
    if mosaics == 0:
        return drawn
    chosen = torch.cat([draws.order(count)[:mosaics] for _ in range(4)])
    half = (size[0] // 2, size[1] // 2)
    small = _views({name: value[chosen] for name, value in rows.items()}, half, config, draws)
    small = _clipped(small, half, config)
    tiles = small.pixels.view(4, mosaics, 4, half[1], half[0])
    pixels = torch.cat([torch.cat([tiles[0], tiles[1]], -1), torch.cat([tiles[2], tiles[3]], -1)], -2)
    corners = drawn.boxes_px.new_tensor([[0, 0], [half[0], 0], [0, half[1]], [half[0], half[1]]]).repeat(1, 2)
    boxes, ignored = small.boxes_px.view(4, mosaics, -1, 4), small.ignored.view(4, mosaics, -1)
    there = boxes[..., 2:3] > boxes[..., :1]
    boxes = torch.where(there, boxes + corners[:, None, None], torch.zeros_like(boxes))
    # To as many boxes a picture as four have.
    boxes, ignored = boxes.permute(1, 0, 2, 3).flatten(1, 2), ignored.permute(1, 0, 2).flatten(1)
    missing = boxes.shape[1] - drawn.boxes_px.shape[1]
    all_boxes = torch.nn.functional.pad(drawn.boxes_px, (0, 0, 0, missing))
    all_ignored = torch.nn.functional.pad(drawn.ignored, (0, missing))
    return Pictures(
        torch.cat([pixels, drawn.pixels[mosaics:]]),
        torch.cat([boxes, all_boxes[mosaics:]]),
        torch.cat([ignored, all_ignored[mosaics:]]),
    )


def _with_pasted(drawn: Pictures, config: DevicePictures, draws: Draws) -> Pictures:
    """Rendered people of other pictures of the batch in front of some pictures."""
    count = len(drawn.pixels)
    pasting = draws.chance(config.paste, count)
    other = draws.order(count)
    body = (drawn.pixels[other, 3:] > 127) & pasting.view(-1, 1, 1, 1)
    pixels = torch.where(body, drawn.pixels[other], drawn.pixels)
    hidden = _covered_share(drawn.boxes_px, body[:, 0]) > 1 - config.min_visible
    # Who has no mask isn't pasted with it: such boxes come from photographs, whose masks are empty.
    masked = _covered_share(drawn.boxes_px[other], body[:, 0]) > 0.05
    boxes = torch.where((masked & pasting[:, None])[..., None], drawn.boxes_px[other], torch.zeros_like(drawn.boxes_px))
    return Pictures(
        pixels, torch.cat([drawn.boxes_px, boxes], 1), torch.cat([drawn.ignored | hidden, drawn.ignored[other]], 1)
    )


def _covered_share(boxes_px: Tensor, mask: Tensor) -> Tensor:
    """Share (N, P) of each box within the picture that masks (N, H, W) cover; zero for boxes outside it."""
    height, width = mask.shape[1:]
    table = torch.nn.functional.pad(mask.float().cumsum(1).cumsum(2), (1, 0, 1, 0)).flatten(1)
    limits = boxes_px.new_tensor([width, height, width, height])
    corner = torch.minimum(boxes_px.round().clamp(min=0), limits).long()
    x0, y0, x1, y1 = corner.unbind(-1)

    def at(x: Tensor, y: Tensor) -> Tensor:
        return table.gather(1, y * (width + 1) + x)

    inside = at(x1, y1) - at(x0, y1) - at(x1, y0) + at(x0, y0)
    return inside / ((x1 - x0) * (y1 - y0)).clamp(min=1)


def _clipped(drawn: Pictures, size: tuple[int, int], config: DevicePictures) -> Pictures:
    """Boxes clipped to the picture, slivers ignored, the largest kept."""
    limits = drawn.boxes_px.new_tensor([size[0], size[1], size[0], size[1]])
    boxes = torch.minimum(drawn.boxes_px.clamp(min=0), limits)
    extent = (boxes[..., 2:] - boxes[..., :2]).clamp(min=0)
    whole = (drawn.boxes_px[..., 2:] - drawn.boxes_px[..., :2]).clamp(min=1e-6).prod(-1)
    area = extent.prod(-1)
    ignored = drawn.ignored | (area / whole < config.min_inside) | (extent.amin(-1) < config.min_side_px)
    kept = area.topk(min(config.boxes, area.shape[1]), dim=1).indices
    boxes = torch.where((area > 0)[..., None], boxes, torch.zeros_like(boxes))
    return Pictures(drawn.pixels, boxes.gather(1, kept[..., None].expand(-1, -1, 4)), ignored.gather(1, kept))
