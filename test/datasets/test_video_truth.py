"""Truth of real videos: .npz and TRC files that the tests write, names of markers, times between frames."""

from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from dualpose_ros.datasets.video_truth import Take, VideoTruth, VideoTruthError, at_times, joint_of, load_video_truth
from dualpose_ros.skeleton import H36M17, K

MARKERS = ("RHip", "RKnee", "RAnkle", "LHip", "LKnee", "LAnkle", "Neck", "LShoulder", "Nose")


def write_trc(
    path: Path, markers_m: np.ndarray, fps: float, units: str = "mm", scale: float = 1000.0, first: int = 0
) -> None:
    """OpenSim's form, of markers (T, J, 3); NaN is an empty field; first: of its frames, from 0 s on."""
    head = ["PathFileType\t4\t(X/Y/Z)\tperson.trc", "DataRate\tNumFrames\tNumMarkers\tUnits"]
    head += [f"{fps}\t{len(markers_m)}\t{len(MARKERS)}\t{units}"]
    head += ["Frame#\tTime\t" + "\t\t\t".join(MARKERS) + "\t\t"]
    head += ["\t\t" + "\t".join(f"X{n}\tY{n}\tZ{n}" for n in range(1, len(MARKERS) + 1))]
    rows = []
    for t, frame in enumerate(markers_m, start=first):
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
    (truth,) = load_video_truth([tmp_path / "a.trc"]).takes
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
    (truth,) = load_video_truth([tmp_path / "truth.npz"], tmp_path / "truth.yaml").takes
    knee = H36M17.index("right_knee")
    assert np.allclose(truth.joints_cam[:, 0, knee], turn.apply(markers()[:, 1]) + np.array([1, 2, 3]))
    assert truth.stamps_s[0] == 2.5


def test_columns_in_another_order_than_the_worlds_axes(tmp_path: Path) -> None:
    """Pose2Sim writes y, z, x of the world that its calibration is of."""
    write_trc(tmp_path / "a.trc", markers()[..., [1, 2, 0]], fps=50)
    (tmp_path / "truth.yaml").write_text("axes: yzx\nrotation: [0.3, -0.2, 0.5]\ntranslation_m: [1, 2, 3]\n")
    (truth,) = load_video_truth([tmp_path / "a.trc"], tmp_path / "truth.yaml").takes
    turn, knee = Rotation.from_rotvec([0.3, -0.2, 0.5]), H36M17.index("right_knee")
    assert np.allclose(truth.joints_cam[:, 0, knee], turn.apply(markers()[:, 1]) + np.array([1, 2, 3]), atol=1e-6)


def test_people_of_files_each_have_their_own_frames(tmp_path: Path) -> None:
    write_trc(tmp_path / "a.trc", markers(9), fps=20)
    write_trc(tmp_path / "b.trc", np.add(markers(11), [1, 0, 0]), fps=25)
    truth = load_video_truth([tmp_path / "a.trc", tmp_path / "b.trc"])
    found = at_times(truth, np.arange(0, 0.401, 0.05))
    assert found.shape == (9, 2, K, 3)
    knee = H36M17.index("right_knee")
    assert np.allclose(found[:, 0, knee], markers(9)[:, 1], atol=1e-6)
    assert np.allclose(found[:, 1, knee, 2], markers()[0, 1, 2] + 0.01 * np.arange(9) * 0.05 * 25, atol=1e-6)


def test_two_files_of_one_person_are_refused(tmp_path: Path) -> None:
    write_trc(tmp_path / "a.trc", markers(9), fps=20)
    write_trc(tmp_path / "a_filtered.trc", markers(9) + 0.01, fps=20)
    with pytest.raises(VideoTruthError, match=r"a\.trc and .*a_filtered\.trc are of the same person"):
        load_video_truth([tmp_path / "a.trc", tmp_path / "a_filtered.trc"])


@pytest.mark.parametrize(
    ("setup", "first_s"),
    [("", (2.0, 6.0)), ("start_s: 1.0", (1.0, 5.0)), ("start_s: 0.0", (0.0, 4.0)), ("fps: 20", (0.0, 2.0)),
     ("fps: 20\nstart_s: 1", (1.0, 3.0))],
)  # fmt: skip
def test_when_the_truth_begins(tmp_path: Path, setup: str, first_s: tuple[float, float]) -> None:
    write_trc(tmp_path / "a.trc", markers(4), fps=10, first=20)
    write_trc(tmp_path / "b.trc", np.add(markers(4), [1, 0, 0]), fps=10, first=60)
    (tmp_path / "truth.yaml").write_text(setup)
    takes = load_video_truth([tmp_path / "a.trc", tmp_path / "b.trc"], tmp_path / "truth.yaml").takes
    assert [take.stamps_s[0] for take in takes] == pytest.approx(first_s)


def test_what_the_setup_says_goes_before_the_file(tmp_path: Path) -> None:
    write_npz(tmp_path / "truth.npz", stamps_s=np.arange(5) / 20, everybody=np.array(True))
    (tmp_path / "truth.yaml").write_text("fps: 10\neverybody: false\n")
    truth = load_video_truth([tmp_path / "truth.npz"], tmp_path / "truth.yaml")
    assert np.allclose(truth.takes[0].stamps_s, np.arange(5) / 10) and not truth.everybody


def test_times_between_frames_are_in_between_and_others_unknown() -> None:
    joints = np.arange(3, dtype=float)[:, None, None, None] * np.ones((3, 1, K, 3))
    joints[2, 0, 4] = np.nan
    truth = VideoTruth((Take(np.array([0.0, 0.1, 0.2]), joints),), True)
    found = at_times(truth, np.array([-0.1, 0.0, 0.05, 0.1, 0.15, 0.3]))
    assert np.isnan(found[0]).all() and np.isnan(found[5]).all()
    assert np.allclose(found[1:4, 0, 0, 0], [0.0, 0.5, 1.0])
    assert found[3, 0, 4, 0] == pytest.approx(1.0), "a frame's own time does not need its neighbour"
    assert np.isnan(found[4, 0, 4]).all() and found[4, 0, 3, 0] == pytest.approx(1.5)


def test_labels_far_apart_count_at_their_own_frames() -> None:
    joints = np.arange(3, dtype=float)[:, None, None, None] * np.ones((3, 1, K, 3))
    truth = VideoTruth((Take(np.array([0.0, 0.501, 1.0]), joints),), True)
    found = at_times(truth, np.arange(0, 1.6, 0.1))[:, 0, 0, 0]
    assert np.flatnonzero(np.isfinite(found)).tolist() == [0, 5, 10] and found[5] == 1
    assert np.isnan(at_times(truth, np.array([0.25]))).all()


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"joints_m": None}, "joints_m"),
        ({"joint_names": np.array(["a"] * len(MARKERS))}, "only 0 are known"),
        ({"joints_m": np.zeros((5, 9, 3))}, r"shape \(5, 9, 3\)"),
        ({"fps": None}, "fps"),
        ({"stamps_s": np.zeros(5)}, "must rise"),
        ({"stamps_s": np.array([0, 1, 2, 3, np.inf])}, "must rise"),
        ({"fps": np.array([10.0, 10.0])}, "fps"),
        ({"joints_m": np.zeros((0, 1, 9, 3))}, r"shape \(0, 1, 9, 3\)"),
        ({"joints_m": np.full((5, 1, 9, 3), "a")}, "no real numbers"),
        ({"joints_m": markers()[:, None].astype(complex)}, "no real numbers"),
        ({"joint_names": np.array(["Hip", *MARKERS[:7], "root"])}, "both 'Hip' and 'root' are pelvis"),
        ({"joints_m": markers()[:, None] * 1000}, "metres.*another unit"),
        ({"joints_m": markers()[:, None] / 1000}, "metres.*another unit"),
        ({"joints_m": np.full((5, 1, 9, 3), np.inf)}, "infinite"),
        ({"everybody": np.array("false")}, "everybody"),
    ],
)
def test_wrong_npz_files_are_named(tmp_path: Path, changes: dict[str, object], what: str) -> None:
    write_npz(tmp_path / "truth.npz", **changes)
    with pytest.raises(VideoTruthError, match=r"truth\.npz.*" + what):
        load_video_truth([tmp_path / "truth.npz"])


@pytest.mark.parametrize(
    ("text", "what"),
    [("rotation: [[1, 0, 0], [0, 2, 0], [0, 0, 1]]", "no rotation"), ("fps: -1", "fps"), ("scale: 2", "mapping"),
     ("translation_m: [1, 2]", "'translation_m'.*3 metres"), ("- a", "mapping"), ("rotation: [", "can't be read"),
     ("translation_m: [.nan, 0, 0]", "'translation_m'"), ("rotation: [0, .inf, 0]", "'rotation'"),
     ("rotation: [0, 0, 180]", "'rotation'.*radians"), ("start_s: .nan", "'start_s'"), ("fps: .inf", "'fps'"),
     ("everybody: 'false'", "'everybody'.*true or false"), ("axes: xzy", "'axes'.*mirror"), ("axes: [1]", "'axes'")],
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


def test_a_marker_without_a_name_keeps_its_columns(tmp_path: Path) -> None:
    write_trc(tmp_path / "a.trc", markers(), fps=10)
    (tmp_path / "a.trc").write_text((tmp_path / "a.trc").read_text().replace("RKnee", ""))
    (truth,) = load_video_truth([tmp_path / "a.trc"]).takes
    assert np.allclose(truth.joints_cam[:, 0, H36M17.index("left_shoulder")], markers()[:, 7], atol=1e-6)
    assert np.isnan(truth.joints_cam[:, 0, H36M17.index("right_knee")]).all()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("PathFileType", "\ufeffPathFileType"),
        ("10\t5\t9", "10\t99\t9"),
        ("\n", "\r\n"),
        ("\t\t\t", "\t"),
        ("LShoulder\t", "LShoulder"),
    ],
)
def test_trc_files_of_other_tools_are_read(tmp_path: Path, old: str, new: str) -> None:
    write_trc(tmp_path / "a.trc", markers(), fps=10)
    (tmp_path / "a.trc").write_bytes((tmp_path / "a.trc").read_text().replace(old, new).encode())
    (truth,) = load_video_truth([tmp_path / "a.trc"]).takes
    assert np.allclose(truth.joints_cam[:, 0, H36M17.index("left_shoulder")], markers()[:, 7], atol=1e-6)


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [("Neck\t\t\t", "", "NumMarkers is 9"), ("10\t5\t9", "10\t5\t8", "NumMarkers is 8"),
     ("10\t5\t9", "10\t5\t?", "NumMarkers"),
     ("mm\n", "m\n", "Units is m.*another unit"),
     ("mm\n", "cm\n", "Units is cm.*another unit"), ("\n3\t", "\n2\t", None)],
)  # fmt: skip
def test_a_trc_file_that_contradicts_itself_is_refused(tmp_path: Path, old: str, new: str, what: str | None) -> None:
    write_trc(tmp_path / "a.trc", markers(), fps=10)
    (tmp_path / "a.trc").write_text((tmp_path / "a.trc").read_text().replace(old, new))
    (tmp_path / "truth.yaml").write_text("fps: 10" if what is None else "")
    with pytest.raises(VideoTruthError, match=rf"a\.trc.*{what or 'Frame# '}"):
        load_video_truth([tmp_path / "a.trc"], tmp_path / "truth.yaml")


def test_a_trc_file_that_ends_amid_a_row_is_refused(tmp_path: Path) -> None:
    write_trc(tmp_path / "a.trc", markers(), fps=10)
    text = (tmp_path / "a.trc").read_text()
    for cut in (text[: text.rindex("\n5") - 20], text[:-40]):
        (tmp_path / "a.trc").write_text(cut)
        with pytest.raises(VideoTruthError, match=r"a\.trc is cut off"):
            load_video_truth([tmp_path / "a.trc"])
