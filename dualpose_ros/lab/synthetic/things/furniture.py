"""Furniture and street objects as meshes: each stands on the floor at the origin and faces +z."""

import numpy as np
import numpy.typing as npt

from dualpose_ros.arrays import Floats
from dualpose_ros.lab.synthetic.looks.textures import cloth_colour
from dualpose_ros.lab.synthetic.things.mesh import TEXTURES, Mesh, MeshBuilder, rotation_about_x, rotation_about_y

_WOODS = ((150, 108, 70), (110, 76, 50), (196, 160, 116), (74, 52, 40), (220, 214, 204), (40, 34, 32))
_METALS = ((150, 152, 156), (40, 40, 42), (200, 200, 202), (90, 94, 98))
_GREENS = ((64, 104, 44), (90, 120, 54), (44, 80, 46), (120, 130, 70))


def linear(colour: npt.ArrayLike) -> Floats:
    """Linear RGB in 0..1 of an sRGB colour in 0..255 (gamma 2.2)."""
    return (np.clip(np.asarray(colour, dtype=np.float64), 0, 255) / 255) ** 2.2


def pick_colour(rng: np.random.Generator, palette: tuple[tuple[int, int, int], ...]) -> Floats:
    """A linear colour near one of an sRGB palette."""
    base = np.array(palette[int(rng.integers(len(palette)))], dtype=np.float64)
    return linear(base * rng.uniform(0.75, 1.15) + rng.normal(0, 4, 3))


def wood(rng: np.random.Generator) -> Floats:
    """A wood's linear colour."""
    return pick_colour(rng, _WOODS)


def metal(rng: np.random.Generator) -> Floats:
    """A metal's linear colour."""
    return pick_colour(rng, _METALS)


def upholstery(rng: np.random.Generator) -> Floats:
    """A cloth's linear colour."""
    return linear(cloth_colour(rng))


def texture(rng: np.random.Generator) -> int:
    """A texture number of a mesh."""
    return int(rng.integers(TEXTURES))


def make_chair(rng: np.random.Generator) -> Mesh:
    """A chair with four legs and a solid, slatted or open back, perhaps arms. Sitting faces +z."""
    b = MeshBuilder()
    frame, seat, grain = wood(rng) if rng.random() < 0.7 else metal(rng), upholstery(rng), texture(rng)
    width, depth, height = rng.uniform(0.40, 0.52), rng.uniform(0.40, 0.50), rng.uniform(0.42, 0.50)
    top, leg = rng.uniform(0.78, 1.05), rng.uniform(0.012, 0.025)
    for x in (-1, 1):
        b.tube((x * width * 0.45, 0, depth * 0.45), (x * width * 0.42, height, depth * 0.42), leg, frame)
        b.tube((x * width * 0.45, 0, -depth * 0.5), (x * width * 0.42, height, -depth * 0.45), leg, frame)
        b.tube((x * width * 0.42, height, -depth * 0.45), (x * width * 0.42, top, -depth * 0.55), leg, frame)
    b.box((0, height - 0.025, 0), (width, 0.05, depth), seat, grain)
    if rng.random() < 0.6:
        b.box((0, (top + height + 0.15) / 2, -depth * 0.51), (width * 0.86, top - height - 0.15, 0.03), seat, grain)
    else:
        for x in np.linspace(-0.35, 0.35, int(rng.integers(3, 7))):
            b.tube((x * width, height, -depth * 0.47), (x * width, top, -depth * 0.54), 0.008, frame)
        b.box((0, top - 0.03, -depth * 0.55), (width * 0.9, 0.06, 0.025), frame)
    if rng.random() < 0.25:
        for x in (-1, 1):
            b.box((x * width * 0.5, height + 0.2, 0), (0.05, 0.03, depth * 0.9), frame)
            b.tube((x * width * 0.5, height, depth * 0.4), (x * width * 0.5, height + 0.2, depth * 0.4), leg, frame)
    return b.build(seat_height_m=height)


def make_stool(rng: np.random.Generator) -> Mesh:
    """A stool of kitchen or bar height."""
    b = MeshBuilder()
    frame, radius = metal(rng), rng.uniform(0.15, 0.2)
    height = float(rng.choice([0.45, 0.65, 0.76])) * rng.uniform(0.95, 1.05)
    b.lathe([(height - 0.05, radius), (height, radius)], (0, 0, 0), upholstery(rng), texture(rng), sides=14)
    for angle in np.arange(4) * np.pi / 2 + np.pi / 4:
        out = np.array([np.cos(angle), 0, np.sin(angle)])
        b.tube(out * (radius + 0.05), out * radius * 0.7 + (0, height - 0.05, 0), 0.013, frame)
    return b.build(seat_height_m=height)


def make_office_chair(rng: np.random.Generator) -> Mesh:
    """A swivel chair: five feet, a column, padded seat and back, armrests."""
    b = MeshBuilder()
    pad, dark, grain = upholstery(rng), linear(rng.uniform(15, 60, 3)), texture(rng)
    height, width = rng.uniform(0.44, 0.54), rng.uniform(0.46, 0.54)
    for angle in np.arange(5) * 2 * np.pi / 5:
        foot = np.array([np.sin(angle) * 0.3, 0.05, np.cos(angle) * 0.3])
        b.tube((0, 0.1, 0), foot, 0.02, dark)
        b.ellipsoid(foot - (0, 0.02, 0), (0.03, 0.03, 0.03), dark, rings=4, sides=6)
    b.tube((0, 0.08, 0), (0, height - 0.08, 0), 0.03, dark)
    b.ellipsoid((0, height - 0.04, 0), (width / 2, 0.06, width / 2), pad, grain, sides=14)
    top = rng.uniform(0.9, 1.25)
    b.ellipsoid((0, (top + height + 0.1) / 2, -width * 0.5), (width * 0.46, (top - height - 0.1) / 2, 0.05), pad, grain,
                turn=rotation_about_x(-0.12))  # fmt: skip
    b.tube((0, height - 0.06, -width * 0.4), (0, height + 0.25, -width * 0.52), 0.025, dark)
    if rng.random() < 0.7:
        for x in (-1, 1):
            b.tube((x * width * 0.52, height - 0.05, 0), (x * width * 0.55, height + 0.2, 0), 0.015, dark)
            b.box((x * width * 0.55, height + 0.21, 0.02), (0.07, 0.03, 0.26), dark)
    return b.build(seat_height_m=height + 0.02)


def _seating(rng: np.random.Generator, width: float, seats: int) -> Mesh:
    b = MeshBuilder()
    cover, grain, cushion = upholstery(rng), texture(rng), texture(rng)
    depth, height = rng.uniform(0.75, 0.95), rng.uniform(0.38, 0.46)
    back, arm = rng.uniform(0.75, 0.95), rng.uniform(0.10, 0.22)
    b.box((0, height * 0.45 + 0.03, 0), (width, height * 0.7, depth), cover, grain)
    inner = width - 2 * arm
    for k in range(seats):
        x = -inner / 2 + (k + 0.5) * inner / seats
        b.ellipsoid((x, height - 0.03, depth * 0.08), (inner / seats * 0.56, 0.1, depth * 0.45), cover, grain)
        b.ellipsoid((x, (height + back) / 2, -depth * 0.30), (inner / seats * 0.54, (back - height) * 0.62, 0.12),
                    cover * 0.92, grain)  # fmt: skip
    b.box((0, back * 0.5, -depth * 0.43), (width, back * 0.94, depth * 0.14), cover, grain)
    for x in (-1, 1):
        b.box((x * (width - arm) / 2, height * 0.75, 0.02), (arm, height * 1.1, depth * 0.96), cover, grain)
    for _ in range(int(rng.integers(0, seats + 2))):
        x = rng.uniform(-0.4, 0.4) * inner
        b.ellipsoid((x, height + 0.18, -depth * 0.12), (0.2, 0.2, 0.07), upholstery(rng), cushion,
                    turn=rotation_about_x(rng.uniform(-0.5, -0.1)))  # fmt: skip
    return b.build(seat_height_m=height + 0.02, top_height_m=back)


def make_sofa(rng: np.random.Generator) -> Mesh:
    """A sofa for two to four."""
    seats = int(rng.integers(2, 5))
    return _seating(rng, seats * rng.uniform(0.58, 0.7) + 0.35, seats)


def make_armchair(rng: np.random.Generator) -> Mesh:
    """A sofa for one."""
    return _seating(rng, rng.uniform(0.8, 1.0), 1)


def make_table(rng: np.random.Generator) -> Mesh:
    """A rectangular or round table of dining, desk, coffee or bar height, perhaps with things on it."""
    b = MeshBuilder()
    colour, grain = wood(rng), texture(rng)
    height = float(rng.choice([0.74, 0.45, 1.05], p=[0.75, 0.15, 0.10])) * rng.uniform(0.95, 1.05)
    width, depth = rng.uniform(0.6, 2.0), rng.uniform(0.55, 0.95)
    thick = rng.uniform(0.02, 0.06)
    if rng.random() < 0.3:
        width = depth = rng.uniform(0.6, 1.2)
        b.lathe([(height - thick, width / 2), (height, width / 2)], (0, 0, 0), colour, grain, sides=18)
        b.tube((0, 0, 0), (0, height - thick, 0), 0.04, metal(rng))
        b.lathe([(0.0, width * 0.3), (0.03, width * 0.28)], (0, 0, 0), metal(rng), sides=14)
    else:
        b.box((0, height - thick / 2, 0), (width, thick, depth), colour, grain)
        legs = colour if rng.random() < 0.6 else metal(rng)
        for x in (-1, 1):
            for z in (-1, 1):
                b.box((x * (width / 2 - 0.06), (height - thick) / 2, z * (depth / 2 - 0.06)),
                      (0.05, height - thick, 0.05), legs)  # fmt: skip
    if rng.random() < 0.35:
        cloth, drop = upholstery(rng), rng.uniform(0.1, 0.5)
        b.box((0, height - drop / 2 + 0.01, 0), (width + 0.04, drop, depth + 0.04), cloth, texture(rng))
        height += 0.01
    return b.build(top_height_m=height)


def make_desk(rng: np.random.Generator) -> Mesh:
    """A desk with drawers or panels, and a laptop or monitor that faces -z, toward who sits behind it."""
    b = MeshBuilder()
    colour, grain, dark = wood(rng), texture(rng), linear(rng.uniform(10, 60, 3))
    width, depth, height = rng.uniform(1.0, 1.8), rng.uniform(0.6, 0.8), rng.uniform(0.70, 0.77)
    b.box((0, height - 0.015, 0), (width, 0.03, depth), colour, grain)
    for side in (-1, 1):
        b.box((side * (width / 2 - 0.02), (height - 0.03) / 2, 0), (0.04, height - 0.03, depth * 0.95), colour, grain)
    if rng.random() < 0.6:
        b.box((0, height * 0.6, depth * 0.42), (width * 0.95, height * 0.6, 0.02), colour, grain)
    x = rng.uniform(-0.25, 0.25) * width
    if rng.random() < 0.5:
        b.box((x, height + 0.008, 0), (0.34, 0.016, 0.24), metal(rng))
        b.box((x, height + 0.12, 0.15), (0.34, 0.23, 0.012), metal(rng), 0, rotation_about_x(0.25))
    else:
        wide, tall = rng.uniform(0.45, 0.75), rng.uniform(0.28, 0.42)
        b.box((x, height + 0.14 + tall / 2, 0.12), (wide, tall, 0.03), dark)
        b.tube((x, height, 0.15), (x, height + 0.2, 0.14), 0.02, dark)
        b.box((x, height + 0.01, 0.13), (0.24, 0.02, 0.2), dark)
    for _ in range(int(rng.integers(0, 6))):
        size = rng.uniform(0.05, 0.2, 3)
        at = (rng.uniform(-0.45, 0.45) * width, height + size[1] / 2, rng.uniform(-0.35, 0.35) * depth)
        b.box(at, size, upholstery(rng), texture(rng), rotation_about_y(rng.uniform(0, 3)))
    return b.build(top_height_m=height)


def make_counter(rng: np.random.Generator) -> Mesh:
    """A counter or bar whose closed front faces +z, with a worktop and things on it."""
    b = MeshBuilder()
    width, depth, height = rng.uniform(1.2, 3.5), rng.uniform(0.45, 0.7), rng.uniform(0.88, 1.15)
    front, worktop = (wood(rng), wood(rng)) if rng.random() < 0.6 else (upholstery(rng), metal(rng))
    b.box((0, (height - 0.04) / 2, 0), (width, height - 0.04, depth), front, texture(rng))
    b.box((0, height - 0.02, 0), (width + 0.06, 0.04, depth + 0.06), worktop, texture(rng))
    for x in np.arange(-width / 2 + 0.3, width / 2 - 0.1, rng.uniform(0.3, 0.6)):
        b.box((x, height * 0.5, depth / 2 + 0.004), (0.015, height * 0.85, 0.008), front * 0.5)
    for _ in range(int(rng.integers(0, 10))):
        x, z = rng.uniform(-0.45, 0.45) * width, rng.uniform(-0.2, 0.2)
        tall, radius = rng.uniform(0.08, 0.32), rng.uniform(0.03, 0.09)
        b.lathe(
            [(0, radius), (tall * 0.6, radius), (tall, radius * rng.uniform(0.3, 1))], (x, height, z), upholstery(rng)
        )
    return b.build(top_height_m=height)


def make_shelf(rng: np.random.Generator) -> Mesh:
    """Shelves, open to +z, with books and boxes."""
    b = MeshBuilder()
    width, depth, height = rng.uniform(0.6, 1.6), rng.uniform(0.25, 0.4), rng.uniform(0.8, 2.1)
    colour, grain = wood(rng), texture(rng)
    boards = int(rng.integers(3, 6))
    for side in (-1, 1):
        b.box((side * width / 2, height / 2, 0), (0.025, height, depth), colour, grain)
    b.box((0, height / 2, -depth / 2), (width, height, 0.01), colour * 0.7, grain)
    for k in range(boards):
        y = 0.05 + k * (height - 0.1) / (boards - 1)
        b.box((0, y, 0), (width, 0.025, depth), colour, grain)
        x, room = -width / 2 + 0.04, (height - 0.1) / (boards - 1)
        while k < boards - 1 and x < width / 2 - 0.15:
            size = np.array([rng.uniform(0.03, 0.15), room * rng.uniform(0.4, 0.85), depth * rng.uniform(0.5, 0.9)])
            b.box((x + size[0] / 2, y + 0.012 + size[1] / 2, 0), size * (0.92, 1, 1), upholstery(rng), texture(rng))
            x += size[0] + (rng.uniform(0.05, 0.3) if rng.random() < 0.2 else 0)
    return b.build(top_height_m=height)


def make_box_pile(rng: np.random.Generator) -> Mesh:
    """One to five boxes stacked askew."""
    b = MeshBuilder()
    y: float = 0.0
    size = rng.uniform(0.35, 0.8, 3) * (1, 0.7, 1)
    for _ in range(int(rng.integers(1, 6))):
        colour = linear((176, 136, 92)) * rng.uniform(0.6, 1.2) if rng.random() < 0.6 else upholstery(rng)
        b.box((rng.normal(0, 0.03), y + size[1] / 2, rng.normal(0, 0.03)), size, colour, texture(rng),
              rotation_about_y(rng.normal(0, 0.15)))  # fmt: skip
        y += size[1]
        size = size * rng.uniform(0.7, 1.0, 3)
    return b.build(top_height_m=y)


def make_plant(rng: np.random.Generator) -> Mesh:
    """A pot plant or shrub of leaf cards."""
    b = MeshBuilder()
    pot, height, green = rng.uniform(0.2, 0.45), rng.uniform(0.5, 1.7), pick_colour(rng, _GREENS)
    b.lathe([(0, pot * 0.3), (pot, pot * 0.45)], (0, 0, 0), upholstery(rng), texture(rng))
    spread, slim = rng.uniform(0.2, 0.6), rng.uniform(0.03, 0.16)
    count = int(rng.integers(25, 80))
    angle, lift = rng.uniform(0, 2 * np.pi, count), rng.uniform(0.1, 1.0, count)
    out = np.stack([np.cos(angle), 0 * angle, np.sin(angle)], axis=1)
    bases = out * 0.04
    bases[:, 1] = pot + lift * (height - pot) * 0.6
    tips = bases + out * (spread * rng.uniform(0.4, 1, count))[:, None]
    tips[:, 1] += rng.normal(0.15, 0.15, count)
    b.leaves(bases, tips, slim * rng.uniform(0.6, 1.4, count), green * rng.uniform(0.5, 1.4, (count, 1)))
    b.tube((0, pot * 0.8, 0), (0, pot + (height - pot) * 0.7, 0), 0.015, wood(rng), radius_b=0.006)
    return b.build()


def make_door_frame(rng: np.random.Generator) -> Mesh:
    """A door frame to look through, perhaps with an open leaf."""
    b = MeshBuilder()
    width, height, thick, colour = rng.uniform(0.8, 1.1), rng.uniform(2.0, 2.2), rng.uniform(0.06, 0.14), wood(rng)
    for x in (-1, 1):
        b.box((x * (width + thick) / 2, height / 2, 0), (thick, height, 0.16), colour, texture(rng))
    b.box((0, height + thick / 2, 0), (width + 2 * thick, thick, 0.16), colour, texture(rng))
    if rng.random() < 0.5:
        angle = rng.uniform(0.8, 1.7)
        centre = np.array([-width / 2 + np.cos(angle) * width / 2, height / 2, -np.sin(angle) * width / 2])
        b.box(centre, (width, height, 0.04), colour * rng.uniform(0.7, 1.1), texture(rng), rotation_about_y(angle))
    return b.build()


def make_lamp(rng: np.random.Generator) -> Mesh:
    """A standing lamp."""
    b = MeshBuilder()
    height, dark = rng.uniform(1.2, 1.8), metal(rng)
    b.lathe([(0, 0.15), (0.03, 0.13)], (0, 0, 0), dark, sides=14)
    b.tube((0, 0, 0), (0, height, 0), 0.012, dark)
    b.lathe([(height - 0.1, rng.uniform(0.16, 0.26)), (height + 0.16, rng.uniform(0.08, 0.18))], (0, 0, 0),
            np.array([0.95, 0.85, 0.65]), sides=14)  # fmt: skip
    return b.build()
