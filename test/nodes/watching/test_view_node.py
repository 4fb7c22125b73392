"""The view node: what comes as messages is in view.rrd, images no oftener than asked for, a taken port in one line."""

import socket
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from dualpose_ros.camera import Camera
from dualpose_ros.errors import InputError
from dualpose_ros.nodes.convert import camera_to_info
from dualpose_ros.nodes.image_codec import encode_image
from dualpose_ros.nodes.watching.view_node import ViewNode
from dualpose_ros.nodes.wire import poses_to_bytes
from dualpose_ros.people import SEEN, Pose3D, Source, TrackingState
from dualpose_ros.skeleton import H36M17
from dualpose_ros.view.page import page_url

pytest.importorskip("rerun", reason="rerun-sdk (extra view) is missing")

from geometry_msgs.msg import TransformStamped  # isort: skip
from std_msgs.msg import Header  # isort: skip
from tf2_msgs.msg import TFMessage  # isort: skip


def header(milliseconds: int) -> Any:
    made = Header(frame_id="eye")
    made.stamp.sec, made.stamp.nanosec = 100, milliseconds * 1_000_000
    return made


def test_messages_are_in_the_file_and_images_come_at_the_rate(
    started: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rerun.chunk import RrdReader

    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    monkeypatch.setattr("dualpose_ros.view.page.viewer_files", lambda: {"/": b""})
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    file = tmp_path / "view.rrd"
    monkeypatch.setenv("HOME", str(tmp_path))
    given = {"web_port": port, "save_to": "~/view.rrd", "image_rate_hz": 20.0, "min_joint_score": SEEN}
    node = started(ViewNode, *(word for name, value in given.items() for word in ("-p", f"{name}:={value}")))
    k = H36M17.num_joints
    scores = np.where(np.arange(k) == 3, SEEN - 0.1, 1.0)
    joints = np.random.default_rng(1).normal((0, 0, 4), 0.5, (k, 3))
    person = Pose3D(7, TrackingState.CONFIRMED, Source.FUSED, 0.9, np.zeros(4), joints, scores, np.zeros(k),
                    np.full((k, 2), 20.0))  # fmt: skip
    node._on_info(0, camera_to_info(Camera(64, 48, 60.0, 60.0, 31.5, 23.5), header(0)))
    for number in range(10):
        moved = replace(person, joints_cam=joints + number)
        node._on_image(encode_image(np.zeros((48, 64, 3), np.uint8), header(number * 25)))
        node._on_poses(poses_to_bytes([moved], header(number * 25)))
    node.release()
    assert opened == [page_url(port)]
    found: dict[str, Any] = {}
    for chunk in RrdReader(file).stream():
        of_chunk = chunk.to_record_batch().to_pydict()
        for name, values in of_chunk.items():
            found.setdefault(f"{chunk.entity_path}:{name}", []).extend(values)
        if "Pinhole:resolution" in of_chunk:
            found["camera"] = of_chunk["stamp"]
    assert [stamp.timestamp() for stamp in found["camera"]] == [100.0], "said without a time, it has the first frame's"
    shown = np.array(found["/scene/people/joints:Points3D:positions"])
    expected = joints[None, scores >= SEEN] + np.arange(10)[:, None, None]
    np.testing.assert_allclose(shown, expected, atol=1e-5)
    assert len(found["/scene/camera/image:EncodedImage:blob"]) == 5


def test_the_ground_moves_with_tf_and_a_full_file_is_finished(
    started: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rerun.chunk import RrdReader

    monkeypatch.setattr("dualpose_ros.view.page.viewer_files", lambda: {"/": b""})
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    file = tmp_path / "view.rrd"
    given = {"web_port": port, "save_to": file, "ground_frame": "floor", "open_browser": "false",
             "save_limit_mb": 0.05}  # fmt: skip
    node = started(ViewNode, *(word for name, value in given.items() for word in ("-p", f"{name}:={value}")))
    warned: list[str] = []
    monkeypatch.setattr(node, "get_logger", lambda: SimpleNamespace(warning=lambda text, **_: warned.append(text)))
    # Of one image again and again the file takes next to nothing.
    noise = np.random.default_rng(0)
    for number in range(200):
        at = header(number * 100 % 1000)
        at.stamp.sec += number // 10
        if number:
            # From the second second on the camera is higher.
            node._transforms.add(tf(at, 1.4 if number < 10 else 1.6))
        node._on_poses(poses_to_bytes([], at))
        node._on_image(encode_image(noise.integers(0, 255, (48, 64, 3), dtype=np.uint8), at))
        if node._view.full:
            break
    node.release()
    assert number < 199 and warned[0].startswith("no ground: ") and "has reached save_limit_mb, 0.05 MB" in warned[-1]
    # What rerun has gathered in its fifth of a second comes besides.
    assert 50_000 < file.stat().st_size < 500_000
    heights: list[float] = []
    for chunk in RrdReader(file).stream():
        for name, values in chunk.to_record_batch().to_pydict().items():
            if chunk.entity_path == "/scene/ground" and name.endswith("strips"):
                heights += [float(strips[0][0][1]) for strips in values]
    np.testing.assert_allclose(heights, [1.4, 1.6], atol=1e-3)


def tf(at: Any, height_m: float) -> Any:
    """The optical frame of a level camera so far above the frame `floor`."""
    item = TransformStamped(header=Header(stamp=at.stamp, frame_id="floor"), child_frame_id=at.frame_id)
    item.transform.translation.z = height_m
    turn = item.transform.rotation
    turn.x, turn.y, turn.z, turn.w = -0.5, 0.5, -0.5, 0.5
    return TFMessage(transforms=[item])


def test_a_taken_port_is_named(started: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=f"port {port} can't be used for the live view: Address already in use"):
            started(ViewNode, "-p", f"web_port:={port}", "-p", "open_browser:=false")
