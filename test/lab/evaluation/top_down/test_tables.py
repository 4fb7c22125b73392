"""`dualpose eval top-down` in small: every table is there, adds up, and the goals are judged from it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dualpose_ros.errors import InputError
from dualpose_ros.lab.evaluation.data_folder import find_data
from dualpose_ros.lab.evaluation.top_down import tables as eval_top_down
from support.data import data_path


@pytest.fixture(scope="module")
def result() -> dict[str, object]:
    return eval_top_down.evaluate_top_down(data_path("motion").parent, 0, overlaps=3, noise_frames=6, views=1)


def test_the_tables_are_whole(result: dict[str, Any]) -> None:
    tables = result["tables"]
    assert [row["heads"] for row in tables["overlap"]] == ["single-person", "multi-person"]
    assert [row["hidden_pct"] for row in tables["occlusion"]] == [0, 20, 40, 60]
    assert len(tables["mocap"]) == 2 * len(eval_top_down.WINDOWS)
    assert {row["window"] for row in tables["mocap"]} >= {"1", "9", "27", "81"}
    assert [row["frames_before"] for row in tables["history"]] == 2 * list(eval_top_down.HISTORIES)
    files = {row["clips"] for row in tables["lifting"]}
    assert "all" in files and len(files) == 1 + len(list(data_path("motion").glob("*.npz")))
    assert len(tables["lifting"]) == 2 * 2 * len(files)
    assert [row["unseen"] for row in tables["parts"]] == list(eval_top_down.PARTS)
    late = {row["looks"]: row["late_ms"] for row in tables["mocap"]}
    assert late["causal"] == 0 and late["centred"] == pytest.approx(1000 * 13 / 30)
    for row in [*tables["occlusion"], *tables["mocap"]]:
        values = [value for value in row.values() if not isinstance(value, str)]
        assert np.isfinite(values).all()
    for row in tables["calibration"]:
        assert 0 < row["within_1_sigma"] < row["within_2_sigma"] <= 1


def test_errors_grow_with_what_is_hidden_and_history_does_no_harm(result: dict[str, Any]) -> None:
    hidden = [row["mpjpe_mm_shipped"] for row in result["tables"]["occlusion"]]
    assert hidden == sorted(hidden)
    exact = {row["window"]: row["mpjpe_mm"] for row in result["tables"]["mocap"] if row["input"] == "exact"}
    assert exact["27"] < 1.05 * exact["1"]


def test_goals_say_what_the_tables_say(result: dict[str, Any]) -> None:
    goals = {goal["name"]: goal for goal in result["goals"]}
    assert {"overlap_gain_points", "gcn_gain_at_40_pct", "mpjpe_mm_tilted_exact", "ms_a_person"} <= goals.keys()
    assert len(goals) == 5 + 2 * 6 + 2 * len(result["tables"]["parts"])
    worse = {"overlap": [{"pck150_rel": 50.0}, {"pck150_rel": 54.0}]}
    tables = {**result["tables"], **worse}
    judged = {goal["name"]: goal for goal in eval_top_down.goals(tables)}
    assert judged["overlap_gain_points"]["value"] == 4 and not judged["overlap_gain_points"]["met"]


def test_a_folder_without_clips_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"motion/\*\.npz"):
        find_data(tmp_path)
