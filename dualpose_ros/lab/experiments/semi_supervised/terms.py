"""The terms of semi-supervised training (paper, section 3.4, Eqs. 10 to 12), of whichever network, and its rows.

N people, K joints of `skeleton.H36M17`; metres.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from dualpose_ros.arrays import AnyFloats, Floats, Mask
from dualpose_ros.datasets.recordings import RecordingError, Recordings, load_recordings
from dualpose_ros.fusion.integrate import NetworkIntegrator
from dualpose_ros.inference.engine import Engine
from dualpose_ros.inference.load import load_engine
from dualpose_ros.lab.experiments.semi_supervised.data import VALIDATION_ONE_IN, K
from dualpose_ros.lab.experiments.semi_supervised.evaluation import relifted
from dualpose_ros.lab.experiments.semi_supervised.rows import ROWS, Terms
from dualpose_ros.lab.training.fusion.discriminator import (
    DiscriminatorConfig,
    InterPersonDiscriminator,
    adversarial_loss,
)
from dualpose_ros.lab.training.fusion.pair_rows import PairRows, pair_rows
from dualpose_ros.lab.training.loop.task import TrainingError
from dualpose_ros.people import Poses
from dualpose_ros.settings import Settings, setting

Batch = TypeVar("Batch")


@dataclass(frozen=True)
class SemiSupervision(Settings):
    """What the rows of Table 4 share.

    row: one of ROWS; recordings: folder of `dualpose synth recordings`; teacher_lifting, teacher_fusion: ONNX files
    of the networks that were trained on the labelled domain alone, which make the pseudo-labels; gcn: the ONNX file
    of what completes poses before they are lifted, None for nothing.
    SettingError or TrainingError names a bad value.
    """

    recordings: str
    row: str = "none"
    teacher_lifting: str | None = None
    teacher_fusion: str | None = None
    gcn: str | None = None
    reprojection: float = setting(30.0, "weight of reprojection (Eq. 11) against the supervised loss", least=0)
    perspective: float = setting(1.0, "weight of turned views (Eq. 11) against it", least=0)
    adversarial: float = setting(0.1, "weight of what the discriminator says", least=0)
    sureness: float = setting(1.0, "weight of scores, to stay those of the pseudo-labels", least=0)
    epoch: int = setting(200, "steps that count as an epoch in Eq. 12", unit="steps", least=1)
    meetings: int = setting(800, "moments of people who meet, for the discriminator", unit="moments", least=0)
    mocap: str | None = setting(None, "captured clips (datasets/motion.py), for it too; null: none")
    noise: float = setting(
        0.03, "deviation of turned people's 2D joints, as a share of their size on the image", least=0
    )
    turn: float = setting(float(np.pi), "by how much they are turned at most", unit="rad", least=0)
    hold_depths: bool = setting(
        False, "keep the depths of the lifting network that makes the pseudo-labels, and learn joints alone"
    )
    calibrated: bool = setting(True, "scale deviations by the labelled validation data in the end")
    seed: int = setting(0, "of the meetings", least=0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.row not in ROWS:
            raise TrainingError(f"there is no row '{self.row}'; there are {', '.join(ROWS)}")
        if self.terms.unlabelled and not (self.teacher_lifting and self.teacher_fusion):
            raise TrainingError(f"row '{self.row}' needs the networks of row 'none' as teachers, lifting and fusion")

    @property
    def terms(self) -> Terms:
        """Those of the row."""
        return ROWS[self.row]

    def load_gcn(self) -> Engine | None:
        """What completes poses; EngineError if the file can't be used."""
        return load_engine(self.gcn) if self.gcn else None


FRESH = ("discriminator.", "steps", "row")
"""What of a student no exported network holds."""


class Student(nn.Module):
    """A network with the discriminator of its poses; `forward` is the network's.

    It counts its steps, since Eq. 12 depends on the epoch, so that a resumed run goes on with the same weights;
    one that starts from another row's weights starts counting anew.
    """

    steps: Tensor
    row: Tensor

    def __init__(self, network: nn.Module, discriminator: DiscriminatorConfig, row: str) -> None:
        super().__init__()
        self.network = network
        self.discriminator = InterPersonDiscriminator(discriminator)
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))
        self.register_buffer("row", torch.tensor(list(ROWS).index(row)))
        self.register_load_state_dict_pre_hook(_take_over)

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        out: tuple[Tensor, ...] = self.network(*inputs)
        return out

    def next_epoch(self, steps: int) -> float:
        """Count a step; the epoch r of Eq. 12, from 1, of so many steps each."""
        epoch = 1 + float(self.steps) / steps
        self.steps += 1
        return epoch


def only_one(samples: Sequence[Batch], task: str) -> Batch:
    """The sample that is a batch; TrainingError for more."""
    if len(samples) != 1:
        raise TrainingError(f"batch_size is {len(samples)}, but a sample of {task} is a batch: set it to 1")
    return samples[0]


def _take_over(student: nn.Module, state: dict[str, Any], prefix: str, *_: object) -> None:
    """Start anew where the weights are another row's."""
    assert isinstance(student, Student)
    if int(state[f"{prefix}row"]) != int(student.row):
        state[f"{prefix}row"], state[f"{prefix}steps"] = student.row.clone(), torch.zeros_like(student.steps)


def reprojection_errors(joints_cam: Tensor, rays: Tensor, confidence: Tensor, extent: Tensor) -> Tensor:
    """Eq. 10 of each person (N,): squared distances of joints (N, K, 3) from where they were found (N, K, 2).

    In units of the person's size on the image, extent (N,), so that near people count as far ones do; rays are those
    of the camera of joints_cam.
    """
    projected = joints_cam[..., :2] / joints_cam[..., 2:].clamp(min=0.2)
    squared = (((projected - rays) / extent[:, None, None]) ** 2).sum(dim=-1)
    # A joint taken for another one is off by a body; it should not outweigh all others.
    return (confidence * squared.clamp(max=4.0)).mean(dim=-1)


def easy_weights(errors: Sequence[Tensor], epoch: float) -> Tensor:
    """Eq. 12: weights (N,) of the samples of a batch by their errors (N,) of each term, with a mean of 1.

    As printed, softmax(E / r) would weigh the hardest samples most, against what the text says of it; here it is
    softmax(-E / r), with the errors in units of their mean, since the two terms have different ones.
    """
    total = sum(torch.softmax(-e.detach() / (epoch * e.detach().mean().clamp(min=1e-9)), dim=0) for e in errors)
    return torch.as_tensor(total) * (len(errors[0]) / len(errors))


def place(joints: Tensor, depth: Tensor, rays: Tensor, weight: Tensor) -> Tensor:
    """Joints in a virtual camera (N, K, 3) from those relative to the root and its depth (N,) along the axis.

    As `top_down.lifting.person_view.place_root`: x and y fit the rays (N, K, 2) found best, weighted (N, K).
    """
    wanted = rays * (joints[..., 2:] + depth[:, None, None]) - joints[..., :2]
    shares = weight / weight.sum(dim=1, keepdim=True).clamp(min=1e-9)
    across = (shares[..., None] * wanted).sum(dim=1)
    return joints + torch.cat([across, depth[:, None]], dim=1)[:, None]


def unnatural(student: Student, estimated: Tensor, real: Tensor, together: Tensor, scale: float) -> Tensor:
    """Minus L_dis (Eq. 8) of estimated against real people, both upright (G, 2, K, 3); the second of each is
    there where `together` (G,)."""
    present = torch.stack([torch.ones_like(together), together], dim=1)
    return adversarial_loss(student.discriminator, estimated, real, present, scale)


@dataclass(frozen=True)
class Domains:
    """Recordings, and which frames (F,) are of each domain, for training and for validation."""

    recordings: Recordings
    labelled: Mask
    unlabelled: Mask
    labelled_validation: Mask
    unlabelled_validation: Mask


def domains(folder: str) -> Domains:
    """Walking people before level cameras are labelled, everything else is not; TrainingError without recordings.

    Where nothing of the latter has any truth, as in a user's own video, all of it is learnt from.
    """
    try:
        recordings = load_recordings(Path(folder))
    except RecordingError as error:
        raise TrainingError(str(error)) from error
    apart = recordings.frames.sequence % VALIDATION_ONE_IN == VALIDATION_ONE_IN - 1
    level = recordings.frames.level
    blind = not (~level)[recordings.truth.frame].any()
    if blind:
        apart &= level
    parts = (level & ~apart, ~level & ~apart, level & apart, ~level & apart)
    names = ("labelled", "unlabelled", "labelled validation", "unlabelled validation")[: 3 if blind else 4]
    for name, part in zip(names, parts, strict=False):
        if not part.any():
            raise TrainingError(f"{folder} holds no {name} sequences; make more recordings")
    return Domains(recordings, *parts)


def taught(data: SemiSupervision, recordings: Recordings, frames: Mask) -> tuple[PairRows, Poses]:
    """What the teachers make of the `frames` (F,) chosen, to be pseudo-labels."""
    assert data.teacher_lifting and data.teacher_fusion
    rows = pair_rows(relifted(recordings, load_engine(data.teacher_lifting), data.load_gcn()), frames)
    return rows, NetworkIntegrator(load_engine(data.teacher_fusion))(rows.pairs)


def by_estimate(rows: PairRows, answer: Poses, count: int) -> Floats:
    """The fused joints of each of `count` top-down estimates (M, K, 3), NaN for those that have none."""
    joints = np.full((count, K, 3), np.nan)
    chosen = rows.top_down >= 0
    joints[rows.top_down[chosen]] = answer.joints_cam[chosen]
    return joints


def floats(values: AnyFloats) -> Tensor:
    """Numbers as a network takes them."""
    return torch.from_numpy(np.asarray(values, np.float32))
