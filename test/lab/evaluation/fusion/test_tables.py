"""`dualpose eval fusion` in small: tables that are whole, goals that are measured by them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dualpose_ros.lab.evaluation.fusion import tables as eval_fusion
from dualpose_ros.lab.evaluation.fusion.measures import COLUMNS
from dualpose_ros.lab.evaluation.report import report
from dualpose_ros.lab.synthetic.body.builtin_body import builtin_body
from dualpose_ros.lab.synthetic.scenes.world import WorldConfig, make_world
from dualpose_ros.lab.timing import median_ms

SMALL = WorldConfig(cast=12, textures=3, poses=2, seated=2, props=1)


def row(name: str, value: float, **others: float) -> dict[str, Any]:
    return {"row": name, **{column: value for column in COLUMNS}, **others}


def component_rows(own: float) -> list[dict[str, Any]]:
    names = ("TD", "BU", "TD + BU (hard)", "TD + BU (linear)", "TD + BU (w/o PM)")
    return [*(row(name, 10.0 + n) for n, name in enumerate(names)), row(eval_fusion.FUSED, own)]


def tables(own: float = 20.0) -> dict[str, Any]:
    semi = {"none": 40.0, "rep": 43.0, "mp": 41.0, "rep_dis": 44.0, "rep_mp_dis": 45.0, "full": 50.0}
    lost = {"killed": "top_down_node", "longest_gap_ms": 310.0, "frame_period_ms": 100.0, "max_wait_ms": 200.0}
    critics = {"no discriminator": 1.0, "D1": 2.0, "D2": 2.0, "D3": 3.0}
    return {
        "components": component_rows(own),
        "discriminator": [*(row(name, value) for name, value in critics.items()), {"row": "truth"}],
        "semi-supervision": [row(name, value) for name, value in semi.items()],
        "a branch lost": [lost, {**lost, "killed": "bottom_up_node", "longest_gap_ms": 290.0}],
        "speed": [{"what": "fusion", "ms": 3.5}],
    }


def met(rows: list[dict[str, Any]]) -> dict[str, tuple[Any, bool]]:
    return {goal["name"]: (goal["value"], goal["met"]) for goal in rows}


def test_goals_are_what_the_tables_say() -> None:
    found = met(eval_fusion.goals(tables()))
    for column in COLUMNS:
        assert found[f"in_over_best_other_{column}"] == (pytest.approx(6.0), True)
        assert found[f"d2_over_d1_{column}"] == (0.0, True)
        assert found[f"gap_closed_by_rep_mp_dis_{column}"] == (0.5, True)
    assert found["longest_gap_ms_without_top_down_node"] == (310.0, False)
    assert found["longest_gap_ms_without_bottom_up_node"] == (290.0, True)
    assert found["fusion_ms_10_people"] == (3.5, False)
    worse = met(eval_fusion.goals(tables(13.9)))
    assert worse["in_over_best_other_pck_abs"] == (pytest.approx(-0.1), False)


def test_what_could_not_be_measured_meets_no_goal() -> None:
    given = tables()
    for line in given["semi-supervision"]:
        line["ap_root_25"] = 40.0
    given["components"][-1]["auc_rel"] = None
    del given["a branch lost"]
    found = met(eval_fusion.goals(given))
    assert found["gap_closed_by_rep_mp_dis_ap_root_25"] == (None, False)
    assert found["in_over_best_other_auc_rel"] == (None, False)
    assert not any(name.startswith("longest_gap") for name in found)


def test_the_papers_inequalities_are_judged_one_by_one() -> None:
    rows = eval_fusion.inequality_table(component_rows(13.5))
    holds = {(line["better"], line["worse"], line["column"]): line["holds"] for line in rows}
    assert len(holds) == sum(len(columns) for *_, columns in eval_fusion.INEQUALITIES)
    assert holds["TD + BU (hard)", "TD", "pck_abs"] and not holds["TD", "BU", "pck_abs"]
    assert holds[eval_fusion.FUSED, "TD + BU (linear)", "pck_rel"]
    assert not holds[eval_fusion.FUSED, "TD + BU (w/o PM)", "pck_rel"]


def test_the_tables_are_whole(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    world = make_world(SMALL, np.random.default_rng(0), builtin_body(), ())
    monkeypatch.setattr(eval_fusion, "find_data", lambda data: (data, None))
    monkeypatch.setattr(eval_fusion, "held_out_world", lambda mocap, body, seed: world)
    monkeypatch.setattr(eval_fusion, "load_clips", lambda mocap, split: [])
    monkeypatch.setattr(eval_fusion, "semi_supervised_networks", dict)
    monkeypatch.setattr(eval_fusion, "semi_supervised_rows", lambda *_: tables()["semi-supervision"])
    monkeypatch.setattr(eval_fusion, "median_ms", lambda call: median_ms(call, 3))
    for name, value in (("FRAMES", 6), ("CROWD_SEQUENCES", 1), ("CROWD_FRAMES", 2)):
        monkeypatch.setattr(eval_fusion, name, value)
    result = eval_fusion.evaluate_fusion(
        Path("nowhere"), 3, sequences=2, lose_branches=False, pictures=tmp_path / "pictures", ground=True
    )
    found = result["tables"]
    assert [line["row"] for line in found["components"]] == [line["row"] for line in component_rows(0)]
    assert len({line["people"] for line in found["components"]}) == 1
    assert [line["row"] for line in found["discriminator"]] == ["no discriminator", "D1", "D2", "D3", "truth"]
    shipped = found["components"][-1]
    assert [line["people"] for line in found["matching"]] == [2, 5, 10]
    without, known = found[eval_fusion.ON_GROUND]
    assert (without["row"], known["row"]) == ("refined", "refined, known ground")
    assert without["people"] == known["people"] == shipped["people"]
    assert "ground_ap_root_25" in {goal["name"] for goal in result["goals"]}
    assert found["speed"][0]["ms"] > 0
    assert sorted(path.name for path in (tmp_path / "pictures").iterdir()) == ["video_000.png", "video_001.png"]
    report(result, tmp_path / "result.json", 3)
    assert len(json.loads((tmp_path / "result.json").read_text())["goals"]) == len(result["goals"])
