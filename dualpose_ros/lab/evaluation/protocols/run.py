"""One data set under one protocol: the live stages or stored predictions, sequence by sequence, resumable."""

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
    of stored ones, read where they are there and written by the live stages where not (none: they are not kept);
    stored_only: refuse to run the stages; stage: whose people count; sequences: some alone; max_frames: of each;
    out: folder for a picture of the PCK curve; top_down: the
    network on patches, as `top_down.weights` names it."""

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
        _draw_curve(options.out, tables.get(f"{protocol.name}: PCK curve", []))
    return {"what these figures assume": assumed, **tables}, []


def _draw_curve(folder: Path, rows: Rows) -> None:
    """pck.png: the share of joints within a distance, about the root and in the camera frame."""
    from matplotlib.figure import Figure

    if not rows:
        return
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
    """Those that are stored, or what the live stages say, stored where a folder is named."""
    if options.predictions is not None and (path := predictions_file(options.predictions, sequence.name)).is_file():
        found = read_predictions(path)
        if found.sequence != sequence.name:
            raise DatasetError(f"{path} is of sequence '{found.sequence}', not '{sequence.name}'")
        return found
    if options.stored_only:
        raise DatasetError(f"no predictions of {sequence.name}: {options.predictions}/{sequence.name}.json is missing")
    from dualpose_ros.lab.evaluation.protocols.live import predict

    frames = track(_frames(sequence, options), title, transient=True)
    found = predict(sequence, frames, options.stage, options.top_down)
    if options.predictions is not None:
        write_predictions(options.predictions, found)
    return found


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
