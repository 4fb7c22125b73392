"""`dualpose eval refinement` in small: tables that are whole, goals that are measured by them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dualpose_ros.datasets.motion import Clip
from dualpose_ros.lab.evaluation.refinement import tables as eval_refinement
from dualpose_ros.lab.evaluation.refinement.measures import BASELINE, COLUMNS, OURS, TWO_STAGE, lagging_name
from dualpose_ros.lab.evaluation.refinement.published_solver import Stage
from dualpose_ros.lab.evaluation.report import report
from dualpose_ros.lab.evaluation.trajectory import HELD_OUT
from dualpose_ros.lab.synthetic.body.builtin_body import builtin_body
from dualpose_ros.lab.synthetic.motion.kinematics import REST_JOINTS_M
from dualpose_ros.lab.synthetic.scenes.world import World, WorldConfig, make_world

SMALL = WorldConfig(cast=12, textures=3, poses=2, seated=2, props=1)


def row(name: str, *values: float | None) -> dict[str, Any]:
    return {"row": name, **dict(zip(COLUMNS, values, strict=True))}


def tables() -> dict[str, Any]:
    cost = {"ours_ms": 3.5, "times_cheaper": 120.0, "objective_ratio": 0.4}
    shares = {"within_1_sigma": 0.7, "within_2_sigma": 0.995, "depth_within_1_sigma": 0.5, "depth_within_2_sigma": 0.9}
    choice = {"movements": HELD_OUT, "published_over_best": 1.0, "rule_over_best": 1.03}
    return {
        eval_refinement.SINGLE: [
            row(BASELINE, 80, 200, 10, 20), row(TWO_STAGE, 75, 150, 3, 2), row(OURS, 70, 150, 4.9, 1)
        ],
        "cost": [{"window": 16, **cost}, {"window": 32, **cost, "times_cheaper": 90.0}],
        "calibration": [{"row": OURS, **shares},
                        {"row": f"video: {eval_refinement.AFTER}", **shares, "within_1_sigma": 0.5}],
        "video": [{"row": eval_refinement.AFTER, "pck_abs": 20.0},
                  {"row": eval_refinement.GROUNDED, "pck_abs": 42.0, "ap_root_25": 50.0}],
        "windows chosen by frame interval": [{**choice, "hz": hz} for hz in (25.0, 33.0, 50.0)],
    }  # fmt: skip


def met(given: dict[str, Any]) -> dict[str, tuple[Any, bool]]:
    return {goal["name"]: (goal["value"], goal["met"]) for goal in eval_refinement.goals(given)}


def test_goals_are_what_the_tables_say() -> None:
    found = met(tables())
    assert len(found) == 26
    assert found["mpjpe_mm_over_two_stage"] == (pytest.approx(70 / 75, abs=1e-4), True)
    assert found["mpjpe_abs_mm_over_two_stage"] == (1.0, False), "below, not as good as"
    assert not found["accel_m_s2_over_two_stage"][1] and found["bone_mm_over_two_stage"] == (0.5, True)
    assert found["mpjpe_abs_mm_less_than_baseline"] == (0.25, True)
    assert found["accel_m_s2_less_than_baseline"] == (0.51, True)
    assert found["ms_a_person_a_frame_window_16"] == (3.5, True)
    assert found["times_cheaper_than_reference_window_16"][1] and not found["times_cheaper_than_reference_window_32"][1]
    assert found["objective_over_reference_window_32"] == (0.4, True)
    assert found["within_1_sigma"][1] and not found["within_2_sigma"][1] and not found["video_within_1_sigma"][1]
    assert found["depth_within_1_sigma"] == (0.5, False) and found["video_depth_within_2_sigma"] == (0.9, True)
    assert found["ground_pck_abs_over_without"] == (2.1, True) and found["ground_ap_root_25"] == (50.0, False)
    assert found["published_over_best_33_hz"][1] and not found["rule_over_best_50_hz"][1]


def test_what_could_not_be_measured_meets_no_goal() -> None:
    given = tables()
    given[eval_refinement.SINGLE] = [row(name, None, None, None, None) for name in (BASELINE, OURS)]
    given["cost"] = given["video"] = []
    given["calibration"][0]["within_1_sigma"] = None
    found = met(given)
    assert len(found) == 26
    for name in ("mpjpe_mm_over_two_stage", "accel_m_s2_less_than_baseline", "ms_a_person_a_frame_window_16",
                 "objective_over_reference_window_16", "within_1_sigma"):  # fmt: skip
        assert found[name] == (None, False)


def walk(frames: int = 600) -> Clip:
    """Somebody who walks a circle, y up."""
    times = np.arange(frames) / 60
    path = np.stack([np.sin(times), 0 * times, np.cos(times)], axis=-1)
    height = -REST_JOINTS_M[:, 1].min()
    return Clip("walk", (REST_JOINTS_M + [0, height, 0] + path[:, None]).astype(np.float32), 60.0)


def test_clips_are_performed_by_bodies_of_the_world() -> None:
    world = make_world(SMALL, np.random.default_rng(0), builtin_body(), ())
    own = walk(120)
    performed = eval_refinement.on_bodies(world, [own], 0, copies=3)
    assert [(clip.name, clip.fps, clip.joints_m.shape) for clip in performed] == [("walk", 60.0, (120, 17, 3))] * 3
    thighs = {round(float(np.linalg.norm(clip.joints_m[:, 2] - clip.joints_m[:, 1], axis=-1).mean()), 4)
              for clip in performed}  # fmt: skip
    assert len(thighs) > 1
    for clip in performed:
        bones = np.linalg.norm(clip.joints_m[:, (2, 3, 8)] - clip.joints_m[:, (1, 2, 7)], axis=-1)
        assert np.ptp(bones[:, :2], axis=0).max() < 1e-3
        assert np.corrcoef(clip.joints_m[:, 0, 0], own.joints_m[:, 0, 0])[0, 1] > 0.999


def test_the_tables_are_whole(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    world = make_world(SMALL, np.random.default_rng(0), builtin_body(), ())
    monkeypatch.setattr(eval_refinement, "find_data", lambda data: (data, None))
    seeds: list[int] = []

    def same_world(mocap: Path, body: Path | None, seed: int) -> World:
        seeds.append(seed)
        return world

    monkeypatch.setattr(eval_refinement, "held_out_world", same_world)
    monkeypatch.setattr(eval_refinement, "load_clips", lambda mocap, split: [walk()])
    for name, value in (("VIDEO_FRAMES", 10), ("WORLD_VIDEOS", 2), ("MOVEMENT_FRAMES", 24), ("COST_MOVEMENTS", 1),
                        ("COST_WINDOWS", (6,)), ("RATES", (1e-3,))):  # fmt: skip
        monkeypatch.setattr(eval_refinement, name, value)
    reference = {TWO_STAGE: (Stage(steps=3), Stage(reprojection=100.0, steps=3))}
    result = eval_refinement.evaluate_refinement(
        Path("nowhere"), 3, videos=3, movements=2, reference=reference, pictures=tmp_path / "pictures", worlds=2
    )
    assert seeds == [3, 1003]
    found = result["tables"]
    assert [line["row"] for line in found[eval_refinement.SINGLE]] == [BASELINE, TWO_STAGE, OURS, lagging_name()]
    assert all(line[column] > 0 for line in found[eval_refinement.SINGLE] for column in COLUMNS)
    assert [line["row"] for line in found[eval_refinement.TRUE_2D]] == [BASELINE, TWO_STAGE, OURS, lagging_name()]
    assert [line["row"] for line in found[eval_refinement.AS_CAPTURED]] == [BASELINE, OURS, lagging_name()]
    assert len(found["two stages at other rates"]) == 1
    before, after, grounded = found["video"]
    assert grounded["people"] == after["people"] and grounded["root_depth_pct"] != after["root_depth_pct"]
    assert before["people"] == after["people"] > 0 and after["found"] >= before["found"] > 0
    assert [line["row"] for line in found["calibration"]][-1] == f"video: {eval_refinement.GROUNDED}"
    assert found["cost"][0]["window"] == 6 and len(found["lost for a while"]) == 2
    assert sorted(path.name for path in (tmp_path / "pictures").iterdir()) == ["movement_000.png", "movement_001.png"]
    report(result, tmp_path / "result.json", 3)
    assert len(json.loads((tmp_path / "result.json").read_text())["goals"]) == len(result["goals"])
