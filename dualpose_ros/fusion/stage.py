"""Fusion as one object: the poses of both branches for one image in, one pose of each person out."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from dualpose_ros.arrays import AnyFloats, Floats, Indices, Mask
from dualpose_ros.fusion.handover import FusedPose, HandOver
from dualpose_ros.fusion.identities import FusedIdentities, Identity, IdentityConfig, Sighting
from dualpose_ros.fusion.integrate import METHODS, Integrator, load_integrator
from dualpose_ros.fusion.matching import MatchConfig, apart, distinct, match_poses
from dualpose_ros.fusion.pairs import K, Pairs, branch_poses
from dualpose_ros.fusion.probability import ScoreScale, probabilities, situations
from dualpose_ros.inference.load import EngineConfig
from dualpose_ros.people import SEEN, Persons, Pose3D, Poses, Source, TrackingState
from dualpose_ros.settings import Settings, setting, share

SURER_BY = 0.25
"""A joint on the image is the bottom-up branch's where its score is higher by so much. Where both see somebody, the
top-down branch, with more pixels of them and no neighbours to join, is off by a tenth of the size or more half as often
at the same score (rendered people; 0.2 to 0.4 do as well)."""

Row = tuple[Pose3D | None, Pose3D | None]
"""One person as the top-down and the bottom-up branch have them; one of the two is there."""


@dataclass(frozen=True)
class FusionConfig(Settings):
    """Settings of fusion."""

    method: str = setting(
        "network",
        "how two poses become one: by the integration network, linear (by confidence), or hard (top-down pose at the "
        "bottom-up depth)",
        choices=METHODS,
    )
    weights: str = setting("fusion", "integration network: a shipped one's name, or an ONNX file")
    engine: EngineConfig = setting(EngineConfig(), "what runs the network")
    matching: MatchConfig = setting(MatchConfig(), "which poses of the two branches are one person", live=True)
    score_scale: ScoreScale = setting(ScoreScale(), "the network's scores as chances that somebody is there")
    min_score: float = share(
        0.3, "people whose score after fusion, the chance that they are there, is lower are not published", live=True
    )
    min_new_score: float = share(
        0.5, "the same for people whom the bottom-up branch alone sees, until they are confirmed", live=True
    )
    min_seen_joints: int = setting(
        2,
        "joints in sight that the bottom-up branch needs for somebody whom it alone sees",
        unit="joints",
        least=0,
        most=K,
    )
    identity: IdentityConfig = setting(IdentityConfig(), "ids that last where the branch that sees somebody changes")
    handover_time_constant_s: float = setting(
        0.25, "time constant of a difference's end when a branch comes or goes", unit="s", above=0, most=60
    )


@dataclass(frozen=True)
class FusionResult:
    """persons: everybody, once; pairs: how many of them both branches see."""

    persons: Persons
    pairs: int


class FusionStage:
    """Configured once; `process` is called once a frame, in the order of their stamps."""

    def __init__(self, config: FusionConfig | None = None, integrator: Integrator | None = None) -> None:
        """Load the network that `config` names, unless an integrator is given.

        WeightsError or EngineError says what can't be loaded and what to do.
        """
        self.config = c = config if config is not None else FusionConfig()
        self._integrate = integrator if integrator is not None else load_integrator(c.method, c.weights, c.engine)
        self._identities = FusedIdentities(c.identity)
        self._handover = HandOver(c.handover_time_constant_s, c.identity.max_lost_s)

    def process(
        self, stamp_ns: int, top_down: Sequence[Pose3D] | None, bottom_up: Sequence[Pose3D] | None
    ) -> FusionResult:
        """Everybody whom either branch sees in an image.

        A pose that is not finite, or that the integrator makes so, is left out.

        stamp_ns: of the image; top_down, bottom_up: the branches' poses, None for one that has not looked.
        """
        own, other = (_usable(Persons.of(persons or ())) for persons in (top_down, bottom_up))
        own_rows, other_rows = self._rows(own, other)
        answer = self._integrate(Pairs(branch_poses(own, own_rows), branch_poses(other, other_rows)))
        if self.config.method == "network":
            looked = (top_down is not None, bottom_up is not None)
            situation = situations(own_rows >= 0, other_rows >= 0, looked)
            answer = replace(answer, scores=probabilities(answer.scores, situation, self.config.score_scale))
        rows = [
            (own[t] if t >= 0 else None, other[b] if b >= 0 else None)
            for t, b in zip(own_rows, other_rows, strict=True)
        ]
        usable = np.isfinite(answer.joints_cam).all(axis=(1, 2)) & (answer.joints_cam[..., 2] > 0).all(axis=1)
        believed = (answer.scores >= self.config.min_score) & self._is_seen(own_rows, other, other_rows)
        kept = distinct(answer, np.flatnonzero(usable & believed & np.isfinite(answer.joint_stddev).all(axis=1)),
                        self.config.matching)  # fmt: skip
        sightings = [_sighting(rows[n], answer.joints_cam[n]) for n in kept]
        identities = self._identities.assign(stamp_ns, sightings, complete=bottom_up is not None)
        self._handover.begin(stamp_ns)
        persons = Persons.of(
            self._person(stamp_ns, rows[n], answer, n, who)
            for n, who in zip(kept, identities, strict=True)
            if who.confirmed or top_down is None or own_rows[n] >= 0 or answer.scores[n] >= self.config.min_new_score
        )
        return FusionResult(persons, int((persons.sources == Source.FUSED).sum()))

    def _is_seen(self, own_rows: Indices, other: Persons, other_rows: Indices) -> Mask:
        """Who (N,) the top-down branch has found, or the bottom-up branch with `min_seen_joints` in sight."""
        counts = np.append((other.joint_scores >= SEEN).sum(axis=1), 0)
        return np.asarray((own_rows >= 0) | (counts[other_rows] >= self.config.min_seen_joints))

    def _rows(self, own: Persons, other: Persons) -> tuple[Indices, Indices]:
        """Pairs, then those whom the top-down branch alone sees, then the others who are somebody else, best first.

        Indices (N,) of either branch's people, -1 for nobody.
        """
        matches = match_poses(top_down=own, bottom_up=other, config=self.config.matching)
        only_own = np.delete(np.arange(len(own)), matches.top_down)
        left = np.delete(np.arange(len(other)), matches.bottom_up)
        left = left[np.argsort(-other.scores[left], kind="stable")]
        alone = left[apart(other[left], own, self.config.matching)]
        return (
            np.concatenate([matches.top_down, only_own, np.full(len(alone), -1)]),
            np.concatenate([matches.bottom_up, np.full(len(only_own), -1), alone]),
        )

    def _person(self, stamp_ns: int, row: Row, answer: Poses, n: int, who: Identity) -> Pose3D:
        """Somebody as they are published."""
        top_down, bottom_up = row
        source, state = _source_and_state(row, who.confirmed)
        base = top_down if top_down is not None else bottom_up
        assert base is not None
        velocity = np.asarray(top_down.root_velocity if top_down is not None else who.velocity, dtype=np.float64)
        pose = FusedPose(
            answer.joints_cam[n],
            answer.joint_stddev[n],
            top_down=_joints(top_down),
            bottom_up=_joints(bottom_up),
            velocity=velocity,
        )
        joints, stddev = self._handover.publish(stamp_ns, who.person_id, pose)
        return Pose3D(
            track_id=who.person_id,
            state=state,
            source=source,
            score=float(np.clip(answer.scores[n], 0, 1)),
            box_px=base.box_px,
            joints_cam=joints,
            joint_scores=np.clip(answer.joint_scores[n], 0, 1),
            joint_stddev=stddev,
            keypoints_px=_better_keypoints(row, base),
            root_velocity=velocity,
        )


def _usable(persons: Persons) -> Persons:
    """Those whose joints, scores and deviations are finite."""
    parts = (persons.joint_scores, persons.joint_stddev, persons.scores[:, None])
    finite = [np.isfinite(part).all(axis=1) for part in (persons.joints_cam.reshape(-1, 3 * K), *parts)]
    usable: Mask = np.logical_and.reduce(finite)
    return persons[usable]


def _joints(pose: Pose3D | None) -> Floats | None:
    return None if pose is None else np.asarray(pose.joints_cam, dtype=np.float64)


def _sighting(row: Row, joints_cam: Floats) -> Sighting:
    top_down = row[0]
    if top_down is None:
        return Sighting(joints_cam)
    return Sighting(joints_cam, top_down.track_id, top_down.state is not TrackingState.TENTATIVE)


def _source_and_state(row: Row, confirmed: bool) -> tuple[Source, TrackingState]:
    """The branches that see somebody, and the state: the track's, but once confirmed nobody becomes tentative."""
    top_down, bottom_up = row
    state = TrackingState.TENTATIVE if top_down is None else top_down.state
    if state is TrackingState.TENTATIVE and confirmed:
        state = TrackingState.CONFIRMED
    if top_down is None:
        return Source.BOTTOM_UP, state
    return (Source.TOP_DOWN if bottom_up is None else Source.FUSED), state


def _better_keypoints(row: Row, base: Pose3D) -> AnyFloats:
    """Joints on the image (K, 2): the top-down branch's, but for those of which the other is much surer."""
    top_down, bottom_up = row
    if top_down is None or bottom_up is None:
        return base.keypoints_px
    better = bottom_up.joint_scores > top_down.joint_scores + SURER_BY
    return np.where(better[:, None], bottom_up.keypoints_px, top_down.keypoints_px)
