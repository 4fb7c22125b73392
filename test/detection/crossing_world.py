"""A little world of people crossing each other, for tests of the tracker: boxes, drops, noise and colours."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from dualpose_ros.detection.detections import Detections, no_detections
from dualpose_ros.pose import TrackingState, box_area, box_iou

WIDTH, HEIGHT = 640, 480


@dataclass(frozen=True)
class Frame:
    """What a detector sees: stamp, boxes with scores, the picture, and each true person's box and visible share."""

    stamp_ns: int
    detections: Detections
    image: npt.NDArray[np.uint8]
    true_boxes_px: npt.NDArray[np.float64]
    visible: npt.NDArray[np.float64]


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


def _frame(rng, stamp_ns, x, depth, bodies, clothes, backdrop) -> Frame:  # type: ignore[no-untyped-def]
    focal = 500.0
    height, middle = focal * bodies / depth, WIDTH / 2 + focal * x / depth
    bottom = HEIGHT / 2 + focal * 1.2 / depth
    half = 0.16 * height
    boxes = np.stack([middle - half, bottom - height, middle + half, bottom], axis=1)
    boxes = np.clip(boxes, 0, [WIDTH, HEIGHT, WIDTH, HEIGHT])
    image, owner = backdrop.copy(), np.full((HEIGHT, WIDTH), -1)
    for person in np.argsort(-depth):
        x0, y0, x1, y1 = np.round(boxes[person]).astype(int)
        waist = (y0 + y1) // 2
        image[y0:waist, x0:x1], image[waist:y1, x0:x1] = clothes[person]
        owner[y0:y1, x0:x1] = person
    noise = rng.normal(0, 12, image.shape)
    image = np.clip(image * rng.uniform(0.85, 1.15) + noise, 0, 255).astype(np.uint8)
    visible = np.array([(owner == k).sum() for k in range(len(x))]) / np.maximum(box_area(boxes), 1)
    detections = _detect(rng, boxes, visible)
    return Frame(stamp_ns, detections, image, boxes, visible)


def _detect(rng, boxes, visible) -> Detections:  # type: ignore[no-untyped-def]
    found, scores = [], []
    for box, share in zip(boxes, visible, strict=True):
        score = np.clip(0.25 + 0.75 * share + rng.normal(0, 0.08), 0, 1)
        if share < 0.25 or rng.random() < 0.04 or box_area(box) < 200:
            continue
        size = np.tile(box[2:] - box[:2], 2)
        found.append(box + rng.normal(0, 0.025, 4) * size * (1 + (share < 0.7)))
        scores.append(score)
    if rng.random() < 0.05:
        corner, size = rng.uniform(0, 300, 2), rng.uniform(40, 150, 2)
        found.append(np.concatenate([corner, corner + size]))
        scores.append(rng.uniform(0.2, 0.7))
    return Detections(np.array(found), np.array(scores)) if found else no_detections()


def follow(frames: list[Frame], outputs: list[list]) -> dict[str, float]:  # type: ignore[type-arg]
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
