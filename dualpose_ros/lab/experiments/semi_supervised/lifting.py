"""Semi-supervised training of a lifting network on recorded tracks (paper, section 3.4), for `loop.trainer`.

N tracks, T frames, K joints of `skeleton.H36M17`; metres, virtual camera axes (see `top_down.lifting.person_view`).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from dualpose_ros.arrays import Ints
from dualpose_ros.inference.export import ExportSpec
from dualpose_ros.inference.load import load_engine
from dualpose_ros.lab.experiments.semi_supervised.data import (
    K,
    RealPeople,
    Targets,
    Tracks,
    draw_sequences,
    make_tracks,
    pairs_within,
    real_people,
    smoothed,
    take,
    targets,
    turned_targets,
)
from dualpose_ros.lab.experiments.semi_supervised.terms import (
    FRESH,
    SemiSupervision,
    Student,
    by_estimate,
    domains,
    easy_weights,
    floats,
    only_one,
    place,
    reprojection_errors,
    taught,
    unnatural,
)
from dualpose_ros.lab.training.fusion.discriminator import DiscriminatorConfig
from dualpose_ros.lab.training.lifting.task import Batch as LiftingBatch
from dualpose_ros.lab.training.lifting.task import LiftingTask, LiftingTraining, lifting_loss
from dualpose_ros.lab.training.loop.task import DrawnSamples
from dualpose_ros.lab.training.losses import gaussian_nll
from dualpose_ros.settings import Settings, setting
from dualpose_ros.skeleton import BODY
from dualpose_ros.top_down.lifting.lifter import ANSWERS, empty_memory
from dualpose_ros.top_down.lifting.network import LiftingConfig, TemporalLifter


@dataclass(frozen=True)
class SemiSupervisedLifting(Settings):
    """The network and what it learns from."""

    data: SemiSupervision
    network: LiftingConfig = setting(LiftingConfig(9, 96, 112, 1, 0.05), "size of the network")
    discriminator: DiscriminatorConfig = setting(DiscriminatorConfig(), "size of the discriminator")
    tracks: int = setting(24, "tracks of either domain in a sample", unit="tracks", least=1)
    groups: int = setting(128, "groups of one or two of them that the discriminator sees", unit="groups", least=1)
    samples: int = setting(1000, "samples of an epoch", unit="samples", least=1)


class Found(NamedTuple):
    """Unlabelled tracks. features (N, T, F); rays (N, T, K, 2) in the virtual camera, confidence (N, T, K) and extent
    (N, T) as found; there (N, T); upright (N, T, 3, 3): virtual camera axes -> upright ones. For the discriminator,
    first and second (G,), places in N * T; together (G,): whether there is a second; real (G, 2, K, 3), upright."""

    features: Tensor
    rays: Tensor
    confidence: Tensor
    extent: Tensor
    there: Tensor
    upright: Tensor
    first: Tensor
    second: Tensor
    together: Tensor
    real: Tensor


class Turned(NamedTuple):
    """Pseudo-labels seen from elsewhere, row by row the tracks of `Found`; see `lifting.task.Batch`."""

    features: Tensor
    joints: Tensor
    log_depth_extent: Tensor
    counted: Tensor


class Batch(NamedTuple):
    """Labelled tracks, and unlabelled ones where the row has terms for them."""

    labelled: LiftingBatch
    found: Found | None
    turned: Turned | None


class FixedTracks:
    """All tracks of both domains, some a sample; those that are not labelled are marked as noisy."""

    def __init__(self, parts: Sequence[tuple[Tracks, bool]], size: int) -> None:
        self._slices = [(tracks, far, start) for tracks, far in parts for start in range(0, len(tracks), size)]
        self._size = size

    def __len__(self) -> int:
        return len(self._slices)

    def __getitem__(self, index: int, /) -> Batch:
        tracks, unlabelled, start = self._slices[index]
        chosen = take(tracks, np.arange(start, min(start + self._size, len(tracks))))
        return Batch(_labelled(chosen, unlabelled), None, None)


class SemiSupervisedLiftingTask:
    """A lifting network on recorded tracks as a `loop.task.Task`; TrainingError without recordings."""

    name = "semi_supervised_lifting"
    starts_fresh = FRESH

    def __init__(self, training: SemiSupervisedLifting) -> None:
        self.training = training
        self._gcn = training.data.load_gcn()
        data = training.data
        self._held = load_engine(data.teacher_lifting) if data.hold_depths and data.teacher_lifting else None
        self._supervised = LiftingTask(LiftingTraining(network=training.network))

    def build_model(self) -> nn.Module:
        """The untrained network and its discriminator."""
        training = self.training
        return Student(TemporalLifter(training.network), training.discriminator, training.data.row)

    def datasets(self) -> tuple[DrawnSamples[Batch], FixedTracks]:
        """Random tracks of most sequences, and those of the others as they are; no cache is read."""
        data, terms = self.training.data, self.training.data.terms
        split, gcn = domains(data.recordings), self._gcn
        labelled = make_tracks(split.recordings, split.labelled | (split.unlabelled & terms.labels), gcn=gcn)
        unlabelled, real = None, None
        if terms.unlabelled:
            rows, answer = taught(data, split.recordings, split.unlabelled)
            pseudo = by_estimate(rows, answer, len(split.recordings.top_down.frame))
            unlabelled = make_tracks(split.recordings, split.unlabelled, pseudo, gcn)
            unlabelled.joints_cam[:] = smoothed(unlabelled.joints_cam, unlabelled.known)
            real = real_people(split.recordings, split.labelled, data.meetings, data.mocap, data.seed)
        validation = [
            (make_tracks(split.recordings, frames, gcn=gcn), foreign)
            for frames, foreign in ((split.labelled_validation, False), (split.unlabelled_validation, True))
            if frames.any()
        ]
        samples = DrawnSamples(lambda rng: self._draw(labelled, unlabelled, real, rng), self.training.samples)
        return samples, FixedTracks(validation, 2 * self.training.tracks)

    def _draw(
        self, labelled: Tracks, unlabelled: Tracks | None, real: RealPeople | None, rng: np.random.Generator
    ) -> Batch:
        count = self.training.tracks
        own = _labelled(take(labelled, rng.integers(len(labelled), size=count)), False)
        if unlabelled is None or real is None:
            return Batch(own, None, None)
        data, tracks = self.training.data, take(unlabelled, draw_sequences(unlabelled, rng, count))
        turned = _turned(turned_targets(tracks, rng, data.noise, data.turn, self._gcn))
        return Batch(own, _found(tracks, real, rng, self.training.groups), turned)

    def collate(self, samples: Sequence[Batch]) -> Batch:
        """One sample is a batch; TrainingError for more."""
        return only_one(samples, self.name)

    def loss(self, model: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """The supervised loss on what is labelled, and Eq. 11 on what is not."""
        assert isinstance(model, Student)
        data, parts = self.training.data, [batch.labelled.features]
        terms, epoch = data.terms, model.next_epoch(data.epoch)
        if batch.found is not None and batch.turned is not None:
            parts += [batch.found.features, batch.turned.features] if terms.perspective else [batch.found.features]
        # All at once, so that the normalisation sees both domains.
        features = torch.cat(parts)
        answers, held = self._with_held_depths(self._supervised.answers(model, features), features)
        cuts = [answer.split([len(part) for part in parts]) for answer in answers]
        own, *rest = (tuple(cut[i] for cut in cuts) for i in range(len(parts)))
        total, told = lifting_loss(own, batch.labelled)
        total = total + 10 * held
        if batch.found is None or batch.turned is None:
            return total, told
        semi, more = self._unlabelled_loss(model, epoch, batch.found, batch.turned, rest)
        return total + semi, {**told, **more}

    def _with_held_depths(self, answers: tuple[Tensor, ...], features: Tensor) -> tuple[tuple[Tensor, ...], Tensor]:
        """Answers with the depths and deviations of the network that makes the pseudo-labels in place of their own, if
        they are to be kept, and how far their own are from those: nothing else then pulls at them."""
        if self._held is None:
            return answers, features.new_zeros(())
        told = self._held.run({"features": features.cpu().numpy(), **empty_memory(self._held, len(features))})
        depths = [torch.from_numpy(np.asarray(told[name])).to(features.device) for name in ANSWERS[2:]]
        off = torch.stack([(one - other).abs().mean() for one, other in zip(answers[2:], depths, strict=True)])
        return (*answers[:2], *depths), off.sum()

    def _unlabelled_loss(
        self, model: Student, epoch: float, found: Found, turned: Turned, answers: list[tuple[Tensor, ...]]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Eq. 11; answers to the tracks as found and, for the multi-perspective term, turned."""
        data, terms, there = self.training.data, self.training.data.terms, found.there
        joints, depth = answers[0][0], torch.exp(answers[0][2].clamp(-3, 3)) / found.extent
        shape = joints.shape
        weight = found.confidence / torch.exp(answers[0][1].detach()).clamp(min=0.01) ** 2
        flat = (joints.flatten(0, 1), depth.flatten(), found.rays.flatten(0, 1), weight.flatten(0, 1))
        placed = place(*flat).reshape(shape)
        errors, told = [], {}
        unsure = joints.new_zeros(())
        if terms.reprojection:
            seen = (placed[there], found.rays[there], found.confidence[there], found.extent[there])
            errors.append(data.reprojection * reprojection_errors(*seen))
            told["reprojection"] = errors[-1].mean()
        if terms.perspective:
            both = turned.counted[there]
            again = torch.linalg.vector_norm(answers[1][0] - turned.joints, dim=-1)[..., BODY]
            depths = (answers[1][2] - turned.log_depth_extent).abs()
            error = 10 * again.mean(dim=-1) + 10 * depths
            errors.append(data.perspective * torch.where(both, error[there], 0.0))
            told["perspective"] = errors[-1].mean()
            # What differs from one side to another is not sure; it alone tells the deviations of this domain.
            counted = turned.counted
            unsure = gaussian_nll(again.detach()[counted], answers[1][1][..., BODY][counted], axes=3)
            unsure = unsure + gaussian_nll(depths.detach()[counted], answers[1][3][counted], axes=1)
        total = (easy_weights(errors, epoch) * sum(errors)).mean() + 0.1 * data.perspective * unsure
        if terms.adversarial:
            upright = torch.einsum("ntab,ntkb->ntka", found.upright, placed).flatten(0, 1)
            people = torch.stack([upright[found.first], upright[found.second]], dim=1)
            told["adversarial"] = unnatural(model, people, found.real, found.together, data.adversarial)
            total = total + told["adversarial"]
        return total, told

    def validate(self, model: nn.Module, batches: Iterable[Batch]) -> dict[str, float]:
        """As `training.lifting`, of either domain; and the steps that the model has made."""
        assert isinstance(model, Student)
        figures = self._supervised.validate(model, (batch.labelled for batch in batches))
        figures = {name.replace("exact", "labelled").replace("noisy", "unlabelled"): v for name, v in figures.items()}
        return {**figures, "steps": float(model.steps)}

    def objective(self, figures: dict[str, float]) -> float:
        """The latest is the best where the unlabelled domain counts, whose truth must not choose; where that has none,
        the best of the labelled domain."""
        if "mpjpe_mm_unlabelled" in figures:
            return -figures["steps"]
        return self._supervised.objective(figures)

    def calibrate(self, model: nn.Module, batches: Iterable[Batch]) -> None:
        """Scale the deviations by the labelled domain's validation, or by both of the row that has both."""
        assert isinstance(model, Student)
        if not self.training.data.calibrated:
            return
        both = self.training.data.terms.labels
        parts = (batch.labelled for batch in batches)
        self._supervised.calibrate(model.network, (part for part in parts if both or not bool(part.noisy.any())))

    def export_spec(self) -> ExportSpec:
        """Inputs and outputs as `TemporalLifter.forward` says."""
        return self._supervised.export_spec()


def _labelled(tracks: Tracks, unlabelled: bool) -> LiftingBatch:
    turned = _turned(targets(tracks.told, tracks.joints_cam, tracks.known))
    return LiftingBatch(*turned, noisy=torch.full((len(tracks),), unlabelled))


def _turned(wanted: Targets) -> Turned:
    return Turned(*(torch.from_numpy(np.asarray(value)) for value in vars(wanted).values()))


def _found(tracks: Tracks, real: RealPeople, rng: np.random.Generator, groups: int) -> Found:
    shape, view = tracks.known.shape, tracks.told.people.view
    upright = np.einsum("ntab,ntbc->ntac", tracks.upright, view.to_camera.reshape(*shape, 3, 3))
    first, second = pairs_within(tracks)
    chosen: Ints = rng.integers(len(first), size=groups)
    together = second[chosen] >= 0
    return Found(
        features=torch.from_numpy(tracks.told.features),
        rays=floats(view.rays).reshape(*shape, K, 2),
        confidence=floats(view.confidence).reshape(*shape, K),
        extent=floats(view.extent).reshape(shape),
        there=torch.from_numpy(tracks.told.there),
        upright=floats(upright),
        first=torch.from_numpy(first[chosen]),
        second=torch.from_numpy(np.maximum(second[chosen], 0)),
        together=torch.from_numpy(together),
        real=floats(real.draw(rng, together)),
    )
