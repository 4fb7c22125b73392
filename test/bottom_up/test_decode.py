import time
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dualpose_ros.bottom_up.decode import BottomUpDecodeConfig, BottomUpMaps, decode_frame, weighted_median
from dualpose_ros.bottom_up.place import place_people
from dualpose_ros.grouping import GroupingConfig
from dualpose_ros.lab.evaluation.bottom_up.truth_maps import TAG_STEP, truth_maps
from dualpose_ros.skeleton import K
from support import scenes


def maps_of(scene: Any) -> BottomUpMaps:
    return truth_maps(scene.joints_px, scene.joints_cam, scene.focal_px, scene.size)


def scene_of(*places: tuple[float, float, float], seed: int = 0) -> Any:
    rng = np.random.default_rng(seed)
    camera = scenes.camera_from_hfov(640, 480, 1.05)
    return scenes.Scene(camera, np.array([scenes.person(rng, place) for place in places]))


def check_round_trip(scene: Any) -> int:
    """Everybody with enough joints that no one else hides comes back to 5 mm; gives how many they are."""
    people = decode_frame(maps_of(scene), scene.focal_px)
    placed = place_people(people, scene.letterbox.points_to_image, scene.camera)
    assert len(placed) <= len(scene.joints_cam)
    same, clear = scene.alone()
    checked = 0
    for n, truth in enumerate(scene.joints_cam):
        joints = same[n] & scene.inside[n]
        # The root's depth has one map for all joints: most have to lie where it is this person's.
        if joints.sum() < 6 or (clear[n] & scene.drawn[n]).sum() <= 0.6 * scene.drawn[n].sum():
            continue
        away = np.linalg.norm(placed.joints_cam - truth, axis=2)
        # Where somebody else's joint is nearer, the root's depth is theirs, and the joint may be taken for theirs too.
        missed = np.where(clear[n], np.inf, 0.0)
        assert np.where(placed.joint_scores > 0, away, missed)[:, joints].max(axis=1).min() < 0.005
        checked += 1
    return checked


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    people=st.integers(1, 10),
    hfov=st.floats(0.75, 1.75),
    size=st.sampled_from([(640, 480), (1280, 720), (480, 640), (333, 500), (384, 384)]),
)
@example(seed=1333663, people=4, hfov=1.6875, size=(1280, 720))
@example(seed=206993156, people=9, hfov=0.75, size=(640, 480))
def test_true_maps_give_back_the_joints_in_metres(seed: int, people: int, hfov: float, size: tuple[int, int]) -> None:
    check_round_trip(scenes.random_scene(seed, people, hfov, size))


def test_the_round_trip_holds_for_a_good_share_of_random_people() -> None:
    assert sum(check_round_trip(scenes.random_scene(seed, 1 + seed % 10)) for seed in range(20)) > 40


def test_peaks_are_found_to_a_hundredth_of_a_pixel() -> None:
    scene = scene_of((-1.6, 0.2, 4), (0.3, 0.1, 6), (2.2, 0.3, 5))
    people = decode_frame(maps_of(scene), scene.focal_px)
    order = np.argsort(people.tags)
    assert np.allclose(people.tags[order], TAG_STEP * np.arange(3))
    assert np.abs(people.joints_px[order] - scene.joints_px).max() < 0.01
    np.testing.assert_allclose(people.root_depth[order], scene.joints_cam[:, 0, 2], rtol=1e-5)
    rel = scene.joints_cam[..., 2] - scene.joints_cam[:, :1, 2]
    np.testing.assert_allclose(people.rel_depth[order], rel, atol=1e-5)
    assert people.scores.min() > 0.9


def test_a_hidden_root_still_leaves_the_root_depth() -> None:
    scene = scene_of((0.0, 0.2, 3))
    maps = maps_of(scene)
    heatmaps = np.array(maps.heatmaps)
    heatmaps[:8] = 0  # pelvis, legs and spine
    people = decode_frame(replace(maps, heatmaps=heatmaps), scene.focal_px)
    assert len(people) == 1 and (people.scores[0, :8] == 0).all() and (people.scores[0, 8:] > 0.9).all()
    assert people.root_depth[0] == pytest.approx(scene.joints_cam[0, 0, 2], rel=1e-5)


def test_a_few_wrong_depths_do_not_move_the_root_but_disagreement_shows() -> None:
    scene = scene_of((0.0, 0.2, 3))
    maps = maps_of(scene)
    depths = np.array(maps.depths)
    y, x = np.rint((scene.joints_px[0, [3, 6, 13, 16], ::-1] - 1.5) / 4).astype(int).T
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            depths[0, y + dy, x + dx] += 1.0
    people = decode_frame(replace(maps, depths=depths), scene.focal_px)
    assert people.root_depth[0] == pytest.approx(scene.joints_cam[0, 0, 2], rel=1e-5)
    noisy = np.array(maps.depths)
    noisy[0] += np.random.default_rng(0).normal(0, 0.3, noisy[0].shape).astype(np.float32)
    unsure = decode_frame(replace(maps, depths=noisy), scene.focal_px)
    assert unsure.root_depth_stddev[0] > 5 * people.root_depth_stddev[0]


def test_one_outlying_cell_does_not_move_a_joints_depth() -> None:
    scene = scene_of((0.0, 0.2, 3))
    maps = maps_of(scene)
    depths = np.array(maps.depths)
    x, y = np.rint((scene.joints_px[0, 10] - 1.5) / 4).astype(int)
    depths[10, y, x] += 3.0
    people = decode_frame(replace(maps, depths=depths), scene.focal_px)
    assert people.rel_depth[0, 10] == pytest.approx(scene.joints_cam[0, 10, 2] - scene.joints_cam[0, 0, 2], abs=1e-5)


def test_deviations_are_read_where_the_joints_are() -> None:
    scene = scene_of((0.0, 0.2, 3))
    maps = maps_of(scene)
    log_stddev = np.log(np.linspace(0.05, 0.2, K))[:, None, None] * np.ones_like(maps.depths)
    people = decode_frame(replace(maps, log_stddev=log_stddev), scene.focal_px)
    np.testing.assert_allclose(people.rel_depth_stddev[0, 1:], np.linspace(0.05, 0.2, K)[1:], rtol=1e-5)
    assert people.rel_depth_stddev[0, 0] == 0
    assert people.root_depth_stddev[0] == pytest.approx(0.05 * people.root_depth[0], rel=1e-4)


def test_one_person_with_two_tags_comes_out_once() -> None:
    scene = scene_of((0.0, 0.2, 3), (2.0, 0.2, 6))
    maps = maps_of(scene)
    tags = np.array(maps.tags)
    # The maps of the first person's legs show a second, fainter copy of that person under another tag.
    columns = slice(0, round((scene.joints_px[0, :, 0].max() - 1.5) / 4) + 8)
    heatmaps = np.array(maps.heatmaps)
    for k in range(K):
        rows, cols = np.nonzero(heatmaps[k, :, columns] > 0.02)
        flip = cols % 2 == 0
        tags[k, rows[flip], cols[flip]] += 2.0 * TAG_STEP
    double = decode_frame(
        replace(maps, tags=tags), scene.focal_px, BottomUpDecodeConfig(grouping=GroupingConfig(min_joints=3))
    )
    apart = decode_frame(
        replace(maps, tags=tags),
        scene.focal_px,
        BottomUpDecodeConfig(same_person_oks=1.1, grouping=GroupingConfig(min_joints=3)),
    )
    assert len(apart) == 3, "the copy has to be there without suppression"
    assert len(double) == 2


def test_people_with_one_tag_are_told_apart_by_where_they_are() -> None:
    scene = scene_of((-2.0, 0.2, 5), (1.8, 0.2, 5), (0.2, 0.3, 12))
    maps = maps_of(scene)
    people = decode_frame(replace(maps, tags=np.zeros_like(maps.tags)), scene.focal_px)
    assert len(people) == 3
    roots = people.joints_px[:, 0]
    for truth in scene.joints_px[:, 0]:
        assert np.linalg.norm(roots - truth, axis=1).min() < 0.1


def test_people_seen_too_badly_or_too_many_are_dropped() -> None:
    scene = scene_of((-1.6, 0.2, 4), (0.3, 0.1, 6), (2.2, 0.3, 5))
    maps = maps_of(scene)
    heatmaps = np.array(maps.heatmaps)
    heatmaps[np.abs(maps.tags - TAG_STEP) < 0.1] *= 0.35
    config = BottomUpDecodeConfig(min_score=0.5)
    assert sorted(decode_frame(replace(maps, heatmaps=heatmaps), scene.focal_px, config).tags) == [0, 2 * TAG_STEP]
    two = decode_frame(replace(maps, heatmaps=heatmaps), scene.focal_px, BottomUpDecodeConfig(max_people=2))
    assert sorted(two.tags) == [0, 2 * TAG_STEP], "the best ones are kept"


def test_nobody_and_noise() -> None:
    empty = BottomUpMaps(*np.zeros((4, K, 24, 32)))
    people = decode_frame(empty, 300.0)
    assert len(people) == 0 and people.joints_px.shape == (0, K, 2) and people.rel_depth.shape == (0, K)
    rng = np.random.default_rng(0)
    noise = BottomUpMaps(rng.random((K, 24, 32)), *rng.normal(0, 3, (3, K, 24, 32)))
    people = decode_frame(noise, 300.0, BottomUpDecodeConfig(min_score=0.0))
    for values in (people.joints_px, people.root_depth, people.root_depth_stddev, people.rel_depth_stddev):
        assert np.isfinite(values).all()
    assert len(people) <= 20 and (people.root_depth > 0).all()


def test_broken_maps_are_refused() -> None:
    good = np.zeros((K, 24, 32))
    for index in range(4):
        broken = [good.copy() for _ in range(4)]
        broken[index][3, 5, 5] = np.nan if index % 2 else np.inf
        with pytest.raises(ValueError, match="NaN or infinity"):
            decode_frame(BottomUpMaps(*broken), 300.0)
    with pytest.raises(ValueError, match=r"tags .* don't fit"):
        decode_frame(BottomUpMaps(good, good[:, :4], good, good), 300.0)
    with pytest.raises(ValueError, match=r"\(3, 24, 32\)"):
        decode_frame(BottomUpMaps(good[:3], good, good, good), 300.0)


def test_weighted_median_against_the_long_way() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        values, counts = rng.normal(0, 1, 7), rng.integers(0, 5, 7)
        if counts.sum() == 0:
            continue
        repeated = np.sort(np.repeat(values, counts))
        assert weighted_median(values[None], counts[None].astype(float))[0] == repeated[(len(repeated) - 1) // 2]
    assert weighted_median(np.array([3.0, 1.0, 2.0]), np.zeros(3)) == 1.0


def test_decoding_ten_people_takes_milliseconds() -> None:
    """Wide of the budget, for machines that do other things too; the timing proper is in the bench."""
    scene = scenes.random_scene(3, 10)
    maps, times = maps_of(scene), []
    for _ in range(10):
        started = time.thread_time()
        decode_frame(maps, scene.focal_px)
        times.append(time.thread_time() - started)
    assert min(times) < 0.03
