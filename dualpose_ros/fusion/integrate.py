"""One pose of the two that the branches have of each person: by the integration network, or by two simple rules.

Paper, section 3.3; the rules are the baselines of its Table 3. N people, K joints; metres, camera frame.
"""

from collections.abc import Callable

import numpy as np

from dualpose_ros.fusion.pairs import NUM_FEATURES, Pairs, view_pairs
from dualpose_ros.inference.engine import Engine, EngineError
from dualpose_ros.inference.load import EngineConfig
from dualpose_ros.people import Poses
from dualpose_ros.skeleton import H36M17

METHODS = ("network", "linear", "hard")

ANSWERS = ("joints_rel", "root", "log_stddev", "score")
"""Outputs of an integration network that are used."""


Integrator = Callable[[Pairs], Poses]


def load_integrator(method: str = "network", weights: str = "fusion", engine: EngineConfig | None = None) -> Integrator:
    """The integrator of a name.

    method: one of METHODS; weights: of the network, a shipped name or an ONNX file; engine: what runs it.
    ValueError for an unknown method; WeightsError, EngineError for a network that can't be used.
    """
    if method not in METHODS:
        raise ValueError(f"no fusion method '{method}'; there are {', '.join(METHODS)}")
    if method == "network":
        return NetworkIntegrator((engine or EngineConfig()).network(weights))
    return linear if method == "linear" else hard


def hard(pairs: Pairs) -> Poses:
    """The top-down pose at the bottom-up root depth (Table 3, TD + BU (hard)); alone, a pose stays as it is."""
    own, other = pairs.top_down, pairs.bottom_up
    both = own.present & other.present
    depth = np.where(both, other.roots[:, 2], own.roots[:, 2])
    # The root keeps its place on the image.
    root = own.roots * (depth / np.maximum(own.roots[:, 2], 1e-6))[:, None]
    rooted = np.where(both[:, None], other.joint_stddev[:, H36M17.root, None], own.joint_stddev)
    stddev = np.maximum(rooted, own.joint_stddev)
    moved = Poses(own.joints_rel + root[:, None], own.joint_scores, stddev, own.scores)
    return Poses.where(own.present, moved, other)


def linear(pairs: Pairs) -> Poses:
    """Both poses, joint by joint weighed by their confidence (Table 3, TD + BU (linear))."""
    own, other = pairs.top_down, pairs.bottom_up
    confidence = [np.where(b.present[:, None], b.joint_scores + 1e-6, 0.0) for b in (own, other)]
    total = np.maximum(confidence[0] + confidence[1], 1e-12)
    share = confidence[0] / total
    joints_rel = share[..., None] * own.joints_rel + (1 - share[..., None]) * other.joints_rel
    at = share[:, H36M17.root, None]
    root = at * own.roots + (1 - at) * other.roots
    stddev = np.sqrt((share * own.joint_stddev) ** 2 + ((1 - share) * other.joint_stddev) ** 2)
    scores = np.maximum(own.joint_scores, other.joint_scores)
    return Poses(joints_rel + root[:, None], scores, stddev, np.maximum(own.scores, other.scores))


class NetworkIntegrator:
    """The integration network of an engine; EngineError if it is another network."""

    def __init__(self, engine: Engine) -> None:
        spec = engine.inputs.get("features")
        if set(engine.inputs) != {"features"} or spec is None or spec.shape[1:] != (NUM_FEATURES,):
            found = ", ".join(f"{name} {one}" for name, one in engine.inputs.items())
            raise EngineError(f"this is no integration network: it takes {found}, not features [N, {NUM_FEATURES}]")
        if not set(ANSWERS) <= set(engine.outputs):
            raise EngineError(f"this is no integration network: it gives {', '.join(engine.outputs)}")
        self._engine = engine

    def __call__(self, pairs: Pairs) -> Poses:
        """The people of some pairs, none of them without either branch; joints score as in the branch that sees them
        better."""
        if len(pairs) == 0:
            return Poses.empty()
        view = view_pairs(pairs)
        answer = self._engine.run({"features": view.features})
        joints_rel, place, log_stddev, scores = (answer[name].astype(np.float64) for name in ANSWERS)
        depth = view.depth * np.exp(place[:, 2])
        root = np.concatenate([place[:, :2], np.ones((len(pairs), 1))], axis=1) * depth[:, None]
        joints = np.einsum("nab,nkb->nka", view.to_camera, joints_rel + root[:, None])
        stddev = np.exp(log_stddev)
        # Its first is the root's, relative to the depth; every joint in the camera frame has it besides its own.
        away = stddev[:, :1] * depth[:, None]
        seen = np.maximum(pairs.top_down.joint_scores, pairs.bottom_up.joint_scores)
        stddev[:, H36M17.root] = 0
        return Poses(joints, seen, np.hypot(stddev, away), scores.reshape(-1))
