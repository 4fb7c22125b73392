"""`dualpose eval trajectory`: predictions of known and of captured movements, its tables, goals and command."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from dualpose_ros.commands.evaluate import app
from dualpose_ros.datasets.motion import Clip, load_clips
from dualpose_ros.lab.evaluation import trajectory as eval_trajectory
from dualpose_ros.lab.evaluation.trajectory import TABLE_7_RATES, TABLE_7_WINDOWS, prediction_error, trajectory_table
from dualpose_ros.skeleton import H36M17
from support.data import data_path


def clip(frames: int = 200, seed: int = 0) -> Clip:
    """Joints that swing smoothly, each at its own rate."""
    rng, times = np.random.default_rng(seed), np.arange(frames)[:, None, None] / 100
    rate, phase = rng.uniform(2, 6, (17, 3)), rng.uniform(0, 6, (17, 3))
    return Clip("swing", (0.3 * np.sin(rate * times + phase)).astype(np.float32), 100.0)


def test_errors_are_those_of_an_accelerated_movement() -> None:
    hz, times = 25.0, np.arange(40) / 25.0
    joints = np.zeros((40, 17, 3))
    joints[:, :, 1] = (2.0 * times**2)[:, None]
    assert prediction_error([joints], hz, (2, 0, 0)) == pytest.approx(4 / hz**2)
    # c1 of the last two frames is half a step too old: -2 h^2; c2 is the parabola's own.
    assert prediction_error([joints], hz, (2, 5, 0)) == pytest.approx(2 / hz**2)


def test_a_row_for_each_rate_and_windows() -> None:
    rng = np.random.default_rng(0)
    walk = Clip("walk", np.cumsum(rng.normal(0, 0.01, (60, 17, 3)), axis=0).astype(np.float32), 60.0)
    rows = trajectory_table([walk])
    assert [row["windows"] for row in rows[:9]] == ["/".join(map(str, w)) for w in TABLE_7_WINDOWS]
    assert len(rows) == 27 and all(row["mpjpe_mm"] > 0 for row in rows)
    assert all(row["over_published"] == pytest.approx(1) for row in rows if row["windows"] == "2/5/5")
    with pytest.raises(ValueError, match="no clip"):
        trajectory_table([Clip("short", walk.joints_m[:5], 60.0)])


def test_the_published_windows_are_best_on_captured_movement() -> None:
    rows = trajectory_table(load_clips(data_path("motion/cmu_train_h36m17_60hz.npz"), "held_out"), rates=(25.0, 33.0))
    for hz in (25.0, 33.0):
        errors = {row["windows"]: row["mpjpe_mm"] for row in rows if row["hz"] == hz}
        assert errors["2/5/5"] <= 1.02 * min(errors.values())


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
