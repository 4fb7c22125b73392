"""People stand apart, seats meet the seated, cameras look where they should, frames hold who they say."""

import numpy as np
import pytest

from dualpose_ros.datasets.labels import OCCLUDER
from dualpose_ros.lab.synthetic.body.rig import PART
from dualpose_ros.lab.synthetic.scenes import placing as scene
from dualpose_ros.lab.synthetic.scenes.frames import FRAME_SIZES, make_frame
from dualpose_ros.lab.synthetic.scenes.world import World, as_actor, pose_person
from dualpose_ros.lab.synthetic.things import props as things


def test_groups_stand_apart_around_the_target(small_world: World) -> None:
    for seed in range(10):
        actors = scene.place_group(small_world, np.random.default_rng(seed), 5, 0.2, 0.6)
        places = np.array([actor.joints_m[0, [0, 2]] for actor in actors])
        assert 1 <= len(actors) <= 5 and [actor.person_id for actor in actors] == list(range(len(actors)))
        assert np.linalg.norm(places[0]) < 0.3
        gaps = np.linalg.norm(places[:, None] - places[None], axis=-1) + 9 * np.eye(len(places))
        assert gaps.min() > 0.15  # pelvises sway a little about their places


def test_all_of_a_group_may_sit(small_world: World) -> None:
    rng = np.random.default_rng(0)
    seated = scene.place_group(small_world, rng, 3, 1.0, 0.8)
    height = [actor.joints_m[10, 1] for actor in seated]
    whole = [actor.dressed.rig.joints[10, 1] - actor.dressed.rig.sole_y for actor in seated]
    assert (np.array(height) < 0.93 * np.array(whole)).all()


def test_seats_meet_the_thighs_of_those_who_sit(small_world: World) -> None:
    rng = np.random.default_rng(4)
    met = 0
    for _ in range(12):
        actor = scene.place_group(small_world, rng, 1, 1.0, 0.5)[0]
        if not scene._sits(actor):
            continue
        seat = scene._seat(small_world, rng, actor)
        assert seat.seat_height_m == pytest.approx(max(actor.joints_m[0, 1] - 0.1, 0.15), abs=0.01)
        centre = (seat.vertices.min(0) + seat.vertices.max(0)) / 2
        assert np.linalg.norm((centre - actor.joints_m[0])[[0, 2]]) < 0.5
        met += 1
    assert met > 3


@pytest.mark.parametrize("kind", things.WORN)
def test_worn_things_sit_where_they_belong_and_turn_with_the_body(
    small_world: World, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scene, "_thing", lambda world, rng, *kinds: (kind, world.props[kind][0]))
    dressed, pose = small_world.cast[0], small_world.poses[0]
    on_head = kind in ("hat", "sunglasses")
    seen = []
    for yaw in (0.0, 2.0):
        actor = as_actor(0, dressed, pose_person(dressed, np.random.default_rng(0), pose, yaw, np.zeros(2)))
        mesh = scene._worn(small_world, np.random.default_rng(0), actor)
        rotation = actor.rotations[PART["head" if on_head else "chest"]]
        local = (mesh.vertices - actor.joints_m[10 if on_head else 8]) @ rotation
        middle = (local.min(0) + local.max(0)) / 2
        assert abs(middle[0]) < 0.06, "on the body's middle"
        if kind == "hat":
            assert -0.12 < middle[1] < 0.1 and local[:, 1].max() > 0
        elif kind == "sunglasses":
            assert -0.2 < middle[1] < -0.04 and local[:, 2].max() > 0.07
        elif kind == "backpack":
            assert middle[2] < 0 and -0.5 < middle[1] < 0
        else:
            assert -0.4 < middle[1] < 0.15 and local[:, 1].max() > 0
        seen.append(local)
    np.testing.assert_allclose(seen[0], seen[1], atol=1e-4)


def test_furnishing_adds_things_of_the_world(small_world: World) -> None:
    rng = np.random.default_rng(5)
    counts = []
    for _ in range(30):
        actors = scene.place_group(small_world, rng, 2, 0.5, 0.6)
        camera_at = np.array([0.0, 1.5, 4.0])
        meshes = scene.furnish(small_world, rng, actors, camera_at, 0.5)
        counts.append(len(meshes))
        for mesh in meshes:
            assert np.isfinite(mesh.vertices).all() and mesh.vertices.dtype == np.float32
    assert max(counts) >= 3 and min(counts) <= 1


def test_world_holds_things_of_every_kind(small_world: World) -> None:
    kinds = {*things.FURNITURE, *things.STREET, *things.HANDHELD, *things.WORN}
    assert set(small_world.props) == kinds
    assert all(len(meshes) == 1 for meshes in small_world.props.values())


@pytest.mark.parametrize("seed", range(5))
def test_cameras_look_at_their_target(seed: int) -> None:
    rng = np.random.default_rng(seed)
    camera_at, target = rng.normal(0, 3, 3), rng.normal(0, 1, 3)
    roll = rng.normal(0, 0.5)
    rotation, translation = scene.look_at(camera_at, target, roll)
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(rotation) == pytest.approx(1)
    seen = rotation @ target + translation
    np.testing.assert_allclose(seen, [0, 0, float(np.linalg.norm(target - camera_at))], atol=1e-9)
    np.testing.assert_allclose(rotation @ camera_at + translation, 0, atol=1e-9)
    level, _ = scene.look_at(camera_at, target, 0.0)
    up = level @ [0, 1, 0]
    assert up[1] < 0 and abs(up[0]) < 1e-9, "the world's up points up in the picture"


def test_frames_are_labelled_and_vary(small_world: World) -> None:
    counts, shapes = [], set()
    for seed in range(10):
        frame = make_frame(small_world, np.random.default_rng(seed))
        people, (height, width) = frame.people, frame.mask.shape
        counts.append(len(people))
        shapes.add((width, height))
        assert frame.image.shape == (height, width, 3) and (frame.camera.width, frame.camera.height) == (width, height)
        assert set(np.unique(frame.mask)) <= {0, OCCLUDER, *range(1, len(people) + 1)}
        assert (people.joints_cam[:, 0, 2] > 0).all()
        for number, box in enumerate(people.boxes_px, start=1):
            y, x = np.nonzero(frame.mask == number)
            if len(x):
                assert box[0] - 1 <= x.min() and x.max() <= box[2] + 1
                assert box[1] - 1 <= y.min() and y.max() <= box[3] + 1
    assert shapes <= set(FRAME_SIZES) and len(shapes) > 1
    assert max(counts) >= 4 and len(set(counts)) > 3


def test_a_frame_without_people_is_empty(small_world: World) -> None:
    seeds = range(200)
    empty = next(s for s in seeds if len(make_frame(small_world, np.random.default_rng(s), (64, 48)).people) == 0)
    frame = make_frame(small_world, np.random.default_rng(empty), (64, 48))
    assert frame.people.joints_px.shape == (0, 17, 2) and (frame.mask == 0).all()
