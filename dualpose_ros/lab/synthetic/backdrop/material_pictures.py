"""Tiles that are pictures of things: facades, shelves, windows, doors, posters, screens, crowds."""

import cv2
import numpy as np
import numpy.typing as npt

from dualpose_ros.arrays import Float32s
from dualpose_ros.lab.synthetic.backdrop.material_noise import cached_noise, shaded
from dualpose_ros.lab.synthetic.looks.noise import TILE
from dualpose_ros.lab.synthetic.looks.textures import cloth_colour, hair_colours, skin_tones

FONTS = (cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_DUPLEX, cv2.FONT_HERSHEY_TRIPLEX, cv2.FONT_HERSHEY_COMPLEX)
LETTERS = tuple("ABCDEFGHIKLMNOPRSTUVWXYZaceinorstu0123456789")


def _fill(colour: npt.ArrayLike) -> Float32s:
    return np.full((TILE, TILE, 3), np.asarray(colour, np.float32), np.float32)


def _any_colour(rng: np.random.Generator, low: float = 20, high: float = 240) -> list[float]:
    """A colour of random brightness and mostly low saturation."""
    grey = rng.uniform(low, high)
    return np.clip(grey + rng.normal(0, (5, 14, 34)[min(2, int(rng.exponential(0.8)))], 3), 0, 255).tolist()


def _rect(tile: Float32s, x0: float, y0: float, x1: float, y1: float, colour: npt.ArrayLike, line: int = -1) -> None:
    cv2.rectangle(tile, (int(x0), int(y0)), (int(x1), int(y1)), np.asarray(colour, float).tolist(), line)


def scenery(rng: np.random.Generator, size: int = TILE) -> Float32s:
    """What a window or a painting shows: sky, hills or houses, something green (size, size, 3)."""
    line = np.linspace(0, 1, size, dtype=np.float32)[:, None, None]
    top, low = np.array(_any_colour(rng, 120, 255)), np.array(_any_colour(rng, 150, 255))
    view = np.broadcast_to(top + (low - top) * line, (size, size, 3)).astype(np.float32).copy()
    for k in range(int(rng.integers(2, 6))):
        base = size * (0.4 + 0.1 * k)
        if rng.random() < 0.5:
            x = np.arange(0, size + 8, 8)
            y = base + size * 0.08 * np.cumsum(rng.normal(0, 0.4, len(x)))
            hill = np.stack([np.append(x, [size, 0]), np.append(y, [size, size])], axis=1).astype(np.int32)
            green = np.array(_any_colour(rng, 30, 150)) * (0.7, 1.0, 0.6)
            cv2.fillPoly(view, [hill], green.tolist())
        else:
            x0 = rng.uniform(-0.1, 0.8) * size
            _rect(view, x0, base - size * rng.uniform(0, 0.35), x0 + size * rng.uniform(0.1, 0.4), size,
                  _any_colour(rng, 60, 200))  # fmt: skip
    return view


def facade(rng: np.random.Generator) -> Float32s:
    """Two to four storeys of windows, to be repeated over a building."""
    tile = shaded(rng, _fill(_any_colour(rng, 70, 220)), 0.06)
    rows, columns = int(rng.integers(2, 5)), int(rng.integers(2, 6))
    high, wide = TILE / rows, TILE / columns
    frame, glass = _any_colour(rng, 40, 240), np.array(_any_colour(rng, 30, 130))
    w, h = wide * rng.uniform(0.35, 0.85), high * rng.uniform(0.4, 0.8)
    for i in range(rows):
        if rng.random() < 0.5:
            _rect(tile, 0, i * high, TILE, i * high + 3, frame)
        for j in range(columns):
            x, y = (j + 0.5) * wide - w / 2, (i + 0.5) * high - h / 2
            _rect(tile, x, y, x + w, y + h, np.clip(glass * rng.uniform(0.4, 1.7), 0, 255))
            if rng.random() < 0.3:
                _rect(tile, x, y, x + w, y + h * rng.uniform(0.2, 0.8), _any_colour(rng, 130, 230))
            _rect(tile, x, y, x + w, y + h, frame, 2)
            _rect(tile, x + w / 2, y, x + w / 2 + 1, y + h, frame)
    return tile


def bookshelf(rng: np.random.Generator) -> Float32s:
    """Boards with upright books of all widths and colours, and a gap or an ornament here and there."""
    wood = np.array([(110, 76, 50), (60, 44, 36), (210, 204, 196)][int(rng.integers(3))], np.float32)
    tile = _fill(wood * 0.35)
    rows = int(rng.integers(2, 6))
    high = TILE / rows
    for i in range(rows):
        x = 4.0
        while x < TILE - 6:
            width, height = rng.uniform(4, 16), high * rng.uniform(0.55, 0.85)
            if rng.random() < 0.85:
                book = cloth_colour(rng) if rng.random() < 0.6 else np.array(_any_colour(rng))
                bottom = (i + 1) * high - 6
                _rect(tile, x, bottom - height, x + width - 1, bottom, book)
                _rect(tile, x + 1, bottom - height * 0.8, x + width - 2, bottom - height * 0.7, book * 0.5 + 100)
            else:
                width *= 2
            x += width
        _rect(tile, 0, (i + 1) * high - 6, TILE, (i + 1) * high, wood)
    _rect(tile, 0, 0, 4, TILE, wood)
    return tile


def goods(rng: np.random.Generator) -> Float32s:
    """A shop's or kitchen's shelf: bottles, boxes and jars in rows of likes."""
    tile = _fill(_any_colour(rng, 30, 120))
    rows = int(rng.integers(3, 7))
    high = TILE / rows
    for i in range(rows):
        x, bottom = 0.0, (i + 1) * high - 5
        while x < TILE:
            colour, label = np.array(_any_colour(rng)), np.array(_any_colour(rng, 60, 255))
            width, height, round_top = rng.uniform(8, 26), high * rng.uniform(0.4, 0.85), rng.random() < 0.5
            for _ in range(int(rng.integers(1, 5))):
                tone = colour * rng.uniform(0.85, 1.1)
                _rect(tile, x, bottom - height * (0.7 if round_top else 1), x + width - 2, bottom, tone)
                if round_top:
                    _rect(tile, x + width * 0.3, bottom - height, x + width * 0.6, bottom - height * 0.7, tone)
                _rect(tile, x + 1, bottom - height * 0.5, x + width - 3, bottom - height * 0.2, label)
                x += width
        _rect(tile, 0, (i + 1) * high - 5, TILE, (i + 1) * high, _any_colour(rng, 100, 230))
    return tile


def window(rng: np.random.Generator) -> Float32s:
    """A window from inside: bright scenery behind a frame with bars."""
    tile = scenery(rng) * rng.uniform(0.9, 1.5) + rng.uniform(0, 70)
    frame = _any_colour(rng, 90, 250)
    bars, beams = int(rng.integers(1, 4)), int(rng.integers(1, 4))
    for k in range(bars + 1):
        _rect(tile, k * (TILE - 8) / bars, 0, k * (TILE - 8) / bars + 8, TILE, frame)
    for k in range(beams + 1):
        _rect(tile, 0, k * (TILE - 8) / beams, TILE, k * (TILE - 8) / beams + 8, frame)
    return np.clip(tile, 0, 255)


def door(rng: np.random.Generator) -> Float32s:
    base = np.array(_any_colour(rng, 50, 240))
    tile = shaded(rng, _fill(base), 0.04)
    _rect(tile, 0, 0, TILE - 1, TILE, base * 0.6, 10)
    for _ in range(int(rng.integers(1, 5))):
        x0, y0 = rng.uniform(20, 130), rng.uniform(15, 190)
        _rect(tile, x0, y0, 250 - x0 + rng.uniform(-10, 0), y0 + rng.uniform(20, 90), base * rng.uniform(0.75, 1.1), 3)
    cv2.circle(tile, (228, 135), 6, (190, 180, 150), -1)
    return tile


def painting(rng: np.random.Generator) -> Float32s:
    """A framed picture: scenery, plain shapes or colour noise."""
    kind = rng.random()
    if kind < 0.4:
        tile = scenery(rng)
    elif kind < 0.7:
        tile = _fill(_any_colour(rng))
        for _ in range(int(rng.integers(3, 14))):
            points = rng.uniform(0, TILE, (int(rng.integers(3, 6)), 2)).astype(np.int32)
            cv2.fillPoly(tile, [points], _any_colour(rng))
    else:
        tile = _fill(_any_colour(rng)) + 40 * np.stack([cached_noise(rng, smooth=True) for _ in range(3)], axis=-1)
    _rect(tile, 0, 0, TILE - 1, TILE - 1, _any_colour(rng), int(rng.integers(6, 40)))
    return tile


def write_lines(rng: np.random.Generator, tile: Float32s, count: int, ink: list[float]) -> None:
    """Lines of glyphs down a picture (H, W, 3), sizes varied."""
    height, width = tile.shape[:2]
    page = np.clip(tile, 0, 255).astype(np.uint8)  # OpenCV writes on bytes only
    y = 0.0
    for _ in range(count):
        size = rng.uniform(0.03, 0.16) * height
        y += size * 1.5
        text = "".join(LETTERS[int(k)] for k in rng.integers(0, len(LETTERS), int(rng.integers(4, 18))))
        font = FONTS[int(rng.integers(len(FONTS)))]
        x = int(rng.uniform(0.02, 0.2) * width)
        cv2.putText(page, text, (x, int(y)), font, size / 24, ink, max(1, int(size / 12)), cv2.LINE_AA)
    tile[:] = page


def poster(rng: np.random.Generator) -> Float32s:
    tile = scenery(rng) if rng.random() < 0.4 else _fill(_any_colour(rng))
    dark = tile.mean() > 128
    write_lines(rng, tile, int(rng.integers(2, 12)), _any_colour(rng, 0, 80) if dark else _any_colour(rng, 180, 255))
    return tile


def screen(rng: np.random.Generator) -> Float32s:
    """A monitor or television, on or off."""
    tile = _fill(_any_colour(rng, 5, 60)) if rng.random() < 0.4 else scenery(rng)
    if rng.random() < 0.5:
        for _ in range(8):
            x0, y0 = rng.uniform(0, 200, 2)
            _rect(tile, x0, y0, x0 + rng.uniform(10, 90), y0 + rng.uniform(4, 60), _any_colour(rng))
    _rect(tile, 0, 0, TILE - 1, TILE - 1, (18, 18, 20), 14)
    return tile


def cabinet(rng: np.random.Generator) -> Float32s:
    """Kitchen fronts, drawers or lockers with handles."""
    base = np.array(_any_colour(rng, 50, 245))
    tile = shaded(rng, _fill(base), 0.03)
    rows, columns = int(rng.integers(1, 5)), int(rng.integers(1, 5))
    for i in range(rows):
        for j in range(columns):
            x0, y0, x1, y1 = j * TILE / columns, i * TILE / rows, (j + 1) * TILE / columns, (i + 1) * TILE / rows
            _rect(tile, x0, y0, x1, y1, base * rng.uniform(0.9, 1.06))
            _rect(tile, x0, y0, x1, y1, base * 0.45, 2)
            _rect(tile, x0 + 8, y0 + 8, x0 + 12, y0 + 30, (200, 200, 198) if rng.random() < 0.7 else (40, 40, 40))
    return tile


def blinds(rng: np.random.Generator) -> Float32s:
    line = np.arange(TILE, dtype=np.float32)
    count = int(rng.choice([16, 32]))
    slats = 0.75 + 0.25 * np.mod(line * count / TILE, 1)
    column = np.array(_any_colour(rng, 150, 250), np.float32) * slats[:, None]
    return np.broadcast_to(column[:, None] if rng.random() < 0.6 else column[None], (TILE, TILE, 3)).copy()


def crowd(rng: np.random.Generator) -> Float32s:
    """Rows of heads and coats, as the stands of a stadium look from afar."""
    tile = _fill(_any_colour(rng, 20, 110))
    rows = int(rng.integers(5, 11))
    high = TILE / rows
    for i in range(rows):
        for x in np.arange(0, TILE, high * rng.uniform(0.55, 0.8)):
            if rng.random() < 0.12:
                continue
            cx, cy, r = x + rng.normal(0, 2), (i + 0.35) * high + rng.normal(0, 2), high * 0.2
            for dx in (0, -TILE):
                body, head = (int(cx + dx), int(cy + 3.2 * r)), (int(cx + dx), int(cy))
                cv2.ellipse(tile, body, (int(r * 1.9), int(r * 2.4)), 0, 0, 360, cloth_colour(rng).tolist(), -1)
                cv2.circle(tile, head, int(r), skin_tones(rng).tolist(), -1)
                cv2.ellipse(tile, head, (int(r), int(r)), 0, 180, 360, hair_colours(rng).tolist(), -1)
    return tile


def shop(rng: np.random.Generator) -> Float32s:
    """A shop front: sign above, glass with goods below."""
    tile = goods(rng) * 0.7
    _rect(tile, 0, 0, TILE, 60, _any_colour(rng))
    sign = tile[:60]
    write_lines(rng, sign, 1, _any_colour(rng, 150, 255))
    for x in (0, 90, 180, 250):
        _rect(tile, x, 60, x + 6, TILE, _any_colour(rng, 20, 120))
    return tile
