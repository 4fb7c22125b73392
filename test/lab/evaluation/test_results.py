"""The page of results is what the command writes from what is committed, and says what was not run."""

import json
from pathlib import Path
from typing import Any

import pytest

from dualpose_ros.cli import main
from dualpose_ros.errors import InputError
from dualpose_ros.lab.evaluation import photographs
from dualpose_ros.lab.evaluation.results import EVALUATIONS, merged, page, take_in, write_page
from dualpose_ros.weights import shipped_networks
from support.data import ROOT

NETWORKS = dict.fromkeys(("detector", "top_down", "gcn", "lifting", "bottom_up", "fusion"), "aaa")


def result(what: str, error: float, **more: Any) -> dict[str, Any]:
    goal = {"name": "error", "value": error, "goal": "<= 2", "met": error <= 2}
    return {
        "what": what,
        "version": "1.0",
        "seed": 0,
        "seconds": 3.2,
        "networks": NETWORKS,
        "tables": {"errors": [{"row": "all", "mm": error, "found": None}]},
        "goals": [goal],
        **more,
    }


def save(folder: Path, name: str, content: Any) -> Path:
    path = folder / f"{name}.json"
    path.write_text(json.dumps(content))
    return path


def section(text: str, name: str) -> str:
    return text.split(f"## {name}\n")[1].split("\n## ")[0]


def test_the_committed_page_is_what_the_command_writes() -> None:
    written = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    assert written == page(ROOT / "docs" / "results"), "docs/results.md is out of date: run `dualpose results`"


def test_every_evaluation_is_told_of_run_or_not(tmp_path: Path) -> None:
    save(tmp_path, "trajectory", result("trajectory", 1.23456))
    save(tmp_path, "bench_stages", result("bench_stages", 1.0))
    text = page(tmp_path, NETWORKS)
    assert [line[3:] for line in text.splitlines() if line.startswith("## ")] == [e.name for e in EVALUATIONS]
    assert "| all | 1.235 | - |" in section(text, "trajectory")
    assert "| error | 1.235 | <= 2 | yes |" in section(text, "trajectory")
    assert "Not run yet; `dualpose eval fusion` measures it." in section(text, "fusion")
    assert "Not run yet" not in section(text, "trajectory")


def test_a_result_of_fewer_images_says_so(tmp_path: Path) -> None:
    save(tmp_path, "bottom-up", result("bottom-up", 1.0, part=0.25))
    assert "`dualpose eval bottom-up --part 0.25`, version 1.0" in section(page(tmp_path, NETWORKS), "bottom-up")


def test_the_command_line_is_what_was_typed(tmp_path: Path) -> None:
    options = {"data": "held out", "count": 50, "flag": True, "other": False, "name": ["a", "b"]}
    save(tmp_path, "joints", result("joints", 1.0, command="eval joints", options=options))
    line = "`dualpose eval joints --data 'held out' --count 50 --flag --no-other --name a --name b`, version 1.0"
    assert line in section(page(tmp_path, NETWORKS), "joints")
    save(tmp_path, "joints_1", result("joints", 1.0, command="eval joints", options={"data": "others"}))
    with pytest.raises(InputError, match="results named joints are of different commands: eval joints --data 'held"):
        page(tmp_path, NETWORKS)


def test_figures_of_others_are_not_given_as_those_of_what_ships(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--weights` is in the file, without the machine's folders, and the page says whose figures they are."""
    monkeypatch.setattr(photographs, "evaluate_photographs", lambda *_: result("photographs", 1.0))
    weights, root, saved = tmp_path / "models" / "movenet.onnx", tmp_path / "coco", tmp_path / "photographs.json"
    command = ["eval", "photographs", "--root", str(root), "--json", str(saved), "--out", str(tmp_path / "drawn")]
    weights.parent.mkdir()
    assert main([*command, "--weights", f"movenet:{weights}", "--flip-test"]) == 0
    record = json.loads(saved.read_text())
    assert record["options"] == {"root": "coco", "weights": "movenet:movenet.onnx", "flip-test": True}
    assert str(tmp_path) not in saved.read_text()
    text = section(page(tmp_path), "photographs")
    assert "`dualpose eval photographs --root coco --weights movenet:movenet.onnx --flip-test`, version" in text
    assert "**Not of what ships: `--weights movenet:movenet.onnx`.**" in text
    assert main(command) == 0
    assert "Not of what ships" not in section(page(tmp_path), "photographs")


@pytest.mark.parametrize(
    ("name", "what", "more", "said"),
    [
        ("detector", "photographs", {}, "is of `dualpose eval photographs`, its name means `dualpose eval detector"),
        ("detector", "detector", {"root": "coco"}, "is of `dualpose eval detector --root coco`"),
        (
            "people",
            "scores",
            {"sequences": 0, "root": "coco"},
            "is of `dualpose eval scores --sequences 0 --root coco`",
        ),
        ("demo_2", "trajectory", {}, "its name means `dualpose demo`"),
    ],
)
def test_a_file_is_of_what_its_name_says(name: str, what: str, more: dict[str, Any], said: str, tmp_path: Path) -> None:
    save(tmp_path, name, result(what, 1.0, **({"command": f"eval {what}", "options": more} if more else {})))
    with pytest.raises(InputError, match=said):
        page(tmp_path, NETWORKS)


def test_photographs_of_scores_are_as_may_be(tmp_path: Path) -> None:
    save(tmp_path, "scores", result("scores", 1.0, command="eval scores", options={"incomplete": ["lspet"]}))
    save(tmp_path, "people", result("scores", 1.0))
    assert "`dualpose eval scores --incomplete lspet`, version" in section(page(tmp_path, NETWORKS), "scores")


def test_networks_that_changed_since_are_named(tmp_path: Path) -> None:
    save(tmp_path, "photographs", result("photographs", 1.0))
    save(tmp_path, "trajectory", result("trajectory", 1.0))
    text = page(tmp_path, {**NETWORKS, "top_down": "bbb", "fusion": "bbb"})
    assert "other networks than those that ship now: top_down." in section(text, "photographs")
    assert "other networks" not in section(text, "trajectory")


def test_several_runs_become_ranges(tmp_path: Path) -> None:
    for number, error in enumerate((3.0, 1.0, 2.0), start=1):
        save(tmp_path, f"top-down_{number}", result("top-down", error))
    text = section(page(tmp_path, NETWORKS), "top-down")
    assert "`dualpose eval top-down` 3 times, version 1.0, seed 0, 10 s." in text
    assert "| all | 1 to 3 | - |" in text and "| error | 1 to 3 | <= 2 | no, yes |" in text


def test_long_tables_stay_in_their_file(tmp_path: Path) -> None:
    tables = {"people": [{"oks": 0.123}] * 51, "summary": [{"oks": 0.456}]}
    save(tmp_path, "photographs", result("photographs", 1.0, tables=tables))
    text = section(page(tmp_path, NETWORKS), "photographs")
    assert "51 rows; they are in the file." in text and "0.123" not in text and "| 0.456 |" in text


def test_evaluations_of_ones_own_come_last(tmp_path: Path) -> None:
    save(tmp_path, "video_street", result("video", 5.0))
    text = page(tmp_path, NETWORKS)
    assert text.index("## video_street") > text.index("## trajectory")
    assert "`dualpose eval video`" in section(text, "video_street")


def test_what_is_no_result_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is no folder of results"):
        page(tmp_path / "none", NETWORKS)
    save(tmp_path, "a", {"what": "a"})
    with pytest.raises(InputError, match=r"a\.json is no result .* lacks version"):
        page(tmp_path, NETWORKS)
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(InputError, match="can't be read"):
        page(tmp_path, NETWORKS)
    with pytest.raises(InputError, match="different tables"):
        merged([[{"a": 1}], [{"b": 1}]])


def test_demos_are_taken_in(tmp_path: Path) -> None:
    stage = {"recall": 0.8, "mpjpe_rel_mm": 70.0}
    summary = {
        "version": "1.0", "source": "/somewhere/clip.mp4", "frames_sent": 44, "frames_published": 20, "cpu_count": 2,
        "seconds": 10.0, "fps": 10.5, "latency_ms": {"p50": 100.0, "p95": 200.0}, "recall": 0.9, "mpjpe_rel_mm": 65.0,
        "fused": stage, "top_down": stage, "goals": [{"name": "fps", "value": 10.5, "goal": ">= 10", "met": True}],
    }  # fmt: skip
    path = save(tmp_path, "summary", summary)
    folder = tmp_path / "results"
    assert [take_in(path, folder).name for _ in range(2)] == ["demo_1.json", "demo_2.json"]
    assert "somewhere" not in (folder / "demo_1.json").read_text()
    assert write_page(folder, tmp_path / "page.md") == 2
    text = section((tmp_path / "page.md").read_text(), "demo")
    assert "| recall | 0.9 | 0.8 | 0.8 |" in text and "| 44 | 20 | 10.5 | 2 | 100 | 200 |" in text
    assert "other networks" not in text and json.loads((folder / "demo_1.json").read_text())["networks"] == (
        shipped_networks()
    )
    with pytest.raises(InputError, match="is no summary"):
        take_in(save(tmp_path, "other", {"fps": 1}), folder)
    save(tmp_path, "summary", {**summary, "options": {"detector": "yolox:a.onnx"}})
    take_in(path, tmp_path / "more")
    text = section(page(tmp_path / "more"), "demo")
    assert "`dualpose demo --detector yolox:a.onnx`, " in text and "**Not of what ships: `--detector yolox" in text
