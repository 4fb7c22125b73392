"""What the integration network learns from: pairs as recorded, groups of one frame, and what is done to them."""

from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest

from dualpose_ros.datasets.recordings import Recordings, joined
from dualpose_ros.fusion.pairs import BranchPoses, K, Pairs
from dualpose_ros.lab.synthetic.motion.meetings import draw_groups as draw_meetings
from dualpose_ros.lab.training.fusion.data import (
    PEOPLE,
    Augmentation,
    PairData,
    augmented,
    before_camera,
    draw_groups,
    elsewhere,
    every_group,
    pair_data,
    simulate,
)
from dualpose_ros.settings import SettingError
from dualpose_ros.skeleton import H36M17
from support import made_recordings as made

PLAIN = Augmentation(mask=0, masked=0, shift_m=0, shifted=0, depth=0, zeroed=0, simulated=0, elsewhere=False)


@pytest.fixture(scope="module")
def recordings() -> Recordings:
    return made.made_recordings(np.random.default_rng(0), sequences=3, frames=2)


@pytest.fixture(scope="module")
def data(recordings: Recordings) -> PairData:
    return pair_data(recordings)


def without(recordings: Recordings, branch: str, rows: list[int]) -> Recordings:
    """The same, but a branch has not found some."""
    own = getattr(recordings, branch)
    kept = np.setdiff1d(np.arange(len(own.frame)), rows)
    return replace(
        recordings, **{branch: type(own)(**{field.name: getattr(own, field.name)[kept] for field in fields(own)})}
    )


def assert_equal(a: BranchPoses, b: BranchPoses) -> None:
    for field in fields(BranchPoses):
        np.testing.assert_array_equal(getattr(a, field.name), getattr(b, field.name), err_msg=field.name)


def test_poses_of_one_person_are_paired_and_have_their_truth(recordings: Recordings, data: PairData) -> None:
    assert len(data) == 18 and data.known.all()
    assert data.pairs.top_down.present.all() and data.pairs.bottom_up.present.all()
    for row in range(18):
        own = [
            next(i for i in range(18) if np.array_equal(branch.joints_cam[i], poses.joints_cam[row].astype(np.float32)))
            for branch, poses in (
                (recordings.top_down, data.pairs.top_down), (recordings.bottom_up, data.pairs.bottom_up),
            )
        ]  # fmt: skip
        person = recordings.top_down.truth[own[0]]
        assert recordings.bottom_up.truth[own[1]] == person
        np.testing.assert_allclose(data.truth[row], recordings.truth.joints_cam[person])
        assert data.frame[row] == recordings.truth.frame[person]
        np.testing.assert_allclose(data.pairs.bottom_up.scores[row], recordings.bottom_up.score[own[1]])
        np.testing.assert_allclose(data.pairs.top_down.joint_stddev[row], recordings.top_down.joint_stddev[own[0]])


def test_who_one_branch_has_missed_is_there_with_the_other_alone(recordings: Recordings) -> None:
    # Of frame 0, person 1 is missed by the one branch; of frame 1, person 0 by the other (which is in reverse order).
    missing = without(without(recordings, "top_down", [1]), "bottom_up", [5])
    data = pair_data(missing)
    assert len(data) == 18
    one = np.flatnonzero(~data.pairs.top_down.present)
    other = np.flatnonzero(~data.pairs.bottom_up.present)
    assert len(one) == len(other) == 1
    assert data.frame[one[0]] == 0 and data.frame[other[0]] == 1
    np.testing.assert_allclose(data.truth[one[0]], recordings.truth.joints_cam[1])
    np.testing.assert_allclose(data.truth[other[0]], recordings.truth.joints_cam[3])
    absent = data.pairs.top_down
    assert not absent.joints_cam[one].any() and absent.scores[one] == 0 and (absent.joint_stddev[one] == 1).all()


def test_ghosts_have_no_truth_and_are_nobodys_neighbour(recordings: Recordings) -> None:
    strange = replace(
        recordings,
        top_down=replace(recordings.top_down, truth=np.where(np.arange(18) == 2, -1, recordings.top_down.truth)),
        bottom_up=replace(recordings.bottom_up, truth=np.where(np.arange(18) == 0, -1, recordings.bottom_up.truth)),
    )
    data = pair_data(strange)
    ghost = np.flatnonzero(~data.known)
    assert len(ghost) == 1 and data.frame[ghost[0]] == 0 and not data.truth[ghost].any()
    assert data.groups[ghost[0]].tolist() == [ghost[0], -1, -1]
    assert ghost[0] not in data.groups[:, 1:]


def test_frames_that_are_not_wanted_and_branches_that_are_empty(recordings: Recordings) -> None:
    wanted = np.array([False, True, False, True, False, False])
    data = pair_data(recordings, wanted)
    assert sorted(set(data.frame.tolist())) == [1, 3] and len(data) == 6
    assert ((data.groups >= -1) & (data.groups < 6)).all()
    nobody = pair_data(recordings, np.zeros(6, dtype=bool))
    assert len(nobody) == 0 and nobody.groups.shape == (0, PEOPLE) and nobody.truth.shape == (0, K, 3)
    alone = pair_data(without(recordings, "bottom_up", list(range(18))))
    assert len(alone) == 18 and not alone.pairs.bottom_up.present.any() and alone.known.all()


def test_groups_are_the_nearest_of_the_frame() -> None:
    places = ((-1.0, 4.0), (0.6, 5.0), (1.8, 7.0), (-0.5, 12.0), (-1.5, 5.0))
    data = pair_data(made.made_recordings(np.random.default_rng(1), 2, 2, places, (0.01, 0.01), (0.01, 0.01)))
    assert len(data) == 20
    roots = data.truth[:, H36M17.root]
    for row in range(20):
        away = {
            other: float(np.linalg.norm(roots[other] - roots[row]))
            for other in range(20)
            if other != row and data.frame[other] == data.frame[row]
        }
        near = sorted((other for other in away if away[other] < 4), key=away.__getitem__)[: PEOPLE - 1]
        assert data.groups[row].tolist() == [row, *near, *[-1] * (PEOPLE - 1 - len(near))]


def test_nobody_is_a_neighbour_of_himself(recordings: Recordings) -> None:
    # Person 0 of frame 0 has two poses too different for a pair, so two rows.
    joints = recordings.bottom_up.joints_cam.copy()
    joints[2] += [2.5, 0.0, 2.5]
    data = pair_data(replace(recordings, bottom_up=replace(recordings.bottom_up, joints_cam=joints)))
    twice = np.flatnonzero((data.truth == recordings.truth.joints_cam[0].astype(np.float64)).all(axis=(1, 2)))
    assert len(twice) == 2 and len(data) == 19 and data.known.all()
    for row in range(19):
        rows = data.groups[row][data.groups[row] >= 0]
        roots = data.truth[rows, 0]
        for a in range(len(rows)):
            assert all(np.linalg.norm(roots[a] - roots[b]) > 0.1 for b in range(a))
    plain = pair_data(recordings)
    (single,) = np.flatnonzero((plain.truth == data.truth[twice[0]]).all(axis=(1, 2)))
    expected = plain.truth[plain.groups[single, 1:]][plain.groups[single, 1:] >= 0]
    for own in twice:
        others = data.groups[own, 1:]
        np.testing.assert_array_equal(data.truth[others[others >= 0]], expected)


def test_joined_recordings_are_paired_within_their_own_frames(recordings: Recordings) -> None:
    whole = pair_data(joined([recordings, recordings]))
    single = pair_data(recordings)
    np.testing.assert_array_equal(whole.truth, np.concatenate([single.truth, single.truth]))
    np.testing.assert_array_equal(whole.frame, np.concatenate([single.frame, single.frame + 6]))
    expected = np.where(single.groups >= 0, single.groups + len(single), -1)
    np.testing.assert_array_equal(whole.groups[len(single) :], expected)


def test_groups_as_recorded(data: PairData) -> None:
    groups = every_group(data)
    assert len(groups.pairs) == 18 * PEOPLE and groups.present.shape == (18, PEOPLE)
    for g in range(18):
        for p in range(PEOPLE):
            row, index = g * PEOPLE + p, data.groups[g, p]
            assert groups.present[g, p] == (index >= 0) == groups.known[row]
            if index >= 0:
                np.testing.assert_array_equal(groups.truth[row], data.truth[index])
                np.testing.assert_array_equal(
                    groups.pairs.bottom_up.joints_cam[row], data.pairs.bottom_up.joints_cam[index]
                )
            else:
                assert not groups.pairs.top_down.present[row] and not groups.pairs.bottom_up.present[row]


def test_without_augmentation_what_is_drawn_is_what_was_recorded(data: PairData) -> None:
    groups = draw_groups(data, PLAIN, np.random.default_rng(2), 40)
    whole = every_group(data)
    chosen = [
        next(g for g in range(18) if np.array_equal(whole.truth[g * PEOPLE], groups.truth[n * PEOPLE]))
        for n in range(40)
    ]
    rows = (np.array(chosen)[:, None] * PEOPLE + np.arange(PEOPLE)).ravel()
    np.testing.assert_array_equal(groups.present, whole.present[chosen])
    np.testing.assert_array_equal(groups.known, whole.known[rows])
    for drawn, recorded in (
        (groups.pairs.top_down, whole.pairs.top_down), (groups.pairs.bottom_up, whole.pairs.bottom_up),
    ):  # fmt: skip
        assert_equal(drawn, recorded[rows])
    assert len(set(chosen)) > 10


def test_the_same_randomness_draws_the_same(data: PairData) -> None:
    def drawn(seed: int) -> Pairs:
        return draw_groups(data, Augmentation(), np.random.default_rng(seed), 20).pairs

    assert_equal(drawn(1).top_down, drawn(1).top_down)
    assert not np.array_equal(drawn(1).top_down.joints_cam, drawn(2).top_down.joints_cam)


def many(data: PairData, times: int = 40) -> Pairs:
    return Pairs.concatenate([data.pairs] * times)


def test_masked_joints_are_not_found_and_say_so(data: PairData) -> None:
    pairs = many(data)
    settings = replace(PLAIN, mask=0.4, masked=0.5)
    out = augmented(pairs, settings, np.random.default_rng(3))
    for before, after in ((pairs.top_down, out.top_down), (pairs.bottom_up, out.bottom_up)):
        masked = after.joint_scores == 0
        assert masked.mean() == pytest.approx(0.4 * 0.5 * 16 / 17, abs=0.02)
        assert masked.any(axis=1).mean() == pytest.approx(0.5, abs=0.06)
        assert not masked[:, H36M17.root].any()
        moved = np.linalg.norm(after.joints_cam - before.joints_cam, axis=2)
        assert not moved[~masked].any() and (moved[masked] > 0).all()
        assert (after.joint_stddev[masked] >= 0.3).all()
        np.testing.assert_array_equal(after.joint_stddev[~masked], before.joint_stddev[~masked])
        np.testing.assert_array_equal(after.present, before.present)
        np.testing.assert_array_equal(after.scores, before.scores)
    assert not np.array_equal(out.top_down.joint_scores == 0, out.bottom_up.joint_scores == 0)


def test_shifted_joints_are_off_by_what_the_settings_say(data: PairData) -> None:
    pairs = many(data)
    out = augmented(pairs, replace(PLAIN, shift_m=0.08, shifted=0.5), np.random.default_rng(4))
    for before, after in ((pairs.top_down, out.top_down), (pairs.bottom_up, out.bottom_up)):
        shift = after.joints_cam - before.joints_cam
        moved = np.any(shift, axis=2)
        assert not moved[:, H36M17.root].any()
        assert moved.any(axis=1).mean() == pytest.approx(0.5, abs=0.06)
        assert shift[moved].std() == pytest.approx(0.08, rel=0.05)
        np.testing.assert_array_equal(after.joint_scores, before.joint_scores)
        np.testing.assert_array_equal(after.joint_stddev, before.joint_stddev)


def test_one_pose_of_a_pair_is_lost_but_never_both(recordings: Recordings) -> None:
    pairs = many(pair_data(without(recordings, "top_down", [0, 1, 7])))
    alone = ~pairs.top_down.present
    out = augmented(pairs, replace(PLAIN, zeroed=0.6), np.random.default_rng(5))
    one, other = out.top_down.present, out.bottom_up.present
    assert (one | other).all()
    # Who had one pose keeps it, and gets none.
    assert other[alone].all() and not one[alone].any()
    lost = ~(one & other)[~alone]
    assert lost.mean() == pytest.approx(0.6, abs=0.06)
    assert (~one)[~alone].mean() == pytest.approx(0.3, abs=0.06)
    for branch in (out.top_down, out.bottom_up):
        gone = ~branch.present
        assert not branch.joints_cam[gone].any() and not branch.joint_scores[gone].any()
        assert (branch.joint_stddev[gone] == 1).all() and not branch.scores[gone].any()
    everything = augmented(pairs, Augmentation(1, 1, 0.2, 1, 0, 1, 1), np.random.default_rng(6))
    assert (everything.top_down.present | everything.bottom_up.present).all()


def test_nothing_is_done_without_being_asked_for(data: PairData) -> None:
    out = augmented(data.pairs, PLAIN, np.random.default_rng(7))
    assert_equal(out.top_down, data.pairs.top_down)
    assert_equal(out.bottom_up, data.pairs.bottom_up)
    # Shares without an extent, and extents without a share.
    for settings in (replace(PLAIN, mask=0.5, shift_m=0.5), replace(PLAIN, masked=0.5, shifted=0.5)):
        assert_equal(augmented(data.pairs, settings, np.random.default_rng(7)).top_down, data.pairs.top_down)


def test_simulated_groups_are_of_the_truth(data: PairData) -> None:
    groups = draw_groups(data, replace(PLAIN, simulated=1.0), np.random.default_rng(8), 60)
    recorded = {joints.tobytes() for joints in data.pairs.top_down.joints_cam}
    known = groups.known
    for branch in (groups.pairs.top_down, groups.pairs.bottom_up):
        assert (branch.present == known).all()
        assert not any(joints.tobytes() in recorded for joints in branch.joints_cam[known])
        off = np.linalg.norm(branch.joints_rel - (groups.truth - groups.truth[:, :1]), axis=2)[known]
        assert 0.05 < off.mean() < 0.3
    some = draw_groups(data, replace(PLAIN, simulated=0.3), np.random.default_rng(9), 300)
    first = some.pairs.top_down.joints_cam.reshape(300, PEOPLE, K, 3)[:, 0]
    share = np.mean([joints.tobytes() not in recorded for joints in first])
    assert share == pytest.approx(0.3, abs=0.08)


def test_meetings_stand_in_for_half_of_the_simulated_groups(data: PairData) -> None:
    meetings = draw_meetings(np.random.default_rng(10), 8, PEOPLE)
    groups = draw_groups(data, replace(PLAIN, simulated=1.0), np.random.default_rng(11), 200, meetings)
    recorded = {joints.tobytes() for joints in data.truth}
    truth = groups.truth.reshape(200, PEOPLE, K, 3)
    met = np.array([joints.tobytes() not in recorded for joints in truth[:, 0]])
    assert met.mean() == pytest.approx(0.5, abs=0.12)
    assert groups.present[met].all() and groups.known.reshape(200, PEOPLE)[met].all()
    for group in truth[met][:20]:
        # They are as near each other, and as large, as in one of the meetings.
        distances = np.linalg.norm(group[:, None, :, None] - group[None, :, None, :], axis=-1)
        same = [np.linalg.norm(m[:, None, :, None] - m[None, :, None, :], axis=-1) for m in meetings.astype(np.float64)]
        assert min(np.abs(distances - one).max() for one in same) < 1e-9
    untouched = draw_groups(data, PLAIN, np.random.default_rng(11), 50, meetings)
    assert all(joints.tobytes() in recorded for joints in untouched.truth.reshape(50, PEOPLE, K, 3)[:, 0])


def test_meetings_stand_upright_before_the_camera() -> None:
    rng = np.random.default_rng(12)
    meetings = draw_meetings(rng, 64, PEOPLE, ("talk", "handshake", "walk_together"))
    seen = before_camera(meetings, rng)
    assert seen.shape == meetings.shape
    head, feet = H36M17.index("head_top"), [H36M17.index("left_ankle"), H36M17.index("right_ankle")]
    # y is down: of the pair that stands, heads are above feet, and everybody is in front.
    high = seen[:, :, head, 1] - seen[:, :, feet, 1].mean(axis=2)
    assert (high[:, :2] < -0.6).all()
    roots = seen[:, :, H36M17.root]
    assert (seen[..., 2] > 0.3).all() and (roots.mean(axis=1)[:, 2] > 2.4).all()
    assert (roots.mean(axis=1)[:, 2] < 9.1).all()
    # A rigid motion that mirrors nobody.
    for before, after in zip(meetings, seen, strict=True):
        a, b = (points.reshape(-1, 3) - points.reshape(-1, 3).mean(axis=0) for points in (before, after))
        rotation = np.linalg.lstsq(a, b, rcond=None)[0]
        np.testing.assert_allclose(a @ rotation, b, atol=1e-9)
        assert np.linalg.det(rotation) == pytest.approx(1)
    # Cameras look down more often than up: then what is lower on the body is farther away.
    leaning = (seen[:, 0, feet, 2].mean(axis=1) - seen[:, 0, head, 2]) / -high[:, 0]
    assert np.median(leaning) > 0.02 and leaning.min() < 0
    # From all sides: the pair is side by side as often as one behind the other.
    beside = np.abs(np.diff(roots[:, :2, 0], axis=1)) > np.abs(np.diff(roots[:, :2, 2], axis=1))
    assert 0.2 < beside.mean() < 0.8


def test_stated_deviations_of_simulated_poses_are_honest() -> None:
    rng = np.random.default_rng(13)
    truth = np.concatenate([made.standing(x, z)[None] for x, z in rng.uniform([-1, 3], [1, 8], (3000, 2))])
    for depth_error in (0.05, 0.08):
        poses = simulate(truth, np.ones(3000, dtype=bool), depth_error, rng)
        off = poses.joints_cam - truth
        for joint in range(K):
            within = (np.abs(off[:, joint, 2]) < poses.joint_stddev[:, joint]).mean()
            assert within == pytest.approx(0.683, abs=0.06)
        relative = np.abs(np.log(poses.roots[:, 2] / truth[:, 0, 2]))
        # The median of a normal distribution's errors, whose own deviation varies.
        assert 0.5 * depth_error < np.median(relative) < depth_error
        # What is farther off is less certain.
        wrong = np.linalg.norm(poses.joints_rel - (truth - truth[:, :1]), axis=2)[:, 1:]
        seen = poses.joint_scores[:, 1:] > 0
        assert np.corrcoef(wrong[seen], poses.joint_scores[:, 1:][seen])[0, 1] < -0.3
        assert ((poses.joint_scores >= 0) & (poses.joint_scores <= 1)).all()
    half = rng.random(3000) < 0.5
    some = simulate(truth, half, 0.05, rng)
    assert (some.present == half).all() and not some.joints_cam[~half].any()


@pytest.mark.parametrize(("name", "value"), [("mask", -0.1), ("shifted", 1.5), ("zeroed", float("nan"))])
def test_shares_that_are_none_are_refused(name: str, value: float) -> None:
    changes: dict[str, Any] = {name: value}
    with pytest.raises(SettingError, match=f"{name} is "):
        replace(PLAIN, **changes)


def test_people_seen_from_elsewhere_keep_their_shape_and_what_is_wrong_with_them(data: PairData) -> None:
    before = every_group(data)
    after = elsewhere(before, np.random.default_rng(3))
    known = before.known & before.pairs.top_down.present
    mirror = list(H36M17.mirror)
    own = [g.pairs.top_down.joints_cam for g in (before, after)]
    for one, other in ((before.truth, after.truth), own):
        bones = [np.linalg.norm(j[:, 2] - j[:, 1], axis=1)[known] for j in (one, one[:, mirror], other)]
        np.testing.assert_allclose(np.minimum(*(abs(bones[2] - bone) for bone in bones[:2])), 0, atol=1e-9)
    errors = [
        np.linalg.norm(g.pairs.top_down.joints_rel - (g.truth - g.truth[:, :1]), axis=2)[known] for g in (before, after)
    ]
    np.testing.assert_allclose(np.sort(errors[0], axis=1), np.sort(errors[1], axis=1), atol=1e-9)
    ratio = [
        (np.linalg.norm(g.pairs.top_down.roots, axis=1)[known] / np.linalg.norm(g.truth[:, 0], axis=1)[known])
        for g in (before, after)
    ]
    np.testing.assert_allclose(ratio[0], ratio[1], atol=1e-9)
    assert not np.allclose(before.truth[known], after.truth[known])
