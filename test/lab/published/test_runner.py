"""The paper's released networks over a video: what they are told, how their answers are read and put together."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from dualpose_ros import cli
from dualpose_ros.arrays import AnyArray
from dualpose_ros.camera import camera_from_hfov, project
from dualpose_ros.datasets.predictions import read_predictions, write_predictions
from dualpose_ros.datasets.published.mupots import JOINTS
from dualpose_ros.inference.engine import EngineError, TensorSpec
from dualpose_ros.lab.published import runner
from dualpose_ros.lab.published.released_bottom_up import FLIPPED, WholePerson, find_people, group, guidance
from dualpose_ros.lab.synthetic.motion.kinematics import REST_JOINTS_M
from dualpose_ros.people import Pose3D, Source, TrackingState
from dualpose_ros.skeleton import H36M17
from support.command_line import refused

CAMERA = camera_from_hfov(640, 480, 1.2)
FRAMES = 140


class Told:
    """An engine that remembers what it was told, and answers by a function."""

    def __init__(self, answer, name: str = "frames") -> None:  # type: ignore[no-untyped-def]
        self.answer: Any = answer
        self.told: list[dict[str, AnyArray]] = []
        self.inputs = {name: TensorSpec(name, np.dtype(np.float32), ("N",))}
        self.outputs: tuple[str, ...] = ()
        self.metadata: dict[str, str] = {}

    def run(self, inputs: Mapping[str, AnyArray]) -> dict[str, AnyArray]:
        self.told.append(dict(inputs))
        assert all(value.dtype == np.float32 for value in inputs.values())
        answer: dict[str, AnyArray] = self.answer(**inputs)
        return answer


def person(number: int, x: float, frame: int) -> Pose3D:
    joints = REST_JOINTS_M * [-1.0, -1.0, 1.0] + np.array([x, 1.0, 4.0 + 0.01 * frame])
    return Pose3D(number, TrackingState.CONFIRMED, Source.TOP_DOWN, 0.8, np.array([0.0, 0.0, 9.0, 9.0]), joints,
                  np.full(17, 0.9), np.full(17, 0.1), project(CAMERA, joints))  # fmt: skip


def networks() -> dict[str, Told]:
    """Networks that say what can be checked: the middle frame of a window, the first branch's pose."""
    return {
        "gcn": Told(lambda joints_2d, affinity, affinity_bones: {
            "joints": np.concatenate([joints_2d, np.zeros_like(joints_2d[..., :1])], axis=2)}),
        "tcn": Told(lambda frames: {"joints": frames[:, runner.LOOKAHEAD]}),
        "root": Told(lambda frames: {"depth": frames[:, runner.LOOKAHEAD, 1:2]}),
        "scale": Told(lambda joints: {"joints_out": 2 * joints}),
        "transform": Told(lambda joints_14: {"joints_17": np.concatenate([joints_14, joints_14[:, :9]], axis=1)}),
        "integration": Told(lambda poses, depths: {"pose": poses[:, 0], "depth": depths[:, :1]}),
        "adaptation": Told(lambda poses: {"poses_out": 3 * poses}),
    }  # fmt: skip


def test_a_video_from_tracks_to_predictions(tmp_path: Path) -> None:
    told = networks()
    frames = []
    for number in range(FRAMES):
        people = [person(7, -0.5, number)] + ([person(9, 0.7, number)] if 20 <= number < 60 and number != 40 else [])
        frames.append(runner.Seen(number, tuple(people), ()))
    found = runner.run_released(told, frames, CAMERA, "own")
    assert list(found.frames) == list(range(FRAMES)) and found.joint_names == JOINTS
    assert found.frames[30].ids.tolist() == [7, 9] and found.frames[40].ids.tolist() == [7]
    # A window is of 243 frames, its ends the first and the last frame; the one that was missed is filled in.
    windows = np.concatenate([given["frames"] for given in told["tcn"].told])
    assert windows.shape == (FRAMES + 40, 243, 51)
    np.testing.assert_array_equal(windows[0, :122], np.broadcast_to(windows[0, 121], (122, 51)))
    np.testing.assert_array_equal(windows[FRAMES - 1, 121:], np.broadcast_to(windows[FRAMES - 1, 121], (122, 51)))
    joints = told["gcn"].told[0]["joints_2d"]
    # Upright and as tall for everybody: from the pelvis to the thorax is one.
    np.testing.assert_allclose(joints[:, H36M17.index("thorax"), 1], 1.0, atol=1e-5)
    assert not joints[:, H36M17.root].any()
    np.testing.assert_allclose(told["gcn"].told[0]["affinity"].sum(axis=2), 1.0, atol=1e-5)
    np.testing.assert_allclose(told["root"].told[0]["frames"][0, 121, :2], frames[0].top_down[0].keypoints_px[0] / 915,
                               rtol=1e-5)  # fmt: skip
    # Where the pelvis is, and as large as the live branch has the person.
    for number in (0, 30, FRAMES - 1):
        live, given = frames[number].top_down[0].joints_cam, found.frames[number].joints_cam[0]
        pelvis = given[JOINTS.index("pelvis")]
        np.testing.assert_allclose(pelvis[:2] / pelvis[2], live[0, :2] / live[0, 2], atol=1e-6)
        size = [np.linalg.norm(j - j[root], axis=1).mean() for j, root in ((live, 0), (given, JOINTS.index("pelvis")))]
        assert size[1] == pytest.approx(size[0], rel=0.05)
    path = write_predictions(tmp_path, found)
    assert len(read_predictions(path).frames[30]) == 2


def test_depths_are_fitted_over_the_video() -> None:
    raw = [np.array([1.0, 2.0, 3.0]), np.array([0.5, np.nan])]
    one, other = runner._fitted(raw, [[4.0, 6.0, 8.0], [3.0, 9.0]])
    np.testing.assert_allclose(one, [4, 6, 8])
    assert other[0] == pytest.approx(3.0) and np.isnan(other[1])
    assert runner._fitted([], []) == []


def test_the_bottom_up_pose_most_alike_is_taken_by_anybody() -> None:
    rng = np.random.default_rng(0)
    pose = rng.normal(0, 0.3, (3, 17))
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    turn *= np.sign(np.linalg.det(turn))
    moved = 2.0 * turn @ pose + 5.0
    found = runner.match(pose, [(rng.normal(0, 0.3, (3, 17)), 1.0), (moved, 2.0)])
    assert found.there and found.depth == 2.0
    np.testing.assert_allclose(found.pose, pose, atol=1e-6)
    assert not runner.match(pose, []).there


def test_bottom_up_people_reach_the_integration_network() -> None:
    told = networks()
    whole = WholePerson(project(CAMERA, REST_JOINTS_M[:14] + np.array([0, 1, 4.0])), np.linspace(1, 2, 14))
    runner.run_released(told, [runner.Seen(n, (person(1, 0.0, n),), (whole,)) for n in range(3)], CAMERA, "own")
    (given,) = told["integration"].told
    assert given["poses"].shape == (3, 2, 3, 17) and not np.allclose(given["poses"][:, 0], given["poses"][:, 1])
    fourteen = told["scale"].told[0]["joints"][0]
    assert np.linalg.norm(fourteen[1:, :2], axis=1).mean() == pytest.approx(1.0)
    np.testing.assert_allclose(fourteen[:, 2], np.linspace(0, 1, 14), atol=1e-6)


def bottom_up(places: np.ndarray, side: int = 128) -> Told:
    """A network that sees people (N, 14, 2) at pixels of its input, with a tag each, also in a mirrored picture."""

    def answer(pictures: np.ndarray) -> dict[str, np.ndarray]:
        height, width = (n // 2 for n in pictures.shape[2:])
        mirrored = pictures[0, 0, 0, 0] > pictures[0, 0, 0, -1]
        maps = np.zeros((1, 42, height, width), np.float32)
        rows, columns = np.mgrid[:height, :width]
        for number, joints in enumerate(places):
            for joint, (x, y) in enumerate(joints / 2 - 0.25):
                at = FLIPPED[joint] if mirrored else joint
                x = width - 1 - x if mirrored else x
                away = (columns - x) ** 2 + (rows - y) ** 2
                maps[0, at] = np.maximum(maps[0, at], np.exp(-away / 4))
                maps[0, 14 + at][away < 20] = 3 * number
                maps[0, 28][away < 20] = 1.0 + number
                if joint and not mirrored:
                    maps[0, 28 + joint][away < 20] = 0.1 * joint
        return {"maps": maps}

    return Told(answer, "pictures")


def test_people_are_read_from_the_bottom_up_maps() -> None:
    rng = np.random.default_rng(3)
    places = rng.uniform(12, 116, (2, 14, 2))
    while (np.linalg.norm(places[:, :, None] - places[::-1, None], axis=-1)[:, range(14), range(14)] < 30).any():
        places = rng.uniform(12, 116, (2, 14, 2))
    image = np.zeros((64, 64, 3), np.uint8)
    image[:, 32:] = 200
    network = bottom_up(places)
    guide = np.full((17, 2), 20.0)
    found = find_people(network, image, [guide], side=128)
    assert len(found) == 2 and network.told[0]["pictures"].shape == (1, 20, 128, 128)
    assert network.told[0]["pictures"][0, 3].argmax() == 128 * 40 + 40
    by_depth = sorted(found, key=lambda whole: whole.depths[0])
    for number, whole in enumerate(by_depth):
        assert np.abs(2 * whole.joints_px - places[number]).max() < 3
        assert whole.depths[0] == pytest.approx(1.0 + number, abs=0.05)
        np.testing.assert_allclose(whole.depths[1:] - whole.depths[0], 0.1 * np.arange(1, 14), atol=0.06)
    assert find_people(bottom_up(places[:0]), image, [], side=128) == []
    with pytest.raises(EngineError, match="no released bottom-up network"):
        find_people(Told(lambda pictures: {"maps": np.zeros((1, 3, 4, 4))}, "pictures"), image, [], side=128)


def test_a_joint_too_many_is_another_person() -> None:
    heat, tags = np.zeros((14, 32, 32), np.float32), np.zeros((14, 32, 32, 2), np.float32)
    heat[0, 5, 5] = heat[1, 8, 8] = heat[1, 20, 20] = 0.9
    tags[1, 20, 20] = 5.0
    people = group(heat, tags)
    assert [int((joints[:, 2] > 0).sum()) for joints, _ in people] == [2, 1]


def test_guides_are_cut_off() -> None:
    maps = guidance([np.full((17, 2), 10.0)], 40, 30)
    assert maps.shape == (17, 30, 40) and maps[0, 10, 10] == 1
    assert maps[0, 10, 22] == pytest.approx(np.exp(-144 / 32)) and maps[0, 10, 23] == 0


def test_networks_that_are_missing_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = refused(capsys, "weights", "run", tmp_path, tmp_path / "v.mp4", "--calibration", tmp_path / "c.yaml",
                   "--out", tmp_path / "out")  # fmt: skip
    assert "lacks released_bottom_up.onnx" in line and not (tmp_path / "out").exists()


def test_the_command_writes_what_can_be_scored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """From pictures through the live detector and top-down branch; nobody is in them."""
    networks = {"bottom_up": Told(lambda pictures: {"maps": np.zeros((1, 42, 4, 4), np.float32)}, "pictures")}
    monkeypatch.setattr(runner, "load_released", lambda folder: networks)
    images, calibration = tmp_path / "TS1", tmp_path / "camera.yaml"
    images.mkdir()
    for number in range(2):
        cv2.imwrite(str(images / f"img_{number:06d}.png"), np.full((48, 64, 3), 90, np.uint8))
    calibration.write_text(
        "image_width: 64\nimage_height: 48\ndistortion_coefficients: {data: [0, 0, 0, 0, 0]}\n"
        "camera_matrix: {data: [50, 0, 32, 0, 50, 24, 0, 0, 1]}\n"
    )
    given = ["weights", "run", str(tmp_path), str(images), "--calibration", str(calibration)]
    assert cli.main([*given, "--out", str(tmp_path / "out")]) == 0
    assert "2 frames, 0 people" in capsys.readouterr().out.replace("\n", " ")
    found = read_predictions(tmp_path / "out" / "TS1.json")
    assert found.sequence == "TS1" and [len(found.frames[n]) for n in (0, 1)] == [0, 0]
    assert networks["bottom_up"].told[0]["pictures"].shape == (1, 20, 512, 704)


class OfModule:
    """A network of the release with random weights, behind its ONNX file's names of inputs and outputs."""

    def __init__(self, known: Any) -> None:
        import torch

        torch.manual_seed(0)
        self.module, self.names = known.make().eval(), known.spec.outputs
        self.inputs = {
            name: TensorSpec(name, np.dtype(np.float32), tuple(value.shape))
            for name, value in known.spec.inputs.items()
        }
        self.outputs, self.metadata = tuple(known.spec.outputs), dict(known.spec.metadata)

    def run(self, inputs: Mapping[str, AnyArray]) -> dict[str, AnyArray]:
        import torch

        assert list(inputs) == list(self.inputs), list(inputs)
        with torch.no_grad():
            answer = self.module(*(torch.from_numpy(np.asarray(value)) for value in inputs.values()))
        parts = answer if isinstance(answer, tuple) else (answer,)
        return {name: part.numpy() for name, part in zip(self.names, parts, strict=True)}


def test_the_released_networks_themselves_run_over_a_video() -> None:
    """All eight, of the sizes that the release has, on three frames of 64 pixels."""
    pytest.importorskip("torch", reason="torch is not installed")
    from dualpose_ros.lab.published.importing import KNOWN

    made = {known.name.removeprefix("released_"): known for known in KNOWN if known.name.startswith("released_")}
    networks: Any = {part: OfModule(made[part]) for part in runner.PARTS}
    networks["bottom_up"].module.c1.conv.bias.data[:] = 0.5
    image = np.random.default_rng(0).integers(0, 255, (64, 64, 3)).astype(np.uint8)
    frames = [runner.see(networks, n, image, [person(1, 0.0, n)], side=64) for n in range(3)]
    assert frames[0].bottom_up and frames[0].bottom_up[0].joints_px.shape == (14, 2)
    found = runner.run_released(networks, frames, CAMERA, "own")
    assert all(np.isfinite(found.frames[n].joints_cam).all() for n in range(3))
