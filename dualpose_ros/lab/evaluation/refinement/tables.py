"""Refinement in tables, as `dualpose eval refinement` reports it: the paper's Tables 6 and 7, videos, cost, honesty."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.progress import track

from dualpose_ros.camera import Camera, Ground
from dualpose_ros.datasets.motion import Clip, load_clips
from dualpose_ros.datasets.recordings import camera_of
from dualpose_ros.fusion.stage import FusionConfig
from dualpose_ros.lab.evaluation.branches import Branches
from dualpose_ros.lab.evaluation.data_folder import find_data
from dualpose_ros.lab.evaluation.depth_picture import draw_depths
from dualpose_ros.lab.evaluation.fusion.measures import RecordedFrame, recorded_frames
from dualpose_ros.lab.evaluation.fusion.tables import ground_goals, recorded, stage_fuse
from dualpose_ros.lab.evaluation.refinement import branch_errors, measures
from dualpose_ros.lab.evaluation.refinement.cost import cost_row
from dualpose_ros.lab.evaluation.refinement.published_solver import Stage
from dualpose_ros.lab.evaluation.report import CALIBRATED, Outcome, Rows, evaluation, ratio
from dualpose_ros.lab.evaluation.trajectory import trajectory_goals, trajectory_tables
from dualpose_ros.lab.evaluation.worlds import held_out_world, scripts_of
from dualpose_ros.lab.synthetic.body.rig import pose_rig
from dualpose_ros.lab.synthetic.motion.retarget import from_clip
from dualpose_ros.lab.synthetic.scenes.sequences import SequenceConfig
from dualpose_ros.lab.synthetic.scenes.world import World
from dualpose_ros.metrics.goals import Goal, judged
from dualpose_ros.people import Pose3D
from dualpose_ros.refinement.config import RefinementConfig
from dualpose_ros.skeleton import H36M17

VIDEOS, VIDEO_FRAMES = 24, 36
MOVEMENTS, MOVEMENT_FRAMES = 24, 48
"""Recorded videos, which give the branches' errors; passages of captured movement that these errors are put on."""

WORLDS, WORLD_VIDEOS, WORLD_STEP = 4, 16, 1000
"""Worlds, this one included, whose people say how honest deviations are, videos of each of the others, and how far
their seeds are apart: a distance is off by how large somebody is, and a world has 24 bodies."""

PICTURES = 8
BODIES = 4
"""That perform each clip."""

COST_WINDOWS, COST_MOVEMENTS, COST_MARGIN = (16, 32), 8, 4
"""Windows whose cost is measured, on how many movements, in which the person was found in so many frames more."""

RATES, RATE_MOVEMENTS = (1e-3, 1e-4, 1e-5), 8
"""Of Adam's in the published optimisation, compared on the first so many movements."""

PICTURED_JOINT = "right_wrist"
SINGLE = "single people: held-out movements with recorded errors"
TRUE_2D, AS_CAPTURED = "single people, true 2D joints", "single people with joints where they were captured"
BEFORE, AFTER, GROUNDED = "fused (before)", "refined (after)", "refined (after), known ground"


@evaluation("refinement")
def evaluate_refinement(
    data: Path,
    seed: int,
    videos: int = VIDEOS,
    movements: int = MOVEMENTS,
    reference: Mapping[str, measures.Stages] = measures.REFERENCE_ROWS,
    pictures: Path | None = None,
    worlds: int = WORLDS,
) -> Outcome:
    """All tables and goals; `find_data` says what is in the folder `data`.

    videos, movements: how many; reference: rows of Table 6 by the published optimisation, two stages among them;
    pictures: folder for the depth of a wrist in each of the first movements; worlds: how many calibration is of.
    """
    mocap, body = find_data(data)
    clips, config, two_stages = load_clips(mocap, "held_out"), RefinementConfig(), reference[measures.TWO_STAGE]
    world = held_out_world(mocap, body, seed)
    videos_seen = record_videos(world, clips, videos, seed)
    errors = videos_seen.errors()
    seen = corrupted(on_bodies(world, clips, seed), errors, movements, seed)
    answers = [measures.answer_all(one, config, reference) for one in _slowly(seen, "movements")]
    stages = videos_seen.stages()
    stated = stated_of(seen, answers, videos_seen, stages)
    others = range(seed + WORLD_STEP, seed + WORLD_STEP * worlds, WORLD_STEP)
    if pictures is not None:
        write_depths(pictures, seen, answers)
    true_2d = [one.with_true_2d() for one in seen]
    tables = {
        SINGLE: measures.table_6(seen, answers),
        TRUE_2D: measures.table_6(
            true_2d, [measures.answer_all(one, config, reference) for one in _slowly(true_2d, "true 2D joints")]
        ),
        AS_CAPTURED: as_captured(corrupted(clips, errors, movements, seed), config),
        "single people: what smoothing of distances could gain": measures.distance_bounds(seen),
        "two stages at other rates": measures.rate_rows(seen[:RATE_MOVEMENTS], two_stages, RATES),
        "lost for a while": measures.lost_rows(seen, answers),
        "video": [measures.video_row(name, videos_seen.frames, people) for name, people in stages.items()],
        "calibration": calibration_table([stated, *stated_by_others(mocap, body, clips, movements, others)]),
        "cost": cost_table(seen, two_stages),
        **trajectory_tables(clips, load_clips(mocap, "all")),
    }
    return tables, goals(tables)


@dataclass(frozen=True)
class Videos:
    """Recorded frames, the camera of each and the ground before it, and what the live fusion stage makes of it."""

    frames: Sequence[RecordedFrame]
    cameras: Sequence[Camera]
    people: Sequence[Sequence[Pose3D]]
    grounds: Sequence[Ground]

    def errors(self) -> branch_errors.RecordedErrors:
        """How the fused people err."""
        known = iter(self.people)
        return branch_errors.recorded_errors(self.frames, lambda frame: next(known))

    def stages(self) -> dict[str, Sequence[Sequence[Pose3D]]]:
        """The people before and after refinement, without and with the known ground."""
        seen = (self.frames, self.cameras, self.people)
        grounded = measures.refined_people(*seen, grounds=self.grounds)
        return {BEFORE: self.people, AFTER: measures.refined_people(*seen), GROUNDED: grounded}


def stated_of(
    movements: Sequence[measures.Movement],
    answers: Sequence[measures.Answer],
    videos: Videos,
    stages: Mapping[str, Sequence[Sequence[Pose3D]]],
) -> dict[str, measures.Stated]:
    """What is said of a world's movements, and by each stage of its videos, by the calibration's rows."""
    of_videos = {f"video: {name}": measures.tracked(videos.frames, people).stated for name, people in stages.items()}
    return {**measures.stated_of_movements(movements, answers), **of_videos}


def record_videos(world: World, clips: Sequence[Clip], count: int, seed: int) -> Videos:
    """Videos drawn for the purpose, through detector, both branches and fusion."""
    config = SequenceConfig(frames=VIDEO_FRAMES)
    scripts = scripts_of(world, clips, (seed, 7), count, config)
    recordings = recorded(world, scripts, Branches(), "videos")
    frames, fuse = list(recorded_frames(recordings)), stage_fuse(FusionConfig())
    cameras = [camera_of(recordings, index) for index in range(len(frames))]
    grounds = [Ground(frame.down, scripts[frame.sequence].camera_height(0)) for frame in frames]
    return Videos(frames, cameras, [fuse(frame) for frame in frames], grounds)


def _slowly(movements: Sequence[measures.Movement], what: str) -> Iterable[measures.Movement]:
    """One after the other, under a progress bar."""
    return track(movements, description=what, transient=True)


def on_bodies(world: World, clips: Sequence[Clip], seed: int, copies: int = BODIES) -> list[Clip]:
    """Clips by bodies of the world, whose joints lie where the networks have learnt to see them.

    Captured skeletons have them elsewhere, in spine and neck above all: nobody that a branch finds is built so.
    """
    rng, performed = np.random.default_rng((seed, 9)), []
    for clip in clips:
        motion = from_clip(clip.joints_m, clip.fps)
        for index in rng.integers(len(world.cast), size=copies):
            joints = pose_rig(world.cast[index].rig, motion.joints_m, motion.head_forward).joints
            performed.append(Clip(clip.name, joints.astype(np.float32), clip.fps))
    return performed


def as_captured(movements: Sequence[measures.Movement], config: RefinementConfig) -> Rows:
    """Table 6's first row and ours for captured skeletons as they are."""
    return measures.table_6(movements, [measures.answer_all(one, config, {}) for one in movements])


def corrupted(
    clips: Sequence[Clip], errors: branch_errors.RecordedErrors, count: int, seed: int
) -> list[measures.Movement]:
    """Passages of movement at the recordings' rates, seen by moving cameras, with recorded errors."""
    rng = np.random.default_rng((seed, 8))
    filmed = branch_errors.film_clips(clips, rng, count, MOVEMENT_FRAMES, SequenceConfig().fps)
    return [_movement(one, errors, rng) for one in filmed]


def _movement(
    one: branch_errors.SeenClip, errors: branch_errors.RecordedErrors, rng: np.random.Generator
) -> measures.Movement:
    said = branch_errors.corrupt(one, errors, rng)
    stamps = tuple(round(float(t) * 1e9) for t in one.times)
    return measures.Movement(one.camera, stamps, one.joints_cam, tuple(said.pose(t, 1) for t in range(len(stamps))))


def stated_by_others(
    mocap: Path, body: Path | None, clips: Sequence[Clip], movements: int, seeds: Iterable[int]
) -> Iterable[dict[str, measures.Stated]]:
    """What is said of people of further worlds, as the calibration's rows have it."""
    for seed in seeds:
        world = held_out_world(mocap, body, seed)
        videos = record_videos(world, clips, WORLD_VIDEOS, seed)
        seen = corrupted(on_bodies(world, clips, seed), videos.errors(), movements, seed)
        answers = [measures.answer_all(one, RefinementConfig(), {}) for one in seen]
        yield stated_of(seen, answers, videos, videos.stages())


def calibration_table(worlds: Sequence[Mapping[str, measures.Stated]]) -> Rows:
    """The calibration of all worlds together."""
    return [
        measures.calibration_row(name, measures.Stated.concatenate([world[name] for world in worlds]))
        for name in worlds[0]
    ]


def cost_table(movements: Sequence[measures.Movement], stages: Sequence[Stage]) -> Rows:
    """Cost for each window, of the first movements that are long enough."""
    rows = []
    for length in COST_WINDOWS:
        enough = [one for one in movements if len(one.seen) >= length + COST_MARGIN][:COST_MOVEMENTS]
        if enough:
            rows.append(cost_row(enough, length, RefinementConfig(), stages))
    return rows


def write_depths(folder: Path, movements: Sequence[measures.Movement], answers: Sequence[measures.Answer]) -> None:
    """A joint's depth over time in the first movements: as it came in, by the paper's two stages, ours, and true."""
    joint = H36M17.index(PICTURED_JOINT)
    for index, (movement, answer) in enumerate(zip(movements[:PICTURES], answers, strict=False)):
        times = movement.times
        named = {
            name: (times[movement.seen], answer.joints[name][:, joint, 2])
            for name in (measures.BASELINE, measures.TWO_STAGE, measures.OURS)
            if name in answer.joints
        }
        title = f"Depth of the {PICTURED_JOINT.replace('_', ' ')}, movement {index}"
        draw_depths(folder / f"movement_{index:03d}.png", title, times, movement.joints_cam[:, joint, 2], named)


def goals(tables: dict[str, Rows]) -> Rows:
    """What the tables were to show, and whether they do; a value that could not be measured meets no goal."""
    single = {row["row"]: row for row in tables[SINGLE]}
    ours, two_stage, baseline = (
        single.get(name, {}) for name in (measures.OURS, measures.TWO_STAGE, measures.BASELINE)
    )
    found = [Goal(f"{c}_over_two_stage", ratio(ours, two_stage, c), most=1.0, strict=True) for c in measures.COLUMNS]
    for column, least in (("mpjpe_abs_mm", 0.2), ("accel_m_s2", 0.5)):
        share = ratio(ours, baseline, column)
        found.append(Goal(f"{column}_less_than_baseline", None if share is None else 1 - share, least=least))
    found += _cost_goals(tables["cost"])
    calibration = {row["row"]: row for row in tables["calibration"]}
    for prefix, row in (("", measures.OURS), ("video_", f"video: {AFTER}")):
        for part in ("", "depth_"):
            for column, least, most in CALIBRATED:
                found.append(Goal(prefix + part + column, calibration[row][part + column], least, most))
    videos = {row["row"]: row for row in tables["video"]}
    return judged([*found, *ground_goals(videos.get(AFTER, {}), videos.get(GROUNDED, {})), *trajectory_goals(tables)])


def _cost_goals(rows: Rows) -> list[Goal]:
    costs = {row["window"]: row for row in rows}
    first = costs.get(COST_WINDOWS[0], {})
    found = [Goal(f"ms_a_person_a_frame_window_{COST_WINDOWS[0]}", first.get("ours_ms"), most=4.0)]
    for length in COST_WINDOWS:
        row = costs.get(length, {})
        found.append(Goal(f"times_cheaper_than_reference_window_{length}", row.get("times_cheaper"), least=100.0))
        found.append(Goal(f"objective_over_reference_window_{length}", row.get("objective_ratio"), most=1.0))
    return found
