"""Labels of rendered pictures against projection, brute-force depth, and scenes whose answer is known."""

from dataclasses import replace

import numpy as np
import pytest

from dualpose_ros.arrays import Floats
from dualpose_ros.camera import camera_from_hfov, project
from dualpose_ros.datasets.labels import HIDDEN, OCCLUDER, OUTSIDE, VISIBLE, LabelledImage
from dualpose_ros.lab.synthetic.render.geometry import assemble
from dualpose_ros.lab.synthetic.render.labelling import _JOINT_DEPTH_M
from dualpose_ros.lab.synthetic.render.render import Actor, Lighting, View, random_lighting, render, trace
from dualpose_ros.lab.synthetic.scenes.placing import look_at
from dualpose_ros.lab.synthetic.scenes.world import StillPose, World, as_actor, pose_person
from dualpose_ros.lab.synthetic.things.mesh import Mesh, MeshBuilder

LIGHT = Lighting(np.array([0.3, 0.9, 0.3]), np.ones(3), np.full(3, 0.5), np.full(3, 0.3))
GREY = np.full((200, 160, 3), 100, np.uint8)


def person(world: World, number: int, place: tuple[float, float], seed: int = 0, yaw: float = 0.0) -> Actor:
    dressed = world.cast[number % len(world.cast)]
    rng = np.random.default_rng(seed)
    return as_actor(number, dressed, pose_person(dressed, rng, world.poses[seed], yaw, np.array(place)))


def view_from(distance: float, height: float = 1.2, hfov: float = 0.9) -> View:
    rotation, translation = look_at(np.array([0.0, height, distance]), np.array([0.0, 0.9, 0.0]), 0.0)
    return View(camera_from_hfov(160, 200, hfov), rotation, translation)


def wall(low: tuple[float, float, float], high: tuple[float, float, float]) -> Mesh:
    builder = MeshBuilder()
    centre, size = (np.array(low) + high) / 2, np.subtract(high, low)
    builder.box(tuple(centre), tuple(size), (0.5, 0.2, 0.1))
    return builder.build()


def picture(actors: list[Actor], props: list[Mesh], view: View, world: World) -> LabelledImage:
    return render(actors, props, view, GREY, world.textures, LIGHT)


def first_surface(actors: list[Actor], props: list[Mesh], view: View, pixel: Floats) -> tuple[float, int]:
    """Depth and object of the first triangle on the ray of a pixel, or (inf, 0)."""
    geometry = assemble(actors, props, view)
    camera = view.camera
    ray = np.array([(pixel[0] - camera.cx) / camera.fx, (pixel[1] - camera.cy) / camera.fy, 1.0])
    a, b, c = (geometry.vertices[geometry.faces[:, corner]].astype(np.float64) for corner in range(3))
    ab, ac = b - a, c - a
    p = np.cross(ray, ac)
    determinant = np.einsum("fi,fi->f", ab, p)
    with np.errstate(divide="ignore", invalid="ignore"):
        u = np.einsum("fi,fi->f", -a, p) / determinant
        q = np.cross(-a, ab)
        v = q @ ray / determinant
        z = np.einsum("fi,fi->f", ac, q) / determinant
    away = np.einsum("fi,fi->f", np.cross(ab, ac), a) > 0
    hit = (u >= 0) & (v >= 0) & (u + v <= 1) & (z > 0) & ~(geometry.face_closed & away)
    if not hit.any():
        return np.inf, 0
    nearest = np.flatnonzero(hit)[np.argmin(z[hit])]
    return float(z[nearest]), int(geometry.face_object[nearest])


def test_joints_in_the_picture_are_the_projected_ones(small_world: World) -> None:
    view = view_from(4.0)
    actors = [person(small_world, n, (0.7 * n - 0.7, 0.3 * n), seed=n) for n in range(3)]
    sample = picture(actors, [], view, small_world)
    assert list(sample.people.ids) == [0, 1, 2]
    for actor, cam, px in zip(actors, sample.people.joints_cam, sample.people.joints_px, strict=True):
        np.testing.assert_allclose(cam, actor.joints_m @ view.rotation.T + view.translation, atol=1e-5)
        np.testing.assert_allclose(px, project(sample.camera, cam), atol=1e-2)


@pytest.mark.parametrize("seed", range(4))
def test_visibility_is_what_single_rays_find(small_world: World, seed: int) -> None:
    rng = np.random.default_rng(seed)
    view = view_from(3.0, height=rng.uniform(0.6, 2.2))
    places = [(0.0, 0.0), *rng.uniform(-0.8, 0.8, (2, 2))]
    actors = [person(small_world, n, tuple(place), seed=n + seed, yaw=n) for n, place in enumerate(places)]
    props = [wall((-0.4, 0, 0.9), (0.5, 0.8, 1.0))] if seed % 2 else []
    sample = picture(actors, props, view, small_world)
    differing = checked = 0
    for n, people in enumerate(zip(sample.people.joints_cam, sample.people.joints_px, strict=True), start=1):
        for joint, (cam, px) in enumerate(zip(*people, strict=True)):
            found = sample.people.visibility[n - 1, joint]
            x, y = np.round(px)
            if not (0 <= x < 160 and 0 <= y < 200):
                assert found == OUTSIDE
                continue
            depth, owner = first_surface(actors, props, view, np.array([x + 0.25, y + 0.25]))  # the sample looked at
            hidden = depth < cam[2] - _JOINT_DEPTH_M[joint] or (owner not in (0, n) and depth < cam[2])
            differing += found != (HIDDEN if hidden else VISIBLE)
            checked += 1
    assert checked > 20 and differing <= 1  # one ray may graze an edge


def test_a_wall_in_front_hides_everything_behind_it(small_world: World) -> None:
    view, actor = view_from(4.0), person(small_world, 0, (0, 0))
    bare = picture([actor], [], view, small_world)
    assert (bare.people.visibility == VISIBLE).sum() > 10 and bare.people.visible_fraction[0] == 1
    hidden = picture([actor], [wall((-3, -1, 1.5), (3, 4, 1.6))], view, small_world)
    assert (hidden.people.visibility == HIDDEN).all() and hidden.people.visible_fraction[0] == 0
    assert (hidden.mask == OCCLUDER).all()
    np.testing.assert_allclose(hidden.people.boxes_px, bare.people.boxes_px)
    behind = picture([actor], [wall((-3, -1, -1.6), (3, 4, -1.5))], view, small_world)
    np.testing.assert_array_equal(behind.people.visibility, bare.people.visibility)
    assert behind.people.visible_fraction[0] == pytest.approx(1, abs=0.03)


def test_half_a_cover_leaves_half_a_person(small_world: World) -> None:
    view, actor = view_from(4.0), person(small_world, 0, (0, 0))
    bare = picture([actor], [], view, small_world)
    rows = np.flatnonzero((bare.mask == 1).any(1))
    counts = np.cumsum((bare.mask == 1).sum(1))
    middle = int(np.searchsorted(counts, counts[-1] / 2))
    camera = view.camera
    ray = np.array([0, (middle + 0.5 - camera.cy) / camera.fy, 1.0])
    at = view.rotation.T @ (2.0 * ray - view.translation)  # on the ray through the middle row, 2 m ahead
    half = picture([actor], [wall((-3, -2, at[2] - 0.001), (3, at[1], at[2] + 0.001))], view, small_world)
    assert half.people.visible_fraction[0] == pytest.approx(0.5, abs=0.05)
    assert (half.mask[rows[0] : middle - 1] != OCCLUDER).all()
    assert (half.mask[middle + 3 :] == OCCLUDER).all()
    visible = half.people.visibility[0] == VISIBLE
    above = half.people.joints_px[0, :, 1] < middle
    assert (visible == ((bare.people.visibility[0] == VISIBLE) & above)).mean() > 0.9


@pytest.mark.parametrize("seed", range(3))
def test_boxes_enclose_silhouettes_tightly(small_world: World, seed: int) -> None:
    view = view_from(3.5 + seed, hfov=1.1)
    sample = picture([person(small_world, 0, (0.1, 0), seed=seed)], [], view, small_world)
    y, x = np.nonzero(sample.mask == 1)
    x0, y0, x1, y1 = sample.people.boxes_px[0]
    assert x0 - 0.5 <= x.min() <= x0 + 1.5 and x1 - 1.5 <= x.max() <= x1 + 0.5
    assert y0 - 0.5 <= y.min() <= y0 + 1.5 and y1 - 1.5 <= y.max() <= y1 + 0.5


def test_boxes_are_clipped_to_the_picture_and_people_beyond_it_have_none(small_world: World) -> None:
    view = view_from(1.3)
    close, far_left, behind = (person(small_world, n, place) for n, place in enumerate([(0, 0), (9, 0), (0, 6)]))
    people = picture([close, far_left, behind], [], view, small_world).people
    assert (people.boxes_px[0, 2:] <= [159, 199]).all() and (people.boxes_px[0, :2] >= 0).all()
    assert (people.visibility[0] == OUTSIDE).any() and (people.visibility[0] != OUTSIDE).any()
    for outside in (1, 2):
        assert (people.visibility[outside] == OUTSIDE).all()
        assert ((people.boxes_px[outside, 2:] - people.boxes_px[outside, :2]) < 1e-3).any()
        assert people.visible_fraction[outside] == 0
    assert np.isfinite(people.joints_px).all()


def test_mask_names_the_nearest_and_fractions_count_it(small_world: World) -> None:
    view = view_from(4.0)
    front, back = person(small_world, 0, (0, 0.8)), person(small_world, 1, (0.15, -0.5), seed=1)
    both = picture([back, front], [], view, small_world)
    alone = [picture([actor], [], view, small_world) for actor in (back, front)]
    assert set(np.unique(both.mask)) <= {0, 1, 2}
    in_front = (both.mask == 2) == (alone[1].mask == 1)
    assert in_front.mean() > 0.998
    expected = (both.mask == 1).sum() / (alone[0].mask == 1).sum()
    assert both.people.visible_fraction[0] == pytest.approx(expected, abs=0.03)
    assert both.people.visible_fraction[1] > 0.97
    assert expected < 0.9, "the front one does cover the other"


def test_small_people_have_exact_fractions_too(small_world: World) -> None:
    view = view_from(13.0)
    near, far = person(small_world, 0, (0.1, 1.0)), person(small_world, 1, (0.0, -1.0), seed=1)
    both = picture([near, far], [], view, small_world).people
    alone = trace([far], [], view)
    seen = trace([near, far], [], view)
    count = [(t.face_id >= 0) & (t.geometry.face_object[t.face_id] == n) for t, n in ((seen, 2), (alone, 1))]
    assert both.visible_fraction[1] == pytest.approx(count[0].sum() / count[1].sum(), abs=1e-6)


def test_picture_shows_the_background_where_nobody_is(small_world: World) -> None:
    view = view_from(4.0)
    textured = np.random.default_rng(0).integers(0, 256, GREY.shape, dtype=np.uint8)
    dim = replace(LIGHT, key=np.zeros(3))  # no key light, no shadow on the floor: 5 % remain
    sample = render([person(small_world, 0, (0, 0))], [], view, textured, small_world.textures, dim)
    empty = sample.mask == 0
    assert np.abs(sample.image[:40][empty[:40]].astype(int) - textured[:40][empty[:40]]).max() <= 1
    lit = picture([person(small_world, 0, (0, 0))], [], view, small_world)
    assert lit.image[lit.mask == 1].std() > 5
    floor = lit.image[110:][lit.mask[110:] == 0]
    assert floor.min() < 90 and np.median(floor) == 100, "a shadow falls on some of the floor"


def test_nobody_and_nothing_is_just_the_background(small_world: World) -> None:
    sample = picture([], [], view_from(4.0), small_world)
    assert len(sample.people) == 0 and (sample.mask == 0).all()
    assert np.abs(sample.image.astype(int) - GREY).max() <= 1
    assert sample.people.joints_px.shape == (0, 17, 2) and sample.people.boxes_px.shape == (0, 4)


def test_props_use_textures_that_exist(small_world: World) -> None:
    prop = wall((-0.5, 0, 0), (0.5, 1, 0.2))
    tagged = replace(prop, texture_id=np.full(len(prop.faces), 15, np.int32))
    one = render([], [tagged], view_from(4.0), GREY, small_world.textures[:1], LIGHT)
    wrapped = replace(prop, texture_id=np.zeros(len(prop.faces), np.int32))
    same = render([], [wrapped], view_from(4.0), GREY, small_world.textures[:1], LIGHT)
    np.testing.assert_array_equal(one.image, same.image)


def test_exposure_pulls_the_brightness_toward_what_is_wanted(small_world: World) -> None:
    actor, view = person(small_world, 0, (0, 0)), view_from(3.0)
    means = []
    for wanted in (0.05, 0.4):
        sample = render([actor], [], view, GREY, small_world.textures, replace(LIGHT, exposure=wanted))
        means.append(((sample.image[sample.mask == 1] / 255.0) ** 2.2).mean())
    plain = picture([actor], [], view, small_world)
    middle = ((plain.image[plain.mask == 1] / 255.0) ** 2.2).mean()
    assert 0.05 < means[0] < middle < means[1] < 0.4, "part of the way from what it is without"


def test_random_lights_come_from_above(small_world: World) -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        light = random_lighting(rng)
        assert light.direction[1] > 0.2 and np.linalg.norm(light.direction) == pytest.approx(1)
        assert min(light.key.min(), light.sky.min(), light.ground.min()) > 0


def test_still_poses_face_ahead_above_the_origin(small_world: World) -> None:
    for pose in (*small_world.poses, *small_world.seated):
        assert isinstance(pose, StillPose)
        left = pose.joints_m[4] - pose.joints_m[1]
        np.testing.assert_allclose(pose.joints_m[0, [0, 2]], 0, atol=1e-9)
        assert left[0] >= 0 and abs(left[2]) < 1e-6
