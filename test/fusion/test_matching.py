"""Matching of the two branches: against loops, against the best of all assignments, and people it was made for."""

import itertools
import time
from dataclasses import replace

import numpy as np
import pytest

from dualpose_ros.fusion.matching import (
    MatchConfig,
    Matches,
    apart,
    body_sizes,
    distinct,
    match_poses,
    shadowed,
    similarity,
    split_distance,
)
from dualpose_ros.people import Persons, Pose3D, Poses, Source, TrackingState
from dualpose_ros.skeleton import H36M17, K

# Somebody who stands and faces the camera, metres about the pelvis, x to the right and y down.
STANDING = np.array(
    [
        [0, 0, 0], [-0.12, 0, 0], [-0.13, 0.43, 0], [-0.13, 0.85, 0.03], [0.12, 0, 0], [0.13, 0.43, 0],
        [0.13, 0.85, 0.03], [0, -0.22, 0], [0, -0.46, 0], [0, -0.56, 0], [0, -0.75, 0], [0.16, -0.44, 0],
        [0.2, -0.16, 0.05], [0.22, 0.09, 0], [-0.16, -0.44, 0], [-0.2, -0.16, 0.05], [-0.22, 0.09, 0],
    ]
)  # fmt: skip


def poses_of(joints_cam: np.ndarray, joint_scores: np.ndarray, joint_stddev: np.ndarray) -> Poses:
    return Poses(joints_cam, joint_scores, joint_stddev, joint_scores.mean(axis=1))


def standing(*roots: tuple[float, float, float], stddev: float = 0.05) -> Poses:
    joints = np.array(roots, dtype=np.float64).reshape(-1, 1, 3) + STANDING
    return poses_of(joints, np.full(joints.shape[:2], 0.8), np.full(joints.shape[:2], stddev))


def along_rays(poses: Poses, factor: float) -> Poses:
    """The same people on the image, at `factor` times the depth of their roots, of the same size along the ray."""
    root = poses.joints_cam[:, :1, 2:]
    depth = poses.joints_cam[..., 2:] + (factor - 1) * root
    rays = poses.joints_cam / poses.joints_cam[..., 2:]
    return poses_of(rays * depth, poses.joint_scores, poses.joint_stddev)


def crowd(rng: np.random.Generator, count: int, noise: float = 0.1) -> Poses:
    roots = rng.uniform([-2, -0.3, 2.5], [2, 0.3, 8], (count, 3))
    joints = roots[:, None] + STANDING * rng.uniform(0.7, 1.2, (count, 1, 1)) + rng.normal(0, noise, (count, K, 3))
    scores = rng.uniform(0, 1, (count, K)) * (rng.random((count, K)) < 0.8)
    return poses_of(joints, scores, rng.uniform(0.02, 0.6, (count, K)))


def as_records(poses: Poses) -> Persons:
    return Persons.of(
        Pose3D(n, TrackingState.CONFIRMED, Source.TOP_DOWN, 0.9, np.zeros(4), joints, scores, stddev, np.zeros((K, 2)))
        for n, (joints, scores, stddev) in enumerate(
            zip(poses.joints_cam, poses.joint_scores, poses.joint_stddev, strict=True)
        )
    )


def slow_similarity(bottom_up: Poses, top_down: Poses, config: MatchConfig, isotropic: bool = False) -> np.ndarray:
    answer = np.zeros((len(bottom_up), len(top_down)))
    for i, j in np.ndindex(*answer.shape):
        total = weights = 0.0
        size = (slow_size(bottom_up.joints_cam[i]) + slow_size(top_down.joints_cam[j])) / 2
        for k in range(K):
            x, y = bottom_up.joints_cam[i, k], top_down.joints_cam[j, k]
            far, near = np.linalg.norm(x), np.linalg.norm(y)
            unit = 2 * size * config.joint_sigmas[k]
            if isotropic:
                squared = np.linalg.norm(x - y) ** 2 / unit**2
            else:
                mean = np.sqrt(far * near)
                across = mean * np.linalg.norm(x / far - y / near)
                stated = np.sqrt(bottom_up.joint_stddev[i, k] ** 2 + top_down.joint_stddev[j, k] ** 2)
                depth_unit = 2 * max(stated, config.depth_sigma * mean)
                squared = across**2 / unit**2 + (far - near) ** 2 / depth_unit**2
            weight = min(bottom_up.joint_scores[i, k], top_down.joint_scores[j, k])
            total, weights = total + weight * np.exp(-squared / 2), weights + weight
        answer[i, j] = total / weights if weights > 0 else 0.0
    return answer


def slow_size(joints: np.ndarray) -> float:
    return float(np.median([np.linalg.norm(joints[child] - joints[parent]) for parent, child in H36M17.bones]))


def test_similarity_agrees_with_loops() -> None:
    rng = np.random.default_rng(0)
    config = MatchConfig(joint_sigmas=tuple(np.linspace(0.1, 0.6, K)), depth_sigma=0.05)
    for _ in range(5):
        top_down = crowd(rng, 4)
        bottom_up = along_rays(top_down, 1.06)[[2, 0, 1]]
        found = similarity(bottom_up, top_down, config)
        assert found.shape == (3, 4)
        np.testing.assert_allclose(found, slow_similarity(bottom_up, top_down, config), rtol=1e-9, atol=1e-12)
        assert found.max() > 0.05


def test_records_and_arrays_are_the_same() -> None:
    rng = np.random.default_rng(1)
    top_down, bottom_up = crowd(rng, 3), crowd(rng, 2)
    by_arrays = similarity(bottom_up, top_down)
    np.testing.assert_array_equal(similarity(as_records(bottom_up), as_records(top_down)), by_arrays)


def test_two_parts_of_the_distance_add_up_and_are_what_they_say() -> None:
    rng = np.random.default_rng(2)
    x, y = rng.normal([0, 0, 4], 1, (2, 50, 3))
    across, along, distance = split_distance(x, y)
    np.testing.assert_allclose(across**2 + along**2, ((x - y) ** 2).sum(axis=1))
    across, along, distance = split_distance(x, 1.2 * x)
    np.testing.assert_allclose(across, 0, atol=1e-6)
    np.testing.assert_allclose(along, 0.2 * np.linalg.norm(x, axis=1))
    np.testing.assert_allclose(distance, np.sqrt(1.2) * np.linalg.norm(x, axis=1))


def test_similarity_does_not_grow_with_the_number_of_joints() -> None:
    whole = standing((0, 0, 4))
    scores = whole.joint_scores.copy()
    scores[:, 5:] = 0
    part = poses_of(whole.joints_cam, scores, whole.joint_stddev)
    assert similarity(whole, whole)[0, 0] == pytest.approx(1)
    assert similarity(part, whole)[0, 0] == pytest.approx(1)
    faint = poses_of(whole.joints_cam, 0.1 * whole.joint_scores, whole.joint_stddev)
    assert similarity(faint, faint)[0, 0] == pytest.approx(1)


def test_nothing_shared_is_nothing_alike() -> None:
    person = standing((0, 0, 4))
    upper, lower = np.zeros((1, K)), np.zeros((1, K))
    upper[:, 7:], lower[:, :7] = 0.9, 0.9
    one, other = (poses_of(person.joints_cam, scores, person.joint_stddev) for scores in (upper, lower))
    none = poses_of(person.joints_cam, np.zeros((1, K)), person.joint_stddev)
    assert similarity(one, other)[0, 0] == 0
    assert similarity(none, none)[0, 0] == 0
    assert len(match_poses(top_down=one, bottom_up=other)) == 0
    assert not shadowed(one, other).any() and not shadowed(none, none).any()


def best_total(alike: np.ndarray, least: float) -> float:
    """Largest total over all ways to give each row one column or none."""
    rows, columns = alike.shape
    best = 0.0
    for given in itertools.product(range(-1, columns), repeat=rows):
        used = [c for c in given if c >= 0]
        if len(set(used)) < len(used) or any(c >= 0 and alike[r, c] < least for r, c in enumerate(given)):
            continue
        best = max(best, sum(alike[r, c] for r, c in enumerate(given) if c >= 0))
    return best


@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (3, 2), (3, 3), (4, 4)])
@pytest.mark.parametrize("least", [0.02, 0.2, 0.5])
def test_pairs_are_the_best_of_all(shape: tuple[int, int], least: float) -> None:
    rng = np.random.default_rng(shape)
    # So wide that everybody is somewhat like everybody else.
    config = MatchConfig(min_similarity=least, joint_sigmas=(3.0,) * K, depth_sigma=0.3)
    contested = 0
    for _ in range(12):
        top_down, bottom_up = crowd(rng, shape[0]), crowd(rng, shape[1])
        alike = similarity(bottom_up, top_down, config).T
        found = match_poses(top_down=top_down, bottom_up=bottom_up, config=config)
        assert found.similarity.sum() == pytest.approx(best_total(alike, least))
        np.testing.assert_array_equal(found.similarity, alike[found.top_down, found.bottom_up])
        assert (found.similarity >= least).all()
        assert len(set(found.top_down)) == len(set(found.bottom_up)) == len(found)
        contested += int((alike >= least).sum() > len(found))
    assert shape == (1, 1) or least == 0.5 or contested > 3


def test_pairs_below_the_cut_take_nobody_from_another() -> None:
    top_down = standing((0, 0, 4), (0.35, 0, 4))
    bottom_up = standing((0.02, 0, 4))
    alike = similarity(bottom_up, top_down)[0]
    assert alike[0] > 0.9 and 0 < alike[1] < 0.5
    # Two bottom-up poses: the second is like nobody, but a little like the first's person.
    bottom_up = standing((0.02, 0, 4), (-0.4, 0, 4))
    cut = MatchConfig(min_similarity=0.5)
    found = match_poses(top_down=top_down, bottom_up=bottom_up, config=cut)
    assert (found.top_down.tolist(), found.bottom_up.tolist()) == ([0], [0])
    assert similarity(bottom_up, top_down)[1].max() < 0.5


def test_cut_is_where_it_says() -> None:
    top_down, bottom_up = standing((0, 0, 4)), standing((0.05, 0, 4.3))
    alike = float(similarity(bottom_up, top_down)[0, 0])
    assert 0.2 < alike < 0.95
    for least, count in ((alike, 1), (np.nextafter(alike, 0), 1), (alike + 1e-9, 0)):
        config = MatchConfig(min_similarity=float(least))
        assert len(match_poses(top_down=top_down, bottom_up=bottom_up, config=config)) == count


@pytest.mark.parametrize("counts", [(0, 0), (0, 3), (3, 0)])
def test_nobody(counts: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    top_down, bottom_up = crowd(rng, counts[0]), crowd(rng, counts[1])
    for one, other in ((top_down, bottom_up), (as_records(top_down), as_records(bottom_up))):
        found = match_poses(top_down=one, bottom_up=other)
        assert isinstance(found, Matches) and len(found) == 0
        assert found.top_down.shape == found.bottom_up.shape == found.similarity.shape == (0,)
        assert similarity(other, one).shape == counts[::-1]
        assert shadowed(other, one).tolist() == [False] * counts[1]


def test_what_is_not_finite_counts_for_nothing() -> None:
    clean = standing((0, 0, 4), (1, 0, 5))
    joints, scores, stddev = clean.joints_cam.copy(), clean.joint_scores.copy(), clean.joint_stddev.copy()
    joints[0, 3], joints[1, 4], stddev[0, 5], scores[1, 6] = np.nan, np.inf, np.nan, np.nan
    damaged = poses_of(joints, scores, stddev)
    nothing = poses_of(np.zeros((1, K, 3)), np.ones((1, K)), np.zeros((1, K)))
    for other in (clean, damaged, nothing):
        assert np.isfinite(similarity(damaged, other)).all() and np.isfinite(similarity(other, damaged)).all()
        assert shadowed(damaged, other).dtype == bool
    np.testing.assert_allclose(np.diag(similarity(damaged, clean)), 1)
    assert match_poses(top_down=clean, bottom_up=damaged).bottom_up.tolist() == [0, 1]


def test_order_of_the_poses_does_not_matter() -> None:
    rng = np.random.default_rng(5)
    top_down = crowd(rng, 7)
    bottom_up = along_rays(top_down, 0.95)[rng.permutation(7)[:6]]
    found = match_poses(top_down=top_down, bottom_up=bottom_up)
    assert len(found) >= 5
    rows, columns = rng.permutation(7), rng.permutation(6)
    again = match_poses(top_down=top_down[rows], bottom_up=bottom_up[columns])
    before = set(zip(found.top_down.tolist(), found.bottom_up.tolist(), strict=True))
    assert before == set(zip(rows[again.top_down].tolist(), columns[again.bottom_up].tolist(), strict=True))


@pytest.mark.parametrize("factor", [0.9, 1.1])
@pytest.mark.parametrize("distance", [3.0, 6.0, 12.0])
def test_far_people_whose_depths_disagree_still_match(factor: float, distance: float) -> None:
    top_down = standing((0, 0, distance), (0.9, 0, distance))
    bottom_up = along_rays(top_down, factor)[[1, 0]]
    found = match_poses(top_down=top_down, bottom_up=bottom_up)
    assert (found.top_down.tolist(), found.bottom_up.tolist()) == ([0, 1], [1, 0])
    # By Eq. 6 as written, with Euclidean distances, they would not.
    assert (slow_similarity(bottom_up, top_down, MatchConfig(), isotropic=True) < MatchConfig().min_similarity).all()


def test_depths_beyond_what_is_stated_do_not_match() -> None:
    top_down = standing((0, 0, 6))
    assert len(match_poses(top_down=top_down, bottom_up=along_rays(top_down, 1.6))) == 0
    unsure = standing((0, 0, 6), stddev=1.5)
    assert len(match_poses(top_down=top_down, bottom_up=along_rays(unsure, 1.6))) == 1


def behind(person: Poses, factor: float) -> Poses:
    """Somebody larger who looks exactly alike on the image, `factor` times as far away."""
    return poses_of(factor * person.joints_cam, person.joint_scores, person.joint_stddev)


@pytest.mark.parametrize("factor", [0.93, 1.0, 1.07])
@pytest.mark.parametrize("stddev", [0.05, 0.6])
def test_one_behind_the_other_are_not_confused(factor: float, stddev: float) -> None:
    near = standing((0.2, 0, 4), stddev=stddev)
    alike = Poses.concatenate([near, behind(near, 5.5 / 4)])
    unlike = standing((0.2, 0, 4), (0.2 * 5.5 / 4, 0, 5.5), stddev=stddev)
    # Whether they are alike on the image, so that depth alone tells them apart, or the one behind is smaller there.
    for top_down in (alike, unlike):
        bottom_up = along_rays(top_down, factor)[[1, 0]]
        found = match_poses(top_down=top_down, bottom_up=bottom_up)
        assert (found.top_down.tolist(), found.bottom_up.tolist()) == ([0, 1], [1, 0])
        wrong = similarity(bottom_up, top_down).diagonal()
        assert (found.similarity > wrong.max() + 0.15).all()


def test_one_behind_the_other_are_no_pair_where_depths_are_sure() -> None:
    near = standing((0.2, 0, 4))
    assert len(match_poses(top_down=near, bottom_up=behind(near, 5.5 / 4))) == 0


def test_both_shadow_the_same_person_at_any_depth() -> None:
    accepted = standing((0, 0, 4), (1.2, 0, 5))
    same = along_rays(accepted[[1]], 1.9)
    assert len(match_poses(top_down=accepted, bottom_up=same)) == 0
    beside, smaller = standing((0.5, 0, 4)), standing((0, 0.4, 9))
    unmatched = Poses.concatenate([same, beside, smaller])
    assert shadowed(unmatched, accepted).tolist() == [True, False, False]
    assert shadowed(as_records(unmatched), as_records(accepted)).tolist() == [True, False, False]


def test_a_joint_or_two_do_not_shadow_a_person() -> None:
    accepted = standing((0, 0, 4))
    scores = np.zeros((1, K))
    scores[:, :2] = 0.9
    glimpse = poses_of(accepted.joints_cam, scores, accepted.joint_stddev)
    assert not shadowed(accepted, glimpse).any()
    # The extent of a few joints is no measure of how large the person is: the whole one's is.
    beside = poses_of(accepted.joints_cam + np.array([0.02, 0.02, 0]), scores, accepted.joint_stddev)
    assert shadowed(glimpse, accepted).all() and shadowed(beside, accepted).all()


def test_people_behind_the_camera_shadow_nobody() -> None:
    person = standing((0, 0, -4))
    assert not shadowed(person, standing((0, 0, 4))).any() and not shadowed(person, person).any()


def test_body_size_is_not_moved_by_posture_or_a_few_wrong_joints() -> None:
    sitting = STANDING.copy()
    sitting[[2, 5]] = STANDING[[1, 4]] + [0, 0, -0.43]
    sitting[[3, 6]] = sitting[[2, 5]] + [0, 0.42, 0]
    wrong = STANDING.copy()
    wrong[[3, 13]] += 5.0
    sizes = body_sizes(np.stack([STANDING, sitting, wrong, 0.5 * STANDING, np.zeros((K, 3))]))
    assert sizes[1] == pytest.approx(sizes[0], rel=0.1) and sizes[2] == pytest.approx(sizes[0], rel=0.25)
    assert sizes[3] == pytest.approx(sizes[0] / 2) and sizes[4] > 0


@pytest.mark.parametrize("wrong", [(0.1,) * 16, (0.1,) * 16 + (0.0,), (0.1,) * 16 + (float("nan"),)])
def test_every_joint_needs_a_sigma(wrong: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="joint_sigmas"):
        MatchConfig(joint_sigmas=wrong)


def test_ten_by_ten_is_fast() -> None:
    rng = np.random.default_rng(9)
    top_down, bottom_up = as_records(crowd(rng, 10)), as_records(crowd(rng, 10))
    seconds = []
    for _ in range(60):
        start = time.perf_counter()
        match_poses(top_down=top_down, bottom_up=bottom_up)
        seconds.append(time.perf_counter() - start)
    # Loops over pairs and joints take a hundred times as long; the limit leaves room for a busy machine.
    assert min(seconds) < 1e-3


def test_people_apart_are_those_found_one_after_the_other() -> None:
    rng = np.random.default_rng(3)
    places = rng.uniform((-1.0, -0.2, 2.5), (1.0, 0.2, 4.0), (14, 3))
    some = standing(*(tuple(place) for place in places.tolist()))
    accepted = some[:3]
    kept: list[int] = []
    for n in range(len(some)):
        if not (shadowed(some[[n]], accepted)[0] or shadowed(some[[n]], some[kept])[0]):
            kept.append(n)
    assert apart(some, accepted) == kept and 1 < len(kept) < 11
    assert apart(some[:0], accepted) == []
    # The same rule among fused poses, by score.
    scores = rng.permutation(len(some)) / len(some)
    ranked, config = replace(some, scores=scores), MatchConfig()
    alike = replace(config, duplicate_oks=config.same_person_oks)
    best: list[int] = []
    for n in np.argsort(-scores).tolist():
        if not shadowed(ranked[[n]], ranked[best], alike)[0]:
            best.append(n)
    assert distinct(ranked, np.arange(len(some)), config) == sorted(best)
