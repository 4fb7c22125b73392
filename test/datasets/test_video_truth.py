"""Truth of real videos: .npz and TRC files that the tests write, names of markers, times between frames."""

from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from dualpose_ros.datasets.video_truth import VideoTruth, VideoTruthError, at_times, joint_of, load_video_truth
from dualpose_ros.skeleton import H36M17, K

MARKERS = ("RHip", "RKnee", "RAnkle", "LHip", "LKnee", "LAnkle", "Neck", "LShoulder", "Nose")


def write_trc(path: Path, markers_m: np.ndarray, fps: float, units: str = "mm", scale: float = 1000.0) -> None:
    """OpenSim's form, of markers (T, J, 3); NaN is an empty field."""
    head = ["PathFileType\t4\t(X/Y/Z)\tperson.trc", "DataRate\tNumFrames\tNumMarkers\tUnits"]
    head += [f"{fps}\t{len(markers_m)}\t{len(MARKERS)}\t{units}"]
    head += ["Frame#\tTime\t" + "\t\t\t".join(MARKERS) + "\t\t"]
    head += ["\t\t" + "\t".join(f"X{n}\tY{n}\tZ{n}" for n in range(1, len(MARKERS) + 1))]
    rows = []
    for t, frame in enumerate(markers_m):
        values = ["" if np.isnan(v) else f"{v * scale:.5f}" for v in frame.ravel()]
        rows.append("\t".join([str(t + 1), f"{t / fps:.5f}", *values]))
    path.write_text("\n".join(head + rows) + "\n")


def markers(frames: int = 5) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.normal(0, 0.4, (1, len(MARKERS), 3)) + [0, 0, 4] + np.arange(frames)[:, None, None] * 0.01


def write_npz(path: Path, **changes: object) -> None:
    content = {"joints_m": markers()[:, None], "joint_names": np.array(MARKERS), "fps": 10.0, **changes}
    np.savez(path, **{name: value for name, value in content.items() if value is not None})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("marker", "joint"),
    [("RKnee", "right_knee"), ("left_wrist", "left_wrist"), ("Knee_L", "left_knee"), ("MidHip", "pelvis"),
     ("Hip", "pelvis"), ("HeadTop", "head_top"), ("LBigToe", None), ("Nose", None), ("shoulder", None)],
)  # fmt: skip
def test_markers_are_known_by_name(marker: str, joint: str | None) -> None:
    assert joint_of(marker) == (None if joint is None else H36M17.index(joint))


def test_a_trc_file_is_read_in_metres_with_its_times(tmp_path: Path) -> None:
    given = markers()
    given[2, 1] = np.nan
    write_trc(tmp_path / "a.trc", given, fps=50)
    truth = load_video_truth([tmp_path / "a.trc"])
    assert np.allclose(truth.stamps_s, np.arange(5) / 50)
    assert np.allclose(truth.joints_cam[0, 0, H36M17.index("left_ankle")], given[0, 5], atol=1e-6)
    assert np.isnan(truth.joints_cam[2, 0, H36M17.index("right_knee")]).all()
    hips = (given[:, 0] + given[:, 3]) / 2
    assert np.allclose(truth.joints_cam[:, 0, H36M17.root], hips, atol=1e-6)
    assert np.isnan(truth.joints_cam[:, 0, H36M17.index("left_wrist")]).all()


def test_a_world_is_turned_into_the_camera(tmp_path: Path) -> None:
    write_npz(tmp_path / "truth.npz")
    turn = Rotation.from_rotvec([0.3, -0.2, 0.5])
    (tmp_path / "truth.yaml").write_text("rotation: [0.3, -0.2, 0.5]\ntranslation_m: [1, 2, 3]\nstart_s: 2.5\n")
    truth = load_video_truth([tmp_path / "truth.npz"], tmp_path / "truth.yaml")
    knee = H36M17.index("right_knee")
    assert np.allclose(truth.joints_cam[:, 0, knee], turn.apply(markers()[:, 1]) + np.array([1, 2, 3]))
    assert truth.stamps_s[0] == 2.5


def test_people_of_files_share_the_times(tmp_path: Path) -> None:
    write_trc(tmp_path / "a.trc", markers(4), fps=10)
    write_trc(tmp_path / "b.trc", markers(2), fps=10)
    truth = load_video_truth([tmp_path / "a.trc", tmp_path / "b.trc"])
    assert truth.joints_cam.shape == (4, 2, K, 3)
    assert truth.present.tolist() == [[True, True], [True, True], [True, False], [True, False]]


def test_times_between_frames_are_in_between_and_others_unknown() -> None:
    joints = np.arange(3, dtype=float)[:, None, None, None] * np.ones((3, 1, K, 3))
    joints[2, 0, 4] = np.nan
    truth = VideoTruth(np.array([0.0, 0.1, 0.2]), joints, True)
    found = at_times(truth, np.array([-0.1, 0.0, 0.05, 0.1, 0.15, 0.3]))
    assert np.isnan(found[0]).all() and np.isnan(found[5]).all()
    assert np.allclose(found[1:4, 0, 0, 0], [0.0, 0.5, 1.0])
    assert found[3, 0, 4, 0] == pytest.approx(1.0), "a frame's own time does not need its neighbour"
    assert np.isnan(found[4, 0, 4]).all() and found[4, 0, 3, 0] == pytest.approx(1.5)


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"joints_m": None}, "joints_m"),
        ({"joint_names": np.array(["a"] * len(MARKERS))}, "only 0 are known"),
        ({"joints_m": np.zeros((5, 9, 3))}, r"shape \(5, 9, 3\)"),
        ({"fps": None}, "fps"),
        ({"stamps_s": np.zeros(5)}, "must rise"),
    ],
)
def test_wrong_npz_files_are_named(tmp_path: Path, changes: dict[str, object], what: str) -> None:
    write_npz(tmp_path / "truth.npz", **changes)
    with pytest.raises(VideoTruthError, match=r"truth\.npz.*" + what):
        load_video_truth([tmp_path / "truth.npz"])


@pytest.mark.parametrize(
    ("text", "what"),
    [("rotation: [[1, 0, 0], [0, 2, 0], [0, 0, 1]]", "no rotation"), ("fps: -1", "fps"), ("scale: 2", "mapping"),
     ("translation_m: [1, 2]", "truth.yaml"), ("- a", "mapping"), ("rotation: [", "can't be read")],
)  # fmt: skip
def test_wrong_setups_are_named(tmp_path: Path, text: str, what: str) -> None:
    write_npz(tmp_path / "truth.npz")
    (tmp_path / "truth.yaml").write_text(text)
    with pytest.raises(VideoTruthError, match=what):
        load_video_truth([tmp_path / "truth.npz"], tmp_path / "truth.yaml")


@pytest.mark.parametrize(
    "text", ["", "hello\nworld\n", "PathFileType\t4\nDataRate\tUnits\n60\tfeet\nFrame#\tTime\na\n1\n"]
)
def test_wrong_trc_files_are_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.trc").write_text(text)
    with pytest.raises(VideoTruthError, match=r"a\.trc"):
        load_video_truth([tmp_path / "a.trc"])
    with pytest.raises(VideoTruthError, match=r"one \.npz, or \.trc"):
        load_video_truth([tmp_path / "a.trc", tmp_path / "b.npz"])
