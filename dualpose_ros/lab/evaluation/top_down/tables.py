"""The top-down branch in tables, as `dualpose eval top-down` reports it: overlap, occlusion, time, honesty, speed."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dualpose_ros.arrays import Floats
from dualpose_ros.datasets.joint_errors import JointErrors, load_joint_errors
from dualpose_ros.datasets.motion import load_clips
from dualpose_ros.inference.engine import Engine
from dualpose_ros.inference.load import load_engine
from dualpose_ros.lab.evaluation.data_folder import find_data
from dualpose_ros.lab.evaluation.joints import measure_joint_errors
from dualpose_ros.lab.evaluation.report import CALIBRATED, Outcome, Rows, evaluation
from dualpose_ros.lab.evaluation.top_down.lifting import (
    HZ,
    PARTS,
    Passages,
    Tilt,
    error_row,
    film_clips,
    lift_passages,
    part_row,
    sigma_rows,
    with_hidden,
    with_noise,
    without_part,
)
from dualpose_ros.lab.evaluation.top_down.overlap import overlap_row, score_overlap
from dualpose_ros.lab.evaluation.worlds import drawn, held_out_world
from dualpose_ros.lab.synthetic.scenes.frames import make_frame
from dualpose_ros.lab.synthetic.scenes.overlap import make_overlap
from dualpose_ros.lab.synthetic.scenes.world import World
from dualpose_ros.lab.timing import median_ms
from dualpose_ros.metrics.goals import Goal, judged
from dualpose_ros.skeleton import H36M17
from dualpose_ros.top_down.estimator import PoseEstimator
from dualpose_ros.top_down.lifting.completion import NUM_FEATURES, complete, time_feature
from dualpose_ros.top_down.lifting.lifter import Lifter, empty_memory, lookahead_frames
from dualpose_ros.weights import weights_path

OVERLAPS, NOISE_FRAMES, VIEWS = 200, 160, 3
HIDDEN = (0.0, 0.2, 0.4, 0.6)
HISTORIES = (0, 2, 8, 26)
WINDOWS = (
    ("baseline_window_1", "1", "causal"),
    ("baseline_window_9", "9", "causal"),
    ("baseline_window_27", "27", "causal"),
    ("baseline_window_81", "81", "causal"),
    ("baseline_centred_27", "27", "centred"),
    ("lifting", "shipped", "causal"),
)
LEVEL, TILTED = "level", "tilted"
EXACT, RENDERED, REAL = "exact", "network's errors", "errors on real pictures"


@dataclass(frozen=True)
class Networks:
    """The shipped networks, each on one thread; first_gcn: the one that the baselines learnt behind."""

    top_down: Engine
    one_person: Engine
    first_gcn: Engine
    gcn: Engine
    lifting: Engine


@evaluation("top-down")
def evaluate_top_down(
    data: Path,
    seed: int,
    real_errors: Path | None = None,
    overlaps: int = OVERLAPS,
    noise_frames: int = NOISE_FRAMES,
    views: int = VIEWS,
) -> Outcome:
    """All tables and goals; `find_data` says what is in the folder `data`.

    real_errors: 2D errors that the network made on real pictures, of `dualpose eval joints --save`; overlaps,
    noise_frames: images to draw of people in front of each other, and to measure 2D errors on; views: of each clip.

    Errors besides: JointErrorsError for a bad file of errors.
    """
    mocap, body = find_data(data)
    names = ("top_down", "baseline_one_person", "baseline_gcn", "gcn", "lifting")
    networks = Networks(*(load_engine(weights_path(name)) for name in names))
    world = held_out_world(mocap, body, seed)
    errors = {RENDERED: measured_errors(world, networks.top_down, seed, noise_frames)}
    if real_errors is not None:
        errors[REAL] = load_joint_errors(real_errors)
    files = sorted(mocap.glob("*.npz"))
    lifted = [row for file in files for row in lifting_table(file, errors, networks, seed, views)]
    passages = film_clips(load_clips(mocap, "held_out"), seed, views)
    tilted = film_clips(load_clips(mocap, "held_out"), seed, views, Tilt())
    inputs = {EXACT: passages, RENDERED: with_noise(passages, errors[RENDERED], seed)}
    tables = {
        "overlap": overlap_table(world, networks, seed, overlaps),
        "lifting": [*lifted, *lifting_table(mocap, errors, networks, seed, views)],
        "occlusion": occlusion_table(passages, networks, seed),
        "parts": parts_table(tilted, networks),
        "mocap": mocap_table(inputs, networks),
        "history": history_table(inputs, networks),
        "calibration": calibration_table(with_errors(tilted, errors, seed), networks),
        "speed": speed_table(networks),
    }
    return tables, goals(tables)


def with_errors(passages: Passages, errors: dict[str, JointErrors], seed: int) -> dict[str, Passages]:
    """Passages with exact 2D, and with each kind of 2D errors."""
    return {EXACT: passages, **{name: with_noise(passages, of, seed) for name, of in errors.items()}}


def lifting_table(clips: Path, errors: dict[str, JointErrors], networks: Networks, seed: int, views: int) -> Rows:
    """The shipped network on the held-out clips of a file or of a folder's files, cameras level and tilted."""
    rows: Rows = []
    for cameras, tilt in ((LEVEL, None), (TILTED, Tilt())):
        filmed = film_clips(load_clips(clips, "held_out"), seed, views, tilt)
        for label, seen in with_errors(filmed, errors, seed).items():
            row = error_row(lift_passages(seen, networks.lifting, networks.gcn))
            rows.append({"clips": clips.stem if clips.is_file() else "all", "cameras": cameras, "input": label, **row})
    return rows


def measured_errors(world: World, top_down: Engine, seed: int, count: int) -> JointErrors:
    """What the top-down network gets wrong in 2D, on frames drawn for the purpose."""
    frames = drawn(world, make_frame, count, (seed, 1), "frames")
    return measure_joint_errors(frames, PoseEstimator(top_down), np.random.default_rng((seed, 2)))


def overlap_table(world: World, networks: Networks, seed: int, count: int) -> Rows:
    """Two people in front of each other: the network that sees one person a patch, and the one that sees all."""
    images = list(drawn(world, make_overlap, count, (seed, 3), "overlaps"))
    lifter = Lifter(networks.lifting, networks.gcn)
    return [
        overlap_row(name, score_overlap(images, PoseEstimator(engine), lifter, seed))
        for name, engine in (("single-person", networks.one_person), ("multi-person", networks.top_down))
    ]


def occlusion_table(passages: Passages, networks: Networks, seed: int) -> Rows:
    """Exact 2D with joints hidden: two networks alike, one trained without a GCN and one behind it, and the shipped."""
    without, behind = (load_engine(weights_path(name)) for name in ("baseline_without_gcn", "baseline_window_27"))
    columns: tuple[tuple[str, Engine, Engine | None], ...] = (
        ("without_gcn", without, None),
        ("with_gcn", behind, networks.first_gcn),
        ("shipped", networks.lifting, networks.gcn),
    )
    rows = []
    for share in HIDDEN:
        hidden = with_hidden(passages, share, seed)
        row: dict[str, Any] = {"hidden_pct": round(100 * share)}
        for name, engine, gcn in columns:
            errors = error_row(lift_passages(hidden, engine, gcn))
            row[f"mpjpe_mm_{name}"] = errors["mpjpe_mm"]
            row[f"root_depth_pct_{name}"] = errors["root_depth_pct"]
        row["mpjpe_lower_pct"] = 100 * (1 - row["mpjpe_mm_with_gcn"] / row["mpjpe_mm_without_gcn"])
        rows.append(row)
    return rows


def parts_table(passages: Passages, networks: Networks) -> Rows:
    """Bodies of which a part is never seen: how far off the shipped network puts it, and whether it says so."""
    rows: Rows = []
    for part in PARTS:
        seen, hidden = without_part(passages, part)
        rows.append(part_row(part, lift_passages(seen, networks.lifting, networks.gcn), hidden))
    return rows


def mocap_table(inputs: dict[str, Passages], networks: Networks) -> Rows:
    """Windows, causal and centred, on exact 2D and on 2D with the errors of our network."""
    rows = []
    for name, window, looks in WINDOWS:
        engine = load_engine(weights_path(name))
        gcn = networks.first_gcn if name.startswith("baseline") else networks.gcn
        late = lookahead_frames(engine)
        latency = {"late_ms": 1000 * late / HZ, "ms_a_person": median_ms(one_frame(engine, gcn, 1))}
        for label, seen in inputs.items():
            errors_of = error_row(lift_passages(seen, engine, gcn))
            rows.append({"input": label, "window": window, "looks": looks, **errors_of, **latency})
    return rows


def history_table(inputs: dict[str, Passages], networks: Networks) -> Rows:
    """What the shipped network gains from the frames before: tracks just born, and older ones."""
    lifting, gcn = networks.lifting, networks.gcn
    return [
        {"input": label, "frames_before": history, **error_row(lift_passages(seen, lifting, gcn, history))}
        for label, seen in inputs.items()
        for history in HISTORIES
    ]


def calibration_table(inputs: dict[str, Passages], networks: Networks) -> Rows:
    """How much of the truth lies within 1 and 2 of the shipped network's standard deviations."""
    return [
        row
        for label, seen in inputs.items()
        for row in sigma_rows(label, lift_passages(seen, networks.lifting, networks.gcn))
    ]


def speed_table(networks: Networks) -> Rows:
    """Medians on one core; the lifting network frame by frame, and with its whole window computed anew."""
    estimator = PoseEstimator(networks.top_down)
    image = np.random.default_rng(0).integers(0, 255, (480, 640, 3)).astype(np.uint8)
    boxes = np.array([[60 + 120 * i, 80, 180 + 120 * i, 420] for i in range(4)], dtype=np.float64)
    patch = median_ms(lambda: estimator(image, boxes), 30) / 4
    rows = [{"what": "patch: network, decoding and merging, of 4", "ms": patch}]
    for people in (1, 4):
        streaming = median_ms(one_frame(networks.lifting, networks.gcn, people)) / people
        rows.append({"what": f"person: GCN and TCN, of {people}", "ms": streaming})
        anew = median_ms(window_anew(networks.lifting, networks.gcn, people)) / people
        rows.append({"what": f"person: GCN and TCN of the whole window anew, of {people}", "ms": anew})
    return rows


def one_frame(engine: Engine, gcn: Engine, people: int) -> Callable[[], object]:
    """A call that lifts the next frame of so many tracks, as the live stage does but for placing them."""
    rays, scores = _somebody(people)
    memory = empty_memory(engine, people)

    def call() -> object:
        features = complete(rays, scores, gcn).features
        return engine.run({"features": features[:, None], **memory})

    return call


def window_anew(engine: Engine, gcn: Engine, people: int) -> Callable[[], object]:
    """A call that completes the next frame and computes the temporal network for the whole window before it."""
    rays, scores = _somebody(people)
    memory = empty_memory(engine, people)
    window = np.zeros((people, 27, NUM_FEATURES), np.float32)
    window[..., -1] = time_feature(np.array(1 / HZ))

    def call() -> object:
        window[:, -1] = complete(rays, scores, gcn).features
        return engine.run({"features": window, **memory})

    return call


def _somebody(people: int) -> tuple[Floats, Floats]:
    rng = np.random.default_rng(0)
    return rng.normal(0, 0.1, (people, H36M17.num_joints, 2)), np.full((people, H36M17.num_joints), 0.9)


def goals(tables: dict[str, Rows]) -> Rows:
    """What the tables were to show, and whether they do."""
    single, multi = tables["overlap"]
    hidden = next(row for row in tables["occlusion"] if row["hidden_pct"] == 40)
    tilted = {r["input"]: r for r in tables["lifting"] if r["clips"] == "all" and r["cameras"] == TILTED}
    person = next(row for row in tables["speed"] if row["what"].endswith("TCN, of 1"))
    found = [
        Goal("overlap_gain_points", multi["pck150_rel"] - single["pck150_rel"], least=5.0),
        Goal("gcn_gain_at_40_pct", hidden["mpjpe_lower_pct"], least=25.0),
        Goal("mpjpe_mm_tilted_exact", tilted[EXACT]["mpjpe_mm"], most=55.0),
        Goal("root_depth_pct_tilted_exact", tilted[EXACT]["root_depth_pct"], most=3.0),
        Goal("ms_a_person", person["ms"], most=2.0),
    ]
    if REAL in tilted:
        found.append(Goal("mpjpe_mm_tilted_real_errors", tilted[REAL]["mpjpe_mm"], most=95.0))
    unseen = [{**row, "of": "unseen joints", "input": row["unseen"]} for row in tables["parts"]]
    for row in [*tables["calibration"], *unseen]:
        for column, low, high in CALIBRATED:
            name = f"{column}: {row['of']}, {row['input']}"
            found.append(Goal(name, row[column], low, high, words=f"{low:.2f} to {high:.2f}"))
    return judged(found)
