"""Cuts of films: told, and not mistaken for flashes, pans, people who fill the picture, or a shaking hand."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

from dualpose_ros.arrays import RgbImage
from dualpose_ros.detection.cuts import LONGEST_FLASH_S, CutWatch
from dualpose_ros.detection.detections import Detections
from dualpose_ros.detection.stage import DetectionConfig, DetectionStage

CLIP = Path(__file__).resolve().parents[2] / "demo" / "clip.mp4"


def scene(seed: int) -> RgbImage:
    """A wide picture (480, 1280, 3) of coloured boxes before a wall of another colour for each seed."""
    rng = np.random.default_rng(seed)
    picture = np.full((480, 1280, 3), rng.integers(40, 215, 3), np.uint8)
    for _ in range(120):
        x, y = rng.integers(-40, 1280), rng.integers(-40, 480)
        size, colour = rng.integers(20, 120, 2), rng.integers(0, 256, 3).tolist()
        cv2.rectangle(picture, (int(x), int(y), int(size[0]), int(size[1])), colour, -1)
    return picture


def view(picture: RgbImage, x: float, zoom: float = 1.0, turn_deg: float = 0.0) -> RgbImage:
    """What a camera of 640 x 480 sees around a column of the picture."""
    place = np.array(cv2.getRotationMatrix2D((x, 240), turn_deg, zoom), dtype=np.float64)
    place[0, 2] += 320 - x
    return np.asarray(cv2.warpAffine(picture, place, (640, 480), borderMode=cv2.BORDER_REFLECT_101), np.uint8)


def brighter(image: RgbImage, gain: float, offset: float) -> RgbImage:
    return np.clip(image * gain + offset, 0, 255).astype(np.uint8)


def cuts(images: Iterable[RgbImage], fps: float = 10.0) -> list[int]:
    watch = CutWatch()
    return [k for k, image in enumerate(images) if watch.is_cut(image, round(10**9 + k * 1e9 / fps))]


def shot(seed: int, frames: int, speed_px: float = 4.0) -> list[RgbImage]:
    picture = scene(seed)
    return [view(picture, 400 + speed_px * k) for k in range(frames)]


@pytest.mark.parametrize("fps", [30.0, 5.0, 1.0])
def test_every_cut_is_told_with_its_first_frame(fps: float) -> None:
    lengths = (5, 1, 7, 3, 6)
    film = [image for seed, length in enumerate(lengths) for image in shot(seed, length)]
    assert cuts(film, fps) == np.cumsum(lengths)[:-1].tolist()


def test_another_size_is_another_shot() -> None:
    first, second = shot(1, 3), shot(1, 6)[3:]
    assert cuts([*first, *(image[:, :400] for image in second)]) == [3]


def test_pans_zooms_and_a_shaking_hand_are_no_cuts() -> None:
    picture, rng = scene(1), np.random.default_rng(2)
    assert cuts(view(picture, 330 + 200 * k) for k in range(4)) == [], "a third of the view a frame"
    assert cuts(view(picture, 640, 1.25**k) for k in range(5)) == []
    shaken = [(640 + 60 * rng.normal(), 1 + 0.05 * rng.normal(), 4 * rng.normal()) for _ in range(10)]
    assert cuts(view(picture, *how) for how in shaken) == []


def test_somebody_who_fills_the_picture_is_no_cut() -> None:
    behind, coat = view(scene(1), 500), view(scene(2), 500)
    film = []
    for left in range(-560, 640, 160):
        image = behind.copy()
        image[:, max(left, 0) : left + 560] = coat[:, : 560 + min(left, 0)][:, : 640 - max(left, 0)]
        film.append(image)
    assert cuts(film, 5.0) == []


@pytest.mark.parametrize(("gain", "offset"), [(2.0, 40.0), (4.0, 160.0), (1.0, 255.0), (0.2, 0.0), (0.0, 0.0)])
def test_a_flash_or_a_dark_moment_is_no_cut(gain: float, offset: float) -> None:
    film = shot(1, 12)
    film[5:7] = [brighter(image, gain, offset) for image in film[5:7]]
    assert cuts(film) == []


def test_a_cut_to_what_may_be_a_flash_is_told_a_little_later() -> None:
    white = [np.full((480, 640, 3), 255, np.uint8)] * 8
    (at,) = cuts([*shot(1, 5), *white], 20.0)
    assert 5 + LONGEST_FLASH_S * 20 <= at <= 6 + LONGEST_FLASH_S * 20


def test_time_set_back_is_no_cut() -> None:
    watch = CutWatch()
    assert not watch.is_cut(shot(1, 1)[0], 10**9) and not watch.is_cut(shot(2, 1)[0], 0)


@pytest.mark.parametrize("step", [1, 20])
def test_the_demo_has_no_cut(step: int) -> None:
    clip, images = cv2.VideoCapture(str(CLIP)), list[RgbImage]()
    while clip.grab():
        images.append(np.asarray(clip.retrieve()[1][..., ::-1]))
    assert len(images) == 440 and cuts(images[:: step if step > 1 else 4], 20 / step) == []


class Everybody:
    """Finds one person, always there."""

    def __call__(self, image: RgbImage, far: bool = True) -> Detections:
        return Detections(np.array([[100.0, 50, 200, 400]]), np.array([0.9]))


@pytest.mark.parametrize(("watches", "ids"), [(True, [1, 1, 1, 2, 2]), (False, [1] * 5)])
def test_who_stands_where_somebody_stood_is_somebody_else_after_a_cut(watches: bool, ids: Sequence[int]) -> None:
    stage = DetectionStage(DetectionConfig(), Everybody(), watches_cuts=watches)
    found, at_cut = list[int](), list[bool]()
    for k, image in enumerate([*shot(1, 3), *shot(2, 2)]):
        found += [track.track_id for track in stage.process(image, k * 10**8)]
        at_cut.append(stage.is_cut)
    assert found == ids and at_cut == [False, False, False, watches, False]
