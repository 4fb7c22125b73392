"""The page on speed: written from results, complete, and refused without them."""

import json
from pathlib import Path

import pytest

from dualpose_ros import cli
from dualpose_ros.errors import InputError
from dualpose_ros.lab.benchmarks.page import NAMES, write_page


def results(folder: Path) -> None:
    step = {"cpu_ms": 3.0, "quartiles": "2..4", "wall_ms": 3.5, "share": 0.1}
    cores = [
        {"cores": n, "threads": 1, "model_fps": 9.0 * n, "set_by": "cores", "fps": 8.0 * n if n < 4 else None,
         "p50_ms": None, "p95_ms": None, "node_cpu_ms_a_frame": None}
        for n in (1, 2, 4)
    ]  # fmt: skip
    people = [{"people": n, "found": n, "cpu_ms": 20.0 * n, "without_networks_ms": 5.0 * n} for n in (1, 2)]
    tables = {
        "stages": {"steps": [{"step": "camera: image to bytes", **step}, {"step": "top-down: network", **step}],
                   "nodes": [{"node": "all", "cpu_ms": 6.0, "without_networks_ms": 3.0}]},
        "people": {"people": people, "line": [{"ms_a_person": 5.0, "ms_a_frame": 0.0, "farthest_off_ms": 0.0}]},
        "transport": {"messages": [{"message": "image", "ms": 1.5}]},
        "pipeline": {"cores": cores, "machine": [{"cores": 2, "load": 1.25}]},
        "composed": {"cores": cores},
    }  # fmt: skip
    for name in NAMES:
        goals = [{"name": f"goal of {name}", "value": 1.0, "goal": "<= 2", "met": True}]
        (folder / f"{name}.json").write_text(json.dumps({"tables": tables[name], "goals": goals}))


def test_the_page_holds_all_tables_and_shows_its_pictures(tmp_path: Path) -> None:
    folder = tmp_path / "docs" / "results"
    folder.mkdir(parents=True)
    results(folder)
    page = folder.parent / "speed.md"
    write_page(folder, page)
    text = page.read_text()
    for name in ("stages", "people", "pipeline", "composed"):
        assert (
            f"images/speed_{name}.png" in text and (page.parent / "images" / f"speed_{name}.png").stat().st_size > 5000
        )
    assert "| top-down: network | 3 | 2..4 | 3.5 | 0.1 |" in text and "| image | 1.5 |" in text
    assert text.count("| 2 | 1 | 18 | cores | 16 | - | - | - |") == 2
    assert "On 2 cores, at a load of 1.25." in text
    assert all(f"goal of {name} | 1 | <= 2 | yes" in text for name in NAMES)


def test_the_folder_of_results_may_be_named_from_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "docs" / "results" / "speed"
    folder.mkdir(parents=True)
    results(folder)
    monkeypatch.chdir(folder.parent)
    assert cli.main(["bench", "page", "--results", "speed"]) == 0
    assert (tmp_path / "docs" / "speed.md").is_file() and "speed.md: written from speed" in capsys.readouterr().out


def test_what_was_not_run_is_said_and_what_is_no_result_is_named(tmp_path: Path) -> None:
    results(tmp_path)
    (tmp_path / "pipeline.json").unlink()
    write_page(tmp_path, tmp_path / "speed.md")
    text = (tmp_path / "speed.md").read_text()
    assert text.count("Not run yet") == 1 and "goal of pipeline" not in text and "goal of composed" in text
    for name, told in (("stages", {"what": "people"}), ("composed", {"what": "pipeline", "options": {}})):
        given = (tmp_path / f"{name}.json").read_text()
        (tmp_path / f"{name}.json").write_text(json.dumps({**json.loads(given), **told}))
        with pytest.raises(InputError, match=rf"{name}\.json is of another measurement than its name says"):
            write_page(tmp_path, tmp_path / "speed.md")
        (tmp_path / f"{name}.json").write_text(given)
    (tmp_path / "people.json").write_text("{}")
    with pytest.raises(InputError, match=r"people\.json is no result"):
        write_page(tmp_path, tmp_path / "speed.md")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="make speed"):
        write_page(tmp_path / "empty", tmp_path / "speed.md")
