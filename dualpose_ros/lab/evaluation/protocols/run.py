"""One data set under one protocol: the live stages or stored predictions, sequence by sequence, resumable."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import track

from dualpose_ros.arrays import Floats
from dualpose_ros.camera import Camera, project
from dualpose_ros.datasets.predictions import (
    FoundPeople,
    Predictions,
    predictions_file,
    read_predictions,
    write_predictions,
)
from dualpose_ros.datasets.published.catalogue import open_dataset
from dualpose_ros.datasets.published.truth import DatasetError, TruthFrame, TruthSequence
from dualpose_ros.drawing import write_figure
from dualpose_ros.lab.evaluation.branches import STAGES
from dualpose_ros.lab.evaluation.protocols import bodies, crowds, mupots, pictures
from dualpose_ros.lab.evaluation.protocols.protocol import Protocol
from dualpose_ros.lab.evaluation.report import Outcome, Rows, evaluation
from dualpose_ros.skeleton import H36M17

_STORED_EVERY_S = 60.0

PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        mupots.OFFICIAL, mupots.OFFICIAL_UNIVERSAL, mupots.RELEASED, mupots.MUCO, crowds.JTA_F1, bodies.H36M_1,
        bodies.H36M_2, bodies.THREEDPW, crowds.PANOPTIC_MPJPE, pictures.COCO_AP, pictures.COCO_LIMBS,
        pictures.CROWDPOSE_AP,
    )
}  # fmt: skip


@dataclass(frozen=True)
class DatasetOptions:
    """dataset, root: what to read; protocol: how to score it, the data set's first one without; predictions: folder
    of the live stages' own, which write there as they go what it lacks (none: they are not kept); stored_only: what is
    there counts, whose ever it is, and no stage runs; stage: whose people count; sequences: some alone; max_frames: of
    each; out: folder for a picture of the PCK curve; top_down: the network on patches, as `top_down.weights` names
    it."""

    dataset: str
    root: Path
    protocol: str | None = None
    predictions: Path | None = None
    stored_only: bool = False
    stage: str = "refined"
    sequences: tuple[str, ...] = ()
    max_frames: int | None = None
    out: Path | None = None
    top_down: str = "top_down"


def protocol_of(dataset: str, name: str | None) -> Protocol:
    """A data set's protocol by name, its first one without; DatasetError names those that there are."""
    own = [protocol for protocol in PROTOCOLS.values() if protocol.dataset == dataset]
    if name is None and own:
        return own[0]
    chosen = next((protocol for protocol in own if protocol.name == name), None)
    if chosen is None:
        raise DatasetError(
            f"{dataset} has no protocol '{name}'; there are {', '.join(p.name for p in own) or 'none for it'}"
        )
    return chosen


@evaluation("dataset")
def evaluate_dataset(options: DatasetOptions) -> Outcome:
    """Score a data set; what the protocol assumes is the first table.

    Errors: DatasetError for what is missing, damaged or contradicts itself; errors of the stages' networks.
    """
    protocol = protocol_of(options.dataset, options.protocol)
    if options.stage not in STAGES:
        raise DatasetError(f"unknown stage '{options.stage}'; there are {', '.join(STAGES)}")
    if options.out is not None and not protocol.has_curve:
        raise DatasetError(f"--out does nothing with {protocol.name}, which has no PCK curve")
    sequences = _chosen(open_dataset(options.dataset, options.root, **(protocol.truth or {})), options.sequences)
    measured: dict[str, Any] = {}
    systems = set()
    for number, sequence in enumerate(sequences):
        found = _predictions(sequence, options, f"{number + 1}/{len(sequences)} {sequence.name}")
        systems.add(found.system)
        measured[sequence.name] = protocol.measure(sequence, _pairs(sequence, found, options))
    if len(systems) > 1:
        raise DatasetError(f"predictions of several systems lie together: {', '.join(sorted(systems))}")
    assumed: Rows = [{"protocol": protocol.name, "system": systems.pop() if systems else "-", "assumes": line}
                     for line in protocol.assumes]  # fmt: skip
    tables = protocol.tables(measured)
    if options.out is not None:
        _draw_curve(options.out, tables[f"{protocol.name}: PCK curve"])
    return {"what these figures assume": assumed, **tables}, []


def _draw_curve(folder: Path, rows: Rows) -> None:
    """pck.png: the share of joints within a distance, about the root and in the camera frame."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.add_subplot(xlabel="mm", ylabel="joints within, per cent", ylim=(0, 100))
    for column in (column for column in rows[0] if column != "mm"):
        axes.plot([row["mm"] for row in rows], [row[column] for row in rows], label=column.split("_")[1])
    axes.legend()
    write_figure(folder / "pck.png", figure, 110)


def _chosen(sequences: Sequence[TruthSequence], names: Sequence[str]) -> list[TruthSequence]:
    unknown = set(names) - {sequence.name for sequence in sequences}
    if unknown:
        raise DatasetError(
            f"no sequence '{min(unknown)}'; there are {', '.join(sequence.name for sequence in sequences)}"
        )
    return [sequence for sequence in sequences if not names or sequence.name in names]


def _predictions(sequence: TruthSequence, options: DatasetOptions, title: str) -> Predictions:
    """Those that are stored, or what the live stages say, stored as they go where a folder is named."""
    stored = None
    if options.predictions is not None and (path := predictions_file(options.predictions, sequence.name)).is_file():
        stored = read_predictions(path)
        if stored.sequence != sequence.name:
            raise DatasetError(f"{path} is of sequence '{stored.sequence}', not '{sequence.name}'")
    if not options.stored_only:
        return _seen(sequence, stored, options, title)
    if stored is None:
        raise DatasetError(f"no predictions of {sequence.name}: {options.predictions}/{sequence.name}.json is missing")
    return stored


def _seen(sequence: TruthSequence, stored: Predictions | None, options: DatasetOptions, title: str) -> Predictions:
    """What the live stages say of a sequence, some of which they may have stored before."""
    from dualpose_ros.lab.evaluation.protocols.live import picture_of, predict, shots_of, system_of

    system, shots = system_of(options.stage, options.top_down), shots_of(_frames(sequence, options))
    frames: dict[int, FoundPeople] = {}
    pictures: dict[int, str] = {}
    if stored is not None:
        _check_own(sequence, stored, system, [frame for shot in shots for frame in shot], options)
        frames, pictures = dict(stored.frames), dict(stored.pictures)
    found = Predictions(sequence.name, system, H36M17.joint_names, frames, pictures)
    missing = [shot for shot in shots if any(frame.index not in frames for frame in shot)]
    folder, before, stored_s = options.predictions, len(frames), time.monotonic()
    ends, own = {shot[-1].index for shot in missing}, list[tuple[TruthFrame, FoundPeople]]()
    seen = predict(sequence, missing, options.stage, options.top_down)
    try:
        for frame, people in track(seen, title, sum(map(len, missing)), transient=True):
            own.append((frame, people))
            if frame.index not in ends:
                continue
            # A video that ended half way has to be seen from its beginning.
            frames.update((done.index, there) for done, there in own)
            pictures.update((done.index, picture_of(sequence, done)) for done, _ in own)
            own.clear()
            if folder is not None and time.monotonic() - stored_s > _STORED_EVERY_S:
                write_predictions(folder, found)
                stored_s = time.monotonic()
    finally:
        if folder is not None and len(frames) > before:
            write_predictions(folder, found)
    return found


def _check_own(
    sequence: TruthSequence, stored: Predictions, system: str, frames: Sequence[TruthFrame], options: DatasetOptions
) -> None:
    """DatasetError where what is stored is another system's, or of other pictures: a run can't go on with it."""
    from dualpose_ros.lab.evaluation.protocols.live import picture_of

    path = predictions_file(options.predictions or Path(), sequence.name)
    if stored.system != system:
        raise DatasetError(
            f"{path} holds what '{stored.system}' says, not '{system}': score it as it is with --stored-only, or name "
            "another folder with --predictions"
        )
    for frame in frames:
        told, here = stored.pictures.get(frame.index, "an unknown picture"), picture_of(sequence, frame)
        if frame.index in stored.frames and told != here:
            raise DatasetError(
                f"{path}: frame {frame.index} is of {told}, but in {options.root} it is {here}: score it as it is with "
                "--stored-only, or name another folder with --predictions"
            )


def _frames(sequence: TruthSequence, options: DatasetOptions) -> Iterator[TruthFrame]:
    for number, frame in enumerate(sequence.frames()):
        if options.max_frames is not None and number >= options.max_frames:
            return
        yield frame


def _pairs(
    sequence: TruthSequence, found: Predictions, options: DatasetOptions
) -> Iterator[tuple[TruthFrame, FoundPeople]]:
    """Truth and found people frame by frame; pixels that were not stored are where the camera sees the joints."""
    for frame in _frames(sequence, options):
        if frame.index not in found.frames:
            raise DatasetError(
                f"predictions of {sequence.name} have no frame {frame.index}; one where nobody was found has no people"
            )
        people = found.frames[frame.index].renamed(found.joint_names, sequence.joint_names)
        yield frame, replace(people, joints_px=_pixels(people, frame.camera))


def _pixels(people: FoundPeople, camera: Camera | None) -> Floats:
    if camera is None or not len(people):
        return people.joints_px
    seen = project(camera, np.where(people.joints_cam[..., 2:] > 0, people.joints_cam, np.nan))
    return np.where(np.isfinite(people.joints_px), people.joints_px, seen)
