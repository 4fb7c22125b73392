"""The other protocols by hand, and data sets scored from stored predictions by the command."""

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dualpose_ros.cli import main
from dualpose_ros.datasets.predictions import FoundPeople, Predictions, predictions_file, write_predictions
from dualpose_ros.datasets.published import jta, panoptic, threedpw
from dualpose_ros.datasets.published.truth import TruthFrame, TruthSequence, true_people
from dualpose_ros.lab.evaluation.protocols import bodies, crowds
from dualpose_ros.lab.evaluation.protocols.protocol import Protocol
from dualpose_ros.lab.evaluation.protocols.run import PROTOCOLS
from dualpose_ros.skeleton import H36M17

RNG = np.random.default_rng(4)


def pixels(joints: np.ndarray) -> np.ndarray:
    return 1158 * joints[..., :2] / joints[..., 2:] + (960, 540)


def crowd(joints: int, count: int) -> np.ndarray:
    return RNG.normal(size=(count, joints, 3)) * 0.3 + np.arange(count)[:, None, None] * (3.0, 0, 0) + (-2, 0, 8.0)


def tables(
    protocol: Protocol, names: tuple[str, ...], truth: list[np.ndarray], found: list[np.ndarray], group: str = ""
) -> dict[str, list[dict[str, Any]]]:
    def pairs() -> Iterator[tuple[TruthFrame, FoundPeople]]:
        for index, (true, own) in enumerate(zip(truth, found, strict=True)):
            people = true_people(np.arange(len(true)), true, pixels(true), "here")
            yield (
                TruthFrame(index, index / 30, None, None, people),
                FoundPeople(np.arange(len(own)), np.ones(len(own)), own, pixels(own)),
            )

    sequence = TruthSequence("one", names, lambda: iter(()), group=group)
    return protocol.tables({"one": protocol.measure(sequence, pairs())})


def test_jta_by_hand() -> None:
    truth = [crowd(22, 2), crowd(22, 2), np.zeros((0, 22, 3))]
    found = [truth[0], np.add(truth[1][:1], (0.6, 0, 0)), truth[2]]
    row = tables(crowds.JTA_F1, jta.JOINTS, truth, found)["jta"][0]
    # All found; one of two, 0.6 m off; nobody where nobody is.
    assert row["f1_0.8_m"] == pytest.approx(100 * (1 + 2 / 3 + 1) / 3) and row["frames"] == 3
    assert row["f1_0.4_m"] == pytest.approx(100 * 2 / 3)
    one = tables(crowds.JTA_F1, jta.JOINTS, truth[:1], [truth[0][:1]])["jta"][0]
    assert one["f1_0.4_m"] == pytest.approx(100 * 2 / 3) and one["idf1"] == pytest.approx(100 * 2 / 3)


def test_jta_leaves_out_joints_beside_the_picture() -> None:
    truth = crowd(22, 1)
    truth[0, 4] = (50.0, 0.0, 5.0)
    found = truth.copy()
    found[0, 4] = np.nan
    assert tables(crowds.JTA_F1, jta.JOINTS, [truth], [found])["jta"][0]["f1_0.4_m"] == 100


def test_panoptic_by_hand() -> None:
    truth = crowd(19, 3)
    found = np.add(truth[:2], (0.0, 0.03, 0.04))
    made = tables(crowds.PANOPTIC_MPJPE, panoptic.JOINTS, [truth], [found])
    row, curve = made["panoptic"][0], made["panoptic: PCK curve"]
    # All are 50 mm off in the camera frame, and right about the root.
    assert [(c["pck_rel_pct"], c["pck_abs_pct"]) for c in curve if c["mm"] in (5, 45, 55)] == [
        (100, 0), (100, 0), (100, 100)
    ]  # fmt: skip
    assert row["mpjpe_mm"] == pytest.approx(0, abs=1e-9) and row["mpre_mm"] == pytest.approx(50)
    assert row["found"] == pytest.approx(200 / 3) and row["id_switches"] == 0


def test_h36m_by_hand() -> None:
    truth = [crowd(17, 1) for _ in range(4)]
    larger = [1.1 * t for t in truth[:3]]
    found = [*larger, truth[3][:0]]
    one = tables(bodies.H36M_1, H36M17.joint_names, truth, found, "Walking")["h36m-1"][0]
    two = tables(bodies.H36M_2, H36M17.joint_names, truth, found, "Walking")["h36m-2"][0]
    off = np.mean([0.1 * np.linalg.norm(t[0] - t[0, 0], axis=-1) for t in truth[:3]])
    assert (one["action"], one["frames"], one["missed"]) == ("Walking", 4, 1)
    assert one["h36m-1_mm"] == pytest.approx(1000 * off) and two["h36m-2_mm"] == pytest.approx(0, abs=1e-6)


def test_3dpw_takes_the_most_occluded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "OCCLUDED_FRAMES", 2)
    apart, over = crowd(24, 2), crowd(24, 1)
    behind = np.concatenate([over, np.add(over, (0.02, 0, 0.5))])
    spoilt = behind + 0.2 * RNG.normal(size=behind.shape)
    rows = tables(bodies.THREEDPW, threedpw.JOINTS, [apart, behind], [apart, spoilt])["3dpw"]
    assert [row["n"] for row in rows] == [4, 2] and rows[1]["least_iou"] > 0.5
    assert rows[1]["pa_mpjpe_mm"] > 50 and rows[0]["pa_mpjpe_mm"] == pytest.approx(rows[1]["pa_mpjpe_mm"] / 2)


def test_every_protocol_says_what_it_assumes() -> None:
    assert all(protocol.assumes and name == protocol.name for name, protocol in PROTOCOLS.items())


def write_jta(root: Path, sequences: int = 2) -> dict[str, np.ndarray]:
    """A JTA data set of some videos of three frames, and the joints by sequence."""
    made = {}
    for number in range(sequences):
        joints = np.stack([crowd(22, 2) for _ in range(3)])
        path = root / "annotations" / "test" / f"seq_{number}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        rows = [[t + 1, n, j, *pixels(joints[t, n, j]), *joints[t, n, j], 0, 0] for t, n, j in np.ndindex(3, 2, 22)]
        path.write_text(json.dumps([[float(v) for v in row] for row in rows]))
        made[path.stem] = joints
    return made


def stored(folder: Path, name: str, joints: np.ndarray, system: str = "theirs") -> Path:
    frames = {t + 1: FoundPeople(np.arange(2), np.ones(2), joints[t], np.full((2, 22, 2), np.nan)) for t in range(3)}
    return write_predictions(folder, Predictions(name, system, jta.JOINTS, frames))


def command(root: Path, folder: Path, *more: str) -> int:
    return main(["eval", "jta", "--root", str(root), "--predictions", str(folder), "--stored-only", *more])


def test_another_systems_predictions_are_scored(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, joints in write_jta(tmp_path / "jta").items():
        stored(tmp_path / "found", name, joints)
    out = tmp_path / "result.json"
    assert command(tmp_path / "jta", tmp_path / "found", "--json", str(out)) == 0
    rows = json.loads(out.read_text())["tables"]
    assert [row["f1_0.4_m"] for row in rows["jta"]] == [100, 100, 100]
    assert rows["what these figures assume"][0]["system"] == "theirs"
    assert "hidden" in capsys.readouterr().out


def test_what_is_missing_or_mixed_is_one_clear_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = write_jta(tmp_path / "jta")
    folder = tmp_path / "found"
    run = partial(command, tmp_path / "jta", folder)

    def said() -> str:
        assert run() == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        return error

    stored(folder, "seq_0", made["seq_0"])
    assert "no predictions of seq_1" in said()
    stored(folder, "seq_1", made["seq_1"], "ours")
    assert "predictions of several systems lie together: ours, theirs" in said()
    path = stored(folder, "seq_1", made["seq_1"])
    content = json.loads(path.read_text())
    del content["frames"][1]
    path.write_text(json.dumps(content))
    assert "predictions of seq_1 have no frame 2" in said()
    path.write_bytes(predictions_file(folder, "seq_0").read_bytes())
    assert "is of sequence 'seq_0', not 'seq_1'" in said()
    assert run("--protocol", "mupots-official") == 2
    assert "jta has no protocol 'mupots-official'; there are jta" in capsys.readouterr().err


def test_the_stages_predictions_are_kept_sequence_by_sequence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A run that ends in the second sequence goes on there: the first one's predictions are read."""
    from dualpose_ros.lab.evaluation.protocols import live

    made, asked = write_jta(tmp_path / "jta"), []

    def predict(sequence: TruthSequence, shots: Any, *_: str) -> Iterator[tuple[TruthFrame, FoundPeople]]:
        for (frames,) in [shots] if shots else []:
            asked.append(sequence.name)
            for f in frames:
                if asked == ["seq_0", "seq_1"] and f.index == 3:
                    raise live.DatasetError("the video ends")
                joints = made[sequence.name][f.index - 1, :, :17]
                yield f, FoundPeople(np.arange(2), np.ones(2), joints, pixels(joints))

    monkeypatch.setattr(live, "predict", predict)
    arguments = ["eval", "jta", "--root", str(tmp_path / "jta"), "--predictions", str(tmp_path / "found")]
    assert main(arguments) == 2 and "the video ends" in capsys.readouterr().err
    assert sorted(p.name for p in (tmp_path / "found").iterdir()) == ["seq_0.json"]
    assert main(arguments) == 0 and asked == ["seq_0", "seq_1", "seq_1"]


def test_a_missing_video_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_jta(tmp_path / "jta", 1)
    assert main(["eval", "jta", "--root", str(tmp_path / "jta")]) == 2
    assert "seq_0.mp4 is not there, and seq_0 has no pictures" in capsys.readouterr().err
