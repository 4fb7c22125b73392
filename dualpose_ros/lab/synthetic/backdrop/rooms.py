"""Indoor scenes: rooms in perspective with floors, walls, windows, shelves, furniture and clutter."""

import math

import numpy as np

from dualpose_ros.lab.synthetic.backdrop.materials import pick
from dualpose_ros.lab.synthetic.backdrop.paint import Look, Scene, View, make_view

_FLOORS = ("planks", "planks", "floor_tiles", "carpet", "concrete", "fabric", "marble", "ground")
_WALLS = ("plaster", "plaster", "plaster", "wallpaper", "brick", "planks", "concrete", "floor_tiles")

_WALL_THINGS = (
    "window", "door", "painting", "poster", "bookshelf", "curtain", "blinds", "screen", "cabinet", "goods",
)  # fmt: skip
_WALL_SHARES = (0.17, 0.1, 0.18, 0.1, 0.12, 0.08, 0.05, 0.06, 0.08, 0.06)


def tint(rng: np.random.Generator, spread: float = 0.09, level: float = 0.2) -> tuple[float, float, float]:
    """A random multiplier of colours: brightness varies by `level`, hue by `spread` (log units)."""
    a, r, g, b = rng.standard_normal(4).tolist()
    grey = math.exp(a * level)
    return (
        min(grey * math.exp(r * spread), 2.2),
        min(grey * math.exp(g * spread), 2.2),
        min(grey * math.exp(b * spread), 2.2),
    )


def look(rng: np.random.Generator, *kinds: str, light: float = 1.0, spread: float = 0.09) -> Look:
    """A random material of the given kinds, tinted, its texture shifted."""
    u, v = rng.random(2)
    return Look(pick(rng, *kinds), tint(rng, spread), light, offset_uv=(float(u), float(v)))


def picture(rng: np.random.Generator, *kinds: str, light: float = 1.0) -> Look:
    """As `look`, but the tile is a picture that must not be shifted."""
    return Look(pick(rng, *kinds), tint(rng, 0.08, 0.15), light)


def indoor_view(rng: np.random.Generator, height: int, width: int) -> View:
    """A hand-held or mounted camera in a room, from wide angle to a tele crop."""
    kind = rng.random()
    low, high = (55, 85) if kind < 0.45 else (28, 55) if kind < 0.85 else (14, 28)
    hfov = float(np.radians(rng.uniform(low, high)))
    lift = float(np.clip(rng.normal(1.4, 0.35), 0.4, 2.1))
    # from above the eye looks down, from below up, so that what stands about is in the picture
    pitch = float(rng.normal(0.05 + 0.15 * (lift - 1.2), 0.09)) if rng.random() < 0.85 else float(rng.uniform(0.2, 0.6))
    return make_view(height, width, hfov, lift, pitch, float(rng.normal(0, 0.35)), float(rng.normal(0, 0.03)))


def room(rng: np.random.Generator, view: View) -> Scene:
    """A furnished room around the view."""
    scene = Scene(
        view, side_light=(float(rng.uniform(0.55, 1.1)), float(rng.uniform(0.9, 1.25)), float(rng.uniform(0.7, 1.1)))
    )
    left, right, far = -rng.uniform(1.5, 4.5), rng.uniform(1.5, 4.5), rng.uniform(2.5, 8.5)
    high = float(max(rng.uniform(2.3, 3.4), view.position[1] + 0.3))
    _shell(rng, scene, left, right, far, high)
    _wall_things(rng, scene, left, right, far, high)
    scene.next_layer()
    for _ in range(int(rng.integers(3, 10))):
        x, z = rng.uniform(left + 0.4, right - 0.4), rng.uniform(1.2, far - 0.4)
        at_wall = rng.random() < 0.6
        if at_wall:
            z = far - rng.uniform(0.2, 0.5)
        _furniture(rng, scene, float(x), float(z), float(rng.choice([0, np.pi / 2]) + rng.normal(0, 0.15)), at_wall)
    return scene


def _shell(rng: np.random.Generator, scene: Scene, left: float, right: float, far: float, high: float) -> None:
    """Floor, ceiling and three walls, lit by pools of light."""
    wide, back = right - left, -1.5
    deep = far - back
    base = float(rng.uniform(0.55, 1.1))

    def lit(surface: Look, factor: float, u: float, v: float) -> Look:
        place = (float(rng.uniform(0, max(u, 0.1))), float(rng.uniform(0, max(v, 0.1))))
        return Look(
            surface.material, surface.tint, base * factor, float(rng.uniform(0, 0.9)), place,
            float(rng.uniform(0.2, 0.8) * max(u, v, 0.3)), surface.offset_uv,
        )  # fmt: skip

    tile = float(rng.uniform(0.5, 2.0))
    floor = lit(look(rng, *_FLOORS), 0.85, wide / tile, deep / tile)
    scene.plane((left, 0, back), (wide, 0, 0), (0, 0, deep), (wide / tile, deep / tile), floor, 100)
    ceiling = lit(look(rng, "plaster", "plaster", "concrete", "planks", spread=0.03), 1.1, wide / 2, deep / 2)
    scene.plane((left, high, back), (wide, 0, 0), (0, 0, deep), (wide / 2, deep / 2), ceiling, 100)
    wall = look(rng, *_WALLS)
    other = wall if rng.random() < 0.7 else look(rng, *_WALLS)
    tile = float(rng.uniform(0.8, 2.5))
    for corner, along, surface, factor in (
        ((left, high, back), (0.0, 0.0, deep), other, 0.85),
        ((right, high, back), (0.0, 0.0, deep), wall, 0.75),
        ((left, high, far), (wide, 0.0, 0.0), wall, 1.0),
    ):
        length = wide if along[0] else deep
        finish = lit(surface, factor, length / tile, high / tile)
        scene.plane(corner, along, (0, -high, 0), (length / tile, high / tile), finish, 90)
        if rng.random() < 0.6:
            board = Look(pick(rng, "plaster", "planks"), tint(rng), base * factor)
            scene.plane((corner[0], 0.1, corner[2]), along, (0, -0.1, 0), (length, 0.1), board, 85)


def _wall_things(rng: np.random.Generator, scene: Scene, left: float, right: float, far: float, high: float) -> None:
    """Windows, doors, pictures, shelves, curtains and screens on the walls."""
    for _ in range(int(rng.integers(5, 14))):
        side = int(rng.choice(3, p=[0.25, 0.25, 0.5]))
        kind = str(rng.choice(_WALL_THINGS, p=_WALL_SHARES))
        if kind == "door":
            w, h, y = rng.uniform(0.8, 1.0), 2.05, 2.05
        elif kind in ("bookshelf", "goods", "cabinet"):
            w, h = rng.uniform(0.8, 2.4), rng.uniform(0.7, 2.2)
            y = h if rng.random() < 0.5 else rng.uniform(h, max(h + 0.1, high))
        elif kind in ("curtain", "window", "blinds"):
            w, h, y = rng.uniform(0.7, 2.6), rng.uniform(0.9, 2.0), rng.uniform(2.0, high)
        else:
            w, h = rng.uniform(0.25, 1.5), rng.uniform(0.25, 1.1)
            y = rng.uniform(1.2, high)
        light = float(rng.uniform(1.0, 1.7)) if kind == "window" else float(rng.uniform(0.6, 1.1))
        surface = picture(rng, kind, light=light)
        _on_wall(scene, rng, side, (left, right, far), float(w), float(h), float(y), surface)


def _on_wall(
    scene: Scene, rng: np.random.Generator, side: int, walls: tuple[float, float, float], w: float, h: float, y: float,
    surface: Look,
) -> None:  # fmt: skip
    left, right, far = walls
    gap = 0.02
    if side == 2:
        x = float(rng.uniform(left, max(left + 0.1, right - w)))
        scene.plane((x, y, far - gap), (w, 0, 0), (0, -h, 0), (1, 1), surface, 50)
    else:
        z = float(rng.uniform(0.3, max(0.4, far - w)))
        scene.plane((left + gap if side == 0 else right - gap, y, z), (0, 0, w), (0, -h, 0), (1, 1), surface, 50)


def _furniture(rng: np.random.Generator, scene: Scene, x: float, z: float, yaw: float, at_wall: bool) -> None:
    """One piece of furniture with what stands on it."""
    kind = str(rng.choice(["table", "cupboard", "sofa", "chair", "plant", "lamp", "boxes", "bed", "sprite", "counter"],
                          p=[0.2, 0.18, 0.12, 0.14, 0.08, 0.06, 0.06, 0.05, 0.05, 0.06]))  # fmt: skip
    light = float(rng.uniform(0.5, 1.0))
    at = (x, 0.0, z)
    if kind == "table":
        table(rng, scene, at, yaw, light)
    elif kind in ("cupboard", "counter"):
        size = (float(rng.uniform(0.6, 2.4)), float(rng.uniform(0.7, 2.0) if kind == "cupboard" else 0.95), 0.5)
        body = look(rng, "planks", "plaster", "metal", light=light)
        front = picture(rng, "bookshelf", "cabinet", "cabinet", "goods", light=light)
        scene.box(at, size, 0.0 if at_wall else yaw, (body, body, front), 0)
        clutter(rng, scene, (x, size[1], z), size[0] * 0.45, 0.15, light)
    elif kind == "sofa":
        sofa(rng, scene, at, 0.0 if at_wall else yaw, light)
    elif kind == "bed":
        cover = look(rng, "fabric", light=light)
        scene.box(at, (1.5, 0.5, 2.0), yaw, cover)
        scene.box((x, 0.5, z + 0.6), (1.2, 0.15, 0.4), yaw, look(rng, "fabric", "plaster", light=light * 1.2))
    elif kind == "boxes":
        y = 0.0
        for _ in range(int(rng.integers(1, 5))):
            side = float(rng.uniform(0.3, 0.7))
            scene.box((x, y, z), (side, side * 0.6, side), yaw, look(rng, "plaster", "fabric", "planks", light=light))
            y += side * 0.6
    else:
        sprite, width, height = {
            "chair": ("chair", 0.5, 0.95),
            "plant": ("plant", 0.8, 1.2),
            "lamp": ("lamp", 0.55, 1.6),
        }.get(kind, (str(rng.choice(["garment", "bust", "animal", "limbs", "vessel"])), 0.7, 0.9))
        scale = float(rng.uniform(0.8, 1.3))
        scene.card(at, width * scale, height * scale, picture(rng, sprite, light=light), bool(rng.random() < 0.5))


def table(rng: np.random.Generator, scene: Scene, at: tuple[float, float, float], yaw: float, light: float) -> None:
    """A table with legs, chairs and clutter."""
    wide, deep, high = float(rng.uniform(0.7, 2.0)), float(rng.uniform(0.6, 1.0)), float(rng.uniform(0.45, 0.78))
    top = look(rng, "planks", "plaster", "marble", "fabric", light=light)
    scene.box((at[0], high - 0.04, at[2]), (wide, 0.04, deep), yaw, top)
    leg = look(rng, "metal", "planks", light=light * 0.7)
    c, s = np.cos(yaw), np.sin(yaw)
    for i in (-0.45, 0.45):
        for j in (-0.42, 0.42):
            x, z = at[0] + c * i * wide + s * j * deep, at[2] - s * i * wide + c * j * deep
            scene.box((float(x), 0.0, float(z)), (0.05, high - 0.04, 0.05), yaw, leg)
    clutter(rng, scene, (at[0], high, at[2]), wide * 0.4, deep * 0.35, light)
    for _ in range(int(rng.integers(0, 4))):
        x, z = at[0] + rng.uniform(-0.6, 0.6) * wide, at[2] + rng.choice([-0.75, 0.75]) * deep
        scene.card((float(x), 0.0, float(z)), 0.48, 0.92, picture(rng, "chair", light=light), bool(rng.random() < 0.5))


def sofa(rng: np.random.Generator, scene: Scene, at: tuple[float, float, float], yaw: float, light: float) -> None:
    """A sofa of boxes and cushions, its back away from the camera at yaw 0."""
    cover, wide = look(rng, "fabric", "plaster", light=light), float(rng.uniform(0.8, 2.3))
    c, s = float(np.cos(yaw)), float(np.sin(yaw))

    def part(x: float, y: float, z: float, size: tuple[float, float, float], surface: Look) -> None:
        scene.box((at[0] + c * x + s * z, y, at[2] - s * x + c * z), size, yaw, surface, 0.6)

    part(0, 0.08, 0, (wide, 0.34, 0.8), cover)
    part(0, 0.08, 0.36, (wide, 0.75, 0.16), cover)
    for x in (-1, 1):
        part(x * (wide / 2 - 0.08), 0.08, 0, (0.16, 0.55, 0.8), cover.dimmed(0.9))
    for _ in range(int(rng.integers(0, 4))):
        part(float(rng.uniform(-0.35, 0.35) * wide), 0.42, 0.2, (0.4, 0.35, 0.12), look(rng, "fabric", light=light))


def clutter(
    rng: np.random.Generator, scene: Scene, at: tuple[float, float, float], reach_x: float, reach_z: float, light: float
) -> None:
    """Small things on a surface: bottles, books, boxes, plants, screens."""
    for _ in range(int(rng.integers(0, 8))):
        x, z = at[0] + rng.uniform(-1, 1) * reach_x, at[2] + rng.uniform(-1, 1) * reach_z
        foot = (float(x), at[1], float(z))
        kind = rng.random()
        if kind < 0.4:
            scene.card(
                foot, float(rng.uniform(0.06, 0.16)), float(rng.uniform(0.1, 0.35)), picture(rng, "vessel", light=light)
            )
        elif kind < 0.8:
            w, h, d = (float(v) for v in rng.uniform(0.05, 0.32, 3))
            surface = look(rng, "fabric", "plaster", "metal", "painting", "poster", light=light)
            scene.box(foot, (w, h, d), float(rng.uniform(-0.6, 0.6)), surface, 0)
        elif kind < 0.9:
            scene.card(foot, 0.3, 0.4, picture(rng, "plant", "lamp", light=light))
        else:
            scene.box(
                foot,
                (float(rng.uniform(0.3, 0.9)), float(rng.uniform(0.25, 0.5)), 0.04),
                0.0,
                picture(rng, "screen"),
                0,
            )


def studio(rng: np.random.Generator, view: View) -> Scene:
    """A bare wall, backdrop or curtain with a floor, and little else."""
    scene = Scene(view)
    far = float(rng.uniform(2, 6))
    shade = float(rng.uniform(0.5, 1.3))
    wall = look(rng, "plaster", "plaster", "curtain", "fabric", "brick", "concrete", "wallpaper", light=shade)
    tile = float(rng.uniform(1.0, 4.0))
    wall = Look(
        wall.material,
        wall.tint,
        shade,
        float(rng.uniform(0, 1)),
        (10 / tile, 4 / tile),
        float(rng.uniform(1, 3) / tile),
    )
    scene.plane((-10, 6, far), (20, 0, 0), (0, -8, 0), (20 / tile, 8 / tile), wall, 100)
    if rng.random() < 0.7:
        scene.plane((-10, 0, -2), (20, 0, 0), (0, 0, far + 2), (12, 5), look(rng, *_FLOORS, light=shade * 0.9), 90)
    for _ in range(int(rng.integers(0, 4))):
        surface = picture(rng, "painting", "poster", "window", "screen", "door")
        w, h = float(rng.uniform(0.3, 1.4)), float(rng.uniform(0.3, 1.4))
        scene.plane(
            (float(rng.uniform(-3, 3)), float(rng.uniform(1, 2.6)), far - 0.02),
            (w, 0, 0),
            (0, -h, 0),
            (1, 1),
            surface,
            50,
        )
    return scene
