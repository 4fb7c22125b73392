"""Fusion in tables, as `dualpose eval fusion` reports it: the paper's Tables 3 to 5, matching, a lost branch, speed."""

import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import track

from dualpose_ros.camera import Ground
from dualpose_ros.datasets.motion import load_clips
from dualpose_ros.datasets.recordings import Recordings, camera_of, joined
from dualpose_ros.fusion.integrate import load_integrator
from dualpose_ros.fusion.stage import FusionConfig, FusionStage
from dualpose_ros.inference.engine import Engine
from dualpose_ros.inference.load import load_engine
from dualpose_ros.lab.evaluation.bottom_up.tables import draw_frame
from dualpose_ros.lab.evaluation.branches import Branches
from dualpose_ros.lab.evaluation.data_folder import find_data
from dualpose_ros.lab.evaluation.fusion import measures
from dualpose_ros.lab.evaluation.fusion.branch_loss import branch_loss_rows
from dualpose_ros.lab.evaluation.record import record
from dualpose_ros.lab.evaluation.refinement.measures import refined_people
from dualpose_ros.lab.evaluation.report import Outcome, Rows, evaluation
from dualpose_ros.lab.evaluation.worlds import held_out_world, scripts_of
from dualpose_ros.lab.experiments.semi_supervised.evaluation import gap_closed, semi_supervised_rows
from dualpose_ros.lab.experiments.semi_supervised.rows import ROWS as SEMI_SUPERVISED
from dualpose_ros.lab.synthetic.scenes.sequences import Script, SequenceConfig, render_sequence
from dualpose_ros.lab.synthetic.scenes.world import World
from dualpose_ros.lab.timing import median_ms
from dualpose_ros.metrics.goals import Goal, judged
from dualpose_ros.metrics.pairs import pair_row
from dualpose_ros.people import Pose3D
from dualpose_ros.skeleton import H36M17
from dualpose_ros.weights import weights_path

SEQUENCES, FRAMES, PICTURES = 60, 24, 12
CROWDS = (2, 5, 10)
"""Numbers of people in the frames that matching is measured on."""

CROWD_SEQUENCES, CROWD_FRAMES, CROWD_M = 10, 8, 1.6
"""Videos for Tables 3 to 5, and of each crowd; people of a crowd stand so many metres (one sigma) from its middle."""

ON_GROUND, REFINED, GROUNDED = "refined, on a known ground", "refined", "refined, known ground"
FUSED, ALL_TERMS = "TD + BU (IN)", "rep_mp_dis"
DISCRIMINATORS = (
    ("no discriminator", "baseline_fusion_d0"),
    ("D1", "baseline_fusion_d1"),
    ("D2", "baseline_fusion_d2"),
    ("D3", "baseline_fusion_d3"),
)
"""Rows of Table 5 and the networks that were trained so, alike in everything else."""

INEQUALITIES = (
    ("TD + BU (hard)", "TD", ("ap_root_25", "pck_abs")),
    ("TD + BU (linear)", "TD + BU (hard)", ("auc_rel", "pck_rel", "pck_abs")),
    (FUSED, "TD + BU (linear)", measures.COLUMNS),
    (FUSED, "TD + BU (w/o PM)", measures.COLUMNS),
    ("BU", "TD", ("ap_root_25",)),
    ("TD", "BU", ("auc_rel", "pck_rel", "pck_abs")),
)
"""The paper's Table 3: the first row is better than the second in these columns."""


@evaluation("fusion")
def evaluate_fusion(
    data: Path, seed: int, sequences: int = SEQUENCES, lose_branches: bool = True, pictures: Path | None = None,
    ground: bool = False,
) -> Outcome:  # fmt: skip
    """All tables and goals; `find_data` says what is in the folder `data`.

    sequences: videos for the paper's tables; lose_branches: run the demo's graph and kill its branches; pictures:
    folder for a frame of each of the first videos; ground: what refinement makes of the fused people, too, without and
    with the ground that each video was rendered on.
    Errors besides: GraphError where the demo's graph does not run.
    """
    mocap, body = find_data(data)
    world, clips = held_out_world(mocap, body, seed), load_clips(mocap, "held_out")
    branches = Branches()
    scripts = scripts_of(world, clips, (seed, 5), sequences, SequenceConfig(frames=FRAMES))
    recordings = recorded(world, scripts, branches, "videos")
    frames = list(measures.recorded_frames(recordings))
    if pictures is not None:
        write_pictures(pictures, world, scripts, frames)
    crowds = {
        count: [
            *measures.recorded_frames(
                recorded(world, _crowd(world, clips, seed, count), branches, f"crowds of {count}")
            )
        ]
        for count in CROWDS
    }
    tables = {
        "components": component_table(frames),
        "discriminator": discriminator_table(frames),
        "semi-supervision": semi_supervised_rows(recordings, semi_supervised_networks()),
        "matching": [
            pair_row(count, [measures.frame_pairs(frame) for frame in of if len(frame.people) == count])
            for count, of in crowds.items()
        ],
        "speed": speed_table(frames),
    }
    if ground:
        tables[ON_GROUND] = ground_table(recordings, frames, scripts)
    tables["the paper's inequalities"] = inequality_table(tables["components"])
    if lose_branches:
        with tempfile.TemporaryDirectory(prefix="dualpose_") as out:
            tables["a branch lost"] = branch_loss_rows(Path(out))
    return tables, goals(tables)


def ground_table(recordings: Recordings, frames: Sequence[measures.RecordedFrame], scripts: Sequence[Script]) -> Rows:
    """Fused people as the live node refines them: with no ground, and with the known one."""
    fuse = stage_fuse(FusionConfig())
    seen = frames, [camera_of(recordings, index) for index in range(len(frames))], [fuse(frame) for frame in frames]
    grounds = [Ground(frame.down, scripts[frame.sequence].camera_height(0)) for frame in frames]

    def row(name: str, known: Sequence[Ground] | None) -> dict[str, Any]:
        people = iter(refined_people(*seen, grounds=known))
        return measures.pose_row(name, frames, lambda frame: next(people))

    return [row(REFINED, None), row(GROUNDED, grounds)]


def _crowd(world: World, clips: list[Any], seed: int, people: int) -> list[Script]:
    config = SequenceConfig(frames=CROWD_FRAMES, people=(people, people), crowd=CROWD_M, level=False)
    return scripts_of(world, clips, (seed, 6, people), CROWD_SEQUENCES, config)


def recorded(world: World, scripts: Sequence[Script], branches: Branches, what: str) -> Recordings:
    """Both branches' poses in videos, under a progress bar."""
    found = record(world, scripts, branches)
    return joined(track(found, total=len(scripts), description=what, transient=True))


def write_pictures(
    folder: Path, world: World, scripts: Sequence[Script], frames: Sequence[measures.RecordedFrame]
) -> None:
    """The last frame of each of the first videos: top-down, bottom-up and fused people, and these from above."""
    fuse = stage_fuse(FusionConfig())
    for index, script in enumerate(scripts[:PICTURES]):
        own = [frame for frame in frames if frame.sequence == index]
        fused = [fuse(frame) for frame in own][-1]
        *_, image = render_sequence(world, script)
        draw_frame(folder / f"video_{index:03d}.png", image, [own[-1].top_down, own[-1].bottom_up, fused])


def stage_fuse(config: FusionConfig) -> measures.Fuse:
    """Fusion by the stage of the live node."""
    return measures.staged(load_integrator(config.method, config.weights, config.engine), config)


def component_table(frames: Sequence[measures.RecordedFrame]) -> Rows:
    """Table 3: each branch, three ways to join them, and the integration network without and with matching."""
    fuses: dict[str, measures.Fuse] = {
        "TD": lambda frame: frame.top_down,
        "BU": lambda frame: frame.bottom_up,
        "TD + BU (hard)": stage_fuse(FusionConfig(method="hard")),
        "TD + BU (linear)": stage_fuse(FusionConfig(method="linear")),
        "TD + BU (w/o PM)": measures.unmatched_pairs(load_integrator()),
        FUSED: stage_fuse(FusionConfig()),
    }
    return [measures.pose_row(name, frames, fuse) for name, fuse in fuses.items()]


def discriminator_table(frames: Sequence[measures.RecordedFrame]) -> Rows:
    """Table 5: networks trained without and with discriminators of one, two and three people; the truth last."""
    rows = []
    for name, weights in DISCRIMINATORS:
        fuse = measures.remembered(frames, stage_fuse(FusionConfig(weights=weights)))
        rows.append({**measures.pose_row(name, frames, fuse), **measures.neighbour_row(name, frames, fuse)})
    return [*rows, measures.neighbour_row("truth", frames, measures.true_people)]


def semi_supervised_networks() -> Mapping[str, tuple[Engine, Engine]]:
    """The lifting and the integration network of each row of Table 4."""
    return {
        row: (load_engine(weights_path(f"baseline_{row}_lifting")), load_engine(weights_path(f"baseline_{row}_fusion")))
        for row in SEMI_SUPERVISED
    }


def inequality_table(rows: Rows) -> Rows:
    """Which of the paper's inequalities hold here, column by column, and by how much."""
    figures = {row["row"]: row for row in rows}
    return [
        {"better": better, "worse": worse, "column": column, "by": gain, "holds": gain is not None and gain > 0}
        for better, worse, columns in INEQUALITIES
        for column in columns
        for gain in [_difference(figures[better][column], figures[worse][column])]
    ]


def _difference(a: float | None, b: float | None) -> float | None:
    return None if a is None or b is None else a - b


def speed_table(frames: Sequence[measures.RecordedFrame], people: int = 10) -> Rows:
    """Medians on one core, for so many people whom both branches see."""
    paired = [pair for frame in frames for pair in _paired(frame)][:people]
    # Side by side, so that nobody is taken for anybody else.
    own, other = ([_moved(pair[branch], n - people / 2, n) for n, pair in enumerate(paired)] for branch in (0, 1))
    stage = FusionStage()
    clock = iter(range(1, 1_000_000))
    fused = len(stage.process(0, own, other).persons)
    call = median_ms(lambda: stage.process(next(clock) * 33_000_000, own, other))
    return [{"what": f"matching, network, ids and hand-over of {len(own)} + {len(other)} poses ({fused} people)",
             "ms": call}]  # fmt: skip


def _paired(frame: measures.RecordedFrame) -> list[tuple[Pose3D, Pose3D]]:
    pairs = measures.frame_pairs(frame)
    return [(frame.top_down[i], frame.bottom_up[j]) for i, j in zip(pairs.top_down, pairs.bottom_up, strict=True)]


def _moved(pose: Pose3D, aside_m: float, track_id: int) -> Pose3D:
    """The pose with its root so far aside."""
    move = np.array([aside_m - pose.joints_cam[H36M17.root, 0], 0.0, 0.0])
    return replace(pose, track_id=track_id, joints_cam=pose.joints_cam + move)


def goals(tables: dict[str, Rows]) -> Rows:
    """What the tables were to show, and whether they do; a value that could not be measured meets no goal."""
    found = [*_component_goals(tables["components"]), *_discriminator_goals(tables["discriminator"])]
    found += _semi_supervised_goals(tables["semi-supervision"])
    if ON_GROUND in tables:
        found += ground_goals(*tables[ON_GROUND])
    for row in tables.get("a branch lost", []):
        limit = row["max_wait_ms"] + row["frame_period_ms"]
        name, words = f"longest_gap_ms_without_{row['killed']}", f"<= {limit:.0f}"
        found.append(Goal(name, row["longest_gap_ms"], most=limit, words=words))
    found.append(Goal("fusion_ms_10_people", tables["speed"][0]["ms"], most=3.0))
    return judged(found)


def _component_goals(rows: Rows) -> list[Goal]:
    """The integration network against the best of the others, column by column."""
    others, own = [row for row in rows if row["row"] != FUSED], rows[-1]
    return [
        Goal(f"in_over_best_other_{column}", _difference(own[column], _largest(others, column)), 1e-9, words="> 0")
        for column in measures.COLUMNS
    ]


def ground_goals(refined: dict[str, Any], grounded: dict[str, Any]) -> list[Goal]:
    """What a known ground was to make of refined people."""
    before, after = refined.get("pck_abs"), grounded.get("pck_abs")
    return [
        Goal("ground_pck_abs_over_without", after / before if before and after is not None else None, least=2.0),
        Goal("ground_ap_root_25", grounded.get("ap_root_25"), least=50.0, strict=True),
    ]


def _largest(rows: Iterable[dict[str, Any]], column: str) -> float | None:
    return max((row[column] for row in rows if row[column] is not None), default=None)


def _discriminator_goals(rows: Rows) -> list[Goal]:
    by_name = {row["row"]: row for row in rows}
    return [
        Goal(f"d2_over_d1_{column}", _difference(by_name["D2"][column], by_name["D1"][column]), 0.0)
        for column in measures.COLUMNS
    ]


def _semi_supervised_goals(rows: Rows) -> list[Goal]:
    """The share of the gap between no and full supervision that all terms together close."""
    shares = gap_closed(rows, ALL_TERMS)
    return [
        Goal(f"gap_closed_by_{ALL_TERMS}_{column}", shares[column], 1 / 3, words=">= 1/3")
        for column in measures.COLUMNS
    ]
