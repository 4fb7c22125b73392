"""`dualpose eval trajectory`: its tables by rate, its goals, and its command."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from dualpose_ros.commands.evaluate import app
from dualpose_ros.datasets.motion import Clip
from dualpose_ros.lab.evaluation.refinement import trajectory_tables as eval_trajectory
from dualpose_ros.lab.evaluation.refinement.trajectory import TABLE_7_RATES, TABLE_7_WINDOWS
from dualpose_ros.skeleton import H36M17


def clip(frames: int = 200, seed: int = 0) -> Clip:
    """Joints that swing smoothly, each at its own rate."""
    rng, times = np.random.default_rng(seed), np.arange(frames)[:, None, None] / 100
    rate, phase = rng.uniform(2, 6, (17, 3)), rng.uniform(0, 6, (17, 3))
    return Clip("swing", (0.3 * np.sin(rate * times + phase)).astype(np.float32), 100.0)


def test_tables_say_what_is_best_and_what_the_rule_takes() -> None:
    tables = eval_trajectory.trajectory_tables([clip()], [clip(), clip(seed=1)])
    held_out, whole, choices = tables.values()
    assert len(held_out) == len(whole) == len(TABLE_7_WINDOWS)
    assert list(held_out[0]) == ["windows", "25_hz", "33_hz", "50_hz"]
    assert len(choices) == 2 * len(TABLE_7_RATES)
    for row, hz in zip(choices[:3], TABLE_7_RATES, strict=True):
        errors = {line["windows"]: line[f"{hz:g}_hz"] for line in held_out}
        assert errors[row["best"]] == row["best_mm"] == min(errors.values())
        assert row["published_over_best"] == pytest.approx(errors["2/5/5"] / row["best_mm"])
        assert row["rule_over_best"] == pytest.approx(errors[row["rule"]] / row["best_mm"])
    # On smooth curves, which noise does not blur, curvature is worth taking in.
    assert choices[0]["rule"] == "2/5/5" and held_out[0]["25_hz"] > held_out[4]["25_hz"]


def test_goals_are_of_the_held_out_movements() -> None:
    tables = eval_trajectory.trajectory_tables([clip()], [clip()])
    rows = tables["windows chosen by frame interval"]
    for row in rows:
        other = row["movements"] == eval_trajectory.ALL
        row["published_over_best"] = 9.0 if other else 1.0 + row["hz"] / 1500
        row["rule_over_best"] = 9.0 if other else 1.01
    goals = {goal.name: goal for goal in eval_trajectory.trajectory_goals(tables)}
    assert len(goals) == 5 and all(goal.value is not None and goal.value < 9 for goal in goals.values())
    assert goals["published_over_best_25_hz"].met and not goals["published_over_best_33_hz"].met
    assert goals["rule_over_best_50_hz"].met


def test_the_command_writes_and_says_what_is_missing(tmp_path: Path) -> None:
    folder = tmp_path / "data" / "motion"
    folder.mkdir(parents=True)
    clips = [clip(seed=seed).joints_m for seed in range(30)]
    names = [f"clip {n}" for n in range(30)]
    np.savez(
        folder / "some.npz", joints_m=np.concatenate(clips), clip_lengths=[len(c) for c in clips], clip_names=names,
        joint_names=H36M17.joint_names, fps=100.0,
    )  # fmt: skip
    out = tmp_path / "result.json"
    result = CliRunner().invoke(app, ["trajectory", "--data", str(tmp_path / "data"), "--json", str(out)])
    assert result.exit_code == 0, result.output
    written = json.loads(out.read_text())
    assert written["what"] == "trajectory" and len(written["goals"]) == 5 and len(written["tables"]) == 3
    assert CliRunner().invoke(app, ["trajectory", "--data", str(tmp_path)]).exit_code != 0
