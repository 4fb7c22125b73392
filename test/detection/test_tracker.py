"""Life of a track: born, confirmed, coasting, found again, forgotten; and what the tracker refuses."""

import logging

import numpy as np
import pytest

from dualpose_ros.detection.detections import Detections
from dualpose_ros.detection.tracker import Tracker, TrackerConfig
from dualpose_ros.people import Track, TrackingState

TENTATIVE, CONFIRMED, COASTING = TrackingState.TENTATIVE, TrackingState.CONFIRMED, TrackingState.COASTING
START_NS = 1_700_000_000_000_000_000


def stamp(seconds: float) -> int:
    return START_NS + round(seconds * 1e9)


def person(x: float, y: float = 100.0, width: float = 60.0, height: float = 180.0) -> list[float]:
    return [x, y, x + width, y + height]


def seen(*boxes: list[float], score: float = 0.9) -> Detections:
    return Detections(np.array(boxes, dtype=float), np.full(len(boxes), score))


def states(tracks: list[Track]) -> list[tuple[int, TrackingState]]:
    return [(t.track_id, t.state) for t in tracks]


def walk(tracker: Tracker, seconds: float, start: float = 0.0, fps: float = 10.0, speed: float = 0.0) -> list[Track]:
    """One person from x = 100 on at `speed` px/s; returns the last tracks."""
    tracks: list[Track] = []
    for k in range(round(seconds * fps) + 1):
        now = start + k / fps
        tracks = tracker.update(seen(person(100 + speed * now)), stamp(now))
    return tracks


def test_a_track_is_tentative_first_and_then_confirmed() -> None:
    tracker = Tracker(TrackerConfig(confirm_hits=3))
    lives = [states(tracker.update(seen(person(100)), stamp(0.1 * k))) for k in range(4)]
    assert lives == [[(1, TENTATIVE)], [(1, TENTATIVE)], [(1, CONFIRMED)], [(1, CONFIRMED)]]
    at_once = Tracker(TrackerConfig(confirm_hits=1)).update(seen(person(100)), stamp(0))
    assert states(at_once) == [(1, CONFIRMED)]


def test_a_tentative_track_that_vanishes_is_never_put_out_again() -> None:
    tracker = Tracker(TrackerConfig(confirm_hits=2, max_tentative_gap_s=0.3))
    tracker.update(seen(person(100)), stamp(0))
    assert tracker.update(Detections.empty(), stamp(0.1)) == []
    assert states(tracker.update(seen(person(100)), stamp(0.2))) == [(1, CONFIRMED)]
    other = Tracker(TrackerConfig(confirm_hits=2, max_tentative_gap_s=0.3))
    for time in (-0.2, -0.1):
        other.update(Detections.empty(), stamp(time))
    other.update(seen(person(100)), stamp(0))
    assert states(other.update(seen(person(100)), stamp(0.5))) == [(2, TENTATIVE)], "half a second without frames"


def test_coasting_follows_the_path_and_is_bounded() -> None:
    tracker = Tracker(TrackerConfig(max_coast_s=0.6, max_lost_s=3.0))
    walk(tracker, 2.0, speed=80.0)
    for k in range(1, 12):
        now = 2.0 + 0.1 * k
        tracks = tracker.update(Detections.empty(), stamp(now))
        if k <= 6:
            assert states(tracks) == [(1, COASTING)]
            assert abs(tracks[0].box_px[0] - (100 + 80 * now)) < 12
        else:
            assert tracks == []


@pytest.mark.parametrize("gap", [0.4, 1.0, 2.5])
def test_an_id_survives_an_occlusion(gap: float) -> None:
    tracker = Tracker(TrackerConfig(max_lost_s=3.0))
    walk(tracker, 2.0, speed=60.0)
    for k in range(1, round(gap * 10)):
        tracker.update(Detections.empty(), stamp(2.0 + 0.1 * k))
    now = 2.0 + gap
    assert states(tracker.update(seen(person(100 + 60 * now)), stamp(now))) == [(1, CONFIRMED)]


def test_an_id_is_forgotten_after_remember_s() -> None:
    tracker = Tracker(TrackerConfig(max_lost_s=1.0))
    walk(tracker, 1.0)
    assert states(tracker.update(seen(person(100)), stamp(2.2))) == [(2, TENTATIVE)]


def test_two_people_pass_through_each_other() -> None:
    """Both walk at constant speed; the far one is not detected while hidden."""
    tracker = Tracker()
    ids: dict[str, set[int]] = {"near": set(), "far": set()}
    for k in range(60):
        now = k / 12
        near, far = person(50 + 90 * now, 80, 80, 240), person(450 - 80 * now, 100, 64, 190)
        hidden = abs(near[0] - far[0]) < 55
        tracks = tracker.update(seen(near) if hidden else seen(near, far), stamp(now))
        for name, box in (("near", near), ("far", far)):
            for t in tracks:
                if t.state == CONFIRMED and np.abs(t.box_px - box).max() < 15:
                    ids[name].add(t.track_id)
    assert ids == {"near": {1}, "far": {2}}


def test_weak_detections_continue_tracks_but_start_none() -> None:
    config = TrackerConfig(low_score=0.2, high_score=0.5, new_track_score=0.6)
    tracker = Tracker(config)
    assert tracker.update(seen(person(100), score=0.3), stamp(0)) == []
    assert tracker.update(seen(person(100), score=0.55), stamp(0.1)) == []
    walk(tracker, 0.5, start=0.2)
    weak = tracker.update(seen(person(101), score=0.3), stamp(0.8))
    assert states(weak) == [(1, CONFIRMED)] and weak[0].score == pytest.approx(0.3)
    assert states(tracker.update(seen(person(101), score=0.1), stamp(0.9))) == [(1, COASTING)]


def test_strong_detections_are_served_before_weak_ones() -> None:
    tracker = Tracker()
    walk(tracker, 0.5)
    both = Detections(np.array([person(100), person(112)]), np.array([0.1, 0.9]))
    tracks = tracker.update(both, stamp(0.6))
    assert states(tracks) == [(1, CONFIRMED)] and tracks[0].score == 0.9


def test_irregular_frames_and_long_gaps_follow_the_clock() -> None:
    rng = np.random.default_rng(0)
    tracker, now = Tracker(), 0.0
    for _ in range(80):
        now += float(rng.choice([0.02, 0.05, 0.3]))
        box = np.array(person(20 + 70 * now, 100)) + rng.normal(0, 1, 4)
        tracks = tracker.update(Detections(box[None], np.ones(1)), stamp(now))
        assert [t.track_id for t in tracks] == [1]


def test_an_equal_stamp_is_taken_and_an_earlier_one_starts_anew(caplog: pytest.LogCaptureFixture) -> None:
    tracker = Tracker()
    walk(tracker, 1.0)
    assert states(tracker.update(seen(person(100)), stamp(1.0))) == [(1, CONFIRMED)]
    with caplog.at_level(logging.WARNING):
        tracks = tracker.update(seen(person(100)), stamp(0.0))
    assert states(tracks) == [(2, TENTATIVE)]
    assert "went back by 1.000 s" in caplog.text


def test_a_second_track_on_the_same_person_goes() -> None:
    """Two boxes of one person that no suppression merged, apart first and then in one place for good."""
    tracker = Tracker(TrackerConfig(duplicate_iou=0.8, duplicate_s=0.5))
    for k in range(30):
        now = 0.1 * k
        shift = max(80 - 160 * now, 0)
        tracks = tracker.update(seen(person(100), person(102 + shift)), stamp(now))
        if k == 2:
            assert [t.track_id for t in tracks] == [1, 2]
    assert states(tracks) == [(1, CONFIRMED)]


def test_a_hidden_person_is_not_dropped_as_a_duplicate() -> None:
    """A track that coasts behind another is hidden at last, but keeps its id."""
    tracker = Tracker(TrackerConfig(max_coast_s=2.0, duplicate_s=0.8, appearance_weight=0.0))
    for k in range(16):
        tracker.update(seen(person(min(174 + 2 * k, 196)), person(200)), stamp(0.1 * k))
    counts = [len(tracker.update(seen(person(200)), stamp(0.1 * k))) for k in range(16, 28)]
    assert counts[0] == 2 and counts[-1] == 1
    tracks = tracker.update(seen(person(200), person(230)), stamp(2.8))
    assert sorted(t.track_id for t in tracks if t.state == CONFIRMED) == [1, 2]


def test_boxes_are_clipped_and_leavers_not_put_out() -> None:
    tracker = Tracker()
    for k in range(10):
        tracks = tracker.update(seen(person(500 + 10 * k)), stamp(0.1 * k), image_size=(640, 480))
    assert tracks[0].box_px[2] <= 640
    for k in range(10, 14):
        tracks = tracker.update(Detections.empty(), stamp(0.1 * k), image_size=(640, 480))
    assert states(tracks) == []


def test_colours_decide_where_motion_can_not() -> None:
    """Two people meet, stand as one box, and part to either side: only their colours tell who went where."""
    red, blue = np.eye(8, dtype=np.float32)[[0, 5]]

    def ids_after(uses_colours: bool, swap: bool) -> list[int]:
        tracker = Tracker()
        left, right = (blue, red) if swap else (red, blue)
        for k in range(10):
            tracker.update(seen(person(100 + 5 * k), person(300 - 5 * k)), stamp(0.1 * k), np.stack([red, blue]))
        for k in range(10, 17):
            tracker.update(seen(person(200)), stamp(0.1 * k), red[None])
        for k in range(17, 22):
            colours = np.stack([left, right]) if uses_colours else None
            boxes = seen(person(200 - 12 * (k - 14)), person(200 + 12 * (k - 14)))
            tracks = tracker.update(boxes, stamp(0.1 * k), colours)
        found = sorted((t for t in tracks if t.state == CONFIRMED), key=lambda t: t.box_px[0])
        return [t.track_id for t in found]

    assert ids_after(uses_colours=True, swap=False) == [1, 2]
    assert ids_after(uses_colours=True, swap=True) == [2, 1]
    assert ids_after(uses_colours=False, swap=False) == ids_after(uses_colours=False, swap=True)


@pytest.mark.parametrize("score", [0.1, 0.2])
def test_the_wall_behind_somebody_who_leaves_is_not_them(score: float) -> None:
    """A box of the background lies where a person was; the next one to come is somebody else."""
    coat, wall, shirt = np.eye(8, dtype=np.float32)[[0, 5, 2]]
    tracker = Tracker()
    for k in range(10):
        tracker.update(seen(person(100)), stamp(0.1 * k), coat[None])
    for k in range(10, 50):
        tracker.update(seen(person(105), score=score), stamp(0.1 * k), wall[None])
    for k in range(50, 53):
        tracks = tracker.update(seen(person(100)), stamp(0.1 * k), shirt[None])
    assert states(tracks) == [(2, CONFIRMED)]
    weak = Tracker()
    for k in range(10):
        weak.update(seen(person(100), person(130)), stamp(0.1 * k), np.stack([coat, shirt]))
    two = Detections(np.array([person(100), person(130)]), np.array([0.1, 0.9]))
    tracks = weak.update(two, stamp(1.0), np.stack([wall, shirt]))
    assert states(tracks) == [(1, CONFIRMED), (2, CONFIRMED)], "behind somebody, a box shows other colours"


def test_no_detections_ever() -> None:
    tracker = Tracker()
    for k in range(5):
        assert tracker.update(Detections.empty(), stamp(0.1 * k)) == []


def test_ids_are_never_given_twice() -> None:
    tracker = Tracker(TrackerConfig(max_lost_s=0.6, confirm_hits=1))
    ids = [tracker.update(seen(person(100 + 2000 * k)), stamp(2.0 * k))[0].track_id for k in range(4)]
    tracker.reset()
    assert [*ids, tracker.update(seen(person(100)), stamp(9))[0].track_id] == [1, 2, 3, 4, 5], "nobody walks 1 km/s"


def test_a_wrong_number_of_appearances_is_refused() -> None:
    with pytest.raises(ValueError, match="2 appearances for 1 detections"):
        Tracker().update(seen(person(1)), 0, np.zeros((2, 8)))


@pytest.mark.parametrize(("field", "value"), [("low_score", 0.9), ("new_track_score", 0.1), ("max_lost_s", 0.1)])
def test_scores_and_times_have_their_order(field: str, value: float) -> None:
    with pytest.raises(
        ValueError, match=field.replace("low_score", "high_score is 0.15; it must be at least low_score")
    ):
        TrackerConfig(**{field: value})  # type: ignore[arg-type]


@pytest.mark.parametrize("fps", [0.5, 1.0, 2.0, 5.0])
def test_people_who_stand_keep_their_ids_however_seldom_frames_come(fps: float) -> None:
    rng, tracker, ids = np.random.default_rng(0), Tracker(), []
    for k in range(8):
        boxes = np.array([[100, 80, 180, 330], [300, 90, 385, 340]]) + rng.normal(0, 3, (2, 4))
        tracks = tracker.update(Detections(boxes, np.array([0.9, 0.8])), int((1 + k * rng.normal(1, 0.01) / fps) * 1e9))
        ids.append([track.track_id for track in tracks])
    assert ids == [[1, 2]] * 8
    assert all(track.state is TrackingState.CONFIRMED for track in tracks)
