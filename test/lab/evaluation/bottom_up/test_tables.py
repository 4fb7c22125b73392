"""`dualpose eval bottom-up` in small, with a network that sees people by their guidance alone."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from dualpose_ros.arrays import AnyArray
from dualpose_ros.errors import InputError
from dualpose_ros.inference.engine import EngineError, TensorSpec
from dualpose_ros.lab.evaluation.bottom_up import tables as eval_bottom_up
from dualpose_ros.lab.evaluation.report import report
from dualpose_ros.lab.synthetic.body.builtin_body import builtin_body
from dualpose_ros.lab.synthetic.scenes.world import WorldConfig, make_world
from dualpose_ros.lab.timing import median_ms
from dualpose_ros.skeleton import H36M17, K

SMALL = WorldConfig(cast=3, textures=3, poses=8, seated=3, props=1)


class Follower:
    """Sees joints where the guidance has them, of one person, at a fixed distance."""

    outputs = ("heatmaps", "tags", "depths", "log_stddev")
    metadata: dict[str, str] = {}  # noqa: RUF012
    inputs = {  # noqa: RUF012
        "image": TensorSpec("image", np.dtype(np.uint8), ("N", "32*H", "32*W", 3)),
        "guidance": TensorSpec("guidance", np.dtype(np.uint8), ("N", K, "8*H", "8*W")),
    }

    def run(self, inputs: Mapping[str, AnyArray]) -> dict[str, AnyArray]:
        heatmaps = inputs["guidance"].astype(np.float32) / 255
        depths = np.zeros_like(heatmaps)
        depths[:, H36M17.root] = np.log(100 * 5 / 350)
        return {"heatmaps": heatmaps, "tags": 0 * heatmaps, "depths": depths, "log_stddev": 0 * heatmaps - 2}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path]:
    world = make_world(SMALL, np.random.default_rng(0), builtin_body(), ())
    pictures = tmp_path_factory.mktemp("pictures")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(eval_bottom_up, "find_data", lambda data: (data, None))
        patch.setattr(eval_bottom_up, "held_out_world", lambda mocap, body, seed: world)
        patch.setattr(eval_bottom_up, "median_ms", lambda call, repeats: median_ms(call, 3))
        patch.setattr(eval_bottom_up, "HFOVS_DEG", (45, 80))
        patch.setattr(eval_bottom_up, "SIZES", ((480, 360),))
        result = eval_bottom_up.evaluate_bottom_up(
            Path("nowhere"), 0, frames=6, scenes=1, pictures=pictures, engine=Follower()
        )
    return result, pictures


def test_the_tables_are_whole(made: tuple[dict[str, Any], Path], tmp_path: Path) -> None:
    result, _ = made
    tables = result["tables"]
    heights = [row["height_px"] for row in tables["guidance"]]
    assert heights == [name for name, _, _ in eval_bottom_up.HEIGHTS for _ in range(2)]
    people = {(row["height_px"], row["guidance"]): row["people"] for row in tables["guidance"]}
    for how in ("without heatmaps", "with heatmaps"):
        assert people["<60", how] + people["60-120", how] == people["<120", how]
        assert people["<120", how] + people[">120", how] == people["all", how] > 10
    assert [row["removed_pct"] for row in tables["detection failures"]] == [0, 20, 40]
    assert tables["detection failures"][0]["people"] == people["all", "with heatmaps"]
    assert 0 < tables["detection failures"][1]["people"] < tables["detection failures"][2]["people"]
    assert [row["hfov_deg"] for row in tables["any camera"]] == [45, 80]
    assert len({row["people"] for row in tables["any camera"]}) == 1
    assert [row["apart_cells"] for row in tables["round trip"]] == [3.0, 4.25]
    assert tables["round trip"][0]["joints"] >= tables["round trip"][1]["joints"] > 100
    assert "10 people" in tables["speed"][1]["what"]
    assert all(row["ms"] > 0 for row in tables["speed"])
    report(result, tmp_path / "result.json", 0)
    assert len(json.loads((tmp_path / "result.json").read_text())["goals"]) == len(result["goals"])


def test_a_network_that_follows_its_guidance_finds_nobody_without(made: tuple[dict[str, Any], Path]) -> None:
    rows = {(row["height_px"], row["guidance"]): row for row in made[0]["tables"]["guidance"]}
    without, guided = rows["all", "without heatmaps"], rows["all", "with heatmaps"]
    assert without["recall"] == without["pck150_rel"] == without["root_ap25"] == 0
    assert without["root_depth_pct"] is None and without["root_depth_pct_both"] is None
    assert guided["recall"] > 10
    failures = made[0]["tables"]["detection failures"]
    assert failures[0]["recall"] == guided["recall"] > failures[2]["recall"]


def test_every_goal_of_the_tables_is_judged(made: tuple[dict[str, Any], Path]) -> None:
    tables = made[0]["tables"]
    judged = {goal["name"]: goal for goal in made[0]["goals"]}
    assert len(judged) == 12
    assert judged["round_trip_max_mm"]["met"]
    assert judged["heatmaps_gain_pck150_rel"]["met"]
    # Nobody is found without heatmaps, so that there is no depth to compare with.
    assert judged["heatmaps_gain_root_depth_pct"] == {
        "name": "heatmaps_gain_root_depth_pct", "value": None, "goal": "> 0", "met": False,
    }  # fmt: skip
    assert judged["recall_pct_of_40_pct_removed"]["value"] == round(tables["detection failures"][2]["recall"], 4)


def test_goals_follow_the_figures(made: tuple[dict[str, Any], Path]) -> None:
    columns = {"pck150_rel": 60.0, "pck150_abs": 30.0, "root_ap25": 20.0, "root_depth_pct": 8.0}
    better = {"pck150_rel": 61.0, "pck150_abs": 33.0, "root_ap25": 20.5, "root_depth_pct": 7.0}
    guidance = [
        {"height_px": name, "guidance": how, **figures}
        for name, _, _ in eval_bottom_up.HEIGHTS
        for how, figures in (("without heatmaps", columns), ("with heatmaps", better))
    ]
    failures = [{"removed_pct": pct, "recall": recall} for pct, recall in ((0, 90.0), (20, 55.0), (40, 49.0))]
    cameras = [{"root_depth_pct": value} for value in (6.0, 7.0, 7.5)]
    speed = [{"what": "network", "ms": 59.0}, {"what": "decoding", "ms": 8.5}, {"what": "stage", "ms": 80.0}]
    tables = {
        **made[0]["tables"], "guidance": guidance, "detection failures": failures, "any camera": cameras,
        "speed": speed,
    }  # fmt: skip
    judged = {goal["name"]: (goal["value"], goal["met"]) for goal in eval_bottom_up.goals(tables)}
    assert judged["heatmaps_gain_root_depth_pct"] == (1.0, True)
    assert judged["heatmaps_better_columns_of_12"] == (12.0, True)
    assert judged["heatmaps_gain_pck150_abs_under_120_px"] == (3.0, True)
    assert judged["recall_pct_of_20_pct_removed"] == (55.0, True)
    assert judged["recall_pct_of_40_pct_removed"] == (49.0, False)
    assert judged["root_depth_worst_camera_over_best"] == (1.25, True)
    assert judged["network_ms"] == (59.0, True) and judged["decoding_ms_10_people"] == (8.5, False)
    guidance[1]["root_ap25"] = 19.0
    assert {goal["name"]: goal["value"] for goal in eval_bottom_up.goals(tables)}["heatmaps_better_columns_of_12"] == 11


def test_pictures_show_the_frames_and_who_was_found(made: tuple[dict[str, Any], Path]) -> None:
    files = sorted(made[1].glob("*.png"))
    assert len(files) == 6
    drawn = [cv2.imread(str(file)) for file in files]
    shapes = [image.shape for image in drawn if image is not None]
    assert len(shapes) == len(files)
    # Without and with heatmaps, and a square seen from above.
    assert all(width > 2 * height for height, width, _ in shapes)


def test_missing_data_and_weights_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"motion/\*\.npz"):
        eval_bottom_up.evaluate_bottom_up(tmp_path, 0)
    monkeypatch.setattr(eval_bottom_up, "find_data", lambda data: (data, None))
    with pytest.raises(EngineError, match=r"none\.onnx"):
        eval_bottom_up.evaluate_bottom_up(tmp_path, 0, weights=tmp_path / "none.onnx")
