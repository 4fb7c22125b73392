"""Things that people hold or wear as meshes, near the origin.

Held: the origin is where the hand closes, +y is up along the thing's handle. Worn: the origin is where the body's
surface would be, +z the body's front, +y up; each maker says which part of the body.
"""

from itertools import pairwise

import numpy as np

from dualpose_ros.lab.synthetic.things.furniture import linear, metal, texture, upholstery, wood
from dualpose_ros.lab.synthetic.things.mesh import Mesh, MeshBuilder, rotation_about_x, rotation_about_y


def make_handbag(rng: np.random.Generator) -> Mesh:
    """A handbag or shopping bag hanging below the hand by its straps."""
    b = MeshBuilder()
    colour, grain = upholstery(rng), texture(rng)
    width, height, depth, drop = (
        rng.uniform(0.2, 0.42),
        rng.uniform(0.16, 0.4),
        rng.uniform(0.06, 0.16),
        rng.uniform(0.1, 0.3),
    )
    outline = np.array([(-0.5, -1), (0.5, -1), (0.42, 0), (-0.42, 0)]) * (width, height)
    b.prism(outline, depth, (0, -drop, 0), colour, grain)
    for z in (-1, 1):
        for x in (-1, 1):
            b.tube((x * width * 0.25, -drop, z * depth * 0.4), (0, 0, 0), 0.008, colour * 0.7, sides=5)
    return b.build()


def make_suitcase(rng: np.random.Generator) -> Mesh:
    """A trolley case standing below the hand, its handle drawn out to the origin."""
    b = MeshBuilder()
    colour, grain, dark = upholstery(rng), texture(rng), linear((26, 26, 28))
    width, height, depth = rng.uniform(0.34, 0.5), rng.uniform(0.5, 0.78), rng.uniform(0.2, 0.32)
    reach = rng.uniform(0.3, 0.45)
    b.box((0, -reach - height / 2, 0), (width, height, depth), colour, grain)
    for y in np.linspace(0.2, 0.8, 4):
        b.box((0, -reach - height * y, depth / 2 + 0.004), (width * 0.9, 0.012, 0.008), colour * 0.6)
    for x in (-1, 1):
        b.tube(
            (x * width * 0.25, -reach, -depth * 0.3), (x * width * 0.25, 0, -depth * 0.3), 0.008, metal(rng), sides=5
        )
        b.ellipsoid(
            (x * width * 0.4, -reach - height - 0.02, -depth * 0.3), (0.025, 0.03, 0.03), dark, rings=4, sides=6
        )
    b.tube((-width * 0.25, 0, -depth * 0.3), (width * 0.25, 0, -depth * 0.3), 0.013, dark)
    return b.build()


def make_ball(rng: np.random.Generator) -> Mesh:
    """A ball of any sport, held from behind: its centre lies one radius ahead of the origin."""
    b = MeshBuilder()
    radius = float(rng.choice([0.033, 0.037, 0.105, 0.11, 0.12])) * rng.uniform(0.97, 1.03)
    b.ellipsoid((0, 0, radius), (radius, radius, radius), upholstery(rng), texture(rng), rings=8, sides=12)
    return b.build()


def _stick(rng: np.random.Generator, length: float, radius: float, end: float) -> MeshBuilder:
    b = MeshBuilder()
    colour = wood(rng) if rng.random() < 0.5 else upholstery(rng)
    b.lathe(
        [(-0.12, radius), (0.15, radius), (0.4 * length, radius * 1.1), (length, end)], (0, 0, 0), colour, texture(rng)
    )
    b.lathe([(-0.12, radius * 1.15), (0.18, radius * 1.15)], (0, 0, 0), linear(rng.uniform(10, 80, 3)))
    return b


def make_bat(rng: np.random.Generator) -> Mesh:
    """A baseball bat, a cricket bat or a stick."""
    if rng.random() < 0.3:
        b = _stick(rng, 0.3, 0.017, 0.017)
        b.box((0, 0.55, 0), (0.108, 0.55, 0.045), wood(rng), texture(rng))
        return b.build()
    return _stick(rng, rng.uniform(0.65, 0.8), 0.014, rng.uniform(0.018, 0.034)).build()


def make_racket(rng: np.random.Generator) -> Mesh:
    """A tennis or badminton racket: handle, frame and a net of strings."""
    b = _stick(rng, 0.28, 0.015, 0.012)
    colour, rx, ry, up = upholstery(rng), rng.uniform(0.10, 0.13), rng.uniform(0.13, 0.17), 0.28
    angle = 2 * np.pi * np.arange(15) / 14
    rim = np.stack([rx * np.sin(angle), up + ry * (1 - np.cos(angle)), 0 * angle], axis=1)
    for p, q in pairwise(rim):
        b.tube(p, q, 0.011, colour, sides=5)
    for t in np.linspace(-0.75, 0.75, 7):
        reach = np.sqrt(1 - t * t)
        b.tube((t * rx, up + ry * (1 - reach), 0), (t * rx, up + ry * (1 + reach), 0), 0.0015, (0.8, 0.8, 0.8), sides=3)
        b.tube(
            (-rx * reach, up + ry * (1 + t), 0), (rx * reach, up + ry * (1 + t), 0), 0.0015, (0.8, 0.8, 0.8), sides=3
        )
    return b.build()


def make_umbrella(rng: np.random.Generator) -> Mesh:
    """An open umbrella above the hand, or a furled one below it."""
    b = MeshBuilder()
    colour, grain, length = upholstery(rng), texture(rng), rng.uniform(0.65, 0.85)
    if rng.random() < 0.3:
        b.lathe([(-length, 0.012), (-0.15, 0.035), (0.0, 0.015)], (0, 0, 0), colour, grain)
        return b.build()
    b.tube((0, -0.1, 0), (0, length, 0), 0.008, metal(rng), sides=5)
    radius = rng.uniform(0.45, 0.62)
    angle = np.linspace(0, np.pi / 2, 5)
    shell = [(length - 0.3 * (1 - float(np.cos(a))), float(max(radius * np.sin(a), 1e-3))) for a in angle[::-1]]
    b.lathe(shell, (0, 0, 0), colour, grain, sides=8)
    return b.build()


def make_book(rng: np.random.Generator) -> Mesh:
    """A book, magazine, tablet or sheet, its face toward +z."""
    b = MeshBuilder()
    width, height = rng.uniform(0.12, 0.3), rng.uniform(0.18, 0.36)
    if rng.random() < 0.5:
        for x in (-1, 1):
            b.box((x * width / 2, 0.02, 0), (width, height, 0.012), linear((226, 222, 210)), texture(rng),
                  rotation_about_y(-x * 0.35))  # fmt: skip
    else:
        b.box((0, 0.02, 0), (width, height, rng.uniform(0.008, 0.04)), upholstery(rng), texture(rng))
    return b.build()


def make_phone(rng: np.random.Generator) -> Mesh:
    b = MeshBuilder()
    b.box((0, 0.03, 0.01), (rng.uniform(0.065, 0.08), rng.uniform(0.13, 0.165), 0.01), linear(rng.uniform(5, 60, 3)))
    return b.build()


def make_cup(rng: np.random.Generator) -> Mesh:
    """A cup, mug or glass."""
    b = MeshBuilder()
    radius, height = rng.uniform(0.03, 0.045), rng.uniform(0.08, 0.15)
    b.lathe(
        [(-height / 2, radius * rng.uniform(0.6, 1)), (height / 2, radius)],
        (0, 0, radius),
        upholstery(rng),
        texture(rng),
    )
    return b.build()


def make_bottle(rng: np.random.Generator) -> Mesh:
    b = MeshBuilder()
    radius, height = rng.uniform(0.028, 0.045), rng.uniform(0.18, 0.32)
    profile = [(-0.1, radius), (height * 0.5, radius), (height * 0.7, radius * 0.4), (height - 0.05, radius * 0.38)]
    b.lathe(profile, (0, 0, radius), upholstery(rng), texture(rng))
    b.lathe([(-0.03, radius * 1.02), (height * 0.3, radius * 1.02)], (0, 0, radius), upholstery(rng))
    return b.build()


def make_skis(rng: np.random.Generator) -> Mesh:
    """Skis or a snowboard carried upright."""
    b = MeshBuilder()
    colour, grain = upholstery(rng), texture(rng)
    pair = rng.random() < 0.6
    length, width = rng.uniform(1.4, 1.85), 0.08 if pair else rng.uniform(0.24, 0.3)
    for x in (-1, 1) if pair else (0,):
        b.box((x * 0.05, 0.1, 0.04), (width, length, 0.02), colour, grain)
        b.box((x * 0.05, 0.1 + length / 2 + 0.05, 0.065), (width, 0.14, 0.02), colour, grain, rotation_about_x(0.5))
    return b.build()


def make_board(rng: np.random.Generator) -> Mesh:
    """A skateboard or surfboard held at one's side; it lies in the x = 0 plane."""
    b = MeshBuilder()
    length, width = (rng.uniform(1.6, 2.4), 0.52) if rng.random() < 0.5 else (rng.uniform(0.7, 0.85), 0.2)
    b.ellipsoid((0, -0.1, 0), (0.025, width / 2, length / 2), upholstery(rng), texture(rng), rings=8, sides=16)
    return b.build()


def make_tray(rng: np.random.Generator) -> Mesh:
    """A box, tray, pan or parcel held before the body; the origin is its near edge."""
    b = MeshBuilder()
    size = np.array([rng.uniform(0.2, 0.55), rng.uniform(0.03, 0.35), rng.uniform(0.2, 0.4)])
    b.box((0, size[1] * 0.3, size[2] / 2), size, upholstery(rng), texture(rng))
    return b.build()


def make_backpack(rng: np.random.Generator) -> Mesh:
    """A backpack on the back: the origin is between the shoulder blades, the sack at -z, straps toward +z."""
    b = MeshBuilder()
    colour, grain = upholstery(rng), texture(rng)
    width, height, depth = rng.uniform(0.26, 0.36), rng.uniform(0.38, 0.6), rng.uniform(0.13, 0.26)
    b.ellipsoid((0, -0.08, -depth * 0.5), (width * 0.56, height * 0.55, depth * 0.6), colour, grain, sides=12)
    b.ellipsoid((0, -0.18, -depth * 0.95), (width * 0.42, height * 0.3, depth * 0.35), colour * 0.8, grain)
    for x in (-1, 1):
        path = [(0.11, 0.12, 0.0), (0.13, 0.17, 0.08), (0.13, 0.1, 0.21), (0.13, -0.1, 0.24), (0.17, -0.28, 0.1)]
        for p, q in pairwise(path):
            b.tube((x * p[0], p[1], p[2]), (x * q[0], q[1], q[2]), 0.022, colour * 0.7, sides=6)
    return b.build()


def make_hat(rng: np.random.Generator) -> Mesh:
    """A cap, a brimmed hat, a woolly hat or a helmet: the origin is the top of the head, +z the face."""
    b = MeshBuilder()
    colour, grain, kind = upholstery(rng), texture(rng), int(rng.integers(4))
    rx, rz = rng.uniform(0.085, 0.1), rng.uniform(0.1, 0.118)
    turn = rotation_about_x(rng.normal(0, 0.1))
    if kind == 0:
        b.ellipsoid((0, -0.055, -0.005), (rx, 0.078, rz), colour, grain, turn=turn)
        b.ellipsoid((0, -0.065, rz + 0.02), (rx * 0.85, 0.012, 0.075), colour * 0.8, grain, turn=rotation_about_x(0.15))
    elif kind == 1:
        brim, crown = rng.uniform(0.14, 0.22), rng.uniform(0.02, 0.08)
        b.lathe([(-0.07, brim), (-0.06, brim)], (0, 0, 0), colour, grain, sides=16)
        b.lathe([(-0.065, 0.108), (crown, 0.095), (crown + 0.03, 0.06)], (0, 0, 0), colour, grain, sides=14)
        b.lathe([(-0.06, 0.112), (-0.035, 0.112)], (0, 0, 0), colour * 0.4, sides=14)
    elif kind == 2:
        b.ellipsoid((0, -0.07, -0.01), (rx + 0.01, 0.1, rz + 0.01), colour, grain)
        if rng.random() < 0.5:
            b.ellipsoid((0, 0.05, -0.01), (0.035, 0.035, 0.035), upholstery(rng))
    else:
        b.ellipsoid((0, -0.06, -0.005), (rx + 0.025, 0.1, rz + 0.03), colour, grain, sides=12)
    return b.build()


def make_sunglasses(rng: np.random.Generator) -> Mesh:
    """Glasses before the eyes: the origin is the bridge of the nose, +z the face."""
    b = MeshBuilder()
    dark = linear(rng.uniform(5, 50, 3))
    for x in (-1, 1):
        b.ellipsoid((x * 0.034, 0, 0.012), (0.028, 0.021, 0.005), dark, rings=4, sides=8)
        b.tube((x * 0.062, 0.008, 0.01), (x * 0.075, 0.008, -0.1), 0.0035, dark, sides=4)
    b.tube((-0.012, 0.006, 0.014), (0.012, 0.006, 0.014), 0.003, dark, sides=4)
    return b.build()


def make_scarf(rng: np.random.Generator) -> Mesh:
    """A scarf around the neck: the origin is the neck's middle."""
    b = MeshBuilder()
    colour, grain = upholstery(rng), texture(rng)
    b.lathe([(-0.05, 0.105), (0.0, 0.12), (0.05, 0.09)], (0, -0.01, 0.005), colour, grain, sides=14)
    b.box((rng.uniform(-0.06, 0.06), -0.2, 0.13), (0.11, 0.36, 0.03), colour, grain, rotation_about_x(-0.1))
    return b.build()
