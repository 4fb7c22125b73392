"""Sequences of people's 2D joints with their 3D truth, for training the GCN and the lifting network.

They are drawn on the device that trains: a sample is nothing but a seed. N sequences, M frames, K joints of
`skeleton.H36M17`.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor

from dualpose_ros.datasets.joint_errors import load_joint_errors
from dualpose_ros.datasets.motion import load_clips
from dualpose_ros.lab.synthetic.motion.motion import generate
from dualpose_ros.lab.training.lifting.bank import BANK_HZ, Bank, BankConfig, Sequence3D, clip_bank, collect, make_bank
from dualpose_ros.lab.training.lifting.bodies import MotionTensors
from dualpose_ros.lab.training.lifting.dice import Dice
from dualpose_ros.lab.training.lifting.faults import ErrorTensors
from dualpose_ros.lab.training.lifting.views import Sequences, ViewConfig, draw_sequences
from dualpose_ros.lab.training.loop.precision import in_full_precision
from dualpose_ros.settings import Settings, setting
from dualpose_ros.skeleton import H36M17

MotionBatch = TypeVar("MotionBatch", bound=Any)
"""A task's named tuple of tensors, each with the rows of one chunk after the other."""

_HELD_OUT_KINDS = ("walk", "turn", "conversation", "sit_down", "reach", "pick_up")


@dataclass(frozen=True)
class MotionData(Settings):
    """Movements, cameras and 2D errors to train on."""

    bank: BankConfig = setting(BankConfig(), "where movements come from, and how many")
    views: ViewConfig = setting(ViewConfig(), "people, cameras, and 2D errors")
    sequences: int = setting(48, "sequences drawn at once: a sample", unit="sequences", least=1)
    frames: int = setting(54, "length of each; more than the network's window", unit="frames", least=1)
    chunks: int = setting(2000, "samples of an epoch", unit="samples", least=1)
    validation_chunks: int = setting(24, "samples of validation, half with exact 2D, half with errors", least=1)
    validation_sequences: int = setting(32, "sequences in each of them, of clips kept apart", unit="sequences", least=1)
    bank_seed: int = setting(0, "of the movements", least=0)
    errors: str | None = setting(None, "2D errors, as `dualpose eval joints --save` writes; null: all are modelled")


class Draw(NamedTuple):
    """Seeds (B,) of chunks, and their kinds (B,): TRAINING, EXACT or NOISY."""

    seeds: Tensor
    kinds: Tensor


TRAINING, EXACT, NOISY = range(3)


class Seeds:
    """Samples that say no more than what to draw; see `loop.task.Samples`."""

    def __init__(self, count: int, validation: bool = False) -> None:
        self._count, self._validation = count, validation

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int, /) -> tuple[int, int]:
        return self.draw(index, np.random.default_rng(index))

    def draw(self, index: int, rng: np.random.Generator) -> tuple[int, int]:
        """A seed from the randomness of `rng` alone; in validation every other chunk is exact."""
        return int(rng.integers(2**62)), (EXACT, NOISY)[index % 2] if self._validation else TRAINING


def to_draw(samples: Sequence[tuple[int, int]]) -> Draw:
    """Samples to a batch."""
    seeds, kinds = zip(*samples, strict=True)
    return Draw(torch.tensor(seeds), torch.tensor(kinds))


class MotionSource:
    """Draws sequences of one bank for training, and of another for validation; keeps both on each device used."""

    def __init__(self, data: MotionData, banks: tuple[Bank, Bank] | None = None) -> None:
        """banks: of training and validation, made of the settings unless given."""
        self.data = data
        self._banks = banks
        self._errors = load_joint_errors(Path(data.errors)) if data.errors else None
        self._placed: dict[tuple[str, torch.device], Any] = {}

    def draw(self, batch: Draw) -> list[tuple[Sequences, bool, Dice]]:
        """Sequences of each chunk, whether they have 2D errors, and what is left of its randomness."""
        device = batch.seeds.device
        errors = self._on("errors", device)
        drawn = []
        for seed, kind in zip(batch.seeds.tolist(), batch.kinds.tolist(), strict=True):
            dice = Dice(seed, device)
            bank = self._on("train" if kind == TRAINING else "validation", device)
            count = self.data.sequences if kind == TRAINING else self.data.validation_sequences
            views = _views(self.data.views, kind)
            drawn.append((draw_sequences(bank, views, dice, count, self.data.frames, errors), kind != EXACT, dice))
        return drawn

    def _on(self, what: str, device: torch.device) -> Any:
        if (what, device) not in self._placed:
            if what == "errors":
                placed: Any = ErrorTensors.of(self._errors, device) if self._errors is not None else None
            else:
                if self._banks is None:
                    made = make_bank(self.data.bank, np.random.default_rng(self.data.bank_seed))
                    self._banks = made, _kept_apart(self.data)
                placed = MotionTensors.of(self._banks[what == "validation"], device)
            self._placed[what, device] = placed
        return self._placed[what, device]


class MotionTask(Generic[MotionBatch]):
    """What the tasks that learn from motion have in common: samples are seeds, drawn where the network is."""

    def __init__(self, data: MotionData, banks: tuple[Bank, Bank] | None = None) -> None:
        """banks: of training and validation, instead of those of the settings."""
        self.data = data
        self.source = MotionSource(data, banks)

    def datasets(self) -> tuple[Seeds, Seeds]:
        """Seeds of the drawn bank, and of movement kept apart; no cache is read."""
        return Seeds(self.data.chunks), Seeds(self.data.validation_chunks, validation=True)

    def collate(self, samples: Sequence[tuple[int, int]]) -> Draw:
        """Seeds to a batch."""
        return to_draw(samples)

    def drawn(self, draw: Draw | MotionBatch) -> MotionBatch:
        """What the seeds stand for, on their device, whatever the network computes in; what was drawn before, as it
        is."""
        if not isinstance(draw, Draw):
            return draw
        with torch.no_grad(), in_full_precision(draw.seeds.device):
            parts = [self.batch_of(*chunk) for chunk in self.source.draw(draw)]
        joined: MotionBatch = type(parts[0])(*(torch.cat(part) for part in zip(*parts, strict=True)))
        return joined

    def batch_of(self, sequences: Sequences, noisy: bool, dice: Dice) -> MotionBatch:
        """What the network learns from of one chunk, as `MotionSource.draw` gives it."""
        raise NotImplementedError


def _views(views: ViewConfig, kind: int) -> ViewConfig:
    """Everybody as captured in validation, and without errors and faults where it is exact."""
    if kind == TRAINING:
        return views
    bodies = dataclasses.replace(views.bodies, as_captured=True)
    if kind == EXACT:
        return dataclasses.replace(views, bodies=bodies, exact=1.0, whole=1.0)
    return dataclasses.replace(views, bodies=bodies, exact=0.0)


def _kept_apart(data: MotionData) -> Bank:
    clips = load_clips(data.bank.mocap, "validation") if data.bank.mocap else []
    if clips:
        return clip_bank(clips)
    rng = np.random.default_rng(data.bank_seed + 1)
    motions = [generate(kind, rng, 6.0, BANK_HZ).joints_m for kind in _HELD_OUT_KINDS for _ in range(4)]
    return collect([Sequence3D(joints, "made", "") for joints in motions])


def truth_in_view(joints_cam: Tensor, to_camera: Tensor) -> tuple[Tensor, Tensor]:
    """Root-relative joints (N, K, 3) and the root's depth (N,) along the axes of virtual cameras (N, 3, 3)."""
    turned = joints_cam @ to_camera
    root = turned[:, H36M17.root]
    return turned - root[:, None], root[:, 2]
