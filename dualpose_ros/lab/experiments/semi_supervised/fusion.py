"""Semi-supervised training of an integration network (paper, section 3.4), for `loop.trainer`.

It follows the lifting network of the same row, whose poses it takes. N people, K joints; metres.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy

from dualpose_ros.arrays import Floats, Ints, Mask
from dualpose_ros.datasets.recordings import Recordings
from dualpose_ros.fusion.network import IntegrationConfig, IntegrationNetwork
from dualpose_ros.fusion.pairs import Pairs, PairView, view_pairs
from dualpose_ros.inference.export import ExportSpec
from dualpose_ros.inference.load import load_engine
from dualpose_ros.lab.experiments.semi_supervised.data import (
    K,
    RealPeople,
    about_vertical,
    nearest,
    real_people,
    upright,
)
from dualpose_ros.lab.experiments.semi_supervised.evaluation import ray_of, relifted
from dualpose_ros.lab.experiments.semi_supervised.terms import (
    FRESH,
    SemiSupervision,
    Student,
    domains,
    easy_weights,
    floats,
    only_one,
    reprojection_errors,
    taught,
    unnatural,
)
from dualpose_ros.lab.training.fusion.data import Augmentation, PairData, augmented, draw_groups, pair_data
from dualpose_ros.lab.training.fusion.discriminator import DiscriminatorConfig
from dualpose_ros.lab.training.fusion.pair_rows import PairRows, pair_rows
from dualpose_ros.lab.training.fusion.task import Batch as FusionBatch
from dualpose_ros.lab.training.fusion.task import (
    FixedGroups,
    FusionTask,
    FusionTraining,
    answer,
    as_batch,
    calibrate_by,
    error_figures,
    measured,
    supervised_loss,
)
from dualpose_ros.lab.training.loop.precision import in_full_precision
from dualpose_ros.lab.training.loop.task import DrawnSamples
from dualpose_ros.people import Poses
from dualpose_ros.settings import Settings, setting
from dualpose_ros.skeleton import BODY, ROOT
from dualpose_ros.top_down.lifting.person_view import through

_NEAREST_M = 0.5


@dataclass(frozen=True)
class SemiSupervisedFusion(Settings):
    """The network and what it learns from; lifting: the ONNX file of the row's lifting network."""

    data: SemiSupervision
    lifting: str
    network: IntegrationConfig = setting(IntegrationConfig(128, 0.1), "size of the network")
    discriminator: DiscriminatorConfig = setting(DiscriminatorConfig(), "size of the discriminator")
    augmentation: Augmentation = setting(Augmentation(), "what is done to pairs before the network sees them")
    groups: int = setting(
        128, "groups of up to three labelled people, and unlabelled people, in a sample", unit="groups", least=1
    )
    samples: int = setting(1000, "samples of an epoch", unit="samples", least=1)
    absolute: float = setting(0.5, "weight of the root's error in metres", least=0)


@dataclass(frozen=True)
class People:
    """Unlabelled people R of the two branches. rays (R, K, 2) and confidence (R, K) as found; joints_cam (R, K, 3)
    and known (R,) of the pseudo-labels, and how sure they are, scores (R,); down (R, 3); other (R,): the nearest one's
    row, or -1."""

    pairs: Pairs
    rays: Floats
    confidence: Floats
    joints_cam: Floats
    known: Mask
    scores: Floats
    down: Floats
    other: Ints


class Found(NamedTuple):
    """G people and then the nearest other of each, N = 2 G. features (N, F), depth (N,) of `pairs.view_pairs`; rays
    (N, K, 2) in the virtual camera, confidence (N, K) and extent (N,) as found; upright (N, 3, 3): virtual camera
    axes -> upright ones; together (G,): whether there is another; real (G, 2, K, 3), upright. Of the people
    turned: features, depth, and their pseudo-labels joints (N, K, 3) in the virtual camera, counted (N,). scores and
    known (N,): those of the pseudo-labels."""

    features: Tensor
    depth: Tensor
    rays: Tensor
    confidence: Tensor
    extent: Tensor
    upright: Tensor
    together: Tensor
    real: Tensor
    turned_features: Tensor
    turned_depth: Tensor
    turned_joints: Tensor
    counted: Tensor
    scores: Tensor
    known: Tensor


class Batch(NamedTuple):
    """Labelled groups, whether they are of the unlabelled domain after all (for validation), and unlabelled people."""

    labelled: FusionBatch
    foreign: bool
    found: Found | None


class FixedPeople:
    """The validation groups of both domains as they are."""

    def __init__(self, labelled: PairData, unlabelled: PairData, size: int) -> None:
        self._parts = [(FixedGroups(data, size), foreign) for data, foreign in ((labelled, False), (unlabelled, True))]

    def __len__(self) -> int:
        return sum(len(part) for part, _ in self._parts)

    def __getitem__(self, index: int, /) -> Batch:
        part, foreign = self._parts[index >= len(self._parts[0][0])]
        return Batch(part[index - (len(self._parts[0][0]) if foreign else 0)], foreign, None)


class SemiSupervisedFusionTask:
    """An integration network on recorded pairs as a `loop.task.Task`; TrainingError without recordings."""

    name = "semi_supervised_fusion"
    starts_fresh = FRESH

    def __init__(self, training: SemiSupervisedFusion) -> None:
        self.training = training

    def build_model(self) -> nn.Module:
        """The untrained network and its discriminator."""
        training = self.training
        return Student(IntegrationNetwork(training.network), training.discriminator, training.data.row)

    def datasets(self) -> tuple[DrawnSamples[Batch], FixedPeople]:
        """Random people of most sequences, and those of the others as they are; no cache is read."""
        data, terms = self.training.data, self.training.data.terms
        split = domains(data.recordings)
        lifted = relifted(split.recordings, load_engine(self.training.lifting), data.load_gcn())
        labelled = pair_data(lifted, split.labelled | (split.unlabelled & terms.labels))
        people, real = None, None
        if terms.unlabelled:
            pseudo = taught(data, split.recordings, split.unlabelled)
            people = unlabelled_people(lifted, split.unlabelled, *pseudo)
            real = real_people(split.recordings, split.labelled, data.meetings, data.mocap, data.seed)
        near, far = (pair_data(lifted, part) for part in (split.labelled_validation, split.unlabelled_validation))
        samples = DrawnSamples(lambda rng: self._draw(labelled, people, real, rng), self.training.samples)
        return samples, FixedPeople(near, far, 2 * self.training.groups)

    def _draw(
        self, labelled: PairData, people: People | None, real: RealPeople | None, rng: np.random.Generator
    ) -> Batch:
        training = self.training
        own = as_batch(draw_groups(labelled, training.augmentation, rng, training.groups))
        if people is None or real is None:
            return Batch(own, False, None)
        return Batch(own, False, _found(people, real, training, rng))

    def collate(self, samples: Sequence[Batch]) -> Batch:
        """One sample is a batch; TrainingError for more."""
        return only_one(samples, self.name)

    def loss(self, model: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """The supervised loss on what is labelled, and Eq. 11 on what is not."""
        assert isinstance(model, Student)
        epoch = model.next_epoch(self.training.data.epoch)
        total, told = supervised_loss(answer(model, batch.labelled), batch.labelled, self.training.absolute)
        if batch.found is None:
            return total, told
        semi, more = self._unlabelled_loss(model, epoch, batch.found)
        return total + semi, {**told, **more}

    def _unlabelled_loss(self, model: Student, epoch: float, found: Found) -> tuple[Tensor, dict[str, Tensor]]:
        """Eq. 11."""
        data, terms = self.training.data, self.training.data.terms
        _, joints, score = _placed(model, found.features, found.depth)
        errors, told = [], {}
        half = len(found.together)
        # The second of each is there for the first's sake.
        if terms.reprojection:
            seen = (joints[:half], found.rays[:half], found.confidence[:half], found.extent[:half])
            errors.append(data.reprojection * reprojection_errors(*seen))
            told["reprojection"] = errors[-1].mean()
        if terms.perspective:
            root, again, _ = _placed(model, found.turned_features[:half], found.turned_depth[:half])
            wanted, there = found.turned_joints[:half], found.counted[:half]
            rel = (again - again[:, ROOT, None]) - (wanted - wanted[:, ROOT, None])
            log_depth = torch.log(wanted[:, ROOT, 2].clamp(min=0.2) / found.turned_depth[:half]) - root[:, 2]
            error = 10 * torch.linalg.vector_norm(rel, dim=-1)[:, BODY].mean(dim=-1) + 10 * log_depth.abs()
            errors.append(data.perspective * torch.where(there, error, 0.0))
            told["perspective"] = errors[-1].mean()
        total = (easy_weights(errors, epoch) * sum(errors)).mean()
        # Eq. 11 says nothing of scores, and those of the labelled domain alone would forget how sure to be here.
        told["score"] = binary_cross_entropy(score[:half][found.known[:half]], found.scores[:half][found.known[:half]])
        total = total + data.sureness * told["score"]
        if terms.adversarial:
            with in_full_precision(joints.device):
                people = torch.einsum("nab,nkb->nka", found.upright, joints)
            both = torch.stack([people[:half], people[half:]], dim=1)
            told["adversarial"] = unnatural(model, both, found.real, found.together, data.adversarial)
            total = total + told["adversarial"]
        return total, told

    def validate(self, model: nn.Module, batches: Iterable[Batch]) -> dict[str, float]:
        """Errors in either domain of each group's own person; and the steps that the model has made."""
        assert isinstance(model, Student)
        every = list(batches)
        figures: dict[str, float] = {"steps": float(model.steps)}
        for name, foreign in (("labelled", False), ("unlabelled", True)):
            own = [batch.labelled for batch in every if batch.foreign == foreign]
            rows = error_figures(measured(model, own)) if own else {}
            figures |= {f"{figure}_{name}": value for figure, value in rows.items()}
        return figures

    def objective(self, figures: dict[str, float]) -> float:
        """The latest is the best where the unlabelled domain counts, whose truth must not choose; where that has none,
        the best of the labelled domain."""
        if "pck_rel_unlabelled" in figures:
            return -figures["steps"]
        return -float(np.mean([figures[f"{name}_labelled"] for name in ("pck_rel", "pck_abs", "root_25")]))

    def calibrate(self, model: nn.Module, batches: Iterable[Batch]) -> None:
        """Scale the deviations by the labelled domain's validation, or by both of the row that has both."""
        assert isinstance(model, Student)
        if not self.training.data.calibrated:
            return
        both = self.training.data.terms.labels
        calibration = model.network.calibration
        assert isinstance(calibration, Tensor)
        chosen = (batch.labelled for batch in batches if both or not batch.foreign)
        calibrate_by(calibration, lambda: measured(model, chosen))

    def export_spec(self) -> ExportSpec:
        """Inputs and outputs as `IntegrationNetwork.forward` says."""
        return FusionTask(FusionTraining(self.training.data.recordings)).export_spec()


def unlabelled_people(recordings: Recordings, frames: Mask, rows: PairRows, answer: Poses) -> People:
    """Who is in the `frames` (F,) chosen of relifted recordings, and what the teachers' rows say of them."""
    own = pair_rows(recordings, frames)
    top_down = (recordings.top_down, rows.top_down, own.top_down)
    bottom_up = (recordings.bottom_up, rows.bottom_up, own.bottom_up)
    joints, scores = np.full((len(own.frame), K, 3), np.nan), np.zeros(len(own.frame))
    rays, confidence = np.zeros((len(own.frame), K, 2)), np.zeros((len(own.frame), K))
    # Of somebody whom both branches see the top-down branch has the last word.
    for estimates, taught_rows, own_rows in (bottom_up, top_down):
        pseudo, sure = np.full((len(estimates.frame), K, 3), np.nan), np.zeros(len(estimates.frame))
        pseudo[taught_rows[taught_rows >= 0]] = answer.joints_cam[taught_rows >= 0]
        sure[taught_rows[taught_rows >= 0]] = answer.scores[taught_rows >= 0]
        seen = own_rows >= 0
        joints[seen], scores[seen] = pseudo[own_rows[seen]], sure[own_rows[seen]]
        rays[seen] = ray_of(recordings, estimates)[own_rows[seen]]
        confidence[seen] = estimates.joint_scores[own_rows[seen]]
    known = np.isfinite(joints).all(axis=(1, 2)) & (np.nan_to_num(joints[..., 2]).min(axis=1) > 0)
    down = recordings.frames.down[own.frame].astype(np.float64)
    other = nearest(own.frame, joints[:, ROOT])
    joints = np.where(known[:, None, None], joints, 0.0)
    return People(own.pairs, rays, confidence, joints, known, scores, down, other)


def _found(people: People, real: RealPeople, training: SemiSupervisedFusion, rng: np.random.Generator) -> Found:
    chosen = rng.integers(len(people.known), size=training.groups)
    other = people.other[chosen]
    rows = np.concatenate([chosen, np.maximum(other, 0)])
    pairs = augmented(people.pairs[rows], training.augmentation, rng)
    view = view_pairs(pairs)
    down = np.einsum("nab,nbc->nac", upright(people.down[rows]), view.to_camera)
    rays = through(view.to_camera, people.rays[rows])
    weight = people.confidence[rows] / np.maximum(people.confidence[rows].sum(axis=1, keepdims=True), 1e-9)
    middle = (weight[..., None] * rays).sum(axis=1, keepdims=True)
    extent = np.sqrt((weight * ((rays - middle) ** 2).sum(axis=2)).sum(axis=1))
    turned, joints, counted = _turned(pairs, people.joints_cam[rows], people.down[rows], training.data.turn, rng)
    return Found(
        features=torch.from_numpy(view.features),
        depth=floats(view.depth),
        rays=floats(rays),
        confidence=floats(people.confidence[rows]),
        extent=floats(np.maximum(extent, 1e-3)),
        upright=floats(down),
        together=torch.from_numpy(other >= 0),
        real=floats(real.draw(rng, other >= 0)),
        turned_features=torch.from_numpy(turned.features),
        turned_depth=floats(turned.depth),
        turned_joints=floats(joints),
        counted=torch.from_numpy(counted & people.known[rows]),
        scores=floats(people.scores[rows]),
        known=torch.from_numpy(people.known[rows]),
    )


def _turned(
    pairs: Pairs, joints_cam: Floats, down: Floats, limit: float, rng: np.random.Generator
) -> tuple[PairView, Floats, Mask]:
    """People turned about the vertical through their pseudo-label's root; their pseudo-labels in the virtual camera.

    No image shows the turned person, so both branches' errors stay what they were along the camera's axes, as
    they lie along its rays and don't turn with the person.
    """
    root = joints_cam[:, ROOT, None]
    turn = about_vertical(down, limit * rng.uniform(-1, 1, len(down)))
    moved = np.einsum("nab,nkb->nka", turn, joints_cam - root) + root
    branches = [
        replace(b, joints_cam=np.where(b.present[:, None, None], b.joints_cam + moved - joints_cam, 0.0))
        for b in (pairs.top_down, pairs.bottom_up)
    ]
    view = view_pairs(Pairs(*branches))
    return view, np.einsum("nba,nkb->nka", view.to_camera, moved), moved[..., 2].min(axis=1) > _NEAREST_M


def _placed(model: nn.Module, features: Tensor, depth: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The network's root (N, 3), its joints (N, K, 3) in the virtual camera, and its scores (N,)."""
    joints_rel, root, _, score, _ = (part.float() for part in model(features))
    place = torch.cat([root[:, :2], torch.ones_like(root[:, :1])], dim=1)
    joints = joints_rel + (place * (depth * torch.exp(root[:, 2].clamp(-1, 1)))[:, None])[:, None]
    return root, joints, score[:, 0]
