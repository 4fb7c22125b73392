import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from dualpose_ros.datasets.keypoint_file import CocoError
from dualpose_ros.lab.evaluation import photographs
from dualpose_ros.people import Pose2D
from dualpose_ros.skeleton import COCO17, H36M17, K
from support.data import data_path

BOX = (40.0, 30.0, 120.0, 160.0)  # x, y, width, height


def constant_network(path: Path, cells: np.ndarray) -> None:
    """A network that finds one person at the given cells (K, 2), whatever the patch shows."""
    rows, columns = np.mgrid[:64, :64]
    heat = np.exp(-((columns - cells[:, 0, None, None]) ** 2 + (rows - cells[:, 1, None, None]) ** 2) / 8)
    heat = heat[None].astype(np.float32)
    tags = np.zeros_like(heat)
    nodes = [
        helper.make_node("Cast", ["patches"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("ReduceSum", ["float", "axes"], ["sum"], keepdims=1),
        helper.make_node("Mul", ["sum", "nought"], ["zero"]),
        helper.make_node("Add", ["zero", "heat"], ["heatmaps"]),
        helper.make_node("Add", ["zero", "no_tags"], ["tags"]),
    ]
    constants = {"axes": np.array([1, 2, 3]), "nought": np.float32(0), "heat": heat, "no_tags": tags}
    graph = helper.make_graph(
        nodes,
        "constant",
        [helper.make_tensor_value_info("patches", TensorProto.UINT8, ["n", 256, 256, 3])],
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["n", K, 64, 64]) for n in ("heatmaps", "tags")],
        [numpy_helper.from_array(np.asarray(v), n) for n, v in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, path)


def cells_in_image(cells: np.ndarray) -> np.ndarray:
    """Pixels of cells in the patch around BOX, written out."""
    x, y, width, height = BOX
    side = 1.25 * max(width, height)
    corner = np.array([x + width / 2, y + height / 2]) - 0.5 - side / 2
    return corner + (4 * cells + 1.5 + 0.5) * side / 256


def make_folder(root: Path, keypoints: np.ndarray) -> None:
    (root / "images").mkdir(parents=True)
    cv2.imwrite(str(root / "images" / "a.jpg"), np.zeros((240, 320, 3), np.uint8))
    annotation = {
        "image_id": 7,
        "bbox": list(BOX),
        "area": 9000.0,
        "iscrowd": 0,
        "num_keypoints": int((keypoints[:, 2] > 0).sum()),
        "keypoints": keypoints.reshape(-1).tolist(),
    }
    few = {**annotation, "num_keypoints": 3}
    crowd = {**annotation, "iscrowd": 1}
    content = {"images": [{"id": 7, "file_name": "a.jpg"}], "annotations": [annotation, few, crowd]}
    (root / "person_keypoints.json").write_text(json.dumps(content))


def person_cells() -> np.ndarray:
    return np.random.default_rng(0).uniform(8, 55, (K, 2))


def keypoints_at(joints: np.ndarray) -> np.ndarray:
    """COCO keypoints (17, 3) of inner joints; COCO's own ones lie somewhere and are labelled too."""
    keypoints = np.full((17, 3), 2.0)
    for index, name in enumerate(COCO17.joint_names):
        if name in H36M17.joint_names:
            keypoints[index, :2] = joints[H36M17.index(name)]
    return keypoints


def test_people_are_read_by_the_names_of_their_joints_and_without_what_tools_leave_out(tmp_path: Path) -> None:
    names = ["L-Knee", "nose", *(n for n in reversed(COCO17.joint_names) if n not in ("nose", "left_knee"))]
    labelled = np.array([(10.0 + k, 20.0 + 2 * k, 2) for k in range(len(names))])
    make_folder(tmp_path, labelled)
    path = tmp_path / "person_keypoints.json"
    content = json.loads(path.read_text())
    person = {k: v for k, v in content["annotations"][0].items() if k not in ("area", "num_keypoints")}
    dog = {**person, "category_id": 2}
    content["annotations"] = [{**person, "category_id": 1}, dog]
    content["categories"] = [{"id": 1, "name": "person", "keypoints": names}, {"id": 2, "name": "dog"}]
    path.write_text(json.dumps(content))
    ((read,),) = photographs.read_annotations(tmp_path).values()
    assert read.area_px == pytest.approx(0.53 * BOX[2] * BOX[3])
    for place, coco in enumerate(photographs.SHARED):
        name = COCO17.joint_names[coco]
        at = names.index("L-Knee" if name == "left_knee" else name)
        np.testing.assert_allclose(read.joints_px[place], labelled[at, :2])


def test_a_network_that_is_right_scores_one_and_draws(tmp_path: Path) -> None:
    cells = person_cells()
    constant_network(tmp_path / "net.onnx", cells)
    make_folder(tmp_path / "photos", keypoints_at(cells_in_image(cells)))
    report = photographs.evaluate_photographs(tmp_path / "photos", tmp_path / "net.onnx", tmp_path / "out")
    summary = report["tables"]["summary"][0]
    assert summary["people"] == summary["images"] == 1 and summary["not_found"] == 0
    assert summary["oks"] > 0.999
    assert [row["joint"] for row in report["tables"]["joints"]] == list(COCO17.joint_names[5:])
    goal = report["goals"][0]
    assert goal["met"] is True and goal["value"] == summary["oks"]
    grid = cv2.imread(str(tmp_path / "out" / "photographs.png"))
    assert grid is not None and grid.any()


def test_a_network_that_is_off_scores_by_how_much(tmp_path: Path) -> None:
    cells = person_cells()
    constant_network(tmp_path / "net.onnx", cells)
    shift = np.array([6.0, -4.0])
    make_folder(tmp_path / "photos", keypoints_at(cells_in_image(cells) + shift))
    report = photographs.evaluate_photographs(tmp_path / "photos", tmp_path / "net.onnx")
    sigmas = np.array(COCO17.oks_sigmas)[5:]
    expected = np.exp(-(shift @ shift) / (2 * 9000.0 * (2 * sigmas) ** 2))
    assert report["tables"]["summary"][0]["oks"] == pytest.approx(expected.mean(), abs=2e-3)
    found = [row["similarity"] for row in report["tables"]["joints"]]
    assert found == pytest.approx(expected.tolist(), abs=3e-3)


def test_unlabelled_joints_are_left_out_and_missing_ones_count_as_wrong(tmp_path: Path) -> None:
    keypoints = keypoints_at(cells_in_image(person_cells()))
    keypoints[5:9, 2] = 0
    make_folder(tmp_path, keypoints)
    person = photographs.read_annotations(tmp_path)["a.jpg"][0]
    joints = np.zeros((K, 2))
    for index in photographs.SHARED:
        joints[H36M17.index(COCO17.joint_names[index])] = keypoints[index, :2]
    scores = np.ones(K)
    scores[H36M17.index("left_knee")] = 0
    scored = photographs.score_person(person, Pose2D(joints, scores))
    assert scored.oks == pytest.approx(7 / 8)
    assert np.isnan(scored.joints).sum() == 4
    assert photographs.score_person(person, None).oks == 0


CHANGES: dict[str, Callable[[dict[str, Any]], Any]] = {
    "another size": lambda content: content["images"][0].update(width=640, height=480),
    "turned": lambda content: content["images"][0].update(width=240, height=320),
    "image twice": lambda content: content["images"].append({"id": 7, "file_name": "b.jpg"}),
    "no such image": lambda content: [a.update(image_id=8) for a in content["annotations"]],
    "unknown joints": lambda content: content.update(
        categories=[{"id": 1, "name": "person", "keypoints": [f"p{n}" for n in range(17)]}]
    ),
}


def spoil(kind: str, root: Path) -> None:
    annotations = root / "person_keypoints.json"
    content: dict[str, Any] = json.loads(annotations.read_text())
    if kind == "no annotations":
        annotations.unlink()
    elif kind == "not json":
        annotations.write_text("{")
    elif kind == "another format":
        annotations.write_text(json.dumps({"pictures": []}))
    elif kind == "nobody":
        annotations.write_text(json.dumps({**content, "annotations": []}))
    elif kind == "image missing":
        (root / "images" / "a.jpg").unlink()
    elif kind in CHANGES:
        CHANGES[kind](content)
        annotations.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("no annotations", "there is no COCO keypoint file"),
        ("not json", "can't be read as JSON"),
        ("another format", "no COCO keypoint file"),
        ("nobody", "nobody with 8"),
        ("image missing", r"a\.jpg cannot be read"),
        ("another size", r"a\.jpg has 320x240 pixels, not 640x480 as said$"),
        ("turned", r"a\.jpg has 320x240 pixels, not 240x320 as said, perhaps because its EXIF turns it"),
        ("image twice", r"images\[1\] has the id 7, which another image has"),
        ("no such image", r"annotations of people are of no picture .* annotations\[0\] with image_id 8"),
        ("unknown joints", "none of its joints p0, p1, .* is known"),
    ],
)
def test_folders_that_cannot_be_used_are_named(tmp_path: Path, kind: str, message: str) -> None:
    constant_network(tmp_path / "net.onnx", person_cells())
    make_folder(tmp_path / "photos", keypoints_at(cells_in_image(person_cells())))
    spoil(kind, tmp_path / "photos")
    with pytest.raises(CocoError, match=message):
        photographs.evaluate_photographs(tmp_path / "photos", tmp_path / "net.onnx")


def test_the_sample_of_real_photographs_is_read_whole() -> None:
    root = data_path("coco_sample")
    people = photographs.read_annotations(root)
    assert sum(len(p) for p in people.values()) == 51
    for file, persons in people.items():
        assert (root / "images" / file).is_file()
        assert all(person.joints_px.shape == (12, 2) for person in persons)
