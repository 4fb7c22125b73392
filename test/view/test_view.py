"""The live view: what is logged is read back from the file, and what stands in its way is said in one line."""

import contextlib
import importlib.util
import re
import shutil
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dualpose_ros import cli
from dualpose_ros.camera import Camera, ground_below
from dualpose_ros.errors import InputError
from dualpose_ros.people import SEEN, Pose3D, Source, TrackingState
from dualpose_ros.skeleton import H36M17
from dualpose_ros.view import page
from support.child_environment import free_domain
from support.data import ROOT

needs_rerun = pytest.mark.skipif(importlib.util.find_spec("rerun") is None, reason="rerun-sdk (extra view) is missing")

STAMP_NS = 1_700_000_000_123_456_789


def person(track_id: int, guessed: tuple[str, ...] = ()) -> Pose3D:
    k = H36M17.num_joints
    random = np.random.default_rng(track_id)
    scores = np.full(k, SEEN)
    scores[[H36M17.index(name) for name in guessed]] = SEEN - 0.01
    joints, keypoints = random.normal((0, 0, 4), 0.5, (k, 3)), random.random((k, 2)) * 60
    confirmed = TrackingState.CONFIRMED
    return Pose3D(track_id, confirmed, Source.FUSED, 0.9, np.zeros(4), joints, scores, np.zeros(k), keypoints)


def columns(path: Path) -> dict[tuple[str, str], list[Any]]:
    """(entity, component) -> what was logged, in order; timestamps under "stamp"."""
    from rerun.chunk import RrdReader

    found: dict[tuple[str, str], list[Any]] = {}
    for chunk in RrdReader(path).stream():
        for name, values in chunk.to_record_batch().to_pydict().items():
            found.setdefault((chunk.entity_path.strip("/"), name.rpartition(":")[2]), []).extend(values)
    return found


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], list[Any]]:
    from dualpose_ros.view.live import LiveView

    file = tmp_path_factory.mktemp("view") / "new" / "view.rrd"
    view = LiveView(None, file, ground_below(1.4, pitch_rad=0.2))
    view.add_camera(STAMP_NS, Camera(64, 48, 60.0, 61.0, 31.5, 23.5))
    view.add_people(STAMP_NS, [person(7), person(8, guessed=("left_wrist", "head_top"))], SEEN)
    view.add_image(STAMP_NS, np.full((48, 64, 3), (200, 30, 30), np.uint8), 75)
    view.add_latencies(STAMP_NS, "fusion_node", {"stage_ms_p50": "4.5", "frames": "7"})
    view.add_people(STAMP_NS + 10**8, [], SEEN)
    view.close()
    return columns(file)


@needs_rerun
def test_skeletons_are_those_of_the_message_without_guesses(seen: Any) -> None:
    whole, part = person(7), person(8)
    usable = np.ones(17, dtype=bool)
    usable[[H36M17.index("left_wrist"), H36M17.index("head_top")]] = False
    at_first, then = seen["scene/people/joints", "positions"]
    np.testing.assert_allclose(at_first, np.concatenate([whole.joints_cam, part.joints_cam[usable]]), rtol=1e-6)
    assert then == [], "who is gone is shown no longer"
    pairs = [pair for pair in H36M17.bones if usable[list(pair)].all()]
    assert len(pairs) == len(H36M17.bones) - 2
    for entity, of in (("scene/people/bones", "joints_cam"), ("scene/camera/image/bones", "keypoints_px")):
        strips, gone = seen[entity, "strips"]
        bones = np.concatenate([getattr(whole, of)[np.array(H36M17.bones)], getattr(part, of)[np.array(pairs)]])
        np.testing.assert_allclose(strips, bones, rtol=1e-6)
        assert gone == []
    assert [len(set(map(int, colours))) for colours in seen["scene/people/joints", "colors"]] == [2, 0]
    labels = seen["scene/people/labels", "labels"][0]
    assert labels[0] == f"#7 {whole.joints_cam[0, 2]:.1f} m" and labels[1].startswith("#8 ")


@needs_rerun
def test_depths_latencies_and_times_are_as_given(seen: Any) -> None:
    assert seen["depth/7", "scalars"] == [[pytest.approx(person(7).joints_cam[H36M17.root, 2])]]
    assert seen["latency/fusion_node/stage", "scalars"] == [[4.5]]
    assert ("latency/fusion_node/age", "scalars") not in seen
    stamps = [stamp.value for stamp in seen["scene/people/joints", "stamp"]]
    assert stamps == [STAMP_NS, STAMP_NS + 10**8]


@needs_rerun
def test_the_image_is_a_jpeg_in_the_cameras_frustum(seen: Any) -> None:
    import cv2

    data = np.array(seen["scene/camera/image", "blob"][0][0], dtype=np.uint8)
    pixels = np.array(cv2.imdecode(data, cv2.IMREAD_COLOR))[:, :, ::-1]
    assert pixels.shape == (48, 64, 3) and np.abs(pixels.astype(int) - (200, 30, 30)).max() < 6
    matrix = np.reshape(seen["scene/camera/image", "image_from_camera"][0], (3, 3)).T
    np.testing.assert_allclose(matrix, np.array([[60, 0, 31.5], [0, 61, 23.5], [0, 0, 1]]))


@needs_rerun
def test_the_grid_lies_on_the_ground(seen: Any) -> None:
    points = np.reshape(seen["scene/ground", "strips"][0], (-1, 3))
    np.testing.assert_allclose(points @ np.array([0, np.cos(0.2), np.sin(0.2)]), 1.4, atol=1e-5)
    assert points[:, 2].max() > 9


@needs_rerun
def test_people_without_a_seen_joint_or_with_joints_that_are_no_numbers() -> None:
    from dualpose_ros.view import scene

    joints = np.full((17, 3), np.nan)
    nobody = [replace(person(1), joint_scores=np.zeros(17)), replace(person(2), joints_cam=joints)]
    assert not any(path.startswith("depth") for path in scene.people(nobody))
    behind = replace(person(3), keypoints_px=np.full((17, 2), np.nan))
    assert len(scene.people([behind])["scene/people/bones"].strips) == len(H36M17.bones)
    assert len(scene.people([behind])["scene/camera/image/bones"].strips) == 0


@pytest.fixture
def ports() -> Iterator[tuple[int, socket.socket]]:
    """A port of which the next one is taken."""
    with socket.create_server((page.HOST, 0)) as taken:
        yield taken.getsockname()[1] - 1, taken


def test_a_port_in_use_is_named_before_anything_starts(
    ports: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("dualpose_ros.runs.live.check_rerun", lambda: None)
    words = ["demo", "--view", "--view-port", str(ports[0]), "--out", str(tmp_path / "out")]
    assert cli.main(words) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1 and f"port {ports[0] + 1} can't be used" in lines[0] and "in use" in lines[0]
    assert not (tmp_path / "out").exists()


def test_without_rerun_one_line_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name == "rerun" else found(name, *a))
    assert cli.main(["demo", "--view", "--out", str(tmp_path / "out")]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1 and "dualpose_ros[view]" in lines[0]
    assert not (tmp_path / "out").exists()


def test_the_node_without_rerun_ends_with_one_line(tmp_path: Path) -> None:
    pytest.importorskip("cyclonedds")
    (tmp_path / "sitecustomize.py").write_text(
        "import importlib.util as u\nf = u.find_spec\nu.find_spec = lambda n, *a: None if n == 'rerun' else f(n, *a)\n"
    )
    env = {"PYTHONPATH": f"{tmp_path}:{ROOT}", "ROS_DOMAIN_ID": free_domain(), "PATH": ""}
    command = [sys.executable, str(ROOT / "scripts" / "view_node")]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and done.stderr.strip().endswith("pip install 'dualpose_ros[view]'")
    assert len(done.stderr.strip().splitlines()) == 1


@needs_rerun
def test_the_server_that_the_files_come_from_is_gone_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    ports = page._free_ports(2)
    monkeypatch.setattr(page, "_free_ports", lambda count: ports)
    page.viewer_files.cache_clear()
    assert b"re_viewer.js" in page.viewer_files()["/"]
    for port in ports:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((page.HOST, port), timeout=1)


def free_pair() -> int:
    """A free port of which the next one is free too."""
    while True:
        with socket.create_server((page.HOST, 0)) as probe:
            port = int(probe.getsockname()[1])
        with contextlib.suppress(InputError):
            page.check_ports(port)
            return port


@needs_rerun
def test_the_page_is_served_on_loopback_and_asks_for_nothing_elsewhere() -> None:
    port = free_pair()
    served = page.Page(port)
    try:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(page.page_url(port)) as answer:
            html, policy = answer.read().decode(), answer.headers["Content-Security-Policy"]
        assert "re_viewer.js" in html and not re.search(r"<(link|script)[^>]*https?://", html)
        assert set(re.findall(r"https?://\S+", policy)) == {f"http://127.0.0.1:{port + 1}"}
        with opener.open(f"http://127.0.0.1:{port}/re_viewer_bg.wasm") as answer:
            assert answer.read(4) == b"\0asm"
        with pytest.raises(urllib.error.HTTPError, match="404"):
            opener.open(f"http://127.0.0.1:{port}/../pyproject.toml")
        with pytest.raises(InputError, match=f"port {port} can't be used"):
            page.Page(port)
    finally:
        served.close()


@needs_rerun
def test_a_browser_shows_image_and_skeletons_and_asks_for_nothing_elsewhere() -> None:
    browsers = pytest.importorskip("playwright.sync_api", reason="playwright is missing")
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("chromium is missing")
    import cv2

    from dualpose_ros.drawing import track_colour
    from dualpose_ros.view.live import LiveView

    view = LiveView(free_pair(), None)
    view.add_camera(STAMP_NS, Camera(64, 48, 60.0, 61.0, 31.5, 23.5))
    view.add_people(STAMP_NS, [person(7)], SEEN)
    view.add_image(STAMP_NS, np.full((48, 64, 3), (200, 30, 30), np.uint8), 75)
    asked: list[str] = []
    try:
        with browsers.sync_playwright() as playwright:
            flags = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
            browser = playwright.chromium.launch(executable_path=chromium, args=flags)
            tab = browser.new_page(viewport={"width": 500, "height": 400})
            tab.on("request", lambda request: asked.append(request.url))
            tab.goto(view.url, wait_until="commit")
            for _ in range(40):
                tab.wait_for_timeout(1000)
                png = np.frombuffer(tab.screenshot(timeout=90_000), np.uint8)
                pixels = np.array(cv2.imdecode(png, cv2.IMREAD_COLOR))
                counts = [int((np.abs(pixels[:, :, ::-1].astype(int) - colour).max(axis=2) < 12).sum())
                          for colour in ((200, 30, 30), track_colour(7))]  # fmt: skip
                if counts[0] > 1000 and counts[1] > 100:
                    break
            browser.close()
    finally:
        view.close()
    assert counts[0] > 1000 and counts[1] > 100, f"pixels of the image and of the skeleton: {counts}"
    assert any("ReadMessages" in url for url in asked)
    assert all(url.startswith((f"http://{page.HOST}:", "blob:", "data:")) for url in asked), asked
