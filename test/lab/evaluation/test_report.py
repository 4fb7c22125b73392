"""Results: the file that is written and the tables that are shown."""

import errno
import json
from pathlib import Path

import pytest

from dualpose_ros.lab.evaluation.report import report


def test_report_has_the_form_of_the_contract(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    goals = [{"name": "x", "value": 1.5, "goal": ">= 2", "met": False}]
    unknown = (None, float("nan"))
    rows = [{"joint": f"j{index}", "error": index / 3, "unknown": unknown[index % 2]} for index in range(40)]
    report({"what": "w", "seconds": 2.5, "tables": {"t": rows}, "goals": goals}, tmp_path / "deep" / "r.json", seed=9)
    record = json.loads((tmp_path / "deep" / "r.json").read_text())
    assert list(record) == ["what", "version", "seed", "seconds", "networks", "tables", "goals"]
    assert (record["what"], record["seed"], record["seconds"]) == ("w", 9, 2.5)
    assert record["tables"]["t"] == [{**row, "unknown": None} for row in rows]
    assert record["goals"] == goals
    shown = capsys.readouterr().out
    assert "j23" in shown and "j24" not in shown and "16 more rows" in shown


def test_names_in_brackets_are_shown_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    report({"what": "w", "seconds": 1, "tables": {"t": [{"file": "a[b]/c[/d]"}]}, "goals": []}, None, seed=1)
    assert "a[b]/c[/d]" in capsys.readouterr().out


def test_a_full_disk_leaves_the_file_of_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = {"what": "w", "seconds": 1, "tables": {}, "goals": []}
    report(result, tmp_path / "r.json", seed=1)
    before = (tmp_path / "r.json").read_text()

    def full(path: Path, *_: object, **__: object) -> None:
        path.touch()
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match="No space left") as told:
        report(result, tmp_path / "r.json", seed=2)
    assert told.value.filename == str(tmp_path / "r.json")
    assert (tmp_path / "r.json").read_text() == before and len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("columns", ["80", "30"])
def test_headings_are_whole_in_a_narrow_terminal(
    columns: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    row = {f"acceleration_{index}_m_s2": 1.5 + index for index in range(8)}
    report(
        {"what": "w", "seconds": 1, "tables": {"t": [row, {"acceleration_7_m_s2": 8.5}, row]}, "goals": []},
        None,
        seed=0,
    )
    shown = capsys.readouterr().out
    assert "…" not in shown and max(map(len, shown.splitlines())) <= int(columns)
    if columns == "80":
        assert "acceleration_7_m_s2" in shown and shown.count("8.5") == 3
