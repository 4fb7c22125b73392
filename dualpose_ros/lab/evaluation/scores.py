"""Whether the score after fusion is the chance that somebody is there, as `dualpose eval scores` reports it.

On rendered videos, and on photographs whose people all have boxes: somebody is there where a pose is a person of the
truth, each of whom is one pose's. N published people.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from rich.progress import track
from scipy.optimize import linear_sum_assignment, minimize
from scipy.stats import binom

from dualpose_ros.arrays import Floats, Ints, Mask, Rows, rows_of
from dualpose_ros.datasets.coco import ImportOptions, Photograph, load, read_coco
from dualpose_ros.datasets.labels import UNKNOWN, People
from dualpose_ros.datasets.motion import load_clips
from dualpose_ros.drawing import write_figure
from dualpose_ros.errors import InputError
from dualpose_ros.fusion.probability import SITUATIONS, ScoreScale, probabilities, situations
from dualpose_ros.fusion.stage import FusionConfig, FusionStage
from dualpose_ros.lab.evaluation.branches import Branches
from dualpose_ros.lab.evaluation.data_folder import find_data
from dualpose_ros.lab.evaluation.fusion.measures import recorded_frames
from dualpose_ros.lab.evaluation.fusion.tables import recorded
from dualpose_ros.lab.evaluation.people import asked_for, match_people
from dualpose_ros.lab.evaluation.report import Outcome, evaluation
from dualpose_ros.lab.evaluation.report import Rows as Table
from dualpose_ros.lab.evaluation.worlds import held_out_world, scripts_of
from dualpose_ros.lab.synthetic.scenes.sequences import SequenceConfig
from dualpose_ros.metrics.goals import Goal, judged
from dualpose_ros.people import SEEN, Persons, Source, box_iou, oks, share_inside
from dualpose_ros.skeleton import H36M17

FRAMES, SEQUENCES, PHOTOGRAPHS = 12, 36, 200
"""Few frames of many videos: what a video's frames say of its people is nearly the same."""

THRESHOLDS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.7)
RENDERED, PICTURES = "rendered videos", "photographs"

FEWEST = 30
"""People of one situation on one kind of images, of whom more are asked for than so few to fit anything to them."""

BINS = 10
LARGEST_ERROR = 0.05
"""Mean difference of the stated chance and the share of real people, over bins, up to which scores are chances."""

_RAW = ScoreScale(*((0.0, 1.0),) * len(SITUATIONS))
_SAME_BOX, _SAME_POSE = 0.4, 0.5
_SHRINK = 2.0


@dataclass(frozen=True, eq=False)
class Judged(Rows):
    """scores (N,) of the network itself, situation (N,) as `probability.situations`, whether there is somebody (N,)."""

    scores: Floats = field(metadata=rows_of())
    situation: Ints = field(metadata=rows_of(dtype=np.int64))
    real: Mask = field(metadata=rows_of(dtype=np.bool_))

    def chances(self, scale: ScoreScale) -> Floats:
        """The stated chances (N,)."""
        return probabilities(self.scores, self.situation, scale)


@dataclass(frozen=True)
class Measured:
    """Published people, how many true ones were asked for, and in how many images."""

    people: Judged
    asked: int
    images: int


@evaluation("scores")
def evaluate_scores(
    data: Path,
    seed: int,
    root: Path | None = None,
    incomplete: Sequence[str] = (),
    out: Path | None = None,
    sequences: int = SEQUENCES,
    every_split: bool = False,
) -> Outcome:
    """Stated chances beside shares of real people, thresholds, and the scale that would fit best.

    data: folder with motion capture in motion/*.npz and a body in makehuman/*.npz. root: COCO folder whose validation
    photographs are looked at too, `every_split` all of them. incomplete: sources whose photographs show people without
    boxes, which are left out. out: folder for scores.png. sequences: rendered videos; 0: photographs alone.
    Errors: InputError without motion capture, or with nothing to look at; CocoError for a folder of photographs that
    can't be read; WeightsError or EngineError for networks that can't be used.
    """
    if not sequences and root is None:
        raise InputError("`eval scores` looks at rendered videos, photographs of --root, or both")
    chosen = [] if root is None else choose_photographs(root, incomplete, every_split)
    branches = Branches()
    found = {RENDERED: rendered(data, seed, sequences, branches)} if sequences else {}
    if root is not None:
        found[PICTURES] = photographs(chosen, branches)
    scale = FusionConfig().score_scale
    tables: dict[str, Table] = {
        "reliability": [row for name, of in found.items() for row in reliability_rows(name, of.people, scale)],
        "thresholds": [row for name, of in found.items() for row in threshold_rows(name, of, scale)],
        "fit": fit_rows([of.people for of in found.values()]),
    }
    errors = {name: calibration_error(of.people, scale) for name, of in found.items()}
    tables["errors"] = [
        {"on": name, "people": len(_everywhere(of.people)), "error": errors[name],
         "by_chance": chance_error(of.people, scale)}
        for name, of in found.items()
    ]  # fmt: skip
    if out is not None:
        draw_reliability(out / "scores.png", {name: of.people for name, of in found.items()}, scale)
    return tables, judged([Goal(f"score error: {name}", error, most=LARGEST_ERROR) for name, error in errors.items()])


def rendered(data: Path, seed: int, sequences: int, branches: Branches) -> Measured:
    """People in held-out rendered videos: as both branches see them, and as either alone does."""
    mocap, body = find_data(data)
    world, clips = held_out_world(mocap, body, seed), load_clips(mocap, "held_out")
    scripts = scripts_of(world, clips, (seed, 9), sequences, SequenceConfig(frames=FRAMES))
    rows: list[Judged] = []
    asked, sequence, stages = 0, -1, _stages(3)
    frames = list(recorded_frames(recorded(world, scripts, branches, RENDERED)))
    for frame in frames:
        if frame.sequence != sequence:
            sequence, stages = frame.sequence, _stages(3)
        asked += int(asked_for(frame.people).sum())
        seen = ((frame.top_down, frame.bottom_up), (frame.top_down, None), (None, frame.bottom_up))
        for stage, (top_down, bottom_up) in zip(stages, seen, strict=True):
            persons = stage.process(frame.stamp_ns, top_down, bottom_up).persons
            real = match_people(frame.people, persons.keypoints_px) >= 0
            rows.append(_judged(persons, real, (top_down is not None, bottom_up is not None)))
    return Measured(Judged.concatenate(rows), asked, len(frames))


def choose_photographs(root: Path, incomplete: Sequence[str], every_split: bool) -> list[Photograph]:
    """Up to PHOTOGRAPHS of a folder's validation split, or of all, whose people all have boxes; InputError for none."""
    known = [
        p
        for p in read_coco(root, ImportOptions(incomplete=frozenset(incomplete)))
        if (every_split or p.split == "validation") and p.origin.complete
    ]
    if not known:
        split = "" if every_split else "of the validation split "
        more = " without --incomplete" if every_split else ", --every-split takes all"
        raise InputError(f"--root {root} has no picture {split}whose people all have boxes{more}")
    return [known[i] for i in np.linspace(0, len(known) - 1, min(PHOTOGRAPHS, len(known))).astype(int)]


def photographs(chosen: Sequence[Photograph], branches: Branches) -> Measured:
    """People in photographs, each seen as the first two frames of a video.

    Who is found where there is a crowd is neither right nor wrong.
    """
    rows, asked = [], 0
    for photograph in track(chosen, description=PICTURES, transient=True):
        sample = load(photograph)
        branches.restart()
        (stage,) = _stages(1)
        for stamp_ns in (0, 100_000_000):
            seen = branches.process(sample.image, stamp_ns, sample.camera)
            persons = stage.process(stamp_ns, seen.top_down, seen.bottom_up).persons
        alone = sample.people.visible_fraction > 0
        people, crowds = sample.people[alone], sample.people[~alone].boxes_px.astype(np.float64)
        real = on_photograph(people, persons)
        asked += len(people)
        told = real | ~lies_within(seen_boxes(persons), crowds)
        rows.append(_judged(persons[told], real[told], (True, True)))
    return Measured(Judged.concatenate(rows), asked, len(chosen))


def on_photograph(people: People, persons: Persons) -> Mask:
    """Which estimates (N,) are people of a photograph, by joints where they are labelled and by boxes, each one's once.

    Boxes are compared with those of the joints that an estimate sees.
    """
    if not len(people) or not len(persons):
        return np.zeros(len(persons), dtype=bool)
    boxes = people.boxes_px.astype(np.float64)
    alike = box_iou(seen_boxes(persons), boxes) / _SAME_BOX
    labelled = (people.visibility != UNKNOWN).astype(np.float64)
    size = boxes[:, 2:] - boxes[:, :2]
    same = oks(persons.keypoints_px[:, None], people.joints_px[None], size.prod(axis=1)[None] / 2,
               H36M17.oks_sigmas, labelled[None])  # fmt: skip
    value = np.maximum(alike, same / _SAME_POSE)
    real = np.zeros(len(persons), dtype=bool)
    rows, columns = linear_sum_assignment(-np.minimum(value, 1.0))
    real[rows] = value[rows, columns] >= 1
    return real


def seen_boxes(persons: Persons) -> Floats:
    """Boxes (N, 4) of the joints that are seen of people, of all joints where none is."""
    seen = persons.joint_scores >= SEEN
    seen |= ~seen.any(axis=1, keepdims=True)
    low = np.where(seen[..., None], persons.keypoints_px, np.inf).min(axis=1)
    high = np.where(seen[..., None], persons.keypoints_px, -np.inf).max(axis=1)
    return np.concatenate([low, high], axis=1)


def lies_within(boxes_px: Floats, others_px: Floats) -> Mask:
    """Which boxes (N, 4) have more than half of their area in one of others (M, 4)."""
    return np.asarray((share_inside(boxes_px, others_px) > 0.5).any(axis=1))


def _stages(count: int) -> list[FusionStage]:
    return [FusionStage(FusionConfig(score_scale=_RAW, min_score=0.0, min_new_score=0.0)) for _ in range(count)]


def _judged(persons: Persons, real: Mask, looked: tuple[bool, bool]) -> Judged:
    own, other = persons.sources != Source.BOTTOM_UP, persons.sources != Source.TOP_DOWN
    return Judged(persons.scores, np.asarray(situations(own, other, looked), dtype=np.int64), real)


def _everywhere(people: Judged) -> Judged:
    """Those of images that both branches have looked at."""
    return people[people.situation < 3]


def reliability_rows(name: str, people: Judged, scale: ScoreScale) -> Table:
    """Stated chances and shares of real people, in bins of the chance, where both branches have looked."""
    seen = _everywhere(people)
    chances = seen.chances(scale)
    rows: Table = []
    for at in range(BINS):
        own = np.minimum((chances * BINS).astype(int), BINS - 1) == at
        if own.any():
            rows.append({"on": name, "from": at / BINS, "people": int(own.sum()),
                         "stated": float(chances[own].mean()), "real": float(seen.real[own].mean())})  # fmt: skip
    return rows


def calibration_error(people: Judged, scale: ScoreScale) -> float | None:
    """Mean over people of the difference of stated chance and share of real ones in their bin; None for nobody."""
    rows = reliability_rows("", people, scale)
    return _mean_over_people(rows, [abs(row["stated"] - row["real"]) for row in rows])


def chance_error(people: Judged, scale: ScoreScale) -> float | None:
    """The `calibration_error` to expect of so many people if every stated chance were right; None for nobody.

    Shares of few people differ from chances by luck: the mean absolute deviation of a binomial, bin by bin.
    """
    rows = reliability_rows("", people, scale)
    errors = []
    for row in rows:
        real = np.arange(row["people"] + 1)
        errors.append(float(binom.pmf(real, row["people"], row["stated"]) @ abs(real / row["people"] - row["stated"])))
    return _mean_over_people(rows, errors)


def _mean_over_people(rows: Table, errors: Sequence[float]) -> float | None:
    return float(np.average(errors, weights=[row["people"] for row in rows])) if rows else None


def threshold_rows(name: str, measured: Measured, scale: ScoreScale) -> Table:
    """Share of the true people who are published, and published people who are nobody an image, by `min_score`."""
    seen = _everywhere(measured.people)
    chances = seen.chances(scale)
    return [
        {"on": name, "min_score": limit,
         "found": float((seen.real & (chances >= limit)).sum() / max(measured.asked, 1)),
         "ghosts_an_image": float((~seen.real & (chances >= limit)).sum() / max(measured.images, 1))}
        for limit in THRESHOLDS
    ]  # fmt: skip


def fit_rows(found: Iterable[Judged]) -> Table:
    """The offset and slope of each situation that fit best, over all kinds of images, each counting the same."""
    kinds = [people for people in found if len(people)]
    rows: Table = []
    for number, name in enumerate(SITUATIONS):
        parts = [people[people.situation == number] for people in kinds]
        parts = [part for part in parts if len(part) >= FEWEST]
        if not parts:
            continue
        weights = np.concatenate([np.full(len(part), 1000 / len(part)) for part in parts])
        people = Judged.concatenate(parts)
        offset, slope = fitted(people.scores, people.real, weights)
        rows.append({"seen": name, "people": len(people), "real": float(people.real.mean()),
                     "offset": offset, "slope": slope})  # fmt: skip
    return rows


def fitted(scores: Floats, real: Mask, weights: Floats) -> tuple[float, float]:
    """Offset and slope of the likeliest logistic regression on the scores' log odds, the slope drawn a little to 1."""
    score = np.clip(scores, 1e-6, 1 - 1e-6)
    odds = np.log(score / (1 - score))

    def loss(line: Floats) -> float:
        value = line[0] + line[1] * odds
        return float((weights * (np.logaddexp(0, value) - real * value)).sum() + _SHRINK * (line[1] - 1) ** 2)

    offset, slope = minimize(loss, np.array([0.0, 1.0])).x
    return round(float(offset), 2), round(float(slope), 2)


def draw_reliability(path: Path, found: dict[str, Judged], scale: ScoreScale) -> None:
    """Stated chances against shares of real people, with how many there are of each."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 5.6), layout="constrained")
    upper, lower = figure.subplots(2, 1, height_ratios=(4, 1), sharex=True)
    upper.plot([0, 1], [0, 1], color="0.7", linewidth=1)
    width = 0.8 / BINS / len(found)
    for place, (name, people) in enumerate(found.items()):
        rows = reliability_rows(name, people, scale)
        upper.plot([row["stated"] for row in rows], [row["real"] for row in rows], marker="o", label=name)
        middles = [row["from"] + 0.5 / BINS + (place - (len(found) - 1) / 2) * width for row in rows]
        lower.bar(middles, [row["people"] for row in rows], width)
    upper.set(ylabel="share who are there", xlim=(0, 1), ylim=(0, 1))
    lower.set(xlabel="score", ylabel="people", yscale="log")
    lower.minorticks_off()
    upper.legend()
    write_figure(path, figure, 110)
