"""The tracker in a little world of people who cross and hide each other, against a greedy overlap tracker."""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import pytest

from dualpose_ros.arrays import Floats, RgbImage
from dualpose_ros.detection.appearance import describe_people
from dualpose_ros.detection.detections import Detections
from dualpose_ros.detection.tracker import Tracker, TrackerConfig
from dualpose_ros.people import Track, TrackingState, box_area, box_iou

WIDTH, HEIGHT = 640, 480
NOISE = np.random.default_rng(7).normal(0, 12, 1_500_000).astype(np.float32)


@dataclass(frozen=True)
class Frame:
    """What a detector sees: stamp, boxes with scores, the picture, and each true person's box and visible share."""

    stamp_ns: int
    detections: Detections
    image: RgbImage
    true_boxes_px: Floats
    visible: Floats


def walking_people(
    seed: int, people: int = 4, seconds: float = 12.0, fps: float = 12.0, turn_rate: float = 0.5
) -> list[Frame]:
    """Frames of `people` who walk to and fro over the floor, hide each other, and stop or turn at times."""
    rng = np.random.default_rng(seed)
    depth = rng.uniform(3.0, 6.0, people)
    x, speed = rng.uniform(-2, 2, people), rng.choice([-1, 1], people) * rng.uniform(0.6, 1.4, people)
    bodies = rng.uniform(1.5, 1.9, people)
    clothes = rng.integers(20, 235, (people, 2, 3))
    backdrop = cv2.resize(rng.integers(60, 200, (6, 8, 3), dtype=np.uint8), (WIDTH, HEIGHT))
    frames, now = [], 1_000_000_000
    for _ in range(int(seconds * fps)):
        dt = rng.uniform(0.6, 1.4) / fps
        now += int(dt * 1e9)
        turns = rng.random(people) < turn_rate * dt
        speed = np.where(turns, rng.choice([-1.0, 0.0, 1.0], people) * rng.uniform(0.6, 1.4, people), speed)
        x, speed = x + speed * dt, np.where(np.abs(x) > 2.2, -np.sign(x) * np.abs(speed), speed)
        depth = np.clip(depth + rng.normal(0, 0.25, people) * dt, 2.5, 6.5)
        frames.append(_frame(rng, now, x, depth, bodies, clothes, backdrop))
    return frames


def _frame(
    rng: np.random.Generator, stamp_ns: Any, x: Any, depth: Any, bodies: Any, clothes: Any, backdrop: Any
) -> Frame:
    focal = 500.0
    height, middle = focal * bodies / depth, WIDTH / 2 + focal * x / depth
    bottom = HEIGHT / 2 + focal * 1.2 / depth
    half = 0.16 * height
    boxes = np.stack([middle - half, bottom - height, middle + half, bottom], axis=1)
    whole = box_area(boxes)
    boxes = np.clip(boxes, 0, [WIDTH, HEIGHT, WIDTH, HEIGHT])
    image, owner = backdrop.copy(), np.full((HEIGHT, WIDTH), -1, np.int8)
    for person in np.argsort(-depth):
        x0, y0, x1, y1 = np.round(boxes[person]).astype(int)
        waist = (y0 + y1) // 2
        image[y0:waist, x0:x1], image[waist:y1, x0:x1] = clothes[person]
        owner[y0:y1, x0:x1] = person
    start = int(rng.integers(NOISE.size - image.size))
    grain = NOISE[start : start + image.size].reshape(image.shape)
    image = cv2.add(cv2.convertScaleAbs(image, alpha=rng.uniform(0.85, 1.15)), grain, dtype=cv2.CV_8U)
    counts = np.bincount(owner[owner >= 0], minlength=len(x))
    visible = counts / whole
    detections = _detect(rng, boxes, visible)
    return Frame(stamp_ns, detections, image, boxes, visible)


def _detect(rng: np.random.Generator, boxes: Any, visible: Any) -> Detections:
    found, scores = [], []
    for box, share in zip(boxes, visible, strict=True):
        score = np.clip(0.25 + 0.75 * share + rng.normal(0, 0.08), 0, 1)
        if share < 0.2 or rng.random() < 0.04 or box_area(box) < 200:
            continue
        size = np.tile(box[2:] - box[:2], 2)
        found.append(box + rng.normal(0, 0.025, 4) * size * (1 + (share < 0.7)))
        scores.append(score)
    if rng.random() < 0.05:
        corner, size = rng.uniform(0, 300, 2), rng.uniform(40, 150, 2)
        found.append(np.concatenate([corner, corner + size]))
        scores.append(rng.uniform(0.2, 0.7))
    return Detections(np.array(found), np.array(scores)) if found else Detections.empty()


def follow(frames: list[Frame], outputs: list[list[Track]]) -> dict[str, float]:
    """Id switches, share of visible people found, and share of confirmed boxes that are nobody.

    A person's id is that of the track that overlaps best (IoU 0.5 or more), people taken one by one.
    """
    last: dict[int, int] = {}
    switches = found = visible = false = shown = 0
    for frame, tracks in zip(frames, outputs, strict=True):
        tracks = [t for t in tracks if t.state == TrackingState.CONFIRMED]
        overlaps = box_iou(frame.true_boxes_px, np.array([t.box_px for t in tracks]).reshape(-1, 4))
        shown += len(tracks)
        false += int((overlaps.max(axis=0, initial=0) < 0.3).sum()) if len(tracks) else 0
        used: set[int] = set()
        for person in np.argsort(-overlaps.max(axis=1, initial=0)):
            if frame.visible[person] < 0.5:
                continue
            visible += 1
            order = [k for k in np.argsort(-overlaps[person]) if k not in used and overlaps[person, k] >= 0.5]
            if not order:
                continue
            used.add(order[0])
            found += 1
            track_id = tracks[order[0]].track_id
            switches += last.get(int(person), track_id) != track_id
            last[int(person)] = track_id
    return {"switches": switches, "recall": found / max(visible, 1), "false": false / max(shown, 1)}


class GreedyTracker:
    """The obvious thing: each detection continues the latest box that it overlaps most, or is somebody new."""

    def __init__(self) -> None:
        self.boxes: dict[int, np.ndarray] = {}
        self.seen: dict[int, int] = {}
        self.next_id = 1

    def update(self, detections: Detections, stamp_ns: int) -> list[Track]:
        self.boxes = {k: b for k, b in self.boxes.items() if stamp_ns - self.seen[k] < 3e9}
        tracks: dict[int, Track] = {}
        for box, score in zip(detections.boxes_px, detections.scores, strict=True):
            free = [k for k in self.boxes if k not in tracks]
            overlaps = [box_iou(self.boxes[k][None], box[None])[0, 0] for k in free]
            best = free[int(np.argmax(overlaps))] if overlaps and max(overlaps) > 0.2 else self.next_id
            self.next_id += best == self.next_id
            self.boxes[best], self.seen[best] = box, stamp_ns
            tracks[best] = Track(best, TrackingState.CONFIRMED, box, float(score))
        return list(tracks.values())


@pytest.fixture(scope="module")
def worlds() -> list[list[Frame]]:
    return [walking_people(seed, people=4 + seed % 2) for seed in range(5)]


def totals(worlds: list[list[Frame]], outputs: list[list[list[Track]]]) -> dict[str, float]:
    reports = [follow(world, output) for world, output in zip(worlds, outputs, strict=True)]
    return {
        "switches": sum(r["switches"] for r in reports),
        "recall": float(np.mean([r["recall"] for r in reports])),
        "false": float(np.mean([r["false"] for r in reports])),
    }


def track(world: list[Frame], uses_colours: bool) -> list[list[Track]]:
    tracker = Tracker(TrackerConfig())
    outputs = []
    for frame in world:
        colours = describe_people(frame.image, frame.detections.boxes_px) if uses_colours else None
        outputs.append(tracker.update(frame.detections, frame.stamp_ns, colours, (WIDTH, HEIGHT)))
    return outputs


def test_motion_beats_greedy_overlap_and_colours_beat_motion(worlds: list[list[Frame]]) -> None:
    greedy_trackers = [GreedyTracker() for _ in worlds]
    greedy = totals(
        worlds, [[g.update(f.detections, f.stamp_ns) for f in w] for g, w in zip(greedy_trackers, worlds, strict=True)]
    )
    motion = totals(worlds, [track(world, uses_colours=False) for world in worlds])
    colours = totals(worlds, [track(world, uses_colours=True) for world in worlds])
    assert motion["switches"] < 0.8 * greedy["switches"]
    assert colours["switches"] < 0.6 * motion["switches"]
    assert colours["switches"] <= 2.5 * len(worlds)
    for report in (motion, colours):
        assert report["recall"] > 0.93 and report["false"] < 0.01


def test_the_same_input_gives_the_same_tracks(worlds: list[list[Frame]]) -> None:
    first, second = (track(worlds[0], uses_colours=True) for _ in range(2))
    for a, b in zip(first, second, strict=True):
        assert [t.track_id for t in a] == [t.track_id for t in b]
        np.testing.assert_array_equal([t.box_px for t in a], [t.box_px for t in b])


def test_an_id_is_put_out_once_a_frame_and_inside_the_image(worlds: list[list[Frame]]) -> None:
    outputs = track(worlds[1], uses_colours=True)
    assert np.mean([len(output) for output in outputs]) > 1
    for output in outputs:
        ids = [t.track_id for t in output]
        assert len(set(ids)) == len(ids)
        boxes = np.array([t.box_px for t in output]).reshape(-1, 4)
        assert np.isfinite(boxes).all() and np.all(boxes[:, 2:] > boxes[:, :2])
        assert boxes.min(initial=0) >= 0 and np.all(boxes[:, [0, 2]] <= WIDTH) and np.all(boxes[:, [1, 3]] <= HEIGHT)


@pytest.mark.parametrize("fps", [2.0, 3.0, 5.0])
def test_people_who_walk_keep_their_ids_at_few_frames_a_second(fps: float) -> None:
    """Walking to and fro, three people meet about every two seconds; the greedy tracker changes ids all the time."""
    worlds = [walking_people(seed, people=3, seconds=20, fps=fps) for seed in range(4)]
    ours = totals(worlds, [track(world, uses_colours=True) for world in worlds])
    greedy_trackers = [GreedyTracker() for _ in worlds]
    greedy = totals(
        worlds, [[g.update(f.detections, f.stamp_ns) for f in w] for g, w in zip(greedy_trackers, worlds, strict=True)]
    )
    assert ours["switches"] < 0.25 * greedy["switches"], (ours, greedy)
    assert ours["recall"] > 0.9
