"""Readers of published data sets on small files of their true formats, and what they say of damaged ones."""

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import savemat

from dualpose_ros.camera import Camera, project
from dualpose_ros.datasets.published import h36m, jta, muco, mupots, panoptic, threedpw
from dualpose_ros.datasets.published.catalogue import open_dataset
from dualpose_ros.datasets.published.truth import DatasetError
from support.published_frames import frames_of

RNG = np.random.default_rng(0)
CAMERA = Camera(1920, 1080, 1500.0, 1480.0, 950.0, 530.0)


def people(joints: int, count: int = 2, frames: int = 3) -> np.ndarray:
    """Joints (T, N, J, 3) in metres before a camera."""
    return RNG.normal(size=(frames, count, joints, 3)) * 0.4 + (0.0, 0.0, 4.0)


def write_mupots(root: Path, change: Callable[[np.ndarray], None] = lambda cells: None) -> np.ndarray:
    joints = people(17)
    cells, hidden = np.empty(joints.shape[:2], object), np.empty(joints.shape[:2], object)
    for i, k in np.ndindex(*cells.shape):
        cells[i, k] = {
            "annot2": project(CAMERA, joints[i, k]).T, "annot3": 1000 * joints[i, k].T,
            "univ_annot3": 1100 * joints[i, k].T, "isValidFrame": int((i, k) != (1, 0)),
        }  # fmt: skip
        hidden[i, k] = np.eye(17)[k][None]
    change(cells)
    (root / "TS6").mkdir(parents=True)
    savemat(root / "TS6" / "annot.mat", {"annotations": cells})
    savemat(root / "TS6" / "occlusion.mat", {"occlusion_labels": hidden})
    return joints


def test_mupots(tmp_path: Path) -> None:
    joints = write_mupots(tmp_path)
    (sequence,) = open_dataset("mupots", tmp_path)
    frames = list(sequence.frames())
    np.testing.assert_allclose(frames[0].people.joints_cam, joints[0])
    assert frames[1].people.ids.tolist() == [1] and frames[2].picture == tmp_path / "TS6" / "img_000002.jpg"
    assert not frames[0].people.visible[1, 1] and frames[0].people.visible[1, 0]
    camera = frames[0].camera
    assert camera is not None and (camera.width, camera.height) == (1920, 1080)
    np.testing.assert_allclose(camera.matrix, CAMERA.matrix, rtol=1e-6)
    universal = frames_of("mupots", tmp_path, joints=mupots.UNIVERSAL)
    np.testing.assert_allclose(universal[0].people.joints_cam, 1.1 * joints[0])


def test_a_damaged_mat_file_is_named(tmp_path: Path) -> None:
    write_mupots(tmp_path)
    path = tmp_path / "TS6" / "annot.mat"
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(DatasetError, match=r"TS6/annot\.mat is no MATLAB file, or damaged"):
        frames_of("mupots", tmp_path)
    path.unlink()
    with pytest.raises(DatasetError, match="MuPoTS-3D is its folder MultiPersonTestSet"):
        frames_of("mupots", tmp_path)


def test_a_joint_that_is_no_number_is_named(tmp_path: Path) -> None:
    def spoil(cells: np.ndarray) -> None:
        cells[2, 1]["annot3"][0, 5] = np.nan

    write_mupots(tmp_path, spoil)
    with pytest.raises(DatasetError, match=r"annotations\{3,2\}\.annot3 holds a number that is not finite, at \(0"):
        frames_of("mupots", tmp_path)


def test_a_missing_field_is_named(tmp_path: Path) -> None:
    write_mupots(tmp_path, lambda cells: cells[0, 0].pop("annot2"))
    with pytest.raises(DatasetError, match=r"annotations\{1,1\} has no 'annot2'"):
        frames_of("mupots", tmp_path)


def write_jta(root: Path, joints: np.ndarray) -> Path:
    path = root / "annotations" / "test" / "seq_7.json"
    path.parent.mkdir(parents=True)
    rows = [
        [t + 1, 10 + n, j, *project(jta.CAMERA, joints[t, n, j]), *joints[t, n, j], int(j == 3), 0]
        for t, n, j in np.ndindex(*joints.shape[:3])
    ]
    path.write_text(json.dumps([[float(v) for v in row] for row in rows]))
    return path


def test_jta(tmp_path: Path) -> None:
    joints = people(22)
    write_jta(tmp_path, joints)
    frames = frames_of("jta", tmp_path)
    assert [frame.index for frame in frames] == [1, 2, 3] and frames[0].people.ids.tolist() == [10, 11]
    np.testing.assert_allclose(frames[2].people.joints_cam, joints[2])
    np.testing.assert_allclose(frames[2].people.joints_px, project(jta.CAMERA, joints[2]))
    assert not frames[0].people.visible[:, 3].any() and frames[0].people.visible[:, 4].all()


def test_jta_cut_short_or_with_a_joint_twice(tmp_path: Path) -> None:
    path = write_jta(tmp_path, people(22))
    rows = json.loads(path.read_text())
    path.write_text(json.dumps([*rows, rows[0]]))
    with pytest.raises(DatasetError, match="frame 1 has a joint of one person twice"):
        frames_of("jta", tmp_path)
    path.write_text(path.read_text()[:-40])
    with pytest.raises(DatasetError, match=r"seq_7\.json is no JSON, or cut short"):
        frames_of("jta", tmp_path)


def test_muco(tmp_path: Path) -> None:
    joints = people(21, frames=1)[0]
    annotations = [
        {"image_id": 5, "keypoints_cam": (1000 * j).tolist(), "keypoints_img": project(CAMERA, j).tolist(),
         "keypoints_vis": [1.0] * 20 + [0.0]} for j in joints
    ]  # fmt: skip
    image = {"id": 5, "file_name": "unaugmented_set/1/a.jpg", "width": 1920, "height": 1080, "f": [1500.0, 1480.0],
             "c": [950.0, 530.0]}  # fmt: skip
    (tmp_path / "MuCo-3DHP.json").write_text(json.dumps({"images": [image], "annotations": annotations}))
    (frame,) = frames_of("muco", tmp_path)
    np.testing.assert_allclose(frame.people.joints_cam, joints)
    assert frame.camera == CAMERA and not frame.people.visible[:, 20].any() and len(muco.JOINTS) == 21
    annotations[0]["keypoints_cam"] = [[0.0] * 3] * 20
    (tmp_path / "MuCo-3DHP.json").write_text(json.dumps({"images": [image], "annotations": annotations}))
    with pytest.raises(DatasetError, match=r"image 5\.keypoints_cam has shape \(20, 3\) instead of \(21, 3\)"):
        frames_of("muco", tmp_path)


def test_h36m(tmp_path: Path) -> None:
    joints, camera = people(32, count=1, frames=4)[:, 0], Camera(1000, 1002, 1145.0, 1143.0, 512.0, 515.0)
    path = write_h36m(tmp_path, joints)
    (sequence,) = open_dataset("h36m", tmp_path)
    frames = list(sequence.frames())
    assert sequence.name == "S9/Walking 1.54138969" and sequence.group == "Walking" and len(frames) == 4
    np.testing.assert_allclose(frames[1].people.joints_cam[0], joints[1, h36m._USED], atol=1e-5)
    assert frames[0].camera is not None
    np.testing.assert_allclose(frames[0].camera.matrix, camera.matrix, rtol=1e-3)
    path.write_bytes(b"no CDF")
    with pytest.raises(DatasetError, match=r"D2_Positions/Walking 1\.54138969\.cdf is no CDF file"):
        list(sequence.frames())


def write_3dpw(root: Path) -> tuple[Path, np.ndarray]:
    joints, world = people(24), np.eye(4)
    world[:3, :3], world[:3, 3] = [[0, 0, 1], [0, 1, 0], [-1, 0, 0]], [0.1, 0.2, 0.3]
    given = (joints - world[:3, 3]) @ world[:3, :3]
    content = {
        "jointPositions": [given[:, n].reshape(3, -1) for n in range(2)],
        "poses2d": [np.ones((3, 3, 18)) for _ in range(2)],
        "campose_valid": [np.array([1, 0, 1]), np.ones(3)],
        "cam_poses": np.stack([world] * 3),
        "cam_intrinsics": CAMERA.matrix,
    }
    path = root / "sequenceFiles" / "test" / "downtown_walk_00.pkl"
    path.parent.mkdir(parents=True)
    path.write_bytes(pickle.dumps(content, protocol=2))
    return path, joints


def test_3dpw(tmp_path: Path) -> None:
    _, joints = write_3dpw(tmp_path)
    frames = frames_of("3dpw", tmp_path)
    np.testing.assert_allclose(frames[0].people.joints_cam, joints[0], atol=1e-12)
    assert frames[1].people.ids.tolist() == [1] and len(threedpw.JOINTS) == 24
    assert frames[2].picture == tmp_path / "imageFiles" / "downtown_walk_00" / "image_00002.jpg"


def test_a_pickle_that_would_run_something_is_refused(tmp_path: Path) -> None:
    path, _ = write_3dpw(tmp_path)
    path.write_bytes(b"cos\nsystem\n(S'touch " + str(tmp_path / "ran").encode() + b"'\ntR.")
    with pytest.raises(DatasetError, match=r"it asks for os\.system, which is not allowed"):
        frames_of("3dpw", tmp_path)
    assert not (tmp_path / "ran").exists()
    path.write_bytes(b"\x80\x02}q")
    with pytest.raises(DatasetError, match="no pickle of arrays, or damaged"):
        frames_of("3dpw", tmp_path)


def write_panoptic(root: Path, ids: tuple[int, int] = (0, 4)) -> np.ndarray:
    joints, folder = people(19, frames=1)[0], root / "160422_haggling1"
    turn, shift = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]]), np.array([1.0, 2.0, 3.0])
    cameras = [
        {"name": name, "resolution": [1920, 1080], "K": CAMERA.matrix.tolist(), "distCoef": [0.0] * 5,
         "R": turn.tolist(), "t": [[100 * v] for v in shift]} for name in panoptic.CAMERAS
    ]  # fmt: skip
    (folder / "hdPose3d_stage1_coco19").mkdir(parents=True)
    (folder / "calibration_160422_haggling1.json").write_text(json.dumps({"cameras": cameras}))
    confidence = np.ones((2, 19, 1))
    confidence[0, 18] = -1
    world = np.concatenate([100 * (joints - shift) @ turn, confidence], axis=-1)
    bodies = [{"id": i, "joints19": row.ravel().tolist()} for i, row in zip(ids, world, strict=True)]
    (folder / "hdPose3d_stage1_coco19" / "body3DScene_00000123.json").write_text(json.dumps({"bodies": bodies}))
    return joints


def test_panoptic(tmp_path: Path) -> None:
    joints = write_panoptic(tmp_path)
    sequences = open_dataset("panoptic", tmp_path)
    assert [s.name for s in sequences] == ["160422_haggling1/00_16", "160422_haggling1/00_30"]
    (frame,) = sequences[0].frames()
    assert frame.index == 123 and frame.people.ids.tolist() == [0, 4] and sequences[0].group == "haggling"
    np.testing.assert_allclose(frame.people.joints_cam[1], joints[1], atol=1e-9)
    assert np.isnan(frame.people.joints_cam[0, 18]).all()


def test_panoptic_with_an_id_twice(tmp_path: Path) -> None:
    write_panoptic(tmp_path, (3, 3))
    with pytest.raises(DatasetError, match=r"body3DScene_00000123\.json: person 3 is there twice"):
        frames_of("panoptic", tmp_path)


@pytest.mark.parametrize("name", ["mupots", "muco", "jta", "h36m", "3dpw", "panoptic", "coco", "crowdpose"])
def test_a_folder_of_something_else_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=str(tmp_path)):
        open_dataset(name, tmp_path)
    with pytest.raises(DatasetError, match="is no folder"):
        open_dataset(name, tmp_path / "nowhere")


def write_h36m(root: Path, joints: np.ndarray | None = None) -> Path:
    """Two files of one video; the one of pixels is returned."""
    cdflib = pytest.importorskip("cdflib", reason="cdflib is not installed")
    joints = people(32, count=1, frames=4)[:, 0] if joints is None else joints
    camera = Camera(1000, 1002, 1145.0, 1143.0, 512.0, 515.0)
    for kind, value in (("D3_Positions_mono", 1000 * joints), ("D2_Positions", project(camera, joints))):
        path = root / "S9" / "MyPoseFeatures" / kind / "Walking 1.54138969.cdf"
        path.parent.mkdir(parents=True)
        file = cdflib.cdfwrite.CDF(str(path))
        spec = {"Variable": "Pose", "Data_Type": cdflib.cdfwrite.CDF.CDF_FLOAT, "Num_Elements": 1, "Rec_Vary": True,
                "Dim_Sizes": [len(value), value[0].size]}  # fmt: skip
        file.write_var(spec, var_data=value.reshape(1, len(value), -1).astype(np.float32))
        file.close()
    return path


def write_muco(root: Path) -> Path:
    joints = people(21, frames=1)[0]
    annotations = [
        {"image_id": 5, "keypoints_cam": (1000 * j).tolist(), "keypoints_img": project(CAMERA, j).tolist(),
         "keypoints_vis": [1.0] * 21} for j in joints
    ]  # fmt: skip
    image = {"id": 5, "file_name": "a.jpg", "width": 1920, "height": 1080, "f": [1500.0, 1480.0], "c": [950.0, 530.0]}
    path = root / "MuCo-3DHP.json"
    path.write_text(json.dumps({"images": [image], "annotations": annotations}))
    return path


def write_pictures(root: Path, name: str, joints: int) -> Path:
    images = [{"id": n, "file_name": f"{n}.jpg", "width": 640, "height": 480, "crowdIndex": 0.05} for n in range(2)]
    annotations = [
        {"id": n, "image_id": n // 2, "bbox": [10, 20, 30, 40], "area": 900.0, "keypoints": [100.0, 50.0, 2.0] * joints}
        for n in range(3)
    ]
    path = root / name
    path.write_text(json.dumps({"images": images, "annotations": annotations}))
    return path


def write_any(name: str, root: Path) -> list[Path]:
    """A small data set as it is published, and its files."""
    writers: dict[str, Callable[[], Any]] = {
        "mupots": lambda: write_mupots(root),
        "muco": lambda: write_muco(root),
        "jta": lambda: write_jta(root, people(22)),
        "h36m": lambda: write_h36m(root),
        "3dpw": lambda: write_3dpw(root),
        "panoptic": lambda: write_panoptic(root),
        "coco": lambda: write_pictures(root, "person_keypoints.json", 17),
        "crowdpose": lambda: write_pictures(root, "crowdpose_test.json", 14),
    }
    writers[name]()
    assert frames_of(name, root)
    return sorted(path for path in root.rglob("*") if path.is_file())


NAMES = ("mupots", "muco", "jta", "h36m", "3dpw", "panoptic", "coco", "crowdpose")


@pytest.mark.parametrize("name", NAMES)
def test_a_file_that_is_cut_short_or_another_is_named(name: str, tmp_path: Path) -> None:
    for path in write_any(name, tmp_path):
        whole = path.read_bytes()
        for spoilt in (b"", whole[: len(whole) // 3], whole[:-9], b"PK\x03\x04" + bytes(500), bytes(2000)):
            path.write_bytes(spoilt)
            try:
                frames_of(name, tmp_path)
            except DatasetError as error:
                assert path.name in str(error)
            else:
                assert spoilt == whole[:-9] and path.suffix in (".cdf", ".mat"), "padding alone may be missing"
        path.write_bytes(whole)


@pytest.mark.parametrize("name", NAMES)
def test_a_file_that_is_missing_is_named(name: str, tmp_path: Path) -> None:
    for path in write_any(name, tmp_path):
        whole = path.read_bytes()
        path.unlink()
        with pytest.raises(DatasetError, match=str(tmp_path)):
            frames_of(name, tmp_path)
        path.write_bytes(whole)


def leaves(content: Any, place: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where values are within JSON, of long lists the ends alone."""
    items = content.items() if isinstance(content, dict) else enumerate(content)
    found = []
    for key, value in items:
        if isinstance(content, list) and len(content) > 3 and 1 < key < len(content) - 1:
            continue
        found.append((*place, key))
        if isinstance(value, dict | list):
            found += leaves(value, (*place, key))
    return found


def put(content: Any, place: tuple[Any, ...], value: Any) -> None:
    for key in place[:-1]:
        content = content[key]
    content[place[-1]] = value


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("mupots", "h36m", "3dpw")])
def test_any_value_that_is_wrong_is_an_error_of_one_line(name: str, tmp_path: Path) -> None:
    wrong = 0
    for path in write_any(name, tmp_path):
        text = path.read_text()
        for place in leaves(json.loads(text)):
            values: tuple[Any, ...] = (None, "x", [], {}, float("nan"), -1e300)
            for value in values:
                content = json.loads(text)
                put(content, place, value)
                path.write_text(json.dumps(content))
                try:
                    frames_of(name, tmp_path)
                except DatasetError as error:
                    assert path.name in str(error) and "\n" not in str(error), (place, value)
                    wrong += 1
        path.write_text(text)
    assert wrong > 50


@pytest.mark.parametrize("field", ["jointPositions", "poses2d", "campose_valid", "cam_poses", "cam_intrinsics"])
@pytest.mark.parametrize("value", [None, "x", [], np.full((3, 4, 4), np.nan), {}, np.zeros(2), [np.zeros(2), None]])
def test_3dpw_with_a_field_of_something_else(field: str, value: Any, tmp_path: Path) -> None:
    path, _ = write_3dpw(tmp_path)
    content = pickle.loads(path.read_bytes())
    path.write_bytes(pickle.dumps({**content, field: value}, protocol=2))
    with pytest.raises(DatasetError, match=r"downtown_walk_00\.pkl: .*(cam_|poses2d|jointPositions|campose)"):
        frames_of("3dpw", tmp_path)


@pytest.mark.parametrize("value", [np.zeros((0, 0)), "text", np.zeros((1, 1)), {"annot2": np.zeros((2, 17))}])
def test_mupots_with_a_cell_of_something_else(value: Any, tmp_path: Path) -> None:
    def spoil(cells: np.ndarray) -> None:
        cells[2, 1] = value

    write_mupots(tmp_path, spoil)
    with pytest.raises(DatasetError, match=r"annotations\{3,2\} has no 'isValidFrame'"):
        frames_of("mupots", tmp_path)


def test_h36m_with_a_joint_that_is_no_number_or_fewer_frames(tmp_path: Path) -> None:
    joints = people(32, count=1, frames=4)[:, 0]
    joints[2, 1] = np.nan
    write_h36m(tmp_path / "nan", joints)
    with pytest.raises(DatasetError, match=r"Walking 1\.54138969\.cdf: Pose holds a number that is not finite"):
        frames_of("h36m", tmp_path / "nan")
    path, other = write_h36m(tmp_path / "one"), write_h36m(tmp_path / "two", people(32, count=1, frames=3)[:, 0])
    path.write_bytes(other.read_bytes())
    with pytest.raises(DatasetError, match=r"has 3 frames, .* 4"):
        frames_of("h36m", tmp_path / "one")
