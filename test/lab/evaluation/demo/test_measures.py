"""The demo's figures against slow, obvious versions of themselves and hand-made situations."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from dualpose_ros.camera import camera_from_hfov
from dualpose_ros.datasets.clip import ClipTruth
from dualpose_ros.lab.evaluation.demo.measures import (
    FOUND_WITHIN_M,
    EstimatedFrame,
    evaluate_demo,
    match_clip,
    match_roots,
    people_to_find,
)
from dualpose_ros.lab.evaluation.demo.pictures import draw_depth, draw_tracks
from dualpose_ros.skeleton import H36M17


def make_truth(roots: np.ndarray, seed: int = 0, fraction: np.ndarray | None = None) -> ClipTruth:
    """A clip of people (T, N, 3) whose other joints lie about their roots."""
    rng = np.random.default_rng(seed)
    frames, people = roots.shape[:2]
    offsets = rng.normal(0, 0.3, (frames, people, 17, 3))
    offsets[:, :, 0] = 0
    joints = roots[:, :, None] + offsets
    return ClipTruth(
        stamps_s=np.arange(frames) / 20.0,
        ids=np.arange(people),
        joints_cam=joints,
        joints_px=np.zeros((frames, people, 17, 2)),
        boxes_px=np.zeros((frames, people, 4)),
        visibility=np.full((frames, people, 17), 2, np.uint8),
        visible_fraction=np.ones((frames, people)) if fraction is None else fraction,
        present=np.ones((frames, people), bool),
        camera=camera_from_hfov(640, 480, 1.1),
        fps=20.0,
    )


def standing(frames: int, places: list[tuple[float, float]]) -> np.ndarray:
    """Roots (T, N, 3) of people who stand still at (x, z)."""
    return np.tile(np.array([(x, 0.2, z) for x, z in places])[None], (frames, 1, 1))


def exact(truth: ClipTruth, tracks: list[int] | None = None, skip: tuple[int, ...] = ()) -> list[EstimatedFrame]:
    """Estimates that equal the truth."""
    ids = np.array(tracks if tracks is not None else range(truth.num_people))
    return [EstimatedFrame(t, ids, truth.joints_cam[t].copy()) for t in range(truth.num_frames) if t not in skip]


def test_exact_estimates_score_perfectly() -> None:
    truth = make_truth(standing(6, [(-1, 4), (1, 5), (0, 7)]))
    figures = evaluate_demo(truth, exact(truth, [7, 3, 9]))
    assert (figures.recall, figures.precision, figures.pck150_rel, figures.pck150_abs) == (1, 1, 1, 1)
    assert (figures.mpjpe_rel_mm, figures.root_depth_rel_err, figures.id_switches) == (0, 0, 0)
    assert (figures.frames, figures.people, figures.found) == (6, 18, 18)


def test_nothing_published_is_a_recall_of_zero() -> None:
    truth = make_truth(standing(3, [(0, 4)]))
    for frames in ([], [EstimatedFrame(t, np.zeros(0, int), np.zeros((0, 17, 3))) for t in range(3)]):
        figures = evaluate_demo(truth, frames)
        assert figures.recall == 0 and figures.pck150_rel_all == 0
        assert figures.pck150_rel is None and figures.root_depth_rel_err is None and figures.precision is None


def test_errors_match_a_slow_reference() -> None:
    rng = np.random.default_rng(5)
    truth = make_truth(standing(8, [(-1.5, 4), (1.5, 5), (0, 9)]), fraction=rng.uniform(0, 1, (8, 3)))
    frames = [
        EstimatedFrame(
            t, np.arange(3), truth.joints_cam[t] + rng.normal(0, 0.11, (3, 17, 3)) + rng.normal(0, 0.1, (3, 1, 3))
        )
        for t in range(8)
    ]
    figures = evaluate_demo(truth, frames)
    relative, absolute, distances, depths, people, found = [], [], [], [], 0, 0
    for t, frame in enumerate(frames):
        for n in range(3):
            if not truth.visible_fraction[t, n] > 0.2:
                continue
            people += 1
            a, b = frame.joints_cam[n], truth.joints_cam[t, n]
            if np.linalg.norm(a[0] - b[0]) > FOUND_WITHIN_M:
                continue
            found += 1
            depths.append(abs(a[0, 2] - b[0, 2]) / b[0, 2])
            for k in range(17):
                absolute.append(np.linalg.norm(a[k] - b[k]) <= 0.15)
                if k:
                    error = np.linalg.norm((a[k] - a[0]) - (b[k] - b[0]))
                    relative.append(error <= 0.15)
                    distances.append(error)
    assert (figures.people, figures.found) == (people, found)
    assert figures.pck150_rel == pytest.approx(np.mean(relative))
    assert figures.pck150_abs == pytest.approx(np.mean(absolute))
    assert figures.pck150_rel_all == pytest.approx(np.mean(relative) * found / people)
    assert figures.mpjpe_rel_mm == pytest.approx(1000 * np.mean(distances))
    assert figures.root_depth_rel_err == pytest.approx(np.median(depths))
    assert figures.pck150_rel is not None and 0.1 < figures.pck150_rel < 0.9, (
        "the noise should make both right and wrong joints"
    )


@pytest.mark.parametrize("seed", range(12))
def test_matching_finds_the_best_of_all_assignments(seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = rng.uniform(0, 1.2, (rng.integers(0, 5), 3)), rng.uniform(0, 1.2, (rng.integers(0, 5), 3))
    pairs = match_roots(a, b)
    best = (0, 0.0)
    size = max(len(a), len(b))
    for order in itertools.permutations(range(size)):
        chosen = [(i, j) for i, j in enumerate(order) if i < len(a) and j < len(b)]
        cost = [float(np.linalg.norm(a[i] - b[j])) for i, j in chosen]
        near = [c for c in cost if c <= FOUND_WITHIN_M]
        best = min(best, (-len(near), sum(near)))
    assert -len(pairs) == best[0]
    assert sum(float(np.linalg.norm(a[i] - b[j])) for i, j in pairs) == pytest.approx(best[1])
    assert len({i for i, _ in pairs}) == len({j for _, j in pairs}) == len(pairs)


def test_a_pair_that_matched_before_stays_though_another_is_nearer() -> None:
    a, b = np.array([[0.0, 0, 4]]), np.array([[0.4, 0, 4], [0.1, 0, 4]])
    assert match_roots(a, b) == [(0, 1)]
    assert match_roots(a, b, kept=[(0, 0)]) == [(0, 0)]
    assert match_roots(a, b + np.array([0.2, 0, 0]), kept=[(0, 0)]) == [(0, 1)], "it's too far now"


def test_switches_are_counted_once_each() -> None:
    truth = make_truth(standing(9, [(-1, 4), (1, 4)]))
    frames = exact(truth, [0, 1])[:3]
    frames += [EstimatedFrame(f.index, np.array([1, 0]), f.joints_cam) for f in exact(truth)[3:6]]
    frames += [EstimatedFrame(f.index, np.array([1, 5]), f.joints_cam) for f in exact(truth)[6:]]
    switched = [(m.frame, m.person) for m in match_clip(truth, frames) if m.is_switch]
    assert switched == [(3, 0), (3, 1), (6, 1)]
    assert evaluate_demo(truth, frames).id_switches == 3


def test_returning_with_the_same_track_after_a_gap_is_no_switch() -> None:
    truth = make_truth(standing(10, [(0, 4)]))
    frames = exact(truth, [4], skip=(3, 4, 5))
    assert evaluate_demo(truth, frames).id_switches == 0
    frames[4:] = [EstimatedFrame(f.index, np.array([8]), f.joints_cam) for f in frames[4:]]
    assert evaluate_demo(truth, frames).id_switches == 1


def test_what_happens_while_hidden_is_not_held_against_the_tracker() -> None:
    fraction = np.ones((9, 1))
    fraction[3:6] = 0.1
    truth = make_truth(standing(9, [(0, 4)]), fraction=fraction)
    frames = exact(truth, [4])
    hidden = [EstimatedFrame(f.index, np.array([5]), f.joints_cam) for f in frames[3:6]]
    figures = evaluate_demo(truth, frames[:3] + hidden + frames[6:])
    assert (figures.id_switches, figures.people, figures.found) == (0, 6, 6)
    assert evaluate_demo(truth, frames[:3] + frames[6:]).recall == 1, "hidden people need not be found"
    changed = [EstimatedFrame(f.index, np.array([5]), f.joints_cam) for f in frames[6:]]
    assert evaluate_demo(truth, frames[:3] + hidden + changed).id_switches == 1, "a change that lasts counts"


def test_absent_people_are_neither_missed_nor_matched() -> None:
    truth = make_truth(standing(4, [(0, 4), (1, 6)]))
    truth.present[:, 1] = False
    figures = evaluate_demo(truth, exact(truth))
    assert (figures.people, figures.found, figures.precision) == (4, 4, 0.5)
    assert not people_to_find(truth)[:, 1].any()


def test_a_person_with_a_joint_that_is_not_finite_is_not_found() -> None:
    truth = make_truth(standing(2, [(0, 4), (2, 6)]))
    frames = exact(truth)
    frames[0].joints_cam[1, 5, 2] = np.nan
    figures = evaluate_demo(truth, frames)
    assert (figures.found, figures.mpjpe_rel_mm) == (3, 0)


@pytest.mark.parametrize("index", [-1, 4])
def test_a_frame_outside_the_clip_is_refused(index: int) -> None:
    truth = make_truth(standing(4, [(0, 4)]))
    with pytest.raises(ValueError, match=f"frame {index} "):
        match_clip(truth, [EstimatedFrame(index, np.array([0]), truth.joints_cam[0])])


def test_a_frame_given_twice_is_refused() -> None:
    truth = make_truth(standing(4, [(0, 4)]))
    with pytest.raises(ValueError, match="twice"):
        evaluate_demo(truth, exact(truth) + exact(truth)[:1])


def test_the_picture_shows_the_tracks_in_colour(tmp_path) -> None:  # type: ignore[no-untyped-def]
    import cv2

    walk = standing(40, [(-1, 4), (1, 6)])
    walk[:, 0, 0] += np.linspace(0, 2, 40)
    truth = make_truth(walk)
    frames = exact(truth)
    frames[20:] = [EstimatedFrame(f.index, np.array([9, 1]), f.joints_cam) for f in frames[20:]]
    frames[5].joints_cam[1] += 3
    draw_tracks(tmp_path / "new" / "tracks.png", truth, frames)
    image = cv2.imread(str(tmp_path / "new" / "tracks.png"))
    assert image is not None and image.shape[0] > 500
    for rgb in ((0, 0x72, 0xB2), (0xD5, 0x5E, 0)):
        close = np.abs(image[..., ::-1].astype(int) - rgb).max(-1) < 40
        assert close.sum() > 200, "each person's path has its colour"
    draw_tracks(tmp_path / "empty.png", truth, [])
    empty = cv2.imread(str(tmp_path / "empty.png"))
    assert np.any(empty != image)


def test_predicted_people_count_as_estimates() -> None:
    truth = make_truth(standing(4, [(0, 4), (1, 6)]))
    predicted = np.array([False, True])
    frames = [replace(f, coasting=predicted if f.index < 2 else ~predicted & predicted) for f in exact(truth)]
    frames[0].joints_cam[1] += 3
    figures = evaluate_demo(truth, frames)
    assert (figures.coasting, figures.precision, figures.recall) == (0.25, 7 / 8, 7 / 8)
    assert evaluate_demo(truth, exact(truth)).coasting == 0
    assert evaluate_demo(truth, []).coasting is None


def test_the_picture_of_a_depth_is_of_whom_was_found_most(tmp_path) -> None:  # type: ignore[no-untyped-def]
    import cv2

    truth = make_truth(standing(60, [(-1, 4), (1, 6)]))
    raw = [f if f.index % 3 else EstimatedFrame(f.index, f.track_ids[1:], f.joints_cam[1:]) for f in exact(truth)]
    drawn = []
    for name, moved in (("same", 0), ("first", 0.3), ("second", 0.3)):
        refined = exact(truth)
        for frame in refined if moved else ():
            frame.joints_cam[0 if name == "first" else 1, H36M17.index("right_wrist"), 2] += moved
        draw_depth(tmp_path / "new" / f"{name}.png", truth, raw, refined)
        picture = cv2.imread(str(tmp_path / "new" / f"{name}.png"))
        assert picture is not None
        drawn.append(picture[..., ::-1].astype(int))
    same, first, second = drawn
    assert same.shape[0] > 500 and np.array_equal(same, first), "the first person was found less often"
    for rgb in ((0xE6, 0x9F, 0), (0, 0x72, 0xB2)):
        assert (np.abs(second - rgb).max(-1) < 40).sum() > 200, "before and after have their colours"
    assert (second != same).any()
    draw_depth(tmp_path / "empty.png", truth, [], [])
    assert (tmp_path / "empty.png").is_file()
