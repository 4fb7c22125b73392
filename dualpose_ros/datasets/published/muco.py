"""MuCo-3DHP: pictures of people cut out of MPI-INF-3DHP, with their labels in one file in COCO's form.

Mehta et al., 3DV 2018, in the form that Moon et al. ("Camera distance-aware top-down approach", ICCV 2019) publish:
`MuCo-3DHP.json` with images (f, c: focal lengths and centre) and annotations (keypoints_img (21, 2) pixels,
keypoints_cam (21, 3) millimetres, keypoints_vis (21,)).
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from dualpose_ros.camera import Camera, CameraError
from dualpose_ros.datasets.published.mupots import JOINTS as MUPOTS
from dualpose_ros.datasets.published.truth import (
    DatasetError,
    TruthFrame,
    TruthSequence,
    field_of,
    finite,
    list_of,
    numbers,
    read_json,
    true_people,
    whole_of,
)

JOINTS = (*MUPOTS, "right_hand", "left_hand", "right_toe", "left_toe")


def open_muco(root: Path) -> list[TruthSequence]:
    """All pictures as one sequence; DatasetError names what is missing or wrong."""
    path = next((root / name for name in ("MuCo-3DHP.json", "annotations/MuCo-3DHP.json") if (root / name).is_file()),
                None)  # fmt: skip
    if path is None:
        raise DatasetError(f"{root} has no MuCo-3DHP.json")
    return [TruthSequence("MuCo-3DHP", JOINTS, lambda: _frames(path))]


def _frames(path: Path) -> Iterator[TruthFrame]:
    content = read_json(path)
    people: dict[Any, list[dict[str, Any]]] = {}
    for annotation in list_of(content, "annotations", path):
        people.setdefault(whole_of(annotation, "image_id", path), []).append(annotation)
    seen_ids: set[int] = set()
    for index, image in enumerate(list_of(content, "images", path)):
        number = whole_of(image, "id", path)
        where, own = f"{path}: image {number}", people.get(number, [])
        if number in seen_ids:
            raise DatasetError(f"{where} is there twice")
        seen_ids.add(number)
        f, c = (numbers(field_of(image, name, path), (2,), f"{where}.{name}") for name in ("f", "c"))
        try:
            camera = Camera(
                int(image["width"]), int(image["height"]), float(f[0]), float(f[1]), float(c[0]), float(c[1])
            )
        except (CameraError, KeyError, TypeError, ValueError) as error:
            raise DatasetError(f"{where}: {error}") from None
        places, pixels, seen = (
            np.stack([finite(numbers(field_of(a, name, path), shape, f"{where}.{name}"), f"{where}.{name}")
                      for a in own])
            if own else np.zeros((0, *shape))
            for name, shape in (("keypoints_cam", (len(JOINTS), 3)), ("keypoints_img", (len(JOINTS), 2)),
                                ("keypoints_vis", (len(JOINTS),)))
        )  # fmt: skip
        truth = true_people(np.arange(len(own)), places / 1000, pixels, where, seen > 0)
        yield TruthFrame(index, float(index), path.parent / str(field_of(image, "file_name", path)), camera, truth)
