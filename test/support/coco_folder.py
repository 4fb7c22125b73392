"""A folder of made pictures with people labelled in COCO's format."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from dualpose_ros.skeleton import COCO17

WIDTH, HEIGHT = 120, 80


def keypoints(seen: dict[str, int]) -> list[float]:
    """COCO's flat list: joint number j at (3 j, 2 j), with the visibilities named, 0 elsewhere."""
    return [v for j, name in enumerate(COCO17.joint_names) for v in (3.0 * j, 2.0 * j, seen.get(name, 0))]


def coco(root: Path, images: int = 3, **person: Any) -> dict[str, Any]:
    """Write a folder of `images` pictures with one person each, and return its annotations."""
    (root / "images").mkdir(parents=True)
    content: dict[str, Any] = {
        "images": [{"id": n, "file_name": f"{n:03d}.png", "width": WIDTH, "height": HEIGHT} for n in range(images)],
        "annotations": [
            {"image_id": n, "bbox": [10, 5, 60, 70], "iscrowd": 0, "keypoints": keypoints({"left_hip": 2}), **person}
            for n in range(images)
        ],
        "categories": [{"name": "person", "keypoints": list(COCO17.joint_names)}],
    }
    for n in range(images):
        picture = np.random.default_rng(n).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
        cv2.imwrite(str(root / "images" / f"{n:03d}.png"), picture)
    save(root, content)
    return content


def save(root: Path, content: dict[str, Any]) -> None:
    """Write annotations anew."""
    (root / "person_keypoints.json").write_text(json.dumps(content))
