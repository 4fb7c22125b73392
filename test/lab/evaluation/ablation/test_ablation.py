"""The paper's tables on the fixed benchmark: its figures, its inequalities, its checksum."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dualpose_ros import cli
from dualpose_ros.datasets.recordings import Recordings, save_recordings
from dualpose_ros.errors import InputError
from dualpose_ros.lab.evaluation.ablation import benchmark, tables
from dualpose_ros.lab.evaluation.ablation.paper import TABLE_3, inequalities
from dualpose_ros.lab.evaluation.branches import Branches
from dualpose_ros.lab.evaluation.fusion.measures import COLUMNS, recorded_frames
from dualpose_ros.refinement.stage import RefinementStage
from support.made_recordings import made_recordings


def test_the_papers_inequalities_are_those_of_its_table() -> None:
    found = inequalities()
    assert ("TD (w MP)", "TD (w/o MP)", "auc_rel", 7.9) in found
    assert ("TD + BU (hard)", "TD (w MP)", "auc_rel", 0.0) not in found
    assert all(by > 0 for *_, by in found)
    assert all(better in TABLE_3 and worse in TABLE_3 for better, worse, *_ in found)
    # In the paper, each step of the full model gains in every column, or keeps it.
    assert {column for better, _, column, _ in found if better == "Full model"} == set(COLUMNS)


def test_inequalities_that_fail_are_named() -> None:
    rows = [{"row": name, **dict(zip(COLUMNS, values, strict=True))} for name, values in TABLE_3.items()]
    assert all(row["holds"] and row["here"] == pytest.approx(row["paper"]) for row in tables.inequality_rows(rows))
    rows[1]["auc_rel"] = 0.0
    failing = [row for row in tables.inequality_rows(rows) if not row["holds"]]
    assert ("TD (w MP)", "TD (w/o MP)", "auc_rel") in {(r["better"], r["worse"], r["column"]) for r in failing}
    assert all(row["cause"] and row["standard_error"] is None for row in failing)


def test_what_may_be_chance_is_said_to_be() -> None:
    """Differences over five videos, of which each is left out once: the textbook's standard error of their mean."""
    rows: list[dict[str, Any]] = [
        {"row": name, **dict(zip(COLUMNS, values, strict=True))} for name, values in TABLE_3.items()
    ]
    rows[1]["auc_rel"] = TABLE_3["TD (w/o MP)"][1] - 0.5
    rng = np.random.default_rng(0)
    for spread, chance in ((2.0, True), (0.05, False)):
        gains = rng.normal(0, spread, 5)
        means = [np.delete(gains, n).mean() for n in range(5)]
        without: dict[str, list[dict[str, Any]]] = {row["row"]: [dict(row) for _ in range(5)] for row in rows}
        for row, mean in zip(without["TD (w MP)"], means, strict=True):
            row["auc_rel"] = 50.0 + mean
        found = {(r["better"], r["worse"], r["column"]): r for r in tables.inequality_rows(rows, without)}
        row = found["TD (w MP)", "TD (w/o MP)", "auc_rel"]
        assert row["standard_error"] == pytest.approx(gains.std(ddof=1) / np.sqrt(5))
        assert row["cause"].startswith(tables.CHANCE) == chance


def test_the_papers_figures_are_told_as_another_data_sets() -> None:
    (row,) = tables.beside([{"row": "TD (w MP)", **dict.fromkeys(COLUMNS, 1.0), "people": 3}], TABLE_3)
    assert row["pck_abs (MuPoTS-3D, paper)"] == 45.7 and row["pck_abs (dualpose-synth-v2)"] == 1.0
    assert row["people"] == 3 and "pck_abs" not in row


def test_the_kept_signature_is_of_twenty_videos() -> None:
    kept = np.array(json.loads(benchmark.KEPT.read_text())["sequences"])
    assert kept.shape == (benchmark.SEQUENCES, len(benchmark.TOLERANCES)) and (kept[:, 0] == benchmark.FRAMES).all()


def test_other_videos_are_refused(tmp_path: Path) -> None:
    given = made_recordings(np.random.default_rng(0), frames=3)
    kept = tmp_path / "kept.json"
    kept.write_text(json.dumps({"sequences": benchmark.signature(given).tolist()}))
    benchmark.check(given, kept)
    moved = replace(given, truth=replace(given.truth, joints_cam=given.truth.joints_cam + np.float32(0.01)))
    with pytest.raises(InputError, match=r"these videos are not dualpose-synth-v2's \(sequence 0 is"):
        benchmark.check(moved, kept)
    with pytest.raises(InputError, match=r"there are \d+ sequences, not 20"):
        benchmark.check(given)


def test_recordings_that_are_kept_are_not_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = made_recordings(np.random.default_rng(0), frames=3)
    monkeypatch.setattr(benchmark, "SEQUENCES", 1)
    monkeypatch.setattr(benchmark, "check", lambda recordings: None)
    monkeypatch.setattr(benchmark, "networks_digest", lambda: "0123")
    save_recordings(tmp_path / "one_person_0123" / "recordings_00000.npz", given)

    def never() -> Branches:
        raise AssertionError("the branches were loaded")

    found = benchmark.Benchmark(tmp_path).recorded("one person", never, tmp_path)
    assert isinstance(found, Recordings) and len(found.frames) == len(given.frames)
    monkeypatch.setattr(benchmark, "networks_digest", lambda: "4567")
    with pytest.raises(AssertionError, match="the branches were loaded"):
        benchmark.Benchmark(tmp_path).recorded("one person", never, tmp_path)


def test_refined_people_are_those_of_the_live_stage() -> None:
    from dualpose_ros.datasets.recordings import camera_of

    given = made_recordings(np.random.default_rng(0), frames=3)
    frames = list(recorded_frames(given))
    cameras = {int(n): camera_of(given, i) for i, n in enumerate(given.frames.sequence)}
    refine = tables.refined(lambda frame: frame.top_down, cameras)
    stage, sequence = RefinementStage(), frames[0].sequence
    for frame in frames:
        got = refine(frame)
        if frame.sequence != sequence:
            break
        (wanted,) = stage.process(frame.stamp_ns, cameras[sequence], frame.top_down)
        for a, b in zip(got, wanted.persons, strict=True):
            np.testing.assert_allclose(a.joints_cam, b.joints_cam)


@pytest.mark.parametrize(("table", "needs"), [(9, "MuPoTS-3D"), (10, "JTA"), (11, "Human3.6M"), (12, "3DPW")])
def test_tables_of_data_that_is_not_there_say_what_they_need(
    table: int, needs: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "a.json"
    assert cli.main(["eval", "ablation", "--data", str(tmp_path), "--table", str(table), "--json", str(out)]) == 0
    (row,) = json.loads(out.read_text())["tables"][f"table {table}"]
    assert row["needs"].startswith(needs) and row["measured by"].startswith("dualpose eval ")
    capsys.readouterr()
    assert cli.main(["eval", "ablation", "--data", str(tmp_path)]) == 2
    assert "holds no motion capture" in capsys.readouterr().err
