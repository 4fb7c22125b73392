"""Heatmaps as records, sub-pixel peaks out of them, and many patches' heatmaps into one of the image.

C channels of h x w cells; cell (i, j) is row i, column j and its centre has coordinates (x, y) = (j, i).
Everything is vectorised over cells and channels.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from dualpose_ros.arrays import AnyFloats, Float32s, Floats, Indices, Rows, UInt8s

UINT8_SCALE = 1 / 255
"""Value of one step of an 8-bit heatmap that covers 0..1."""

_FLOOR = 1e-4
"""Values below this tell nothing about the shape of a peak; the logarithm stops here."""


@dataclass(frozen=True)
class Heatmaps:
    """8-bit heatmaps of a whole image: data uint8 (C, h, w), a cell's value is data * scale.

    `to_image` (2, 3) maps cell centres (x, y, 1) to image pixels. ValueError if the shapes disagree.
    """

    channels: tuple[str, ...]
    data: UInt8s
    to_image: AnyFloats
    scale: float

    def __post_init__(self) -> None:
        if self.data.ndim != 3 or self.data.dtype != np.uint8 or len(self.channels) != self.data.shape[0]:
            raise ValueError(f"{len(self.channels)} channels, but data is {self.data.dtype} {self.data.shape}")
        if np.shape(self.to_image) != (2, 3):
            raise ValueError(f"to_image has shape {np.shape(self.to_image)} instead of (2, 3)")


@dataclass(frozen=True, eq=False)
class Peaks(Rows):
    """M local maxima: channel (M,), cell (M, 2) as column and row, xy (M, 2) sub-cell, score (M,) the cell's value.

    Sorted by channel, then by falling score.
    """

    channel: Indices
    cell: Indices
    xy: Floats
    score: Floats


def find_peaks(heatmaps: AnyFloats, threshold: float, max_peaks: int = 10, window: int = 3) -> Peaks:
    """Local maxima of heatmaps, refined to sub-cell; arguments and errors as of `local_maxima`."""
    maps = np.asarray(heatmaps, dtype=np.float32)
    channel, row, column, score = local_maxima(maps, threshold, max_peaks, window)
    cell = np.stack([column, row], axis=1)
    return Peaks(channel, cell, cell + peak_offsets(maps, channel, row, column), score)


def local_maxima(
    heatmaps: AnyFloats, threshold: float, max_peaks: int = 10, window: int = 3
) -> tuple[Indices, Indices, Indices, Floats]:
    """Channel, row, column and value (M,) of cells that are the largest of their neighbourhood.

    By channel, then by falling value; of equal neighbours the first in reading order counts.

    heatmaps: (C, h, w); threshold: values up to it are no peaks; max_peaks: the best ones kept of a channel; window:
    side of the neighbourhood in cells, odd.
    ValueError for maps of another shape, or a window that is even or less than 3.
    """
    maps = np.asarray(heatmaps, dtype=np.float32)
    if maps.ndim != 3:
        raise ValueError(f"heatmaps have shape {maps.shape} instead of (channels, height, width)")
    if window < 3 or window % 2 == 0:
        raise ValueError(f"window {window} is not an odd number of at least 3")
    channel, row, column = _largest_of_window(maps, threshold, window)
    score = maps[channel, row, column].astype(np.float64)
    order = np.lexsort((-score, channel))
    channel, row, column, score = channel[order], row[order], column[order], score[order]
    starts = np.searchsorted(channel, channel, side="left")
    kept = np.arange(len(channel)) - starts < max_peaks
    channel, row, column, score = channel[kept], row[kept], column[kept], score[kept]
    return channel, row, column, score


def _largest_of_window(maps: Float32s, threshold: float, window: int) -> tuple[Indices, Indices, Indices]:
    """Channel, row and column of cells above the threshold whose value no cell of their window exceeds, and none before
    them in reading order has too."""
    # All maps in one line, apart by what is no cell: there lies whatever of a window leaves its map.
    (count, height, width), reach = maps.shape, window // 2
    wide, high = width + reach, height + reach
    before = reach * (1 + wide)
    line = np.full(before + count * high * wide, -np.inf, np.float32)
    cells = line[before:]
    cells.reshape(count, high, wide)[:, :height, :width] = maps
    largest = _largest_ahead(_largest_ahead(line, window, 1), window, wide)
    # The last cells of the line are none.
    cells = cells[: len(largest)]
    found = np.flatnonzero((cells > threshold) & (cells >= largest))
    steps = (wide * np.arange(window)[:, None] + np.arange(window)).ravel()
    equal = line[found[:, None] + steps[: len(steps) // 2]] == cells[found, None]
    channel, cell = np.divmod(found[~equal.any(axis=1)], high * wide)
    return channel, *np.divmod(cell, wide)


def _largest_ahead(line: Float32s, count: int, step: int) -> Float32s:
    """Of each value of a line and those that follow it by `step`, `count` in all, the largest."""
    reached = 1
    while reached < count:
        more = min(reached, count - reached)
        line = np.maximum(line[: -more * step], line[more * step :])
        reached += more
    return line


def peak_offsets(maps: AnyFloats, channel: Indices, row: Indices, column: Indices) -> Floats:
    """Sub-cell offsets of peaks from the logarithm's second-order expansion.

    The logarithm of a Gaussian is a parabola, so a lone Gaussian peak of any width is found exactly;
    a neighbour of the same kind 2 sigma away or nearer pulls it (DARK, Zhang et al., CVPR 2020, eq. 5-9,
    here with the parabola fitted to all nine cells). A peak on the rim of the map stays where it is
    along that axis.

    maps: (C, h, w); channel, row, column: (M,) of each peak's cell.
    Returns (M, 2) as (x, y) in cells, within half a cell.
    """
    height, width = maps.shape[1:]
    steps = np.array([[-1], [0], [1]])
    rows = np.minimum(np.maximum(row + steps, 0), height - 1)
    columns = np.minimum(np.maximum(column + steps, 0), width - 1)
    at = (channel * height + rows)[:, None] * width + columns
    # By row, column and peak.
    log = np.log(np.maximum(maps.reshape(-1)[at].astype(np.float64), _FLOOR))
    slope_x, slope_y = (log[:, 2] - log[:, 0]).sum(axis=0) / 6, (log[2] - log[0]).sum(axis=0) / 6
    bend_x = (log[:, 2] - 2 * log[:, 1] + log[:, 0]).sum(axis=0) / 3
    bend_y = (log[2] - 2 * log[1] + log[0]).sum(axis=0) / 3
    rim_x, rim_y = (column == 0) | (column == width - 1), (row == 0) | (row == height - 1)
    bend_xy = np.where(rim_x | rim_y, 0.0, (log[2, 2] - log[2, 0] - log[0, 2] + log[0, 0]) / 4)
    determinant = bend_x * bend_y - bend_xy**2
    is_peak = (bend_x < 0) & (bend_y < 0) & (determinant > 1e-12)
    safe = np.where(is_peak, determinant, 1.0)
    offsets = np.zeros((len(row), 2))
    np.divide(bend_xy * slope_y - bend_y * slope_x, safe, out=offsets[:, 0], where=is_peak & ~rim_x)
    np.divide(bend_xy * slope_x - bend_x * slope_y, safe, out=offsets[:, 1], where=is_peak & ~rim_y)
    return np.minimum(np.maximum(offsets, -0.5), 0.5)


def combined_grid(image_size: tuple[int, int], longest: int = 160) -> tuple[tuple[int, int], Floats]:
    """Size (h, w) and cell-to-image affine (2, 3) of image-level heatmaps.

    The grid has 4 image pixels a cell, or as many as keep its longer side within `longest` cells;
    image_size is (H, W).
    """
    height, width = image_size
    step = max(4.0, max(height, width) / longest)
    shape = (max(int(np.ceil(height / step)), 1), max(int(np.ceil(width / step)), 1))
    return shape, np.array([[step, 0.0, (step - 1) / 2], [0.0, step, (step - 1) / 2]])


def combine_heatmaps(
    patches: AnyFloats,
    cell_to_image: AnyFloats,
    image_size: tuple[int, int],
    channels: tuple[str, ...],
    longest: int = 160,
) -> Heatmaps:
    """The maximum over patches, laid into the image: the paper's combined heatmap (section 3.2).

    Where a cell of the image grid spans several of a patch, it takes the largest, so that small people keep their
    peaks.

    patches: heatmaps (N, C, h, w), values 0..1; cell_to_image: (N, 2, 3), from patch cells to image pixels; image_size:
    (H, W) in pixels; channels: names of the C channels; longest: most cells of the longer side.
    """
    (rows, columns), to_image = combined_grid(image_size, longest)
    # OpenCV samples all channels of a cell at once where they lie together.
    combined = np.zeros((rows, columns, len(channels)), dtype=np.uint8)
    step = to_image[0, 0]
    levels = _bytes(np.moveaxis(np.asarray(patches, dtype=np.float32), 1, -1))
    for maps, affine in zip(levels, np.asarray(cell_to_image, dtype=np.float64), strict=True):
        matrix = affine.copy()
        matrix[:, 2] -= to_image[:, 2]
        matrix /= step
        _lay_into(combined, maps, matrix)
    return Heatmaps(channels, np.ascontiguousarray(combined.transpose(2, 0, 1)), to_image, UINT8_SCALE)


def peak_kernel(matrix: AnyFloats, shape: tuple[int, int], slack: float = 1e-6) -> UInt8s | None:
    """What to dilate maps with before `matrix` (2, 3) shrinks them, so that no peak falls between two cells.

    None where a cell spans no more than one of the maps', or little more, by `slack` of a cell. It is no larger than
    maps (h, w) of this shape need, however little is left of them.
    """
    shrink = int(np.ceil(1 / np.sqrt(abs(np.linalg.det(matrix[:, :2]))) - slack))
    return np.ones([min(shrink, 2 * side) | 1 for side in shape], np.uint8) if shrink > 1 else None


def _bytes(values: Float32s) -> UInt8s:
    """Values in 0..1 as bytes, contiguous; others are the nearest of those."""
    scaled = np.multiply(values, np.float32(255), order="C")
    return np.clip(np.rint(scaled, out=scaled), 0, 255, out=scaled).astype(np.uint8)


def _lay_into(combined: UInt8s, levels: UInt8s, matrix: Floats) -> None:
    """Combine one patch (h, w, C) into `combined` (H, W, C) by maximum; `matrix` maps its cells to those."""
    height, width = levels.shape[:2]
    corners = np.array([[-1, -1], [width, -1], [width, height], [-1, height]]) @ matrix[:, :2].T + matrix[:, 2]
    low = np.clip(np.floor(corners.min(axis=0)), 0, combined.shape[1::-1]).astype(int)
    high = np.clip(np.ceil(corners.max(axis=0)) + 1, 0, combined.shape[1::-1]).astype(int)
    if (high <= low).any():
        return
    local = matrix.copy()
    local[:, 2] -= low
    kernel = peak_kernel(matrix, (height, width))
    source = levels if kernel is None else cv2.dilate(levels, kernel)
    region = combined[low[1] : high[1], low[0] : high[0]]
    size = (int(high[0] - low[0]), int(high[1] - low[1]))
    sampled = cv2.warpAffine(source, local, size, flags=cv2.INTER_LINEAR).reshape(region.shape)
    np.maximum(region, sampled, out=region)
