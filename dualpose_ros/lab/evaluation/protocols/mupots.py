"""MuPoTS-3D under two protocols that must not be mixed: the official one, and that of the paper's released scripts.

N true people of a frame, M found ones, 17 joints as `datasets.published.mupots` has them; metres.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from dualpose_ros.arrays import AnyFloats, Floats, Indices, Mask
from dualpose_ros.datasets.published.mupots import JOINTS, UNIVERSAL
from dualpose_ros.datasets.published.truth import TruthSequence, is_known
from dualpose_ros.lab.evaluation.protocols.protocol import Pairs, Protocol, mean_row
from dualpose_ros.lab.evaluation.report import Rows
from dualpose_ros.metrics.poses import average_precision, procrustes, right_roots

PELVIS = JOINTS.index("pelvis")
PARENTS = (1, 15, 1, 2, 3, 1, 5, 6, 14, 8, 9, 14, 11, 12, 14, 14, 1)
TRAVERSAL = (15, 1, 0, 16, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13)
"""In which order bones get the truth's lengths, from the pelvis outward."""
SCORED = tuple(range(14))
MATCHED = tuple(range(1, 14))
GROUPS = {"head": (0,), "neck": (1,), "shoulder": (2, 5), "elbow": (3, 6), "wrist": (4, 7), "hip": (8, 11),
          "knee": (9, 12), "ankle": (10, 13)}  # fmt: skip

NEAR_PX = 40.0
PCK_M, MISSED_M, ALIKE_M = 0.150, 100.0, 0.250
CURVE_M: Floats = np.arange(0, 31) * np.float64(0.005)
RELEASED_CURVE_M: Floats = np.arange(0, 40) * np.float64(0.005)


@dataclass(frozen=True)
class Errors:
    """A sequence's errors (P, 17) in metres about the pelvis and in the camera frame, MISSED_M for a missed person,
    and who of the P people was matched; scores and right: of all roots found (AP_root_25)."""

    relative: Floats
    absolute: Floats
    matched: Mask
    scores: Floats
    right: Mask


def match_in_pixels(true_px: AnyFloats, found_px: AnyFloats) -> Indices:
    """Which found person (M, 17, 2) each true one (N, 17, 2) is, or -1, as the official scripts match people.

    The first true person first, each takes the free one with the most of MATCHED joints within NEAR_PX on both axes;
    the first of equals. A found joint at the image's corner, or not found, matches nothing.
    """
    taken, free = np.full(len(true_px), -1, dtype=np.intp), np.ones(len(found_px), dtype=bool)
    true_px, found_px = true_px[:, MATCHED], found_px[:, MATCHED]
    there = is_known(found_px) & (found_px != 0).any(axis=-1)
    for person in range(len(true_px)):
        near = (np.abs(true_px[person] - found_px) < NEAR_PX).all(axis=-1) & there
        count = np.where(free, near.sum(axis=1), 0)
        if len(count) and count.max() > 0:
            taken[person] = int(np.argmax(count))
            free[taken[person]] = False
    return taken


def with_true_bones(found: AnyFloats, truth: AnyFloats) -> Floats:
    """A pose (17, 3) with its own directions and the truth's bone lengths, from the pelvis outward."""
    return _with_bones(found, truth, ((joint, PARENTS[joint]) for joint in TRAVERSAL))


def with_bones_by_position(found: AnyFloats, truth: AnyFloats) -> Floats:
    """As `with_true_bones`, but with the parent that stands at the bone's place in TRAVERSAL: what was released."""
    return _with_bones(found, truth, zip(TRAVERSAL, PARENTS, strict=False))


def _with_bones(found: AnyFloats, truth: AnyFloats, bones: Iterable[tuple[int, int]]) -> Floats:
    mapped = np.array(found, dtype=np.float64)
    for joint, parent in bones:
        bone = found[joint] - found[parent]
        mapped[joint] = mapped[parent] + bone * np.linalg.norm(truth[joint] - truth[parent]) / np.linalg.norm(bone)
    return mapped


def match_by_shape(truth: AnyFloats, found: AnyFloats) -> Indices:
    """Which found pose (M, 17, 3) is most like each true one (N, 17, 3) after a similarity transform, -1 for none
    within ALIKE_M; two true people may have the same one."""
    if not len(found) or not len(truth):
        return np.full(len(truth), -1, dtype=np.intp)
    off = np.stack([np.linalg.norm(procrustes(found, np.broadcast_to(t, found.shape)) - t, axis=-1).mean(-1)
                    for t in truth])  # fmt: skip
    return np.where(off.min(axis=1) > ALIKE_M, -1, off.argmin(axis=1)).astype(np.intp)


def measure_official(sequence: TruthSequence, pairs: Pairs) -> Errors:
    """Errors of every true person under `mupots-official`."""
    rows, scores, right = [], [], []
    for frame, found in pairs:
        people = frame.people
        matches = match_in_pixels(people.joints_px, found.joints_px)
        complete = np.asarray(is_known(found.joints_cam).all(axis=1), dtype=bool)
        for person, match in enumerate(matches):
            matched = match >= 0 and bool(complete[match])
            rows.append(_official_errors(people.joints_cam[person], found.joints_cam[match] if matched else None))
        if not len(people):
            # Nobody is annotated as valid: who is found may well be there.
            continue
        own, roots = is_known(found.joints_cam[:, PELVIS]), people.joints_cam[:, PELVIS]
        scores.append(found.scores[own])
        right.append(right_roots(found.joints_cam[own, PELVIS], found.scores[own], roots) >= 0)
    return _errors(rows, scores, right)


def measure_muco(sequence: TruthSequence, pairs: Pairs) -> Errors:
    """As `measure_official`, of MuCo-3DHP's pictures: of its 21 joints the 17 that MuPoTS-3D has."""
    own = len(JOINTS)
    cut = (
        (
            replace(frame, people=replace(p, joints_cam=p.joints_cam[:, :own], joints_px=p.joints_px[:, :own],
                                          visible=p.visible[:, :own])),
            replace(found, joints_cam=found.joints_cam[:, :own], joints_px=found.joints_px[:, :own]),
        )
        for frame, found in pairs for p in [frame.people]
    )  # fmt: skip
    return measure_official(sequence, cut)


def _official_errors(truth: Floats, found: Floats | None) -> tuple[Floats, Floats, bool]:
    if found is None:
        return np.full(17, MISSED_M), np.full(17, MISSED_M), False
    own, true_rel = found - found[PELVIS], truth - truth[PELVIS]
    relative = np.linalg.norm(with_true_bones(own, true_rel) - true_rel, axis=-1)
    return relative, np.linalg.norm(with_true_bones(found, truth) - truth, axis=-1), True


def measure_released(sequence: TruthSequence, pairs: Pairs) -> Errors:
    """Errors of every true person under `mupots-released`: depths are fitted to the truth's over the whole video."""
    frames = [(frame.people.joints_cam, found.joints_cam) for frame, found in pairs]
    chosen: list[tuple[Floats, Floats | None]] = []
    for truth, given in frames:
        found = given[is_known(given).all(axis=1)]
        matches = match_by_shape(truth - truth[:, PELVIS, None], found - found[:, PELVIS, None])
        chosen += [(truth[n], found[match] if match >= 0 else None) for n, match in enumerate(matches)]
    depths = np.array([[t[PELVIS, 2], f[PELVIS, 2]] for t, f in chosen if f is not None]).reshape(-1, 2)
    fitted = iter(fitted_depths(depths[:, 1], depths[:, 0]))
    rows = [_released_errors(truth, found, float(next(fitted)) if found is not None else 0.0)
            for truth, found in chosen]  # fmt: skip
    return _errors(rows, [], [])


def fitted_depths(depths: AnyFloats, truth: AnyFloats) -> Floats:
    """Depths (P,) moved and scaled to true ones (P,) in least squares."""
    own, true = depths - depths.mean() if len(depths) else depths, truth - truth.mean() if len(truth) else truth
    spread = float((own**2).sum())
    scale = float((own * true).sum()) / spread if spread > 0 else 0.0
    return np.asarray(scale * own + (truth.mean() if len(truth) else 0.0))


def _released_errors(truth: Floats, found: Floats | None, depth_m: float) -> tuple[Floats, Floats, bool]:
    if found is None:
        return np.full(17, MISSED_M), np.full(17, MISSED_M), False
    true_rel = truth - truth[PELVIS]
    posed = with_bones_by_position(found - found[PELVIS], true_rel)
    root = truth[PELVIS] * depth_m / truth[PELVIS, 2]
    return np.linalg.norm(posed - true_rel, axis=-1), np.linalg.norm(posed + root - truth, axis=-1), True


def _errors(rows: list[tuple[Floats, Floats, bool]], scores: list[Floats], right: list[Mask]) -> Errors:
    relative, absolute = (np.array([row[part] for row in rows]).reshape(-1, 17) for part in (0, 1))
    matched = np.array([row[2] for row in rows], dtype=bool)
    blank = np.zeros(0)
    return Errors(relative, absolute, matched, np.concatenate([*scores, blank]),
                  np.concatenate([*right, blank.astype(bool)]).astype(bool))  # fmt: skip


def share_within(errors: AnyFloats, limits_m: float | AnyFloats, joints: tuple[int, ...] = SCORED) -> Floats:
    """The share (L,) of people's joints whose errors (P, 17) are below limits (L,); not a number without people."""
    own = np.asarray(errors)[:, joints]
    return np.array([(own < limit).mean() if own.size else np.nan for limit in np.atleast_1d(limits_m)])


def tables_of(name: str, curve_m: Floats, official: bool, measured: Mapping[str, Errors]) -> dict[str, Rows]:
    """PCK and AUC of all people, and where official of those matched, a row a sequence and their mean; PCK over
    distances and by joints, of the people of all sequences together."""
    rows: Rows = []
    for sequence, errors in measured.items():
        row = {"sequence": sequence, "people": len(errors.relative), "found": _percent(errors.matched)}
        row |= _figures(errors, curve_m, np.ones(len(errors.matched), bool), "all")
        if official:
            row |= _figures(errors, curve_m, errors.matched, "matched")
            row["ap_root_25"] = 100 * average_precision(errors.scores, errors.right, len(errors.relative))
        rows.append({key: None if isinstance(v, float) and np.isnan(v) else v for key, v in row.items()})
    everybody = np.concatenate([errors.relative for errors in measured.values()])
    absolute = np.concatenate([errors.absolute for errors in measured.values()])
    curve = [
        {"mm": round(1000 * float(limit), 3), "pck_rel_pct": 100 * float(rel), "pck_abs_pct": 100 * float(ab)}
        for limit, rel, ab in zip(curve_m, share_within(everybody, curve_m), share_within(absolute, curve_m),
                                  strict=True)
    ]  # fmt: skip
    joints = [{"joints": group, "pck_rel_pct": 100 * float(share_within(everybody, PCK_M, own)[0])}
              for group, own in GROUPS.items()]  # fmt: skip
    return {name: [*rows, mean_row(rows)], f"{name}: PCK curve": curve, f"{name}: joints": joints}


def _figures(errors: Errors, curve_m: Floats, chosen: Mask, which: str) -> dict[str, float]:
    relative, absolute = errors.relative[chosen], errors.absolute[chosen]
    return {
        f"pck_{which}": 100 * float(share_within(relative, PCK_M)[0]),
        f"auc_{which}": 100 * float(share_within(relative, curve_m).mean()),
        f"pck_abs_{which}": 100 * float(share_within(absolute, PCK_M)[0]),
    }


def _percent(mask: Mask) -> float:
    return 100 * float(mask.mean()) if len(mask) else float("nan")


_COMMON = ("14 joints, without pelvis, spine and neck; PCK within 150 mm, strictly",
           "figures of each sequence, then their mean")  # fmt: skip

OFFICIAL = Protocol(
    "mupots-official", "mupots",
    ("people are matched on the image, the first true one first, by 13 joints within 40 pixels each way; one to one",
     "bones get the truth's lengths along the official order with the official parents",
     "relative poses about the pelvis; pck_abs in the camera frame, with nothing of the truth in the placement",
     "truth: annot3, where people are; AUC over 0, 5, ... 150 mm", "all: missed people count as wrong", *_COMMON),
    measure_official, partial(tables_of, "mupots-official", CURVE_M, True),
)  # fmt: skip

MUCO = Protocol(
    "muco", "muco",
    ("pictures of training, composed of people who stood elsewhere: to compare a system with itself, not with others",
     "as mupots-official, of the 17 joints that MuPoTS-3D has too", *_COMMON),
    measure_muco, partial(tables_of, "muco", CURVE_M, True),
)  # fmt: skip

OFFICIAL_UNIVERSAL = Protocol(
    "mupots-official-universal", "mupots",
    ("as mupots-official, but of bodies brought to one height (univ_annot3), which most tables of PCK_rel mean",
     "pck_abs and ap_root_25 are then in no camera's frame and mean nothing", *_COMMON),
    measure_official, partial(tables_of, "mupots-official-universal", CURVE_M, True), {"joints": UNIVERSAL},
)  # fmt: skip

RELEASED = Protocol(
    "mupots-released", "mupots",
    ("as the paper's released scripts score; not comparable with mupots-official",
     "predicted depths are fitted to the truth's, all people of a video together",
     "the root stands on the truth's x and y, scaled by fitted over true depth",
     "people are matched by the error after a similarity transform, up to 250 mm, not one to one",
     "bones get the truth's lengths with parents by position in the order, not by joint",
     "AUC over 0, 5, ... 195 mm", *_COMMON),
    measure_released, partial(tables_of, "mupots-released", RELEASED_CURVE_M, False),
)  # fmt: skip
