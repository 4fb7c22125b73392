"""Overlays and top views."""

import dataclasses
import itertools
import re
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from dualpose_ros.drawing import (
    beside,
    draw_skeletons,
    label_of,
    seen_place,
    top_view,
    track_colour,
    write_figure,
    write_picture,
)
from dualpose_ros.people import SEEN, Pose3D, Source, TrackingState
from dualpose_ros.skeleton import H36M17, K
from dualpose_ros.sources.pictures import read_picture
from support.data import ROOT


def pose(track_id: int = 1, root: tuple[float, float] = (0.0, 4.0), centre: tuple[float, float] = (160, 120)) -> Pose3D:
    """Joints on a ring of 60 px around `centre`; root at x, z."""
    angle = np.linspace(0, 2 * np.pi, K, endpoint=False)
    keypoints = np.stack([np.cos(angle), np.sin(angle)], axis=1) * 60 + centre
    joints = np.tile([root[0], 0.0, root[1]], (K, 1))
    return Pose3D(track_id, TrackingState.CONFIRMED, Source.TOP_DOWN, 1.0, np.zeros(4), joints, np.ones(K),
                  np.zeros(K), keypoints)  # fmt: skip


def nearest_colour_at(image: np.ndarray, x: float, y: float, colour: tuple[int, int, int]) -> int:
    """Smallest difference to a colour within a pixel of a place."""
    patch = image[round(y) - 1 : round(y) + 2, round(x) - 1 : round(x) + 2].astype(int)
    return int(np.abs(patch - colour).sum(axis=-1).min())


def test_joints_are_drawn_where_they_are_and_the_input_stays() -> None:
    image = np.zeros((240, 320, 3), np.uint8)
    person = dataclasses.replace(pose(), state=TrackingState.TENTATIVE)
    drawn = draw_skeletons(image, [person])
    assert not image.any()
    for x, y in person.keypoints_px:
        assert nearest_colour_at(drawn, x, y, track_colour(1)) < 40
    far = np.hypot(*np.meshgrid(np.arange(320) - 160, np.arange(240) - 120)) > 70
    assert not drawn[far].any()


def test_unseen_and_unknown_joints_are_left_out() -> None:
    person = dataclasses.replace(pose(), state=TrackingState.TENTATIVE, joint_scores=np.zeros(K))
    assert not draw_skeletons(np.zeros((240, 320, 3), np.uint8), [person]).any()
    wild = np.full((K, 2), np.nan)
    wild[3] = 1e12
    assert not draw_skeletons(np.zeros((240, 320, 3), np.uint8), [dataclasses.replace(pose(), keypoints_px=wild)]).any()


def test_guessed_joints_and_their_bones_are_drawn_nowhere() -> None:
    empty = np.zeros((240, 320, 3), np.uint8)
    guessed = np.isin(np.arange(K), [H36M17.index("left_knee"), H36M17.index("left_ankle")])
    scores = np.where(guessed, SEEN - 0.01, SEEN)
    person = dataclasses.replace(pose(), state=TrackingState.TENTATIVE, joint_scores=scores)
    drawn = draw_skeletons(empty, [person])
    for (x, y), is_guessed in zip(person.keypoints_px, guessed, strict=True):
        assert (nearest_colour_at(drawn, x, y, track_colour(1)) < 40) != is_guessed
    everything = draw_skeletons(empty, [person], min_score=0.0)
    bones = [p for p in H36M17.bones if guessed[list(p)].any()]
    for x, y in person.keypoints_px[np.array(bones)].mean(axis=1):
        assert everything[round(y), round(x)].any() and not drawn[round(y), round(x)].any()


def test_the_plan_view_shows_what_is_seen() -> None:
    person = pose(3, (0.0, 4.0))
    joints = np.array(person.joints_cam)
    joints[9:, 0], joints[0, 2] = 1.0, 9.0
    above_hips = dataclasses.replace(person, joints_cam=joints, joint_scores=np.where(np.arange(K) < 9, 0.1, 0.9))
    np.testing.assert_allclose(np.asarray(seen_place(above_hips)), np.array([1.0, 4.0]))
    assert seen_place(dataclasses.replace(person, joint_scores=np.full(K, 0.1))) is None
    bare = dataclasses.replace(person, joint_scores=np.where(np.arange(K) == 14, 0.1, 0.9))
    wide = np.array(person.joints_cam)
    wide[[11, 14], 0] = -1.5, 1.5
    bar, none = (top_view([dataclasses.replace(p, joints_cam=wide)], (300, 300)) for p in (person, bare))
    assert not np.array_equal(bar, none), "no bar between shoulders of which one is a guess"
    nobody = dataclasses.replace(person, joint_scores=np.zeros(K))
    assert np.array_equal(top_view([nobody], (300, 300)), top_view([], (300, 300)))


def test_who_is_predicted_is_drawn_thin() -> None:
    empty = np.zeros((480, 320, 3), np.uint8)
    seen = dataclasses.replace(pose(), joint_scores=np.full(K, 0.9))
    coasting = dataclasses.replace(seen, state=TrackingState.COASTING)
    half = dataclasses.replace(coasting, joint_scores=np.where(np.arange(K) < 9, 0.9, 0.0))
    counts = [int(draw_skeletons(empty, [who]).any(axis=-1).sum()) for who in (seen, coasting, half)]
    label = int(draw_skeletons(empty, [dataclasses.replace(half, joint_scores=np.eye(K)[1])]).any(axis=-1).sum())
    assert label < counts[2] < counts[1] < counts[0], "joints that were guesses are left out"


def test_label_stays_inside_the_image() -> None:
    for centre in ((-20.0, -30.0), (330.0, 250.0), (160.0, 5.0)):
        drawn = draw_skeletons(np.zeros((240, 320, 3), np.uint8), [pose(centre=centre)])
        filled = np.all(drawn == track_colour(1), axis=-1)
        assert filled.sum() > 200


def test_the_nearest_is_drawn_last() -> None:
    near, far = pose(1, (0, 2)), pose(2, (0, 6))
    one = draw_skeletons(np.zeros((240, 320, 3), np.uint8), [near, far])
    other = draw_skeletons(np.zeros((240, 320, 3), np.uint8), [far, near])
    assert np.array_equal(one, other)
    x, y = near.keypoints_px[0]
    assert nearest_colour_at(one, x, y, track_colour(1)) < 40


def test_top_view_has_one_scale() -> None:
    size, depth = (400, 448), 10.0
    empty = top_view([], size, depth)
    assert empty.shape == (448, 400, 3)
    places = {}
    for root in ((0.0, 2.0), (0.0, 6.0), (2.0, 6.0)):
        changed = np.any(top_view([pose(1, root)], size, depth) == np.array(track_colour(1)), axis=-1)
        same = np.all(top_view([pose(1, root)], size, depth) == np.array(track_colour(1)), axis=-1)
        assert changed.any()
        rows, columns = np.nonzero(same)
        places[root] = (columns.mean(), rows.mean())
    per_metre = (448 - 48) / depth
    assert places[0.0, 2.0][0] == pytest.approx(200, abs=1.5)
    assert places[0.0, 2.0][1] - places[0.0, 6.0][1] == pytest.approx(4 * per_metre, abs=1.5)
    assert places[2.0, 6.0][0] - places[0.0, 6.0][0] == pytest.approx(2 * per_metre, abs=1.5)


def test_top_view_leaves_out_who_is_nowhere() -> None:
    empty = top_view([], (300, 300))
    for root in ((np.nan, 2.0), (0.0, 1e9), (0.0, np.inf), (50.0, 3.0)):
        assert np.array_equal(top_view([pose(1, root)], (300, 300)), empty)
    assert not np.array_equal(top_view([], (300, 300), hfov=1.0), empty)
    trail = {1: [(0.0, 1.0), (np.nan, 2.0), (1.0, 5.0)], 2: []}
    assert not np.array_equal(top_view([], (300, 300), trails=trail), empty)
    with pytest.raises(ValueError, match="depth_m"):
        top_view([], (300, 300), depth_m=0)


def test_colours_are_stable_and_neighbours_differ() -> None:
    colours = [track_colour(i) for i in range(40)]
    assert colours == [track_colour(i) for i in range(40)]
    for first, second in itertools.pairwise(colours):
        assert np.abs(np.subtract(first, second)).sum() > 100


def test_labels() -> None:
    assert label_of(pose(12, (0, 3.44))) == "#12 3.4 m"
    assert label_of(pose(12, (0, np.nan))) == "#12"


def test_beside() -> None:
    joined = beside(np.zeros((4, 3, 3), np.uint8), np.ones((4, 2, 3), np.uint8))
    assert joined.shape == (4, 5, 3) and joined[:, 3:].all()
    with pytest.raises(ValueError, match="4 and 5"):
        beside(np.zeros((4, 3, 3), np.uint8), np.ones((5, 2, 3), np.uint8))


def test_words_of_a_large_plan_are_as_large_as_those_of_a_small_one() -> None:
    ink = []
    for side in (480, 1080):
        plan = top_view([pose(1, (0.0, 4.0))], (side, side), 8.0)
        ink.append(float(np.clip(150 - plan.max(axis=-1).astype(int), 0, None).mean()))
    # Lines a pixel thin are paler than others.
    assert 0.6 < ink[1] / ink[0] < 2.5


def test_a_picture_is_there_whole_or_as_it_was(tmp_path: Path) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (12, 16, 3), dtype=np.uint8)
    path = tmp_path / "folder" / "na\udcffme.png"
    write_picture(path, picture)
    np.testing.assert_array_equal(read_picture(path), picture)
    with pytest.raises(OSError, match=r"x\.zzz: pictures can't be written as \.zzz"):
        write_picture(tmp_path / "x.zzz", picture)
    write_figure(path, Figure(figsize=(2, 1)), 50)
    assert read_picture(path).shape == (50, 100, 3)
    with pytest.raises(OSError, match="folder"):
        write_figure(path / "x.png", Figure())
    assert read_picture(path).shape == (50, 100, 3) and len(list(path.parent.iterdir())) == 1


def test_pictures_are_read_and_written_in_one_way() -> None:
    around = re.compile(r"cv2\.imread\(|cv2\.imwrite\(|\.savefig\(")
    found = [p.name for p in (ROOT / "dualpose_ros").rglob("*.py") if around.search(p.read_text())]
    assert found == ["drawing.py"]
