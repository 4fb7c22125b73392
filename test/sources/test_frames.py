"""Sources of images and calibration files."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from dualpose_ros.camera import CameraError
from dualpose_ros.sources.calibration import load_calibration
from dualpose_ros.sources.frames import SourceError, open_source


def numbered(index: int, size: tuple[int, int] = (64, 48)) -> np.ndarray:
    """A picture that tells its number by its grey level, red on the left."""
    image = np.full((size[1], size[0], 3), 10 * index, np.uint8)
    image[:, : size[0] // 2, 0] = 250
    return image


def write_video(path: Path, count: int) -> None:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 12.5, (64, 48))
    assert writer.isOpened()
    for index in range(count):
        writer.write(cv2.cvtColor(numbered(index), cv2.COLOR_RGB2BGR))
    writer.release()


def read_all(source: object) -> list[np.ndarray]:
    images = []
    while (image := source.read()) is not None:  # type: ignore[attr-defined]
        images.append(image)
    return images


def test_video(tmp_path: Path) -> None:
    path = tmp_path / "clip.avi"
    write_video(path, 9)
    source = open_source(str(path))
    assert (source.info.width, source.info.height, source.info.count, source.info.live) == (64, 48, 9, False)
    assert source.info.fps == pytest.approx(12.5)
    for _ in range(2):
        images = read_all(source)
        assert len(images) == 9
        for index, image in enumerate(images):
            assert image.dtype == np.uint8 and image.shape == (48, 64, 3)
            assert abs(int(image[24, 48, 1]) - 10 * index) <= 6
            assert image[24, 10, 0] > 200 > image[24, 10, 2] + 60
        source.rewind()
    source.close()


def test_directory_in_natural_order(tmp_path: Path) -> None:
    for index in (1, 2, 10):
        cv2.imwrite(str(tmp_path / f"frame_{index}.png"), cv2.cvtColor(numbered(index), cv2.COLOR_RGB2BGR))
    (tmp_path / "notes.txt").write_text("not an image")
    source = open_source(str(tmp_path))
    assert source.info.count == 3
    assert [int(image[0, 63, 1]) for image in read_all(source)] == [10, 20, 100]
    source.rewind()
    image = source.read()
    assert image is not None and np.array_equal(image, numbered(1))


def test_directory_goes_on_after_a_bad_image(tmp_path: Path) -> None:
    for index in (1, 4):
        cv2.imwrite(str(tmp_path / f"{index}.png"), numbered(index))
    (tmp_path / "2.png").write_bytes(b"no png")
    cv2.imwrite(str(tmp_path / "3.png"), numbered(3, (32, 32)))
    source = open_source(str(tmp_path))
    assert source.read() is not None
    with pytest.raises(SourceError, match=r"2\.png cannot be decoded"):
        source.read()
    with pytest.raises(SourceError, match=r"32x32.*64x48"):
        source.read()
    assert source.read() is not None
    assert source.read() is None


def test_bad_sources(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no source given"):
        open_source("")
    with pytest.raises(SourceError, match=r"nowhere\.mp4 does not exist"):
        open_source(str(tmp_path / "nowhere.mp4"))
    with pytest.raises(SourceError, match="holds no images"):
        open_source(str(tmp_path))
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"not a video at all" * 100)
    with pytest.raises(SourceError, match=r"broken\.mp4 cannot be read"):
        open_source(str(broken))
    with pytest.raises(SourceError, match="camera device /dev/video987"):
        open_source("/dev/video987")


CALIBRATION = {
    "image_width": 640,
    "image_height": 480,
    "camera_name": "head",
    "camera_matrix": {"rows": 3, "cols": 3, "data": [500.0, 0.0, 320.5, 0.0, 505.0, 239.5, 0.0, 0.0, 1.0]},
    "distortion_model": "plumb_bob",
    "distortion_coefficients": {"rows": 1, "cols": 5, "data": [-0.1, 0.02, 0.0, 0.0, 0.0]},
}


def test_calibration(tmp_path: Path) -> None:
    path = tmp_path / "camera.yaml"
    path.write_text(yaml.safe_dump(CALIBRATION))
    camera = load_calibration(path)
    assert (camera.width, camera.height) == (640, 480)
    assert (camera.fx, camera.fy, camera.cx, camera.cy) == (500, 505, 320.5, 239.5)
    assert camera.distortion == (-0.1, 0.02, 0.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("[1, 2]", "no mapping"),
        ("{a: [", "cannot be read"),
        (yaml.safe_dump({**CALIBRATION, "distortion_model": "equidistant"}), "'equidistant'"),
        (yaml.safe_dump({k: v for k, v in CALIBRATION.items() if k != "camera_matrix"}), "'camera_matrix' is missing"),
        (yaml.safe_dump({**CALIBRATION, "camera_matrix": {"rows": 3}}), "'camera_matrix.data' is missing"),
        (yaml.safe_dump({**CALIBRATION, "camera_matrix": {"data": [0.0] * 9}}), "K is all zero"),
        (yaml.safe_dump({**CALIBRATION, "camera_matrix": {"data": [1.0, 2.0]}}), "K has 2 values"),
        (yaml.safe_dump({**CALIBRATION, "camera_matrix": {"data": "abc"}}), "camera.yaml"),
        (yaml.safe_dump({**CALIBRATION, "image_width": "wide"}), "camera.yaml"),
    ],
)
def test_bad_calibrations(tmp_path: Path, content: str, says: str) -> None:
    path = tmp_path / "camera.yaml"
    path.write_text(content)
    with pytest.raises(CameraError, match=says):
        load_calibration(path)


def test_missing_calibration(tmp_path: Path) -> None:
    with pytest.raises(CameraError, match=r"none\.yaml does not exist"):
        load_calibration(tmp_path / "none.yaml")
