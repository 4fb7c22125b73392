"""Short videos: who is in them, that they keep apart and are seen, and which way is down."""

from dataclasses import replace

import numpy as np
import pytest

from dualpose_ros.camera import camera_from_hfov, project
from dualpose_ros.datasets.motion import Clip
from dualpose_ros.lab.synthetic.motion.contact import body_size, penetration
from dualpose_ros.lab.synthetic.motion.motion import KINDS, generate
from dualpose_ros.lab.synthetic.render.render import View
from dualpose_ros.lab.synthetic.scenes import sequences
from dualpose_ros.lab.synthetic.scenes.frames import level_camera
from dualpose_ros.lab.synthetic.scenes.sequences import (
    ACTIONS,
    CAPTURED,
    WALKING,
    Script,
    SequenceConfig,
    draw_sequence,
)
from dualpose_ros.lab.synthetic.scenes.world import World
from dualpose_ros.skeleton import H36M17

CAMERA = camera_from_hfov(160, 120, 1.2)


@pytest.fixture(scope="module")
def scripts(small_world: World) -> dict[bool, list[Script]]:
    """Some sequences of either kind."""
    configs = {level: SequenceConfig(frames=12, people=(2, 4), level=level) for level in (True, False)}
    return {
        level: [draw_sequence(small_world, [], np.random.default_rng([7, seed]), config) for seed in range(25)]
        for level, config in configs.items()
    }


def world_clip(seconds: float, fps: float = 30.0) -> Clip:
    motion = generate("stand", np.random.default_rng(1), seconds, fps)
    moved = motion.joints_m + np.array([40.0, 0.0, -30.0])
    return Clip("somebody", moved.astype(np.float32), fps)


@pytest.mark.parametrize("pitch", [-0.3, 0.0, 0.2, 0.7])
@pytest.mark.parametrize("roll", [-0.2, 0.0, 0.3])
def test_a_camera_that_is_tilted_down_looks_down(pitch: float, roll: float) -> None:
    view = level_camera(CAMERA, 2.5, pitch, roll)
    np.testing.assert_allclose(view.rotation @ view.rotation.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(view.rotation) == pytest.approx(1)
    np.testing.assert_allclose(-view.rotation.T @ view.translation, [0, 2.5, 0], atol=1e-12)
    ahead = view.rotation.T @ np.array([0.0, 0.0, 1.0])
    np.testing.assert_allclose(ahead, [0, -np.sin(pitch), np.cos(pitch)], atol=1e-12)
    down = view.rotation @ np.array([0.0, -1.0, 0.0])
    assert down[2] == pytest.approx(np.sin(pitch))
    # Upright, it has the ground at the bottom of the image.
    assert down[1] > 0.6


def test_a_high_camera_that_looks_down_sees_the_floor_in_the_middle() -> None:
    view = level_camera(CAMERA, 3.0, np.arctan(3 / 4))
    seen = view.rotation @ np.array([0.0, 0.0, 4.0]) + view.translation
    np.testing.assert_allclose(project(CAMERA, seen), [CAMERA.cx, CAMERA.cy], atol=1e-9)
    # Upward it would not even be in front of the floor: what is farther away lies higher on the image.
    farther = view.rotation @ np.array([0.0, 0.0, 9.0]) + view.translation
    assert project(CAMERA, farther)[1] < CAMERA.cy


def test_the_same_seed_draws_and_renders_the_same(small_world: World) -> None:
    config = SequenceConfig(frames=2, people=(2, 2))
    first, again, other = (draw_sequence(small_world, [], np.random.default_rng(seed), config) for seed in (5, 5, 6))
    assert first.actions == again.actions and first.cast == again.cast and first.seed == again.seed
    np.testing.assert_array_equal(first.stamps_s, again.stamps_s)
    for a, b in zip(first.posed, again.posed, strict=True):
        np.testing.assert_array_equal(a.joints, b.joints)
    assert first.seed != other.seed
    small = replace(first, views=tuple(View(CAMERA, view.rotation, view.translation) for view in first.views))
    images, images_again = (list(sequences.render_sequence(small_world, small)) for _ in range(2))
    assert len(images) == 2 and images[0].image.shape == (120, 160, 3)
    for one, same in zip(images, images_again, strict=True):
        np.testing.assert_array_equal(one.image, same.image)
        np.testing.assert_array_equal(one.people.joints_cam, same.people.joints_cam)
    # The people that are labelled are where the script has them.
    for time, image in enumerate(images):
        for row, person in enumerate(image.people.ids):
            world = small.posed[person].joints[time]
            expected = world @ small.views[time].rotation.T + small.views[time].translation
            np.testing.assert_allclose(image.people.joints_cam[row], expected, atol=1e-4)


def test_people_keep_apart(scripts: dict[bool, list[Script]]) -> None:
    apart = 0
    for script in scripts[True] + scripts[False]:
        for a in range(len(script.posed)):
            for b in range(a):
                if script.actions[a] == script.actions[b] and script.actions[a].startswith("meet_"):
                    continue
                gap = script.posed[a].joints[:, 0, [0, 2]] - script.posed[b].joints[:, 0, [0, 2]]
                # A body of another size than the reference walks a little less or more far.
                assert np.linalg.norm(gap, axis=1).min() > 0.8 * sequences._GAP_M
                apart += 1
    assert apart > 40


def test_people_are_seen(scripts: dict[bool, list[Script]]) -> None:
    shares, adults = [], []
    for script in scripts[True] + scripts[False]:
        camera = script.views[0].camera
        for posed in script.posed:
            points = posed.joints @ script.views[0].rotation.T + script.views[0].translation
            assert points[..., 2].min() > 0.3
            pixels = project(camera, points)
            inside = ((pixels >= 0) & (pixels < (camera.width, camera.height))).all(axis=-1)
            shares.append(inside.mean(axis=1).max())
            adults.append(body_size(posed.joints[0]) > 0.9)
    # Places are chosen for adults: a child so near may be below the image.
    assert np.mean(np.array(shares) >= 0.5) > 0.95
    assert np.array(shares)[adults].min() > 0.4 and np.sum(adults) > 50


def test_somebody_smaller_than_meetings_are_made_for_meets_others(
    small_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sequences, "_MEETINGS_SHARE", 1.0)
    monkeypatch.setattr(sequences, "body_size", lambda joints: 0.49)
    config = SequenceConfig(frames=2, people=(2, 2), level=False)
    assert draw_sequence(small_world, [], np.random.default_rng(3), config).actions[0].startswith("meet_")


def test_people_who_meet_do_not_run_into_each_other(small_world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sequences, "_MEETINGS_SHARE", 1.0)
    kinds: dict[str, float] = {}
    for seed in range(30):
        config = SequenceConfig(frames=8, people=(2, 2), level=False)
        script = draw_sequence(small_world, [], np.random.default_rng([9, seed]), config)
        if len(script.posed) == 2:
            overlap = float(penetration(script.posed[0].joints, script.posed[1].joints).max())
            kinds[script.actions[0]] = max(overlap, kinds.get(script.actions[0], 0.0))
    assert len(kinds) >= 7
    # What evaluation calls impossible.
    assert max(kinds.values()) < 0.05, kinds


def test_level_sequences_hold_walking_people_and_level_cameras_alone(scripts: dict[bool, list[Script]]) -> None:
    assert set(WALKING) < set(ACTIONS)
    for script in scripts[True]:
        assert script.level and set(script.actions) <= set(WALKING)
        height = (-script.views[0].rotation.T @ script.views[0].translation)[1]
        assert 0.9 <= height <= 1.8
        assert script.down(0)[1] > np.cos(0.2) and script.down(0)[0] == pytest.approx(0, abs=1e-12)
    others = [action for script in scripts[False] for action in script.actions]
    assert not any(script.level for script in scripts[False])
    assert not set(others) & {kind for kind in KINDS if kind in WALKING}
    assert any(abs(script.down(0)[0]) > 0.01 for script in scripts[False])
    assert len({a for script in scripts[True] for a in script.actions}) >= 4
    assert len(set(others)) > 15


def test_mixtures_hold_both_kinds(small_world: World) -> None:
    drawn = [draw_sequence(small_world, [], np.random.default_rng(s), SequenceConfig(4)).level for s in range(30)]
    assert 5 < sum(drawn) < 25


def test_down_is_the_vertical_of_the_world(scripts: dict[bool, list[Script]]) -> None:
    for script in scripts[True] + scripts[False]:
        view = script.views[0]
        assert np.linalg.norm(script.down(0)) == pytest.approx(1)
        high, low = (view.rotation @ np.array([0.4, y, 5.0]) + view.translation for y in (1.5, 0.5))
        np.testing.assert_allclose(low - high, script.down(0), atol=1e-12)
        on_image = project(view.camera, np.stack([high, low]))
        step = project(view.camera, high + 1.0 * script.down(0))
        np.testing.assert_allclose(on_image[1], step, atol=1e-9)
        assert on_image[1, 1] > on_image[0, 1]


def test_heads_are_up(scripts: dict[bool, list[Script]]) -> None:
    head, foot = H36M17.index("head_top"), H36M17.index("left_ankle")
    for script in scripts[True]:
        for posed in script.posed:
            cam = posed.joints @ script.views[0].rotation.T + script.views[0].translation
            assert ((cam[:, foot] - cam[:, head]) @ script.down(0) > 0.5).all()


def test_stamps_and_number_of_people(small_world: World) -> None:
    for seed in range(12):
        config = SequenceConfig(frames=7, fps=(10.0, 14.0), people=(1, 3))
        script = draw_sequence(small_world, [], np.random.default_rng(seed), config)
        steps = np.diff(script.stamps_s)
        assert len(script.stamps_s) == 7 and script.stamps_s[0] == 0
        assert 1 / 14 - 1e-9 <= steps[0] <= 0.1 + 1e-9 and np.ptp(steps) < 1e-9
        assert 1 <= len(script.posed) <= 3
        assert len(script.posed) == len(script.actions) == len(set(script.cast))
        assert all(posed.joints.shape == (7, 17, 3) for posed in script.posed)


def test_no_more_people_than_there_is_cast(small_world: World) -> None:
    most = 0
    for seed in range(8):
        config = SequenceConfig(frames=3, people=(8, 8), level=False)
        script = draw_sequence(small_world, [], np.random.default_rng(seed), config)
        assert len(script.posed) <= len(small_world.cast)
        most = max(most, len(script.posed))
    assert most == len(small_world.cast)


def test_crowds_are_close(small_world: World) -> None:
    def spread(crowd: float) -> float:
        config = SequenceConfig(frames=3, people=(4, 4), crowd=crowd, level=False)
        drawn = [draw_sequence(small_world, [], np.random.default_rng(s), config) for s in range(12)]
        roots = [np.stack([p.joints[0, 0, [0, 2]] for p in s.posed]) for s in drawn if len(s.posed) > 1]
        return float(np.mean([r.std(axis=0).mean() for r in roots]))

    assert spread(0.7) < 0.6 * spread(0.0)


def test_captured_passages_need_clips_that_are_long_enough(small_world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sequences, "_CAPTURED_SHARE", 1.0)
    monkeypatch.setattr(sequences, "_MEETINGS_SHARE", 0.0)
    config = SequenceConfig(frames=10, people=(1, 1), level=False)

    def actions(clips: list[Clip], config: SequenceConfig = config) -> set[str]:
        drawn = [draw_sequence(small_world, clips, np.random.default_rng(s), config) for s in range(6)]
        for script in drawn:
            assert all(posed.joints.shape == (10, 17, 3) for posed in script.posed)
        return {action for script in drawn for action in script.actions}

    assert actions([world_clip(3.0)]) == {CAPTURED}
    assert CAPTURED not in actions([world_clip(0.5)])
    assert CAPTURED not in actions([])
    # Walking is procedural where the truth of what people do matters.
    assert CAPTURED not in actions([world_clip(3.0)], replace(config, level=True))


@pytest.mark.parametrize("fps", [10.0, 11.3, 13.99])
def test_a_passage_has_all_its_frames_and_starts_above_the_origin(fps: float) -> None:
    for frames in (5, 12, 30):
        seconds = frames / fps + 0.1
        for rate in (24.0, 30.0, 120.0):
            needed = (int(np.ceil(seconds * rate)) + 2) / rate
            passage = sequences._passage(np.random.default_rng(0), [world_clip(needed, rate)], seconds, fps)
            if passage is None:  # rounding may leave the clip one frame short
                passage = sequences._passage(np.random.default_rng(0), [world_clip(needed + 1.5, rate)], seconds, fps)
            assert passage is not None and len(passage.joints_m) >= frames
            np.testing.assert_allclose(passage.joints_m[0, 0, [0, 2]], 0, atol=1e-9)
            assert passage.fps == fps


def test_a_camera_that_drives_starts_where_it_is_told_and_sways(small_world: World) -> None:
    config = SequenceConfig(frames=20, camera_height_m=0.6, moving=True)
    script = draw_sequence(small_world, [], np.random.default_rng(4), config)
    heights = np.array([script.camera_height(time) for time in range(20)])
    downs = np.array([script.down(time) for time in range(20)])
    assert heights[0] == pytest.approx(0.6) and 0 < np.ptp(heights) < 0.1
    turned = np.degrees(np.arccos(np.clip(downs @ downs[0], -1, 1)))
    assert 0.3 < turned.max() < 8
    np.testing.assert_allclose(np.linalg.norm(downs, axis=1), 1)
    assert len({tuple(view.translation) for view in script.views}) == 20
