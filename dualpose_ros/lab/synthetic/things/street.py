"""Things that stand in streets, parks and sports grounds as meshes: at the origin, on the floor, facing +z."""

from itertools import pairwise

import numpy as np

from dualpose_ros.lab.synthetic.things.furniture import linear, metal, pick_colour, texture, upholstery, wood
from dualpose_ros.lab.synthetic.things.mesh import Mesh, MeshBuilder

_PAINTS = (
    (30, 30, 34),
    (200, 200, 204),
    (240, 240, 240),
    (150, 24, 28),
    (30, 60, 120),
    (110, 114, 118),
    (220, 180, 40),
)
_BARK = ((90, 72, 54), (120, 110, 98), (56, 46, 38))
_LEAVES = ((64, 104, 44), (90, 120, 54), (44, 80, 46), (150, 110, 44))


def make_pole(rng: np.random.Generator) -> Mesh:
    """A lamp post, sign post or pillar."""
    b = MeshBuilder()
    height, radius, colour = rng.uniform(2.2, 5.0), rng.uniform(0.03, 0.14), metal(rng)
    b.lathe([(0, radius * 1.6), (0.3, radius * 1.4), (0.35, radius), (height, radius * 0.8)], (0, 0, 0), colour)
    kind = rng.random()
    if kind < 0.35:
        b.tube((0, height - 0.05, 0), (0.9, height + 0.1, 0), radius * 0.5, colour)
        b.ellipsoid((1.0, height + 0.1, 0), (0.3, 0.06, 0.12), linear((220, 220, 214)))
    elif kind < 0.7:
        b.box((0, height - 0.4, radius + 0.02), (0.6, 0.6, 0.02), upholstery(rng), texture(rng))
    return b.build()


def make_railing(rng: np.random.Generator) -> Mesh:
    """A railing or fence along x: bars, wires or boards."""
    b = MeshBuilder()
    width, height = rng.uniform(2.0, 4.5), rng.uniform(0.75, 1.3)
    colour = metal(rng) if rng.random() < 0.6 else wood(rng)
    for x in np.linspace(-width / 2, width / 2, int(rng.integers(3, 5))):
        b.box((x, height / 2, 0), (0.06, height, 0.06), colour)
    b.box((0, height, 0), (width, 0.05, 0.07), colour)
    kind = rng.random()
    if kind < 0.45:
        for x in np.arange(-width / 2, width / 2, rng.uniform(0.1, 0.2)):
            b.tube((x, 0.08, 0), (x, height, 0), 0.01, colour, sides=5)
        b.box((0, 0.1, 0), (width, 0.03, 0.03), colour)
    elif kind < 0.75:
        for y in np.linspace(0.15, height * 0.85, int(rng.integers(2, 6))):
            b.box((0, y, 0), (width, rng.uniform(0.015, 0.1), 0.025), colour, texture(rng))
    else:
        b.box((0, height * 0.45, 0), (width, height * rng.uniform(0.4, 0.8), 0.03), upholstery(rng), texture(rng))
    return b.build(top_height_m=height)


def make_car(rng: np.random.Generator) -> Mesh:
    """A car or van, its length along x."""
    b = MeshBuilder()
    paint, dark, glass = pick_colour(rng, _PAINTS), linear((24, 24, 26)), linear((48, 60, 70))
    length, width, height = rng.uniform(3.6, 4.9), rng.uniform(1.65, 1.9), rng.uniform(1.4, 1.9)
    waist = 0.9 * height / 1.5
    body = np.array(
        [(-0.5, 0.25), (0.5, 0.25), (0.5, waist * 0.85), (0.44, waist), (-0.47, waist), (-0.5, waist * 0.9)]
    )
    b.prism(body * (length, 1), width, (0, 0, 0), paint, 0)
    front, rear = rng.uniform(0.1, 0.25), rng.uniform(0.36, 0.46)
    cabin = np.array([(-rear, waist), (front + 0.12, waist), (front - 0.02, height), (-rear + 0.08, height)])
    b.prism(cabin * (length, 1), width * 0.88, (0, 0, 0), glass, 0)
    b.box(((-rear + 0.05 + front) * length / 2, height, 0), ((rear + front - 0.1) * length, 0.04, width * 0.86), paint)
    for x in (-0.31, 0.32):
        for z in (-1, 1):
            at = (x * length, 0.32, z * (width / 2 - 0.1))
            b.lathe([(-0.11, 0.32), (0.11, 0.32)], at, dark, axis=(0, 0, 1), sides=14)
            b.lathe([(-0.115, 0.17), (0.115, 0.17)], at, metal(rng), axis=(0, 0, 1), sides=10)
    return b.build()


def make_bench(rng: np.random.Generator) -> Mesh:
    """A park bench."""
    b = MeshBuilder()
    width, height, colour, iron = rng.uniform(1.2, 2.2), rng.uniform(0.42, 0.48), wood(rng), metal(rng)
    for z in np.linspace(-0.18, 0.18, 4):
        b.box((0, height - 0.015, z), (width, 0.03, 0.1), colour, texture(rng))
    if rng.random() < 0.75:
        for y in np.linspace(height + 0.15, height + 0.42, 3):
            b.box((0, y, -0.26 - 0.1 * (y - height)), (width, 0.1, 0.025), colour, texture(rng))
    for x in (-1, 1):
        b.box((x * width * 0.42, height / 2 - 0.015, 0), (0.06, height - 0.03, 0.4), iron)
        b.box((x * width * 0.42, height + 0.2, -0.29), (0.05, 0.5, 0.03), iron)
    return b.build(seat_height_m=height)


def make_bicycle(rng: np.random.Generator) -> Mesh:
    """A bicycle standing along x, the front wheel at +x."""
    b = MeshBuilder()
    paint, dark = upholstery(rng), linear((20, 20, 22))
    scale = rng.uniform(0.85, 1.08)
    radius = 0.33 * scale
    rear, front = np.array([-0.5 * scale, radius + 0.018, 0]), np.array([0.52 * scale, radius + 0.018, 0])
    for hub in (rear, front):
        angle = 2 * np.pi * np.arange(17) / 16
        rim = hub + radius * np.stack([np.cos(angle), np.sin(angle), 0 * angle], axis=1)
        for p, q in pairwise(rim):
            b.tube(p, q, 0.018, dark, sides=5)
        for k in range(0, 16, 2):
            b.tube(hub, rim[k], 0.003, linear((170, 170, 170)), sides=3)
    crank, seat = np.array([-0.08 * scale, 0.28 * scale, 0]), np.array([-0.2 * scale, 0.85 * scale, 0])
    head, bars = np.array([0.36 * scale, 0.8 * scale, 0]), np.array([0.34 * scale, 0.98 * scale, 0])
    for p, q in ((rear, crank), (rear, seat), (crank, seat), (crank, head), (seat - (0, 0.08, 0), head), (head, front)):
        b.tube(p, q, 0.017, paint)
    b.tube(head, bars, 0.013, dark)
    b.tube(bars - (0, 0, 0.29), bars + np.array([0, 0, 0.29]), 0.012, dark)
    b.ellipsoid(seat + np.array([0, 0.06, 0]), (0.13, 0.03, 0.07), dark)
    return b.build(seat_height_m=float(seat[1]) + 0.09)


def make_tree(rng: np.random.Generator) -> Mesh:
    """A trunk with some boughs and leaves above head height."""
    b = MeshBuilder()
    bark, radius, fork = pick_colour(rng, _BARK), rng.uniform(0.08, 0.32), rng.uniform(1.6, 2.6)
    lean = np.array([rng.normal(0, 0.15), fork, rng.normal(0, 0.15)])
    # an upright foot keeps the lowest ring on the floor
    b.tube((0, 0, 0), (0, 0.1, 0), radius * 1.1, bark, sides=10)
    b.tube((0, 0.08, 0), lean, radius, bark, texture(rng), radius_b=radius * 0.75, sides=10)
    green = pick_colour(rng, _LEAVES)
    for _ in range(int(rng.integers(3, 6))):
        end = lean + np.array([rng.normal(0, 0.8), rng.uniform(0.8, 1.8), rng.normal(0, 0.8)])
        b.tube(lean, end, radius * 0.5, bark, texture(rng), radius_b=radius * 0.2, sides=6)
        count = int(rng.integers(10, 30))
        bases = lean + (end - lean) * rng.uniform(0.3, 1.2, (count, 1)) + rng.normal(0, 0.3, (count, 3))
        tips = bases + rng.normal(0, 0.2, (count, 3))
        b.leaves(bases, tips, rng.uniform(0.1, 0.3, count), green * rng.uniform(0.4, 1.4, (count, 1)))
    return b.build()


def make_hedge(rng: np.random.Generator) -> Mesh:
    """A hedge or bush of leaf cards along x, dense enough to hide legs."""
    b = MeshBuilder()
    width, height, depth = rng.uniform(0.8, 2.5), rng.uniform(0.4, 1.2), rng.uniform(0.3, 0.6)
    green = pick_colour(rng, _LEAVES)
    b.ellipsoid((0, height * 0.5, 0), (width * 0.46, height * 0.47, depth * 0.45), green * 0.4, texture(rng))
    count = int(120 * width)
    outward = rng.normal(0, 1, (count, 3))
    outward /= np.linalg.norm(outward, axis=1, keepdims=True)
    bases = np.array([0, height * 0.5, 0]) + outward * (width * 0.46, height * 0.47, depth * 0.45)
    tips = bases + outward * 0.09 + rng.normal(0, 0.05, (count, 3))
    bases[:, 1], tips[:, 1] = np.maximum(bases[:, 1], 0.03), np.maximum(tips[:, 1], 0.03)
    b.leaves(bases, tips, rng.uniform(0.03, 0.1, count), green * rng.uniform(0.5, 1.5, (count, 1)))
    return b.build(top_height_m=height)


def make_bollard(rng: np.random.Generator) -> Mesh:
    """A bollard, bin or traffic cone."""
    b = MeshBuilder()
    kind = int(rng.integers(3))
    if kind == 0:
        b.lathe([(0, 0.09), (rng.uniform(0.7, 1.0), 0.08), (1.02, 0.03)], (0, 0, 0), metal(rng))
    elif kind == 1:
        b.lathe([(0, 0.2), (0.85, 0.26), (0.95, 0.2)], (0, 0, 0), upholstery(rng), texture(rng), sides=14)
    else:
        b.box((0, 0.02, 0), (0.36, 0.04, 0.36), linear((230, 90, 30)))
        b.lathe([(0.04, 0.15), (0.7, 0.025)], (0, 0, 0), linear((236, 92, 28)), sides=12)
        b.lathe([(0.3, 0.106), (0.45, 0.078)], (0, 0, 0), linear((240, 240, 240)), sides=12)
    return b.build()


def make_wall(rng: np.random.Generator) -> Mesh:
    """A low wall, board or pitch-side banner along x."""
    b = MeshBuilder()
    width, height = rng.uniform(1.5, 5.0), rng.uniform(0.5, 1.2)
    b.box((0, height / 2, 0), (width, height, rng.uniform(0.04, 0.3)), upholstery(rng), texture(rng))
    return b.build(top_height_m=height)
