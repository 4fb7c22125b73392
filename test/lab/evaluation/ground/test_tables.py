"""`dualpose eval ground` in small: grounds that err as they say, goals that are measured by the tables."""

from pathlib import Path

import numpy as np
import pytest

from dualpose_ros.camera import ground_below
from dualpose_ros.lab.evaluation.ground import scenes
from dualpose_ros.lab.evaluation.ground import tables as eval_ground
from dualpose_ros.lab.evaluation.ground.measures import Placed, disturbed, placed, placed_row
from dualpose_ros.lab.synthetic.body.builtin_body import builtin_body
from dualpose_ros.lab.synthetic.scenes.world import WorldConfig, make_world

SMALL = WorldConfig(cast=2, textures=3, poses=2, seated=2, props=1)
K = 17


def people(off: float, stddev: float, height_off: float = 0.0, count: int = 40) -> Placed:
    """People of many heights at 5 m who are said to be farther by as much, times -1.5 to 1.5."""
    truth = np.tile([0.5, 0.2, 5.0], (count, K, 1)) + np.random.default_rng(0).normal(0, 0.3, (1, K, 3))
    heights, ones = np.linspace(1.1, 2.0, count), np.ones(count)
    truth[:, 0] = [0.5, 0.2, 5.0]
    joints = truth + off * np.linspace(-1.5, 1.5, count)[:, None, None] * [0, 0, 1]
    return Placed(joints, truth, np.full((count, K), stddev), heights + height_off, 0.04 * ones, heights, ones > 0,
                  np.arange(count) % 2 > 0, np.linspace(0.4, 2.9, count), 2 * ones)  # fmt: skip


def test_a_disturbed_ground_is_off_by_so_much() -> None:
    ground = ground_below(1.5, pitch_rad=0.2, roll_rad=0.1)
    off = disturbed(ground, np.radians(2), 0.05)
    assert off.height_m == pytest.approx(1.575)
    assert np.degrees(np.arccos(off.down @ ground.down)) == pytest.approx(2)
    assert off.down[2] > ground.down[2], "it seems to look down more"


def test_rows_are_medians_means_and_shares_by_depth_alone() -> None:
    row = placed_row("x", people(0.2, 0.15))
    assert row["people"] == 40 and row["root_depth_pct"] == pytest.approx(3, abs=0.1)
    assert row["mpjpe_abs_mm"] == pytest.approx(150, abs=5)
    assert row["depth_within_1_sigma"] == pytest.approx(0.5, abs=0.03) and row["depth_within_2_sigma"] == 1
    assert placed_row("nobody", people(0.2, 0.1)[np.zeros(40, dtype=bool)])["mpjpe_abs_mm"] is None


def test_goals_are_what_the_tables_say() -> None:
    answers = {name: people(0.6, 0.4) for name in eval_ground.GROUNDS}
    answers |= {eval_ground.KNOWN: people(0.1, 0.1, 0.03), eval_ground.STATED: people(0.1, 0.1)}
    answers |= {eval_ground.PITCH_2: people(0.7, 0.4)}
    found = {
        goal["name"]: (goal["value"], goal["met"]) for goal in eval_ground.goals(eval_ground.ground_tables(answers))
    }
    assert found["root_depth_pct"] == (pytest.approx(1.5, abs=0.1), True)
    assert found["mpjpe_abs_over_without"] == (pytest.approx(1 / 6, abs=0.01), True)
    assert not found["depth_over_without_pitch_2_degrees"][1] and found["depth_over_without_pitch_2_degrees_stated"][1]
    assert found["children_root_depth_pct"][1] and found["moving_root_depth_pct"][1]
    assert found["height_cm"] == (pytest.approx(3), True) and found["height_within_1_sigma"] == (1.0, False)
    assert found["depth_within_1_sigma"] == (pytest.approx(0.65, abs=0.04), True)


def test_videos_say_who_is_how_tall_and_where_the_ground_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scenes, "held_out_world",
                        lambda *_: make_world(SMALL, np.random.default_rng(0), builtin_body(), ()))  # fmt: skip
    monkeypatch.setattr(scenes, "load_clips", lambda *_: [])
    monkeypatch.setattr(scenes, "FRAMES", 2)
    seen = scenes.ground_videos(Path("none"), None, 1, still=1, moving=1)
    still, moving = scenes.sequences(seen)
    assert [len(still), len(moving)] == [2, 2] and moving[0].moving and not still[0].moving
    assert len({tuple(frame.ground.down) for frame in still}) == 1
    assert len({tuple(frame.ground.down) for frame in moving}) == 2
    for frame in seen:
        truth, ground = frame.frame.people.joints_cam.astype(np.float64), frame.ground
        assert len(frame.heights_m) == len(truth) == len(frame.whole)
        lowest = (truth[:, (3, 6)] @ ground.down).max(axis=1)
        # Ankles of people who walk or sit are somewhat above the ground, never below it.
        assert ((ground.height_m - lowest > 0.02) & (ground.height_m - lowest < 0.5)).all()
    answer = placed([still, moving], lambda frame: frame.ground)
    assert answer.joints.shape[1:] == (K, 3) and len(answer.joints) == len(answer.height) == len(answer.whole)
