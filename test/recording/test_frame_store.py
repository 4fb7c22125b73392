"""Frames kept on disk until the overlay is drawn."""

from pathlib import Path

import numpy as np
import pytest

from dualpose_ros.recording.frame_store import FrameStore


def smooth_image(seed: int, height: int = 48, width: int = 64) -> np.ndarray:
    """A gentle colour ramp: JPEG keeps it to a grey level or two, so that a channel swap would show."""
    x, y = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    return np.stack([200 * x + seed, 200 * y, 30 + 0 * x], axis=-1).astype(np.uint8)


def test_kept_frames_come_back_and_others_do_not(tmp_path: Path) -> None:
    store = FrameStore(tmp_path / "frames")
    images = {stamp: smooth_image(stamp) for stamp in range(5)}
    for stamp, image in images.items():
        store.add(stamp, image)
        if stamp in (1, 3):
            store.keep(stamp)
    assert store.stamps_ns == [1, 3]
    for stamp in (3, 1):
        difference = np.abs(store.read(stamp).astype(int) - images[stamp])
        assert difference.max() <= 4
    with pytest.raises(KeyError):
        store.read(2)


def test_poses_that_overtake_their_image_still_get_it(tmp_path: Path) -> None:
    store = FrameStore(tmp_path / "frames")
    store.keep(7)
    assert len(store) == 0
    store.add(7, smooth_image(7))
    assert store.stamps_ns == [7]


def test_memory_is_bounded(tmp_path: Path) -> None:
    image = smooth_image(0)
    store = FrameStore(tmp_path / "frames", ring_bytes=3 * image.nbytes)
    for stamp in range(50):
        store.add(stamp, image)
    store.keep(46)
    assert store.stamps_ns == [], "it has fallen out of the ring"
    store.keep(47)
    store.keep(49)
    store.keep(48)
    assert store.stamps_ns == [47, 49], "what is older than a kept frame is let go"


def test_large_frames_that_are_in_work_are_held(tmp_path: Path) -> None:
    """Photographs of twelve megapixels were left out of the overlay."""
    store = FrameStore(tmp_path / "frames", ring_bytes=1000)
    for stamp in range(3):
        store.add(stamp, smooth_image(stamp))
    for stamp in range(3):
        store.keep(stamp)
    assert store.stamps_ns == [0, 1, 2]


def test_discard_removes_the_file(tmp_path: Path) -> None:
    store = FrameStore(tmp_path / "frames")
    store.add(1, smooth_image(1))
    store.keep(1)
    store.discard()
    assert list(tmp_path.iterdir()) == []
