"""What the lifting network is told of a person in one frame: joints completed by the directed GCN.

N people, K joints of `skeleton.H36M17`. Training and live code share this file.
"""

from dataclasses import dataclass

import numpy as np

from dualpose_ros.arrays import AnyFloats, Float32s, Rows
from dualpose_ros.inference.engine import Engine, EngineError
from dualpose_ros.skeleton import H36M17, K
from dualpose_ros.top_down.lifting.person_view import NUM_VIEW_FEATURES, PersonView, back, view_person

NUM_FEATURES = 7 * K + NUM_VIEW_FEATURES + 1
JOINTS_REL = slice(4 * K, 7 * K)
"""Where the features hold the GCN's root-relative joints, which the lifting network starts from."""

MIN_CONFIDENCE = 0.02
"""Joints found with less are not found."""

TRUST = 4
"""The power of the confidence that says how much of a joint's place is kept."""

MIRRORED_VIEW = np.array([1, -1, 1], np.float32)
"""Times `PersonView.features`: those of the mirror image."""

LONGEST_GAP_S = 1.0
"""A track not seen for longer than this starts anew."""


@dataclass(frozen=True, eq=False)
class CompletedPoses(Rows):
    """view: of the completed joints, whose rays are the completed ones and whose confidence is that of the joints
    found; features (N, F) float32, the lifting network's input less the time since the last frame."""

    view: PersonView
    features: Float32s


def check_completing(gcn: Engine) -> None:
    """EngineError unless a network is one that completes joints."""
    if set(gcn.inputs) != {"joints", "view"} or not {"joints_2d", "log_stddev_2d", "joints_rel"} <= set(gcn.outputs):
        raise EngineError(f"this is no network that completes joints (gcn): it takes {', '.join(gcn.inputs)}")


def complete(rays: AnyFloats, confidence: AnyFloats, gcn: Engine | None) -> CompletedPoses:
    """People with the joints that were not found.

    rays: (N, K, 2), where joints were found; confidence: (N, K), 0 where not; gcn: what completes them; None leaves
    them missing, and the view is of the others.
    """
    confidence = np.where(np.all(np.isfinite(rays), axis=-1) & (confidence > MIN_CONFIDENCE), confidence, 0.0)
    rays = np.where((confidence > 0)[..., None], rays, 0.0)
    found = view_person(rays, confidence)
    count = len(rays)
    if gcn is None:
        uncertainty, joints_rel = np.zeros((count, K)), np.zeros((count, K, 3))
        return CompletedPoses(found, _features(found, uncertainty, joints_rel, found.scaled_joints()))
    joints_2d, log_stddev, lifted = _completed(found, gcn)
    # The surer a joint, the less the GCN may move it: its answer is less exact than a joint well seen.
    kept = (confidence**TRUST)[..., None]
    completed = kept * rays + (1 - kept) * back(found.to_camera, joints_2d * found.extent[:, None, None])
    whole = view_person(completed, confidence, np.ones_like(confidence))
    turn = np.einsum("nba,nbc->nac", whole.to_camera, found.to_camera)
    joints_rel = np.einsum("nab,nkb->nka", turn, lifted)
    return CompletedPoses(whole, _features(whole, log_stddev, joints_rel, whole.scaled()))


def _completed(found: PersonView, gcn: Engine) -> tuple[AnyFloats, AnyFloats, AnyFloats]:
    """The GCN's joints (N, K, 2) on the image, their log deviations (N, K) and joints in space (N, K, 3): means of what
    it says of people and of their mirror images, which are people as well."""
    joints, view = found.joints_found(), found.features()
    answer = gcn.run(
        {"joints": np.concatenate([joints, mirrored(joints)]), "view": np.concatenate([view, view * MIRRORED_VIEW])}
    )
    count = len(joints)
    joints_2d, log_stddev, lifted = (answer[name] for name in ("joints_2d", "log_stddev_2d", "joints_rel"))
    return (
        (joints_2d[:count] + mirrored(joints_2d[count:])) / 2,
        (log_stddev[:count] + log_stddev[count:, H36M17.mirror]) / 2,
        (lifted[:count] + mirrored(lifted[count:])) / 2,
    )


def mirrored(joints: Float32s) -> Float32s:
    """Joints (N, K, D), whose first coordinate is the one across, as a mirror shows them."""
    turned = joints[:, H36M17.mirror]
    turned[..., 0] *= -1
    return turned


def _features(view: PersonView, log_stddev: AnyFloats, joints_rel: AnyFloats, scaled: AnyFloats) -> Float32s:
    count = len(scaled)
    parts = (scaled.reshape(count, -1), view.confidence, log_stddev, joints_rel.reshape(count, -1), view.features())
    return np.concatenate([*parts, np.zeros((count, 1))], axis=1).astype(np.float32)


def time_feature(elapsed_s: AnyFloats) -> Float32s:
    """The last feature: the log of the time since the track's last frame over 1/30 s; LONGEST_GAP_S at its birth."""
    return np.asarray(np.log(30 * np.clip(elapsed_s, 1 / 240, LONGEST_GAP_S)), dtype=np.float32)
