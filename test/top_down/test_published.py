"""Others' 2D networks as the graph's: their answers come through as they are, and run end to end."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from dualpose_ros.arrays import AnyArray
from dualpose_ros.camera import camera_from_hfov
from dualpose_ros.inference.engine import Engine, EngineError, TensorSpec
from dualpose_ros.people import Track, TrackingState
from dualpose_ros.settings import SettingError
from dualpose_ros.skeleton import COCO17, H36M17
from dualpose_ros.top_down.estimator import PoseEstimator
from dualpose_ros.top_down.lifting.completion import complete
from dualpose_ros.top_down.lifting.person_view import back
from dualpose_ros.top_down.published import KINDS, KNOWN, PublishedEngine, load_top_down
from dualpose_ros.top_down.stage import TopDownConfig, TopDownStage
from dualpose_ros.weights import weights_path
from support.data import data_path

RNG = np.random.default_rng(1)
BOX = np.array([[200.0, 80.0, 300.0, 380.0]])
SIZES = {"movenet": (256, 256), "rtmpose": (256, 192), "vitpose": (256, 192), "hrnet": (256, 192), "rtmo": (640, 640)}


class Answering:
    """A network of a kind that sees COCO joints (17, 2) at pixels of its input."""

    def __init__(self, kind: str, joints: np.ndarray, scores: np.ndarray) -> None:
        self.kind, self.joints, self.scores = kind, joints, scores
        self.metadata: dict[str, str] = {}
        height, width = SIZES[kind]
        nhwc = kind == "movenet"
        batch = 1 if kind == "rtmo" else "N"
        shape = (1, height, width, 3) if nhwc else (batch, 3, height, width)
        self.inputs = {"input": TensorSpec("input", np.dtype(np.int32 if nhwc else np.float32), shape)}
        self.outputs = ("a", "b")
        self.seen: list[np.ndarray] = []

    def run(self, inputs: Mapping[str, AnyArray]) -> dict[str, AnyArray]:
        height, width = SIZES[self.kind]
        picture = inputs["input"]
        self.seen.append(picture)
        x, y = self.joints.T
        if self.kind == "movenet":
            rows = np.stack([(y + 0.5) / height, (x + 0.5) / width, self.scores], axis=1)
            return {"a": rows[None, None].astype(np.float32)}
        if self.kind == "rtmo":
            # Somebody aside who is surer, and a weaker answer for the person in the middle.
            boxes = [[2, 2, 90, 500, 0.95], [100, 20, 600, 630, 0.9], [90, 20, 600, 630, 0.4]]
            own = np.concatenate([self.joints, self.scores[:, None]], axis=1)
            return {"dets": np.array([boxes]), "keypoints": np.stack([own * 0.1, own, own * 0.5])[None]}
        if self.kind == "rtmpose":
            bins = [np.exp(-((np.arange(2 * size) / 2 - place[:, None]) ** 2) / 8) * self.scores[:, None]
                    for place, size in ((x, width), (y, height))]  # fmt: skip
            return {name: np.stack([b] * len(picture)) for name, b in zip("ab", bins, strict=True)}
        step = np.array([191 / 47, 255 / 63]) if self.kind == "vitpose" else np.array([4.0, 4.0])
        cells = self.joints / step
        maps = np.exp(-((np.arange(48)[None, None] - cells[:, :1, None]) ** 2) / 8
                      - ((np.arange(64)[None, :, None] - cells[:, 1:, None]) ** 2) / 8)  # fmt: skip
        return {"a": np.stack([maps * self.scores[:, None, None]] * len(picture)).astype(np.float32)}


@pytest.mark.parametrize("kind", KINDS)
def test_joints_come_through_to_a_third_of_a_pixel(kind: str) -> None:
    """What the network sees at a pixel of its input is where the estimator says, mapped back to the image."""
    height, width = SIZES[kind]
    joints = RNG.uniform((15, 15), (width - 15, height - 15), (17, 2))
    scores = RNG.uniform(0.4, 0.9, 17)
    network = Answering(kind, joints, scores)
    estimator = PoseEstimator(PublishedEngine(network, kind))
    (pose,) = estimator(np.zeros((480, 640, 3), np.uint8), BOX).poses
    side = KINDS[kind].enlarge * max(300, 100 / (width / height))
    inner = [H36M17.index(name) for name in COCO17.joint_names if name in H36M17.joint_names]
    coco = [COCO17.index(H36M17.joint_names[joint]) for joint in inner]
    left = (height - width) / 2
    wanted = (joints[coco] + (left, 0) - (height - 1) / 2) * side / height + BOX.reshape(2, 2).mean(axis=0)
    assert pose is not None
    assert np.abs(pose.joints_px[inner] - wanted).max() < 0.35 * side / height
    assert np.abs(pose.scores[inner] - scores[coco]).max() < 0.05
    assert pose.scores[[j for j in range(17) if j not in KNOWN]].max() == 0 and len(KNOWN) == 13
    shape = network.seen[0].shape
    assert shape == ((1, height, width, 3) if kind == "movenet" else (1, 3, height, width))


def test_a_wide_person_fits_into_a_narrow_network() -> None:
    """A lying person, wider than high: the whole box is in what the network sees."""
    network = Answering("rtmpose", np.full((17, 2), 60.0), np.full(17, 0.9))
    image = np.zeros((480, 640, 3), np.uint8)
    image[:, 100:500] = 255
    PoseEstimator(PublishedEngine(network, "rtmpose"))(image, np.array([[100.0, 200.0, 500.0, 260.0]]))
    row = network.seen[0][0, 0, 128]
    assert (row[[0, -1]] < 0).all() and row[[30, 96, -30]].min() > 2


def test_colours_are_prepared_as_the_networks_learnt_them() -> None:
    network = Answering("vitpose", np.full((17, 2), 60.0), np.full(17, 0.9))
    PublishedEngine(network, "vitpose").run({"patches": np.full((1, 256, 256, 3), 255, np.uint8)})
    np.testing.assert_allclose(network.seen[0][0, :, 0, 0], (np.array([1, 1, 1]) - [0.485, 0.456, 0.406])
                               / [0.229, 0.224, 0.225], rtol=1e-4)  # fmt: skip


def test_rtmo_takes_colours_as_they_are_and_may_see_nobody() -> None:
    network = Answering("rtmo", np.full((17, 2), 60.0), np.full(17, 0.9))
    engine = PublishedEngine(network, "rtmo")
    patches = np.zeros((2, 640, 640, 3), np.uint8)
    patches[..., 2] = 200
    assert engine.run({"patches": patches})["heatmaps"].shape == (2, 17, 160, 160)
    assert len(network.seen) == 2 and network.seen[0].dtype == np.float32
    assert network.seen[0][0, :, 0, 0].tolist() == [200.0, 0.0, 0.0]

    def nobody(inputs: Mapping[str, AnyArray]) -> dict[str, AnyArray]:
        return {"dets": np.zeros((1, 0, 5)), "keypoints": np.zeros((1, 0, 17, 3))}

    network.run = nobody  # type: ignore[method-assign]
    assert engine.run({"patches": patches})["heatmaps"].max() == 0


def test_one_person_networks_see_nobody_else() -> None:
    """MoveNet's patches are grey beyond the box; those of networks that learnt with neighbours are not."""
    image = np.full((480, 640, 3), 200, np.uint8)
    for kind in ("movenet", "hrnet"):
        network = Answering(kind, np.full((17, 2), 60.0), np.full(17, 0.9))
        PoseEstimator(PublishedEngine(network, kind))(image, BOX)
        seen = network.seen[0][0]
        plane = seen[..., 0] if kind == "movenet" else seen[0]
        middle, side = plane[128, plane.shape[1] // 2], plane[128, 2]
        assert (side == 128 and middle == 200) if kind == "movenet" else side == middle


def test_missing_joints_are_completed_by_the_gcn() -> None:
    """A made-up GCN's answer is what the lifting network is told of the spine; joints that were found stay."""
    joints, sure = np.zeros((1, 17, 2)), np.zeros((1, 17))
    joints[0, list(KNOWN)], sure[0, list(KNOWN)] = RNG.uniform(-0.2, 0.2, (13, 2)), 1.0

    class Gcn:
        def run(self, inputs: Mapping[str, AnyArray]) -> dict[str, AnyArray]:
            both = len(inputs["joints"])
            return {"joints_2d": np.full((both, 17, 2), 0.1, np.float32),
                    "joints_rel": np.zeros((both, 17, 3), np.float32),
                    "log_stddev_2d": np.full((both, 17), -1.0, np.float32)}  # fmt: skip

    view = complete(joints, sure, Gcn()).view  # type: ignore[arg-type]
    spine = H36M17.index("spine")
    assert np.abs(view.rays[0, spine]).max() > 0 and view.confidence[0, spine] == 0
    np.testing.assert_allclose(back(view.to_camera, view.rays)[0, list(KNOWN)], joints[0, list(KNOWN)], atol=1e-9)


def random_network(path: Path, kind: str) -> None:
    """An ONNX file of a kind's shapes: the picture's mean colours through random weights."""
    onnx = pytest.importorskip("onnx", reason="onnx is not installed")
    height, width = SIZES[kind]
    sizes: dict[str, dict[str, tuple[int, ...]]] = {
        "rtmpose": {"simcc_x": (17, 2 * width), "simcc_y": (17, 2 * height)},
        "vitpose": {"heatmaps": (17, 64, 48)},
    }
    helper, nodes, tensors, outputs = onnx.helper, [], [], []
    nodes.append(helper.make_node("ReduceMean", ["pixel_values"], ["mean"], axes=[2, 3], keepdims=0))
    for name, shape in sizes[kind].items():
        weights = RNG.normal(size=(3, int(np.prod(shape)))).astype(np.float32) * 0.1
        tensors += [onnx.numpy_helper.from_array(weights, f"w_{name}"),
                    onnx.numpy_helper.from_array(np.array([-1, *shape], np.int64), f"s_{name}")]  # fmt: skip
        nodes += [
            helper.make_node("MatMul", ["mean", f"w_{name}"], [f"flat_{name}"]),
            helper.make_node("Sigmoid", [f"flat_{name}"], [f"sure_{name}"]),
            helper.make_node("Reshape", [f"sure_{name}", f"s_{name}"], [name]),
        ]
        outputs.append(helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["N", *shape]))
    given = helper.make_tensor_value_info("pixel_values", onnx.TensorProto.FLOAT, ["N", 3, height, width])
    graph = helper.make_graph(nodes, "g", [given], outputs, tensors)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)


@pytest.mark.parametrize("kind", ["rtmpose", "vitpose"])
def test_networks_of_random_weights_run_end_to_end(kind: str, tmp_path: Path) -> None:
    """From a setting's word through ONNX Runtime, GCN and lifting to people in metres and heatmaps."""
    path = tmp_path / "network.onnx"
    random_network(path, kind)
    stage = TopDownStage(TopDownConfig(weights=f"{kind}:{path}", min_score=0.0))
    image = RNG.integers(0, 255, (480, 640, 3)).astype(np.uint8)
    track = Track(3, TrackingState.CONFIRMED, BOX[0], 0.9)
    result = stage.process(image, 1, camera_from_hfov(640, 480, 1.0), [track])
    (person,) = result.persons
    assert np.isfinite(person.joints_cam).all() and (person.joint_stddev > 0).all()
    assert 0 < person.score <= 1 and result.heatmaps.data.max() > 0


def test_what_is_no_such_network_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"must be a shipped network's name, FILE\.onnx, movenet:FILE\.onnx"):
        load_top_down("resnet:file.onnx")
    with pytest.raises(EngineError, match="is not there"):
        load_top_down(f"movenet:{tmp_path / 'none.onnx'}")
    with pytest.raises(EngineError, match="no movenet network: it puts out"):
        load_top_down(f"movenet:{weights_path('top_down')}")
    network: Engine = Answering("rtmpose", np.zeros((17, 2)), np.ones(17))
    with pytest.raises(EngineError, match=r"no movenet network: it takes input float32 \[N, 3, 256, 192\]"):
        PublishedEngine(network, "movenet")
    patches = {"patches": np.zeros((2, 256, 256, 3), np.uint8)}
    with pytest.raises(EngineError, match=r"no vitpose network: it puts out .* instead of heatmaps"):
        PublishedEngine(network, "vitpose").run(patches)
    broken = Answering("vitpose", np.zeros((17, 2)), np.full(17, np.nan))
    with pytest.raises(EngineError, match="not finite"):
        PublishedEngine(broken, "vitpose").run(patches)


def test_movenet_on_photographs() -> None:
    """Thunder finds people in photographs well."""
    from dualpose_ros.lab.evaluation.photographs import read_annotations, score_person
    from dualpose_ros.sources.pictures import read_picture

    root, path = data_path("coco_sample"), data_path("weights/movenet_thunder.onnx")
    estimator = PoseEstimator(load_top_down(f"movenet:{path}"))
    found = []
    for file, people in list(read_annotations(root).items())[:8]:
        image = read_picture(root / "images" / file)
        poses = estimator(image, np.stack([p.box_px for p in people])).poses
        found += [score_person(person, pose).oks for person, pose in zip(people, poses, strict=True)]
    assert len(found) >= 8 and np.mean(found) > 0.5
