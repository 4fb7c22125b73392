"""Calibration files of every tool that users have, and what is none."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from dualpose_ros.camera import Camera, CameraError
from dualpose_ros.sources.calibration import load_calibration, load_ground

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
        (yaml.safe_dump({**CALIBRATION, "distortion_model": "omni"}), "'omni' is not supported"),
        ("<?xml version='1.0'?><opencv_storage/>", "'image_width' is missing|'camera_matrix' is missing"),
        ("<?xml version='1.0'?><opencv_storage><camera_matrix>", "no whole XML"),
        ("<?xml version='1.0'?><!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>", "declarations of its own"),
        ("<?xml version='1.0'?><a><camera_matrix><data>1 two</data></camera_matrix></a>", "could not convert"),
        ("cam0: {camera_model: omni, intrinsics: [1, 2, 3, 4, 5]}", "camera_model 'omni'"),
        (yaml.safe_dump({k: v for k, v in CALIBRATION.items() if k != "camera_matrix"}), "'camera_matrix' is missing"),
        (yaml.safe_dump({**CALIBRATION, "camera_matrix": {"rows": 3}}), "'camera_matrix.data' is missing"),
        (yaml.safe_dump({**CALIBRATION, "camera_matrix": {"data": [0.0] * 9}}), "K is all zero"),
        (yaml.safe_dump({**CALIBRATION, "camera_matrix": {"data": [1.0, 2.0]}}), "K has 2 values"),
        (yaml.safe_dump({**CALIBRATION, "camera_matrix": {"data": "abc"}}), "camera.yaml"),
        (yaml.safe_dump({**CALIBRATION, "camera_matrix": [500, 0, 0, 0, 505, 0, 320.5, 239.5, 1]}), "transposed"),
        (yaml.safe_dump({**CALIBRATION, "camera_matrix": [1000, 0, 641, 0, 1010, 479, 0, 0, 2]}), "scaled"),
        (yaml.safe_dump({**CALIBRATION, "camera_matrix": [500, 80, 320.5, 0, 505, 239.5, 0, 0, 1]}), "skewed"),
        (yaml.safe_dump({**CALIBRATION, "camera_matrix": [4.2, 0, 3.2, 0, 4.2, 2.4, 0, 0, 1]}), "focal 4.2 pixels"),
        (yaml.safe_dump(CALIBRATION) + "image_width: 1280\n", "'image_width' is there twice"),
        (yaml.safe_dump({**CALIBRATION, "image_width": "wide"}), "camera.yaml"),
        ("MATLAB 5.0 MAT-file\0\0\1IM", "it is no text"),
    ],
)
def test_bad_calibrations(tmp_path: Path, content: str, says: str) -> None:
    path = tmp_path / "camera.yaml"
    path.write_text(content)
    with pytest.raises(CameraError, match=says):
        load_calibration(path)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "latin-1"])
def test_as_editors_and_libraries_store_it(tmp_path: Path, encoding: str) -> None:
    """Text in other encodings, Windows' ends of lines, and numbers without a point, as NumPy and JSON print them."""
    text = "# Kamera 1, schräg\n" + yaml.safe_dump(CALIBRATION).replace("0.02", "2e-05").replace("-0.1", "-1E-1")
    path = tmp_path / "c.yaml"
    path.write_bytes(text.replace("\n", "\r\n").encode(encoding))
    camera = load_calibration(path)
    assert (camera.width, camera.fx) == (640, 500) and camera.distortion[:2] == (-0.1, 2e-05)


def test_what_arithmetic_leaves_in_a_matrix_is_none_of_its_form(tmp_path: Path) -> None:
    path = tmp_path / "camera.yaml"
    matrix = [500.0, -1e-12, 320.5, 3e-17, 505.0, 239.5, 0.0, -2e-19, 0.99999999]
    path.write_text(yaml.safe_dump({**CALIBRATION, "camera_matrix": matrix}))
    assert load_calibration(path).fy == 505.0


def test_it_is_rescaled_to_images_of_another_size(tmp_path: Path) -> None:
    path = tmp_path / "camera.yaml"
    path.write_text(yaml.safe_dump(CALIBRATION))
    assert load_calibration(path, (640, 480)) == load_calibration(path)
    assert load_calibration(path, (1280, 960)) == load_calibration(path).resized(1280, 960)
    with pytest.raises(CameraError, match=r"camera\.yaml is for 640x480; the images have 640x360, another aspect"):
        load_calibration(path, (640, 360))


def test_missing_calibration(tmp_path: Path) -> None:
    with pytest.raises(CameraError, match=r"none\.yaml does not exist"):
        load_calibration(tmp_path / "none.yaml")


K = np.array([[500.0, 0, 320.5], [0, 505, 239.5], [0, 0, 1]])
FISHEYE_D = (0.02, -0.01, 0.003, -0.0004)


@pytest.mark.parametrize("suffix", ["yml", "xml"])
@pytest.mark.parametrize(("fisheye", "d"), [(False, (-0.1, 0.02, 0.001, 0.0, 0.0)), (True, FISHEYE_D)])
def test_what_opencv_writes(tmp_path: Path, fisheye: bool, d: tuple[float, ...], suffix: str) -> None:
    """OpenCV's own writer is the reference; the names are those of its calibration program."""
    path = tmp_path / f"opencv.{suffix}"
    storage = cv2.FileStorage(str(path), cv2.FILE_STORAGE_WRITE)
    storage.write("calibration_time", "Sun Nov 29 19:00:00 2026")
    storage.write("image_width", 640)
    storage.write("image_height", 480)
    storage.write("fisheye_model", int(fisheye))
    storage.write("camera_matrix", K)
    # OpenCV 5 writes an array of one dimension in another form than one of two.
    storage.write("distortion_coefficients", np.array(d) if fisheye else np.array(d).reshape(-1, 1))
    storage.release()
    assert path.read_text().startswith("%YAML" if suffix == "yml" else "<?xml")
    camera = load_calibration(path)
    assert (camera.fx, camera.fy, camera.cx, camera.cy) == (500, 505, 320.5, 239.5)
    assert (camera.fisheye, camera.distortion) == (fisheye, pytest.approx(d))


@pytest.mark.parametrize(
    ("text", "fisheye"),
    [
        ("cam0:\n  camera_model: pinhole\n  distortion_coeffs: [0.02, -0.01, 0.003, -0.0004]\n"
         "  distortion_model: equidistant\n  intrinsics: [500.0, 505.0, 320.5, 239.5]\n  resolution: [640, 480]\n"
         "  rostopic: /eye/image_raw\n", True),
        ("header:\n  stamp: {sec: 1, nanosec: 2}\n  frame_id: eye\nheight: 480\nwidth: 640\n"
         "distortion_model: plumb_bob\nd:\n- 0.02\n- -0.01\n- 0.003\n- -0.0004\n- 0.0\n"
         "k:\n- 500.0\n- 0.0\n- 320.5\n- 0.0\n- 505.0\n- 239.5\n- 0.0\n- 0.0\n- 1.0\nbinning_x: 0\n---\n", False),
        ("%YAML:1.0\n---\nimage_size: [640, 480]\nK: [[500, 0, 320.5], [0, 505, 239.5], [0, 0, 1]]\n"
         "D: [0.02, -0.01, 0.003, -0.0004]\ndistortion_model: fisheye\n", True),
    ],
    ids=["kalibr", "topic echo", "rows"],
)  # fmt: skip
def test_what_other_tools_write(tmp_path: Path, text: str, fisheye: bool) -> None:
    path = tmp_path / "camera.yaml"
    path.write_text(text)
    camera = load_calibration(path)
    assert (camera.width, camera.height, camera.fx, camera.fy, camera.cx, camera.cy) == (
        640,
        480,
        500,
        505,
        320.5,
        239.5,
    )
    assert camera.fisheye is fisheye and camera.distortion[:4] == FISHEYE_D


PRINTED = """\
header: {stamp: {sec: 1, nanosec: 2}, frame_id: eye}
height: 960
width: 1280
distortion_model: plumb_bob
d: [0.0, 0.0, 0.0, 0.0, 0.0]
k: [1000.0, 0.0, 640.0, 0.0, 1000.0, 480.0, 0.0, 0.0, 1.0]
binning_x: 2
binning_y: 2
roi: {x_offset: 320, y_offset: 240, height: 480, width: 640, do_rectify: false}
"""


def test_a_printed_camera_info_is_of_its_region_and_binned(tmp_path: Path) -> None:
    path = tmp_path / "camera.yaml"
    path.write_text(PRINTED)
    assert load_calibration(path) == Camera(320, 240, 500.0, 500.0, 159.75, 119.75)
    path.write_text(PRINTED.replace("binning_x: 2\nbinning_y: 2\n", ""))
    assert load_calibration(path) == Camera(640, 480, 1000.0, 1000.0, 320.0, 240.0)
    path.write_text(PRINTED.replace("roi: {", "roi: [1]\nleft: {"))
    with pytest.raises(CameraError, match="'roi' is no mapping"):
        load_calibration(path)


KALIBR = "".join(
    f"cam{n}:\n  camera_model: pinhole\n  distortion_coeffs: [0, 0, 0, 0]\n  distortion_model: radtan\n"
    f"  intrinsics: [{focal}, {focal}, 320, 240]\n  resolution: [640, 480]\n  camera_height_m: {1 + n}\n"
    for n, focal in enumerate((500, 700))
)
STEREO = (
    "image_size: [640, 480]\nM1: [[500, 0, 320], [0, 500, 240], [0, 0, 1]]\nD1: [0, 0, 0, 0]\n"
    "M2: [[700, 0, 320], [0, 700, 240], [0, 0, 1]]\nD2: [0, 0, 0, 0]\n"
)


@pytest.mark.parametrize(("text", "names"), [(KALIBR, ("cam0", "cam1")), (STEREO, ("M1", "M2"))])
def test_of_several_cameras_one_is_named(text: str, names: tuple[str, str], tmp_path: Path) -> None:
    path = tmp_path / "rig.yaml"
    path.write_text(text)
    with pytest.raises(CameraError, match=rf"holds the cameras {', '.join(names)}: name one, as in FILE:{names[0]}"):
        load_calibration(path)
    with pytest.raises(CameraError, match="holds the cameras"):
        load_calibration(tmp_path / "rig.yaml:cam7")
    assert [load_calibration(tmp_path / f"rig.yaml:{name}").fx for name in names] == [500, 700]
    if text is KALIBR:
        ground = load_ground(tmp_path / "rig.yaml:cam1")
        assert ground is not None and ground.camera_height_m == 2.0
    path.write_text(yaml.safe_dump(CALIBRATION))
    with pytest.raises(CameraError, match="one camera, without a name: leave out cam0"):
        load_calibration(tmp_path / "rig.yaml:cam0")
    path.rename(tmp_path / "a:cam0")
    assert load_calibration(tmp_path / "a:cam0").fx == 500
    with pytest.raises(CameraError, match=r"b:cam0 does not exist"):
        load_calibration(tmp_path / "b:cam0")


def test_a_file_may_say_where_the_ground_is(tmp_path: Path) -> None:
    path = tmp_path / "camera.yaml"
    path.write_text(yaml.safe_dump(CALIBRATION))
    assert load_ground(path) is None
    path.write_text(yaml.safe_dump({**CALIBRATION, "camera_height_m": 1.4, "camera_pitch_deg": 12}))
    ground = load_ground(path)
    assert ground is not None and (ground.camera_height_m, ground.camera_roll_rad) == (1.4, 0)
    assert ground.camera_pitch_rad == pytest.approx(np.radians(12))
    assert load_calibration(path).fx == 500


@pytest.mark.parametrize(
    ("entries", "says"),
    [
        ({"camera_height_m": -1.0}, "must be above"),
        ({"camera_height_m": "high"}, "camera.yaml"),
        ({"camera_height_m": 1.0, "camera_pitch_deg": 120.0}, "camera_pitch_rad"),
        ({"camera_pitch_deg": 12.0}, "'camera_pitch_deg' says where the ground is with camera_height_m alone"),
        ({"camera_height_m": 1.0, "camera_pitch_rad": 0.2}, "'camera_pitch_rad' is unknown; .* camera_pitch_deg"),
        ({"camera_height": 1.0}, "'camera_height' is unknown"),
    ],
)
def test_bad_grounds(tmp_path: Path, entries: dict[str, object], says: str) -> None:
    path = tmp_path / "camera.yaml"
    path.write_text(yaml.safe_dump({**CALIBRATION, **entries}))
    with pytest.raises(CameraError, match=says):
        load_ground(path)
