"""Calibration files: ROS's camera_calibration, OpenCV's FileStorage, Kalibr's camchain, a printed CameraInfo.

They may say besides where the ground is.
"""

import codecs
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar
from xml.etree import ElementTree

import yaml

from dualpose_ros.camera import Camera, CameraError, GroundConfig, camera_from_model, cropped_and_binned, ground_config
from dualpose_ros.settings import YamlLoader

Found = TypeVar("Found")

_LARGEST_BYTES = 1 << 20
_FORMATS = "camera_calibration's or Kalibr's YAML, OpenCV's YAML or XML, or `ros2 topic echo --once` of camera_info"

# The names that these files give to one thing; without case and underscores.
_WIDTH, _HEIGHT, _SIZE = ("imagewidth", "width"), ("imageheight", "height"), ("imagesize", "resolution", "size")
_MATRIX = ("cameramatrix", "intrinsicmatrix", "intrinsics", "k", "mtx", "m1")
_DISTORTION = (
    "distortioncoefficients", "distortioncoeffs", "distcoeffs", "distcoefs", "distcoeff", "dist", "d", "d1"
)  # fmt: skip
_GROUND = ("camera_height_m", "camera_pitch_deg", "camera_roll_deg")


class _Loader(YamlLoader):
    """YAML, and the matrices that OpenCV writes."""


def _matrix(loader: yaml.SafeLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    return loader.construct_mapping(node, deep=True)


for _kind in ("opencv-matrix", "opencv-nd-matrix"):
    _Loader.add_constructor(f"tag:yaml.org,2002:{_kind}", _matrix)


def load_calibration(path: Path, size: tuple[int, int] | None = None) -> Camera:
    """Camera of a calibration file, or of one of those of a file of several (`FILE:cam1`).

    size: width and height in pixels of the images, to which that of others is rescaled; None: those it was made with.
    CameraError names the file and what is wrong with it, or that images have another aspect ratio.
    """
    camera = _read(path, _camera)
    if size is None or size == (camera.width, camera.height):
        return camera
    width, height = size
    if abs(camera.width * height - camera.height * width) > 0.01 * camera.width * height:
        raise CameraError(
            f"calibration {path} is for {camera.width}x{camera.height}; the images have {width}x{height}, "
            "another aspect ratio"
        )
    return camera.resized(width, height)


def load_ground(path: Path) -> GroundConfig | None:
    """The ground that a calibration file adds to its camera: camera_height_m, camera_pitch_deg, camera_roll_deg.

    None without a height; errors as of `load_calibration`.
    """
    return _read(path, _ground)


def _read(path: Path, understand: Callable[[Mapping[str, Any]], Found]) -> Found:
    name, colon, chosen = path.name.rpartition(":")
    is_of_several = colon and name and not os.path.exists(path) and os.path.exists(path.with_name(name))
    path, chosen = (path.with_name(name), chosen) if is_of_several else (path, "")
    try:
        content = _first_document(path)
    except FileNotFoundError:
        raise CameraError(f"calibration file {path} does not exist") from None
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise CameraError(f"calibration file {path} cannot be read: {' '.join(str(error).split())}") from None
    try:
        if not isinstance(content, Mapping):
            raise CameraError(f"holds no mapping; needed is {_FORMATS}")
        return understand(_of_one_camera(content, chosen))
    except (CameraError, TypeError, ValueError, OverflowError) as error:
        raise CameraError(f"calibration file {path}: {error}") from None


def _first_document(path: Path) -> Any:
    with path.open("rb") as stream:
        data = stream.read(_LARGEST_BYTES + 1)
    if len(data) > _LARGEST_BYTES:
        raise ValueError(f"it is larger than {_LARGEST_BYTES} bytes")
    text = _text(data)
    if "\0" in text:
        raise ValueError(f"it is no text; needed is {_FORMATS}")
    # OpenCV's first line is no directive of YAML, which wants a space there.
    lines = text.splitlines()
    if lines and lines[0].startswith("%YAML:"):
        text = "\n".join(lines[1:])
    if text.lstrip().startswith("<?xml"):
        return _of_xml(text)
    return next(iter(yaml.load_all(text, Loader=_Loader)), None)


def _of_xml(text: str) -> dict[str, Any]:
    """What OpenCV's XML holds, as its YAML has it; ValueError for what is none."""
    if "<!" in re.sub("<!--.*?-->", "", text, flags=re.DOTALL):
        raise ValueError("it is XML with declarations of its own, which OpenCV's has not")
    try:
        storage = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise ValueError(f"it is no whole XML: {error}") from None
    found: dict[str, Any] = {}
    for entry in storage:
        if (data := entry.findtext("data")) is not None:
            found[entry.tag] = {"data": [float(word) for word in data.split()]}
        elif text := (entry.text or "").strip():
            try:
                values = [float(word) for word in text.split()]
                found[entry.tag] = values[0] if len(values) == 1 else values
            except ValueError:
                found[entry.tag] = text.strip('"')
    return found


def _text(data: bytes) -> str:
    """Text as editors store it: UTF-8, UTF-16 with its mark (Windows), or with other bytes in comments."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16")
    return data.decode("utf-8", errors="replace")


def _of_one_camera(content: Mapping[str, Any], chosen: str) -> Mapping[str, Any]:
    """What a file says of the camera that was chosen, and of all: Kalibr's have several, and OpenCV's of two."""
    rig = {
        str(name): entry
        for name, entry in content.items()
        if re.fullmatch(r"cam\d+", str(name)) and isinstance(entry, Mapping)
    }
    if "M2" in content:
        rig = {f"M{n}": {"camera_matrix": content.get(f"M{n}"), "dist_coeffs": content.get(f"D{n}")} for n in (1, 2)}
    if chosen not in rig and (chosen or len(rig) > 1):
        several = f"the cameras {', '.join(rig)}: name one, as in FILE:{next(iter(rig), '')}"
        raise CameraError(f"holds {several if rig else f'one camera, without a name: leave out {chosen}'}")
    return {**content, **rig.get(chosen, next(iter(rig.values()), {}))}


def _ground(content: Mapping[str, Any]) -> GroundConfig | None:
    odd = [str(name) for name in content if re.match("camera_(height|pitch|roll)", str(name)) and name not in _GROUND]
    if odd:
        raise CameraError(f"'{odd[0]}' is unknown; the ground is said by {', '.join(_GROUND)}")
    if "camera_height_m" not in content:
        if alone := [name for name in _GROUND if name in content]:
            raise CameraError(f"'{alone[0]}' says where the ground is with camera_height_m alone")
        return None
    pitch, roll = (float(content.get(f"camera_{name}_deg", 0.0)) for name in ("pitch", "roll"))
    return ground_config(float(content["camera_height_m"]), pitch, roll)


def _camera(content: Mapping[str, Any]) -> Camera:
    entries = {str(key).lower().replace("_", "").replace("-", ""): value for key, value in content.items()}
    if str(entries.get("cameramodel", "pinhole")).lower() not in ("pinhole", "pinholecamera"):
        raise CameraError(f"camera_model '{entries['cameramodel']}' is not supported; calibrate as pinhole")
    matrix = _numbers(_entry(entries, _MATRIX, "camera_matrix"), "camera_matrix")
    if len(matrix) == 4:
        fx, fy, cx, cy = matrix
        matrix = [fx, 0.0, cx, 0.0, fy, cy, 0.0, 0.0, 1.0]
    if any(name in entries for name in _SIZE) and not any(name in entries for name in _WIDTH):
        size = _numbers(_entry(entries, _SIZE, "image_size"), "image_size")
        if len(size) != 2:
            raise CameraError(f"image_size has {len(size)} values instead of 2")
        width, height = (int(value) for value in size)
    else:
        width = int(_entry(entries, _WIDTH, "image_width"))
        height = int(_entry(entries, _HEIGHT, "image_height"))
    model = str(entries.get("distortionmodel", "fisheye" if entries.get("fisheyemodel") else "plumb_bob"))
    distortion = _numbers(_entry(entries, _DISTORTION, "distortion_coefficients"), "distortion_coefficients")
    camera = camera_from_model(width, height, model, matrix, distortion)
    region = entries.get("roi") or {}
    if not isinstance(region, Mapping):
        raise CameraError("'roi' is no mapping")
    bins = [int(entries.get(f"binning{axis}", 0)) for axis in "xy"]
    place = [int(region.get(name, 0)) for name in ("x_offset", "y_offset", "width", "height")]
    return cropped_and_binned(camera, place, bins)


def _entry(entries: Mapping[str, Any], names: tuple[str, ...], told: str) -> Any:
    found = next((entries[name] for name in names if name in entries), None)
    if found is None:
        raise CameraError(f"'{told}' is missing; needed is {_FORMATS}")
    return found


def _numbers(value: Any, told: str) -> list[float]:
    """The numbers of a matrix: a mapping with `data`, a list, or a list of rows."""
    if isinstance(value, Mapping):
        if "data" not in value:
            raise CameraError(f"'{told}.data' is missing")
        value = value["data"]
    if not isinstance(value, list) or len(value) > 16:
        raise CameraError(f"'{told}' is no list of numbers")
    flat: list[Any] = []
    for item in value:
        flat += item if isinstance(item, list) and len(item) <= 16 else [item]
    if not all(isinstance(item, int | float) for item in flat):
        raise CameraError(f"'{told}' is no list of numbers")
    return [float(item) for item in flat]
