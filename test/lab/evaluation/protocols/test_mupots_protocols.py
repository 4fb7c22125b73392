"""MuPoTS-3D's two protocols, step by step and by hand."""

from collections.abc import Iterator

import numpy as np
import pytest

from dualpose_ros.datasets.predictions import FoundPeople
from dualpose_ros.datasets.published.mupots import JOINTS
from dualpose_ros.datasets.published.truth import TruthFrame, TruthSequence, true_people
from dualpose_ros.lab.evaluation.protocols import mupots

RNG = np.random.default_rng(2)
SEQUENCE = TruthSequence("TS1", JOINTS, lambda: iter(()))


def bodies(count: int) -> np.ndarray:
    return RNG.normal(size=(count, 17, 3)) * 0.4 + np.arange(count)[:, None, None] * (1.5, 0, 0) + (0, 0, 5.0)


def pixels(joints: np.ndarray) -> np.ndarray:
    return 1500 * joints[..., :2] / joints[..., 2:] + (960, 540)


def frame(joints: np.ndarray, found: np.ndarray, index: int = 0) -> tuple[TruthFrame, FoundPeople]:
    people = true_people(np.arange(len(joints)), joints, pixels(joints), "here")
    return TruthFrame(index, index / 30, None, None, people), FoundPeople(
        np.arange(len(found)), np.ones(len(found)), found, pixels(found)
    )


def run(protocol: mupots.Protocol, *frames: tuple[TruthFrame, FoundPeople]) -> dict[str, float]:
    def pairs() -> Iterator[tuple[TruthFrame, FoundPeople]]:
        yield from frames

    return protocol.tables({"TS1": protocol.measure(SEQUENCE, pairs())})[protocol.name][0]


@pytest.mark.parametrize("protocol", [mupots.OFFICIAL, mupots.RELEASED], ids=lambda p: p.name)
def test_the_truth_scores_full_and_nobody_none(protocol: mupots.Protocol) -> None:
    joints = bodies(3)
    row = run(protocol, frame(joints, joints), frame(joints, joints[::-1]))
    assert row["pck_all"] == 100 and row["pck_abs_all"] == 100 and row["found"] == 100
    # An error of 0 is not below the first threshold of 0.
    steps = 31 if protocol is mupots.OFFICIAL else 40
    assert row["auc_all"] == pytest.approx(100 * (steps - 1) / steps)
    assert run(protocol, frame(joints, joints[:0]))["pck_all"] == 0


def test_a_missed_person_counts_in_all_and_not_in_matched() -> None:
    joints = bodies(2)
    row = run(mupots.OFFICIAL, frame(joints, joints[:1]))
    assert (row["pck_all"], row["pck_matched"], row["found"]) == (50, 100, 50)


def test_official_matching_is_one_to_one_and_the_first_true_person_first() -> None:
    joints = bodies(1)
    two = np.concatenate([joints, np.add(joints, (0.001, 0, 0))])
    assert mupots.match_in_pixels(pixels(two), pixels(joints)).tolist() == [0, -1]
    assert mupots.match_in_pixels(pixels(joints), pixels(two)).tolist() == [0]
    away = np.add(pixels(joints), (41.0, 0.0))
    assert mupots.match_in_pixels(pixels(joints), away).tolist() == [-1]
    part = away.copy()
    part[0, 13] = pixels(joints)[0, 13]
    assert mupots.match_in_pixels(pixels(joints), part).tolist() == [0]


def test_bones_get_the_truths_lengths_and_keep_their_directions() -> None:
    truth, found = bodies(2)
    mapped = mupots.with_true_bones(found, truth)
    for joint in mupots.TRAVERSAL:
        parent = mupots.PARENTS[joint]
        own, true, given = (side[joint] - side[parent] for side in (mapped, truth, found))
        assert np.linalg.norm(own) == pytest.approx(np.linalg.norm(true))
        assert own @ given == pytest.approx(np.linalg.norm(own) * np.linalg.norm(given))
    np.testing.assert_array_equal(mapped[mupots.PELVIS], found[mupots.PELVIS])


def test_the_released_bones_are_others() -> None:
    """Parents by position: the same body with other proportions gets errors that the official scoring doesn't see."""
    truth = bodies(1)[0]
    found = truth[mupots.PELVIS] + 1.3 * (truth - truth[mupots.PELVIS])
    official = np.linalg.norm(mupots.with_true_bones(found, truth) - truth, axis=-1)
    released = np.linalg.norm(mupots.with_bones_by_position(found, truth) - truth, axis=-1)
    assert official.max() == pytest.approx(0, abs=1e-9) and released.max() > 0.05


def test_the_released_root_needs_no_right_depth() -> None:
    """Depths of half of the truth's are fitted away; the official scoring holds them against a system."""
    joints = bodies(3) + np.array([[[0, 0, 0]], [[0, 0, 1]], [[0, 0, 3]]])
    near = joints - 0.5 * joints[:, mupots.PELVIS, None] * (0, 0, 1)
    moved = frame(joints, near)
    moved = moved[0], FoundPeople(moved[1].ids, moved[1].scores, near, pixels(joints))
    assert run(mupots.RELEASED, moved)["pck_abs_all"] == 100
    assert run(mupots.OFFICIAL, moved)["pck_abs_all"] == 0 and run(mupots.OFFICIAL, moved)["pck_all"] == 100


def test_a_person_without_a_joint_counts_as_missed() -> None:
    joints = bodies(1)
    part = joints.copy()
    part[0, 4] = np.nan
    row = run(mupots.OFFICIAL, (frame(joints, joints)[0], FoundPeople(np.arange(1), np.ones(1), part, pixels(joints))))
    assert row["found"] == 0 and row["pck_all"] == 0


def test_depths_fitted_by_hand() -> None:
    np.testing.assert_allclose(mupots.fitted_depths(np.array([1.0, 2, 3]), np.array([4.0, 6, 8])), [4, 6, 8])
    np.testing.assert_allclose(mupots.fitted_depths(np.array([2.0]), np.array([5.0])), [5])
    assert len(mupots.fitted_depths(np.zeros(0), np.zeros(0))) == 0


def test_muco_is_scored_by_the_joints_that_mupots_has_too() -> None:
    """Hands and toes, which only its truth has, count for nothing."""
    joints, rest = bodies(2), RNG.normal(size=(2, 4, 3)) + np.array([0, 0, 5.0])
    found = joints + RNG.normal(size=joints.shape) * 0.1
    both = [
        np.concatenate([part, tail], axis=1) for part, tail in ((joints, rest), (found, np.full_like(rest, np.nan)))
    ]
    people = true_people(np.arange(2), both[0], pixels(both[0]), "here")
    pair = TruthFrame(0, 0.0, None, None, people), FoundPeople(np.arange(2), np.ones(2), both[1], pixels(both[1]))
    row, wanted = run(mupots.MUCO, pair), run(mupots.OFFICIAL, frame(joints, found))
    assert 0 < row["pck_all"] < 100 and {**row, "sequence": 0} == {**wanted, "sequence": 0}


def made_up(sequence: int) -> list[tuple[TruthFrame, FoundPeople]]:
    """Twelve frames of three people with noise, wrong roots and depths, swaps, misses, ghosts and somebody twice."""
    rng = np.random.default_rng(sequence)
    start = rng.normal(size=(3, 17, 3)) * 0.4 + np.arange(3)[:, None, None] * (1.5, 0, 0) + (0, 0, 5.0)
    frames = []
    for index in range(12):
        truth = start + rng.normal(size=(3, 1, 3)) * 0.1 + rng.normal(size=start.shape) * 0.06
        found = truth + rng.normal(size=truth.shape) * rng.choice([0.03, 0.08, 0.25], size=(3, 1, 1))
        found = (found + rng.normal(size=(3, 1, 3)) * (0.03, 0.03, 0.25))[rng.permutation(3)]
        found = found[: rng.integers(2, 4)]
        if rng.random() < 0.4:
            found = np.concatenate([found, rng.normal(size=(1, 17, 3)) * 0.4 + (0, 0, 4.0)])
        if rng.random() < 0.3:
            found = np.concatenate([found, found[:1] + rng.normal(size=(1, 17, 3)) * 0.005])
        frames.append(frame(truth, found, index))
    return frames


def slow_bones(found: np.ndarray, truth: np.ndarray, by_position: bool) -> np.ndarray:
    order = [14, 15, 1, 0, 16, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13][1:]
    o1 = [p - 1 for p in (2, 16, 2, 3, 4, 2, 6, 7, 15, 9, 10, 15, 12, 13, 15, 15, 2)]
    mapped = found.copy()
    for place, joint in enumerate(order):
        parent = o1[place] if by_position else o1[joint]
        bone = found[joint] - found[parent]
        length = np.sqrt(sum((truth[joint][a] - truth[parent][a]) ** 2 for a in range(3)))
        mapped[joint] = mapped[parent] + bone / np.sqrt(sum(b**2 for b in bone)) * length
    return mapped


def slow_official(frames: list[tuple[TruthFrame, FoundPeople]]) -> list[tuple[list[float] | None, list[float] | None]]:
    """Each true person's 14 errors, relative and absolute, or None."""
    rows: list[tuple[list[float] | None, list[float] | None]] = []
    for truth, found in frames:
        used: set[int] = set()
        for person in range(len(truth.people)):
            best, most = -1, 0
            for other in range(len(found)):
                hits = 0
                for joint in range(1, 14):
                    dx, dy = np.abs(truth.people.joints_px[person, joint] - found.joints_px[other, joint])
                    hits += bool(dx < 40 and dy < 40)
                if other not in used and hits > most:
                    best, most = other, hits
            if best < 0:
                rows.append((None, None))
                continue
            used.add(best)
            own, given = truth.people.joints_cam[person], found.joints_cam[best]
            mapped = slow_bones(given - given[14], own - own[14], False), slow_bones(given, own, False)
            errors = [
                [float(np.sqrt(((m[joint] - t[joint]) ** 2).sum())) for joint in range(14)]
                for m, t in zip(mapped, (own - own[14], own), strict=True)
            ]
            rows.append((errors[0], errors[1]))
    return rows


def slow_released(frames: list[tuple[TruthFrame, FoundPeople]]) -> list[tuple[list[float] | None, list[float] | None]]:
    from scipy.spatial.transform import Rotation

    chosen: list[tuple[np.ndarray, np.ndarray | None]] = []
    for truth, found in frames:
        for own in truth.people.joints_cam:
            target, errors = own - own.mean(axis=0), []
            for other in found.joints_cam:
                centred = other - other.mean(axis=0)
                turned = Rotation.align_vectors(target, centred)[0].apply(centred)
                scale = (target * turned).sum() / (centred**2).sum()
                errors.append(np.linalg.norm(scale * turned - target, axis=1).mean())
            least = int(np.argmin(errors))
            chosen.append((own, None if errors[least] > 0.25 else found.joints_cam[least]))
    pairs = np.array([(given[14, 2], own[14, 2]) for own, given in chosen if given is not None])
    slope, offset = np.polyfit(pairs[:, 0], pairs[:, 1], 1)
    rows: list[tuple[list[float] | None, list[float] | None]] = []
    for own, given in chosen:
        if given is None:
            rows.append((None, None))
            continue
        mapped = slow_bones(given - given[14], own - own[14], True)
        placed = mapped + own[14] * (slope * given[14, 2] + offset) / own[14, 2]
        rows.append(([float(e) for e in np.linalg.norm(mapped - (own - own[14]), axis=1)[:14]],
                     [float(e) for e in np.linalg.norm(placed - own, axis=1)[:14]]))  # fmt: skip
    return rows


@pytest.mark.parametrize(
    ("protocol", "slow", "steps"), [(mupots.OFFICIAL, slow_official, 31), (mupots.RELEASED, slow_released, 40)]
)
def test_twenty_made_up_sequences_score_as_slow_loops_score_them(protocol: mupots.Protocol, slow, steps: int) -> None:  # type: ignore[no-untyped-def]
    videos = {f"TS{n + 1}": made_up(n) for n in range(20)}
    measured = {name: protocol.measure(SEQUENCE, iter(frames)) for name, frames in videos.items()}
    rows = {row["sequence"]: row for row in protocol.tables(measured)[protocol.name]}
    means = []
    for name, frames in videos.items():
        people = slow(frames)
        shares = []
        for part, limits in ((0, [0.15]), (1, [0.15]), (0, [0.005 * step for step in range(steps)])):
            below = [sum(e < limit for errors in people if errors[part] for e in errors[part]) for limit in limits]
            shares.append(100 * sum(below) / len(limits) / 14 / len(people))
        found = rows[name]
        assert [found[key] for key in ("pck_all", "pck_abs_all", "auc_all")] == pytest.approx(shares, abs=1e-9)
        assert 20 < shares[0] < 99 and 0 < sum(errors[0] is None for errors in people) < len(people)
        means.append(shares[0])
    assert protocol.tables(measured)[protocol.name][-1]["pck_all"] == pytest.approx(np.mean(means), abs=1e-9)
