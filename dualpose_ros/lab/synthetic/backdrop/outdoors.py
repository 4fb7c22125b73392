"""Outdoor scenes: skies, streets, parks, water, snow, beaches and sports grounds."""

import cv2
import numpy as np

from dualpose_ros.arrays import RgbImage
from dualpose_ros.lab.synthetic.backdrop.materials import pick
from dualpose_ros.lab.synthetic.backdrop.paint import Look, Scene, View, make_view
from dualpose_ros.lab.synthetic.backdrop.rooms import look, picture, tint
from dualpose_ros.lab.synthetic.looks.noise import fractal

_SKIES = (
    ((96, 146, 214), (196, 218, 236)), ((60, 112, 190), (170, 200, 230)), ((176, 184, 192), (222, 224, 226)),
    ((120, 128, 138), (176, 180, 184)), ((70, 84, 130), (244, 184, 140)), ((20, 24, 44), (60, 62, 80)),
    ((210, 216, 222), (244, 244, 242)), ((150, 180, 210), (240, 232, 214)),
)  # fmt: skip


def outdoor_view(rng: np.random.Generator, height: int, width: int) -> View:
    """From a wide street view to a tele shot of a field."""
    hfov = float(
        np.radians(rng.choice([rng.uniform(50, 80), rng.uniform(20, 50), rng.uniform(5, 20)], p=[0.4, 0.4, 0.2]))
    )
    lift = float(np.clip(rng.normal(1.6, 0.5), 0.5, 4.0))
    pitch = float(rng.normal(0.03, 0.09)) if rng.random() < 0.8 else float(rng.uniform(0.12, 0.5))
    return make_view(height, width, hfov, lift, pitch, float(rng.normal(0, 0.3)), float(rng.normal(0, 0.025)))


def paint_sky(rng: np.random.Generator, image: RgbImage, view: View) -> tuple[float, float, float]:
    """Fill the image with a sky, brightest at the horizon, cloudy or clear; returns the horizon's colour."""
    height, width = image.shape[:2]
    top, low = (np.array(c, np.float32) * rng.uniform(0.85, 1.1) for c in _SKIES[int(rng.integers(len(_SKIES)))])
    horizon = view.centre_px[1] - view.focal_px * np.tan(np.arcsin(-view.rotation[2, 1]))
    rise = np.clip((horizon - np.arange(height, dtype=np.float32)) / max(view.focal_px * 0.7, 1), 0, 1)[:, None]
    rows = low + (top - low) * rise
    image[:] = np.clip(rows, 0, 255)[:, None]
    if rng.random() < 0.6:
        cover = np.clip(
            fractal(rng, (height + 1) // 2, (width + 1) // 2, smooth=True) * rng.uniform(0.2, 0.8)
            + rng.uniform(-0.3, 0.5),
            0,
            1,
        )
        cover = cv2.resize(cover, (width, height))[..., None] * np.float32(0.85)
        image[:] = image + (np.float32(rng.uniform(190, 250)) - image) * cover
    r, g, b = (float(v) for v in np.clip(low, 0, 255))
    return r, g, b


def _scene(rng: np.random.Generator, view: View, horizon: tuple[float, float, float]) -> Scene:
    sunny = rng.random() < 0.5
    side = (float(rng.uniform(0.35, 0.7)), 1.15, 1.0) if sunny else (0.85, 1.0, 0.9)
    if rng.random() < 0.5:
        side = (side[2], side[1], side[0])
    return Scene(view, fog_m=float(rng.choice([60, 150, 400, 1000])), fog_rgb=horizon, side_light=side)


def _ground(rng: np.random.Generator, scene: Scene, kinds: tuple[str, ...], tile: float, light: float) -> None:
    reach = 400.0
    surface = look(rng, *kinds, light=light, spread=0.06)
    scene.plane((-reach, 0, -3), (2 * reach, 0, 0), (0, 0, reach), (2 * reach / tile, reach / tile), surface, 1e6)


def _backdrop(rng: np.random.Generator, scene: Scene, far: float) -> None:
    """Hills, woods or houses along the horizon."""
    light = float(rng.uniform(0.5, 1.0))
    kind = rng.random()
    scene.next_layer()
    if kind < 0.6:
        for x in np.arange(-far, far, far * rng.uniform(0.12, 0.3)):
            size = far * rng.uniform(0.12, 0.3)
            sprite = picture(rng, "tree", "conifer", "bush", light=light * float(rng.uniform(0.6, 1.1)))
            scene.card((float(x), 0.0, far * float(rng.uniform(0.8, 1.2))), float(size), float(size), sprite)
    if kind > 0.35:
        high = far * float(rng.uniform(0.03, 0.12))
        surface = look(rng, "foliage", "foliage", "grass", "brick", "concrete", "plaster", light=light)
        scene.plane(
            (-3 * far, high, far * 1.25), (6 * far, 0, 0), (0, -high, 0), (40, 40 * high / far / 6 + 1), surface
        )
    scene.next_layer()


def street(rng: np.random.Generator, view: View, horizon: tuple[float, float, float]) -> Scene:
    """Houses along a road, pavements, cars, poles, trees, signs and shop fronts."""
    scene = _scene(rng, view, horizon)
    light = float(rng.uniform(0.55, 1.05))
    _ground(rng, scene, ("ground", "concrete", "stones", "floor_tiles"), float(rng.uniform(1, 3)), light)
    half = float(rng.uniform(2.5, 6))
    scene.next_layer()
    road = look(rng, "ground", "concrete", light=light * 0.75, spread=0.03)
    if rng.random() < 0.7:
        scene.plane((-half, 0, -3), (2 * half, 0, 0), (0, 0, 200), (2 * half / 3, 66), road, 1e5)
        for z_stripe in np.arange(2.0, 60.0, 4.0):
            stripe = Look(pick(rng, "plaster"), (1.1, 1.1, 1.1), light)
            scene.plane((-0.08, 0, float(z_stripe)), (0.16, 0, 0), (0, 0, 2), (1, 1), stripe, 1e4)
    scene.next_layer()
    for side in (-1, 1):
        z = float(rng.uniform(-2, 3))
        setback = half + float(rng.uniform(1.5, 6))
        while z < 60:
            deep, high = float(rng.uniform(5, 16)), float(rng.uniform(4, 20))
            _house(rng, scene, side * (setback + 4), z + deep / 2, (8.0, high, deep), light)
            z += deep + float(rng.choice([0, 0, 2, 6]))
    if rng.random() < 0.6:
        _house(
            rng,
            scene,
            float(rng.normal(0, 6)),
            float(rng.uniform(9, 60)),
            (float(rng.uniform(10, 40)), float(rng.uniform(5, 18)), 4.0),
            light,
        )
    for _ in range(int(rng.integers(3, 14))):
        _street_thing(rng, scene, half, light)
    return scene


def _house(
    rng: np.random.Generator, scene: Scene, x: float, z: float, size: tuple[float, float, float], light: float
) -> None:
    front = look(rng, "facade", "facade", "brick", "plaster", "concrete", light=light)
    tile = float(rng.uniform(5, 11))
    scene.box((x, 0, z), size, 0.0, front, tile)
    if rng.random() < 0.6:
        shop = picture(rng, "shop", "goods", "window", "cabinet", light=light)
        wide = size[2] * 0.96
        scene.box((x, 0, z), (size[0] + 0.06, float(rng.uniform(2.6, 4)), wide), 0.0, shop, 0)


def _street_thing(rng: np.random.Generator, scene: Scene, half: float, light: float) -> None:
    side = float(rng.choice([-1, 1]))
    z = float(rng.uniform(4, 30))
    foot = (side * (half + float(rng.normal(0, 0.8))), 0.0, z)
    kind = rng.random()
    mirror = bool(rng.random() < 0.5)
    if kind < 0.35:
        scale = float(rng.uniform(0.85, 1.15))
        surface = picture(rng, "car", light=light)
        if rng.random() < 0.5:
            scene.card(foot, 4.3 * scale, 1.5 * scale, surface, mirror)
        else:
            paint = Look(pick(rng, "plaster", "metal"), tint(rng, 0.3, 0.5), light)
            scene.box((foot[0], 0.25, z), (1.75, 0.6, 4.2), 0.0, paint)
            scene.box((foot[0], 0.8, z), (1.5, 0.55, 2.2), 0.0, Look(paint.material, (0.2, 0.23, 0.26), light))
    elif kind < 0.6:
        size = float(rng.uniform(2.5, 8))
        scene.card(foot, size, size, picture(rng, "tree", "tree", "conifer", "bush", light=light), mirror)
    elif kind < 0.75:
        scene.card(foot, 1.2, float(rng.uniform(3, 6)), picture(rng, "street_lamp", light=light), mirror)
    elif kind < 0.83:
        scene.card(foot, 1.7, 1.05, picture(rng, "bicycle", light=light), mirror)
    elif kind < 0.92:
        w, h = float(rng.uniform(0.5, 3)), float(rng.uniform(0.5, 2))
        scene.plane(
            (foot[0], float(rng.uniform(1.2, 4)), z),
            (w, 0, 0),
            (0, -h, 0),
            (1, 1),
            picture(rng, "poster", "painting", light=light),
        )
    else:
        scene.card(foot, 1.0, 1.2, picture(rng, "bust", "garment", "limbs", "parasol", "animal", light=light), mirror)


def nature(rng: np.random.Generator, view: View, horizon: tuple[float, float, float]) -> Scene:
    """Meadow, wood, beach, snow or lakeside."""
    scene = _scene(rng, view, horizon)
    light = float(rng.uniform(0.6, 1.1))
    _ground(
        rng, scene, ("grass", "grass", "grass", "ground", "ground", "water", "stones"), float(rng.uniform(1, 6)), light
    )
    if rng.random() < 0.35:
        scene.next_layer()
        near = float(rng.uniform(4, 25))
        second = look(rng, "water", "ground", "grass", light=light)
        scene.plane((-300, 0, near), (600, 0, 0), (0, 0, 300), (120, 60), second)
    _backdrop(rng, scene, float(rng.uniform(12, 60)))
    for _ in range(int(rng.integers(2, 22))):
        z = float(rng.uniform(3, 22))
        foot, size = (float(rng.uniform(-0.8, 0.8) * z), 0.0, z), float(rng.uniform(0.5, 6))
        kinds = ("tree", "tree", "conifer", "bush", "bush", "animal", "plant", "parasol", "bicycle")
        surface = picture(rng, *kinds, light=light * float(rng.uniform(0.6, 1.1)))
        scene.card(foot, size, size, surface, bool(rng.random() < 0.5))
    if rng.random() < 0.3:
        z = float(rng.uniform(3, 10))
        rail = look(rng, "planks", "metal", light=light)
        for y in (0.4, 0.8, 1.1):
            scene.plane((-z, y, z), (2 * z, 0, 0), (0, -0.08, 0), (10, 0.2), rail)
    return scene


def sports(rng: np.random.Generator, view: View, horizon: tuple[float, float, float]) -> Scene:
    """A pitch or court with lines, boards, nets and stands full of spectators."""
    scene = _scene(rng, view, horizon)
    light = float(rng.uniform(0.75, 1.15))
    kinds = ("grass", "planks", "plaster", "ground", "concrete")
    kind = kinds[int(rng.choice(5, p=[0.5, 0.15, 0.15, 0.12, 0.08]))]
    court = look(rng, kind, light=light, spread=0.35 if kind == "plaster" else 0.05)
    scene.plane((-60, 0, -3), (120, 0, 0), (0, 0, 120), (40, 40), court, 1e6)
    if kind == "grass" and rng.random() < 0.6:
        for x in np.arange(-40.0, 40.0, 10.0):
            scene.plane((float(x), 0, -3), (5, 0, 0), (0, 0, 100), (3, 60), court.dimmed(0.85), 1e5)
    scene.next_layer()
    line = Look(pick(rng, "plaster"), (1.2, 1.2, 1.2) if rng.random() < 0.8 else tint(rng, 0.5), light)
    for _ in range(int(rng.integers(2, 8))):
        width = float(rng.uniform(0.05, 0.14))
        if rng.random() < 0.5:
            scene.plane((-40, 0, float(rng.uniform(1, 20))), (80, 0, 0), (0, 0, width), (1, 1), line, 1e4)
        else:
            scene.plane(
                (float(rng.uniform(-8, 8)), 0, 0), (width, 0, 0), (float(rng.normal(0, 3)), 0, 30), (1, 1), line, 1e4
            )
    scene.next_layer()
    far, y = float(rng.uniform(8, 40)), 0.0
    if rng.random() < 0.75:
        board = float(rng.uniform(0.6, 1.6))
        for x in np.arange(-30.0, 30.0, 4.0):
            surface = picture(rng, "poster", "painting", "fabric", light=light)
            scene.plane((float(x), board, far), (4, 0, 0), (0, -board, 0), (1, 1), surface)
        y = board
    if rng.random() < 0.75:
        crowd, high = look(rng, "crowd", light=light * float(rng.uniform(0.4, 0.9))), float(rng.uniform(3, 12))
        tile = float(rng.uniform(3, 6))
        scene.plane(
            (-60, y + high, far + high), (120, 0, 0), (0, -high, -high + 0.5), (120 / tile, 1.4 * high / tile), crowd
        )
    else:
        _backdrop(rng, scene, far * 1.3)
    if rng.random() < 0.25:
        net, z = look(rng, "fabric", "blinds", light=light * 0.5), float(rng.uniform(3, 8))
        scene.plane((-8, 1.0, z), (16, 0, 0), (0, -0.05, 0), (8, 1), line)
        scene.plane((-8, 0.95, z), (16, 0, 0), (0, -0.9, 0), (16, 1), net)
    for _ in range(int(rng.integers(0, 5))):
        foot = (float(rng.uniform(-4, 4)), 0.0, float(rng.uniform(3, far)))
        scene.card(foot, 0.25, 0.25, picture(rng, "vessel", "limbs", light=light))
    return scene
