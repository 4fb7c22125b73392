"""The bottom-up branch in tables, as `dualpose eval bottom-up` reports it: guidance, missed boxes, cameras, speed."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from rich.progress import track

from dualpose_ros.arrays import AnyFloats, Mask
from dualpose_ros.bottom_up.decode import decode_frame
from dualpose_ros.bottom_up.guidance import no_guidance
from dualpose_ros.bottom_up.place import place_people
from dualpose_ros.bottom_up.stage import BottomUpConfig, BottomUpStage, network_focal
from dualpose_ros.camera import Camera, camera_from_hfov, project
from dualpose_ros.datasets.labels import LabelledImage, People
from dualpose_ros.drawing import beside, draw_skeletons, top_view, write_picture
from dualpose_ros.heatmap import Heatmaps
from dualpose_ros.inference.engine import Engine
from dualpose_ros.inference.load import load_engine
from dualpose_ros.lab.evaluation.bottom_up.guide import Guide
from dualpose_ros.lab.evaluation.bottom_up.round_trip import NEAR_CELLS, UNSHARED_CELLS, crowd, round_trip_row
from dualpose_ros.lab.evaluation.bottom_up.truth_maps import truth_maps
from dualpose_ros.lab.evaluation.data_folder import find_data
from dualpose_ros.lab.evaluation.people import (
    FrameScores,
    asked_for,
    people_figures,
    root_average_precision,
    score_frame,
)
from dualpose_ros.lab.evaluation.report import Outcome, Rows, evaluation
from dualpose_ros.lab.evaluation.worlds import drawn, held_out_world
from dualpose_ros.lab.synthetic.scenes.cameras import scene_through
from dualpose_ros.lab.synthetic.scenes.frames import make_frame
from dualpose_ros.lab.synthetic.scenes.world import World
from dualpose_ros.lab.timing import median_ms
from dualpose_ros.letterbox import fit_long_side
from dualpose_ros.metrics.goals import Goal, judged
from dualpose_ros.people import Pose3D
from dualpose_ros.top_down.estimator import PoseEstimator
from dualpose_ros.top_down.stage import TopDownConfig
from dualpose_ros.weights import network_file

FRAMES, SCENES, PICTURES = 400, 150, 16
ENLARGE = 5 / 3
"""Over the sizes that training's frames are drawn in: images whose longer side is 640, but for square ones."""

HEIGHTS = (
    ("<60", 0.0, 60.0),
    ("60-120", 60.0, 120.0),
    (">120", 120.0, float("inf")),
    ("<120", 0.0, 120.0),
    ("all", 0.0, float("inf")),
)
"""Names and ranges of people's heights in pixels of the image."""

REMOVED = (0.0, 0.2, 0.4)
HFOVS_DEG = (45, 60, 80, 100)
SIZES = ((480, 360), (640, 480), (960, 720))

_COLUMNS = ("pck150_rel", "pck150_abs", "root_ap25", "root_depth_pct")
_LOWER_IS_BETTER = ("root_depth_pct",)


@dataclass(frozen=True)
class Measured:
    """Scores of all frames: without guidance, and with that of the boxes left when a share of them was removed;
    `lost` by the same share, whose boxes (N,) those were. people: every frame's truth and camera. busiest: the frame
    with the most people, and its guidance."""

    without: list[FrameScores]
    guided: dict[float, list[FrameScores]]
    lost: dict[float, list[Mask]]
    people: list[tuple[People, Camera]]
    busiest: tuple[LabelledImage, Heatmaps]


@evaluation("bottom-up")
def evaluate_bottom_up(
    data: Path,
    seed: int,
    frames: int = FRAMES,
    scenes: int = SCENES,
    weights: Path | None = None,
    pictures: Path | None = None,
    engine: Engine | None = None,
) -> Outcome:
    """All tables and goals; `find_data` says what is in the folder `data`.

    frames, scenes: to draw for guidance and failures, and to see through many cameras; weights: another network than
    the shipped one; pictures: folder for pictures of the first frames; engine: a loaded network, instead of `weights`.
    """
    mocap, body = find_data(data)
    config = BottomUpConfig(weights="bottom_up" if weights is None else str(weights))
    engine = engine if engine is not None else load_engine(network_file(config.weights), threads=1)
    stage = BottomUpStage(config, engine)
    estimator = PoseEstimator(load_engine(network_file("top_down"), threads=1))
    guide = Guide(estimator, TopDownConfig().heatmap_long_side_cells)
    world = held_out_world(mocap, body, seed)
    seen = drawn(world, _draw_frame, frames, (seed, 1), "frames")
    measured = measure_frames(seen, stage, guide, seed, pictures)
    labels = [(people.joints_cam, camera) for people, camera in measured.people]
    tables = {
        "guidance": guidance_table(measured),
        "detection failures": failure_table(measured),
        "any camera": camera_table(world, stage, guide, seed, scenes),
        "round trip": [round_trip_row(labels, cells) for cells in (NEAR_CELLS, UNSHARED_CELLS)],
        "speed": speed_table(engine, stage, measured.busiest, world.poses[0].joints_m),
    }
    return tables, goals(tables)


def _draw_frame(world: World, rng: np.random.Generator) -> LabelledImage:
    return make_frame(world, rng, enlarge=ENLARGE)


def measure_frames(
    frames: Iterable[LabelledImage], stage: BottomUpStage, guide: Guide, seed: int, pictures: Path | None = None
) -> Measured:
    """Run the stage on every frame, without guidance and with all that REMOVED asks for."""
    without: list[FrameScores] = []
    guided: dict[float, list[FrameScores]] = {share: [] for share in REMOVED}
    lost: dict[float, list[Mask]] = {share: [] for share in REMOVED}
    labels: list[tuple[People, Camera]] = []
    busiest: tuple[LabelledImage, Heatmaps] | None = None
    for index, frame in enumerate(frames):
        rng = np.random.default_rng((seed, 2, index))
        people = frame.people
        maps, owners = guide.patches(frame, rng)
        shown = [stage.process(frame.image, 0, frame.camera, None).persons]
        without.append(score_frame(people, shown[0]))
        for share in REMOVED:
            gone = rng.random(len(owners)) < share
            heatmaps = guide.combined(frame, maps, ~gone)
            persons = stage.process(frame.image, 0, frame.camera, heatmaps).persons
            guided[share].append(score_frame(people, persons))
            # Where nothing is removed, the row is of everybody.
            chosen = np.isin(np.arange(len(people)), owners[gone]) if share else asked_for(people)
            lost[share].append(chosen)
            if share == 0:
                shown.append(persons)
                if busiest is None or len(people) > len(busiest[0].people):
                    busiest = frame, heatmaps
        labels.append((people, frame.camera))
        if pictures is not None and index < PICTURES:
            draw_frame(pictures / f"frame_{index:03d}.png", frame, shown)
    if busiest is None:
        raise ValueError("no frames to measure on")
    return Measured(without, guided, lost, labels, busiest)


def draw_frame(path: Path, frame: LabelledImage, found: Sequence[Sequence[Pose3D]]) -> None:
    """The frame with each of `found` drawn over it, side by side, and the last of them seen from above."""
    panels = []
    for persons in found:
        numbered = [replace(person, track_id=index) for index, person in enumerate(persons)]
        panels.append(draw_skeletons(frame.image, numbered))
    height, hfov = frame.image.shape[0], 2 * np.arctan2(frame.camera.width / 2, frame.camera.fx)
    picture = top_view(numbered, (height, height), 14.0, float(hfov))
    for panel in reversed(panels):
        picture = beside(panel, picture)
    write_picture(path, picture)


def guidance_table(measured: Measured) -> Rows:
    """The same frames without and with heatmaps, by people's height on the image; shares in per cent.

    root_depth_pct_both: the root's depth of those who are found both ways.
    """
    both = [a.found & b.found for a, b in zip(measured.without, measured.guided[0.0], strict=True)]
    rows = []
    for name, low, high in HEIGHTS:
        for label, frames in (("without heatmaps", measured.without), ("with heatmaps", measured.guided[0.0])):
            chosen = [f.counted & (f.height_px >= low) & (f.height_px < high) for f in frames]
            common = [mask & shared for mask, shared in zip(chosen, both, strict=True)]
            average = root_average_precision(frames, low, high)
            row = {
                "height_px": name,
                "guidance": label,
                **people_figures(frames, chosen),
                "root_ap25": 100 * average if np.isfinite(average) else None,
                "root_depth_pct_both": people_figures(frames, common)["root_depth_pct"],
            }
            rows.append(row)
    return rows


def failure_table(measured: Measured) -> Rows:
    """The people whose boxes were removed before the top-down network ran; the first row is of everybody."""
    return [
        {"removed_pct": round(100 * share), **people_figures(measured.guided[share], measured.lost[share])}
        for share in REMOVED
    ]


def camera_table(world: World, stage: BottomUpStage, guide: Guide, seed: int, scenes: int) -> Rows:
    """The same scenes through every field of view and image size."""
    views = [(hfov, size) for size in SIZES for hfov in HFOVS_DEG]
    cameras = [camera_from_hfov(*size, np.radians(hfov)) for hfov, size in views]
    scores: list[list[FrameScores]] = [[] for _ in views]
    chosen: list[Mask] = []
    for index in track(range(scenes), description="cameras", transient=True):
        images = scene_through(world, np.random.default_rng((seed, 3, index)), cameras)
        for view, image in enumerate(images):
            rng = np.random.default_rng((seed, 4, index, view))
            heatmaps = guide.combined(image, guide.patches(image, rng)[0])
            persons = stage.process(image.image, 0, image.camera, heatmaps).persons
            scores[view].append(score_frame(image.people, persons))
        chosen.append(np.logical_and.reduce([frames[-1].counted for frames in scores]))
    return [
        {"size": f"{width}x{height}", "hfov_deg": hfov, **people_figures(frames, chosen)}
        for (hfov, (width, height)), frames in zip(views, scores, strict=True)
    ]


def speed_table(
    engine: Engine, stage: BottomUpStage, busiest: tuple[LabelledImage, Heatmaps], pose_m: AnyFloats
) -> Rows:
    """Medians on one core: the network, decoding perfect maps of ten people, and the stage on a full frame."""
    joints, camera = crowd(pose_m)
    letterbox = fit_long_side(camera.width, camera.height, 384)
    size, focal = (letterbox.height, letterbox.width), network_focal(camera, letterbox)
    maps = truth_maps(letterbox.points_to_network(project(camera, joints)), joints, focal, size)
    image = np.random.default_rng(0).integers(0, 255, (1, *size, 3)).astype(np.uint8)
    inputs = {"image": image, "guidance": no_guidance(size)[None]}

    def decode() -> int:
        return len(place_people(decode_frame(maps, focal), letterbox.points_to_image, camera))

    frame, heatmaps = busiest
    found = len(stage.process(frame.image, 0, frame.camera, heatmaps).persons)
    return [
        {"what": f"network at {size[1]}x{size[0]}", "ms": median_ms(lambda: engine.run(inputs), 60)},
        {"what": f"decoding, {decode()} people", "ms": median_ms(decode, 100)},
        {
            "what": f"stage on a frame of {frame.camera.width}x{frame.camera.height}, {found} people found",
            "ms": median_ms(lambda: stage.process(frame.image, 0, frame.camera, heatmaps), 60),
        },
    ]


def goals(tables: dict[str, Rows]) -> Rows:
    """What the tables were to show, and whether they do; a value that could not be measured meets no goal."""
    found = [*_guidance_goals(tables["guidance"])]
    for row in tables["detection failures"][1:]:
        found.append(Goal(f"recall_pct_of_{row['removed_pct']}_pct_removed", row["recall"], least=50.0))
    depths = [row["root_depth_pct"] for row in tables["any camera"]]
    ratio = max(depths) / max(min(depths), 1e-9) if None not in depths else None
    network, decoding, _ = tables["speed"]
    found += [
        Goal("root_depth_worst_camera_over_best", ratio, most=1.3),
        Goal("round_trip_max_mm", tables["round trip"][-1]["max_mm"], most=5.0),
        Goal("network_ms", network["ms"], most=60.0),
        Goal("decoding_ms_10_people", decoding["ms"], most=8.0),
    ]
    return judged(found)


def _guidance_goals(rows: Rows) -> list[Goal]:
    """What heatmaps were to gain."""
    cells = {(row["height_px"], row["guidance"]): row for row in rows}

    def gain(height: str, column: str) -> float | None:
        without, guided = (cells[height, f"{how} heatmaps"][column] for how in ("without", "with"))
        if without is None or guided is None:
            return None
        return float(without - guided if column in _LOWER_IS_BETTER else guided - without)

    by_height = [gain(height, column) for height in ("<60", "60-120", ">120") for column in _COLUMNS]
    better = sum(value is not None and value > 0 for value in by_height)
    return [
        *(Goal(f"heatmaps_gain_{column}", gain("all", column), 1e-9, words="> 0") for column in _COLUMNS),
        Goal("heatmaps_better_columns_of_12", float(better), least=12.0),
        Goal("heatmaps_gain_pck150_abs_under_120_px", gain("<120", "pck150_abs"), least=3.0),
    ]
