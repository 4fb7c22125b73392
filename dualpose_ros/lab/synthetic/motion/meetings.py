"""Two people who have to do with each other: talking, shaking hands, handing over, hugging, walking together.

World frame: y up, floor y = 0, metres; yaw 0 faces +z with the left side toward +x. Bodies touch where the
meeting asks for it, and never run into each other by more than `OVERLAP_M`. T frames; sides left, right.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dualpose_ros.arrays import AnyFloats, Floats
from dualpose_ros.lab.synthetic.motion.contact import penetration, separating_move
from dualpose_ros.lab.synthetic.motion.curves import bump, drift, ease
from dualpose_ros.lab.synthetic.motion.gait import Footsteps, facing, heading
from dualpose_ros.lab.synthetic.motion.gestures import Arms, Pose, blend, combine, hang
from dualpose_ros.lab.synthetic.motion.kinematics import LEFT, RIGHT, SIDE_SIGN, rotation
from dualpose_ros.lab.synthetic.motion.motion_library import RECIPES, both_hands, now_and_then, one_hand
from dualpose_ros.lab.synthetic.motion.script import Gesture, Motion, Walk, perform, solve
from dualpose_ros.lab.synthetic.motion.stances import upright

OVERLAP_M = 0.02
"""Bodies of a meeting overlap by this at most, by `contact.penetration`: flesh that gives."""

SMALLEST, LARGEST = 0.5, 1.5
"""Bodies that meet, against the reference adult."""

_TRIES, _SMALL_MOVE_M = 6, 0.08
_HAND_M = 0.065
"""From a wrist to the middle of a handshake."""
_SIZES = (0.85, 1.1)
_MEETING_S, _MEETING_HZ, _MOMENTS, _NEAR_M = 3.5, 10.0, 8, 2.5
_BYSTANDING = ("stand", "conversation", "phone", "text", "arms_crossed", "hands_on_hips", "photograph", "walk", "sit")
_STANDING = ("stand", "conversation", "arms_crossed", "hands_on_hips", "text", "point", "wave")

Sizes = tuple[float, float]
Recipe = Callable[[np.random.Generator, Floats, float, Sizes], tuple[Motion, Motion]]


@dataclass(frozen=True)
class _Spot:
    """Where somebody of a size stands, and the way from the world to the motion's own frame."""

    xz: tuple[float, float]
    yaw: float
    size: float

    def own(self, points: Floats) -> Floats:
        """World points (..., 3) as the reference adult at the origin, facing +z, has them."""
        return (points - [self.xz[0], 0.0, self.xz[1]]) @ rotation(np.array([self.yaw, 0.0, 0.0])) / self.size

    def world(self, points: Floats) -> Floats:
        """The reverse of `own`."""
        turned = self.size * points @ rotation(np.array([self.yaw, 0.0, 0.0])).T
        return np.asarray(turned + np.array([self.xz[0], 0.0, self.xz[1]]))


def frame_times(duration_s: float, fps: float) -> Floats:
    """Times (T,) of two frames or more; ValueError for a duration that is not positive or fps outside 1..240."""
    if not (np.isfinite(duration_s) and duration_s > 0):
        raise ValueError(f"duration {duration_s} s is not positive")
    if not 1 <= fps <= 240:
        raise ValueError(f"{fps} frames/s is not between 1 and 240")
    return np.arange(max(2, round(duration_s * fps))) / fps


def place(motion: Motion, xz: npt.ArrayLike, yaw: float) -> Motion:
    """The motion turned by yaw about the world's origin, then moved on the floor by xz (2,)."""
    x, z = np.asarray(xz, dtype=np.float64)
    turn = rotation(np.array([yaw, 0.0, 0.0]))
    joints = motion.joints_m @ turn.T + np.array([x, 0.0, z])
    forward = None if motion.head_forward is None else motion.head_forward @ turn.T
    return Motion(joints, motion.fps, forward)


def sized(joints_m: AnyFloats, size: npt.ArrayLike) -> Floats:
    """Joints (..., K, 3) on bodies of another size (...): scaled about the floor below each pelvis."""
    joints = np.asarray(joints_m, dtype=np.float64)
    below = joints[..., :1, :] * [1.0, 0.0, 1.0]
    return np.asarray(below + np.asarray(size, dtype=np.float64)[..., None, None] * (joints - below))


def meeting(
    rng: np.random.Generator, duration_s: float, fps: float, kind: str | None = None, sizes: Sizes = (1.0, 1.0)
) -> tuple[Motion, Motion]:
    """Two people who have to do with each other, in one world frame around the origin.

    sizes: of the bodies that the motions are meant for, against the reference adult. The motions are still of
    the reference adult: hands meet, and bodies don't run into each other, once each is `sized` or put on a rig of
    that size (whose own proportions move hands by a few centimetres; `contact.separating_move` then tells what a hug
    lacks). Raises ValueError for a kind that is not in MEETINGS, a size outside SMALLEST..LARGEST or bad times.
    """
    chosen = MEETINGS[int(rng.integers(len(MEETINGS)))] if kind is None else kind
    if chosen not in _RECIPES:
        raise ValueError(f"no meeting of kind '{chosen}'; there are {', '.join(MEETINGS)}")
    if not all(SMALLEST <= size <= LARGEST for size in sizes):
        raise ValueError(f"sizes {sizes} are not between {SMALLEST} and {LARGEST}")
    times = frame_times(duration_s, fps)
    best: tuple[Motion, Motion] | None = None
    least = np.inf
    for _ in range(_TRIES):
        first, second = _RECIPES[chosen](rng, times, fps, sizes)
        move = separating_move(sized(first.joints_m, sizes[0]), sized(second.joints_m, sizes[1]), OVERLAP_M)
        far = float(np.linalg.norm(move))
        if far < least:
            best, least = (place(first, -0.5 * move, 0.0), place(second, 0.5 * move, 0.0)), far
        if far <= _SMALL_MOVE_M:
            break
    assert best is not None
    return best


def _stand(
    rng: np.random.Generator, times: Floats, fps: float, spots: tuple[_Spot, _Spot], arms: tuple[Gesture, Gesture]
) -> tuple[Motion, Motion]:
    """Two people who stand, more or less looking at each other."""
    motions = []
    for me, other, gesture in zip(spots, spots[::-1], arms, strict=True):
        steps = Footsteps(np.zeros(2), 0.0, rng.uniform(0.16, 0.3), rng.normal(0, 0.08))
        body = upright(rng, times, fps, steps.support(times, fps))
        x, _, z = me.own(np.array([other.xz[0], 0.0, other.xz[1]]))
        body.head[:, 0] = 0.6 * body.head[:, 0] + 0.8 * np.arctan2(x, z)
        motions.append(place(solve(rng, body, gesture, fps), me.xz, me.yaw))
    return motions[0], motions[1]


def _facing(apart: float, sizes: Sizes, aside: float = 0.0, turn: float = 0.0) -> tuple[_Spot, _Spot]:
    """Two spots that face each other, each `aside` to its left, the second turned away a little."""
    return _Spot((aside, -apart / 2), 0.0, sizes[0]), _Spot((-aside, apart / 2), np.pi + turn, sizes[1])


def _talk(rng: np.random.Generator, times: Floats, fps: float, sizes: Sizes) -> tuple[Motion, Motion]:
    """Facing each other, one or both with hands that talk."""
    talkative = one_hand("conversation", "conversation", "hold_cup", other=("hang", "conversation", "pocket"))
    listening = both_hands("arms_crossed", "hang", "on_hips", "hands_together")
    spots = _facing(rng.uniform(0.7, 1.5), sizes, rng.normal(0, 0.12), rng.normal(0, 0.3))
    arms = (talkative, talkative if rng.random() < 0.5 else listening)
    return _stand(rng, times, fps, spots, arms)


def _show(rng: np.random.Generator, times: Floats, fps: float, sizes: Sizes) -> tuple[Motion, Motion]:
    """One points at something, or holds a thing out, to another who stands across or at an angle."""
    spots = _facing(rng.uniform(0.75, 1.2), sizes, rng.normal(0, 0.12), rng.uniform(-0.7, 0.7))
    listening = both_hands("arms_crossed", "hang", "on_hips", "hands_together")
    showing = now_and_then(one_hand("point", "hold_phone"))
    return _stand(rng, times, fps, spots, (showing, listening))


def _handshake(rng: np.random.Generator, times: Floats, fps: float, sizes: Sizes) -> tuple[Motion, Motion]:
    """Right hands meet half-way, shake and part, once."""
    mean = 0.5 * (sizes[0] + sizes[1])
    spots = _facing(rng.uniform(0.74, 0.9) * mean, sizes, rng.uniform(0.0, 0.1))
    start = rng.uniform(0.0, 0.3) * times[-1]
    shake = 0.025 * np.sin(2 * np.pi * 2.2 * (times - start)) * bump((times - start - 0.7) / 1.6)
    weight = ease((times - start) / 0.8) * (1 - ease((times - start - 2.3) / 0.8))
    middle = np.stack([np.zeros_like(times), 1.04 * mean + shake, np.zeros_like(times)], axis=1)
    away = np.array([0.0, 0.0, _HAND_M])
    arms = [_to(spot, RIGHT, middle + sign * away, weight) for spot, sign in zip(spots, (-1, 1), strict=True)]
    return _stand(rng, times, fps, spots, (arms[0], arms[1]))


def _hand_over(rng: np.random.Generator, times: Floats, fps: float, sizes: Sizes) -> tuple[Motion, Motion]:
    """One holds a small thing out, the other comes for it, and draws it back to the body."""
    mean = 0.5 * (sizes[0] + sizes[1])
    hands = rng.integers(2, size=2)
    across = 0.06 * (SIDE_SIGN[hands[0]] - SIDE_SIGN[hands[1]]) / 2
    spots = _facing(rng.uniform(0.75, 0.95) * mean, sizes, rng.normal(-across, 0.03), rng.normal(0, 0.12))
    moment = rng.uniform(0.3, 0.7) * times[-1]
    reach = rng.uniform(0.6, 0.9)
    both = rng.uniform(0.15, 0.4)  # seconds that both hold it
    out = ease((times - moment + reach + rng.uniform(0.1, 0.5)) / reach) * (1 - ease((times - moment - both) / 0.8))
    come = ease((times - moment + reach) / reach) * (1 - ease((times - moment - both) / 0.9))
    middle = np.array([0.0, rng.uniform(1.0, 1.2) * mean, rng.normal(0, 0.03)]) + drift(rng, times, (3,), 0.004, 2.0)
    away = np.array([0.0, 0.0, rng.uniform(0.05, 0.085)])
    held, empty = _one(int(hands[0]), "hold_cup"), _one(int(hands[1]), "hold_cup")
    giver = _to(spots[0], int(hands[0]), middle - away, out, _changing(held, hang, ease(times - moment - both)))
    taker = _to(spots[1], int(hands[1]), middle + away, come, _changing(hang, empty, ease((times - moment) / 0.3)))
    return _stand(rng, times, fps, spots, (giver, taker))


def _to(spot: _Spot, side: int, target: Floats, weight: Floats, rest: Gesture = hang) -> Gesture:
    """The wrist of one side at a place (T, 3) of the world while the weight (T,) is one, else at rest."""

    def gesture(rng: np.random.Generator, pose: Pose) -> Arms:
        resting = rest(rng, pose)
        wrists = np.array(resting[0])
        wrists[:, side] = spot.own(target)
        weights = np.zeros((len(weight), 2))
        weights[:, side] = weight
        return blend(pose, resting, (wrists, resting[1]), weights)

    return gesture


def _one(side: int, name: str) -> Gesture:
    """A gesture of ONE_HANDED by one hand, the other hanging."""
    return lambda rng, pose: combine(rng, pose, *((name, "hang") if side == LEFT else ("hang", name)))


def _changing(before: Gesture, after: Gesture, weight: Floats) -> Gesture:
    return lambda rng, pose: blend(pose, before(rng, pose), after(rng, pose), weight)


def _hug(rng: np.random.Generator, times: Floats, fps: float, sizes: Sizes) -> tuple[Motion, Motion]:
    """Chest to chest, heads beside each other; arms over the other's shoulders or around the ribs.

    Of two of a size the right arms are over and the left ones under; else the taller one's arms are over.
    """
    alike = 0.96 < sizes[0] / sizes[1] < 1.04
    aside = -rng.uniform(0.05, 0.08) if alike else rng.normal(0, 0.01)
    spots = _facing(rng.uniform(0.28, 0.34), sizes, aside)
    motions = []
    for me, other in (spots, spots[::-1]):
        over = (not alike and me.size > other.size, alike or me.size > other.size)
        body = upright(rng, times, fps, Footsteps(np.zeros(2), 0.0, rng.uniform(0.18, 0.3)).support(times, fps))
        body.spine[:, 1] = 0.1 + 0.3 * body.spine[:, 1]
        body.head[:, 0] *= 0.3
        body.head[:, 1] = 0.05 + 0.2 * body.head[:, 1]
        body.head[:, 2] -= rng.uniform(0.0, 0.15)
        motion = solve(rng, body, _around(me, other, over, 0.1 if alike else 0.15), fps)
        motions.append(place(motion, me.xz, me.yaw))
    return motions[0], motions[1]


def _around(me: _Spot, other: _Spot, over: tuple[bool, bool], beside_m: float) -> Gesture:
    """Arms (left, right) around another: over a shoulder, this far from the spine, or under the arm to the ribs."""

    def gesture(rng: np.random.Generator, pose: Pose) -> Arms:
        wrists, swivel = np.empty((len(pose.times), 2, 3)), np.empty((len(pose.times), 2))
        for side in (LEFT, RIGHT):
            away = -SIDE_SIGN[side]  # my left is the other's right
            if over[side]:
                target = [away * (beside_m + rng.normal(0, 0.01)), rng.uniform(1.31, 1.37), rng.uniform(-0.18, -0.16)]
            else:
                target = [away * rng.uniform(0.13, 0.18), rng.uniform(1.12, 1.22), rng.uniform(-0.14, -0.1)]
            swivel[:, side] = rng.uniform(2.0, 2.4) if over[side] else rng.uniform(0.3, 0.7)
            wrists[:, side] = me.own(other.world(np.array(target) + drift(rng, pose.times, (3,), 0.005, 2.5)))
        return wrists, swivel

    return gesture


def _side_by_side(rng: np.random.Generator, times: Floats, fps: float, sizes: Sizes) -> tuple[Motion, Motion]:
    """Standing beside each other, each busy with something."""
    gap = 0.5 * rng.uniform(0.5, 1.0)
    motions = []
    for side in (-1, 1):
        body, arms = RECIPES[str(rng.choice(_STANDING))](rng, times, fps)
        motions.append(place(solve(rng, body, arms, fps), (side * gap, 0.0), rng.normal(0, 0.3)))
    return motions[0], motions[1]


def _walk_together(rng: np.random.Generator, times: Floats, fps: float, sizes: Sizes) -> tuple[Motion, Motion]:
    """Walking beside each other."""
    return _walking_two(rng, times, fps, opposite=False)


def _pass_by(rng: np.random.Generator, times: Floats, fps: float, sizes: Sizes) -> tuple[Motion, Motion]:
    """Walking past each other in opposite directions."""
    return _walking_two(rng, times, fps, opposite=True)


def _walking_two(rng: np.random.Generator, times: Floats, fps: float, opposite: bool) -> tuple[Motion, Motion]:
    speed = rng.uniform(0.8, 1.5)
    half = 0.5 * speed * len(times) / fps + 0.3
    beside = rng.uniform(0.5, 0.9)
    ways = [np.array([[0.0, -half], [0.0, half]]), np.array([[beside, -half], [beside, half]])]
    if opposite:
        ways[1] = ways[1][::-1]
    first, second = (_walk(rng, way + rng.normal(0, 0.05, way.shape), fps, speed, len(times)) for way in ways)
    return first, second


def _follow(rng: np.random.Generator, times: Floats, fps: float, sizes: Sizes) -> tuple[Motion, Motion]:
    """One walks behind the other at an arm's length or two, along a way that may bend."""
    speed, gap = rng.uniform(0.6, 1.4), rng.uniform(0.62, 1.1)
    before = int(1.5 * fps)  # both are under way at the first frame
    frames = before + len(times)
    length = speed * frames / fps + 2.0
    bend = rng.normal(0, 0.35)
    corner = np.array([0.0, rng.uniform(0.3, 0.7) * length])
    way = np.array([[0.0, 0.0], corner, corner + 0.5 * length * np.array([np.sin(bend), np.cos(bend)])])
    way -= [0.0, 0.5 * (speed * (before + frames) / fps)]
    behind = way + rng.normal(0, 0.04, 2)
    behind[0, 1] -= gap
    motions = []
    for path in (way, behind):
        motion = _walk(rng, path, fps, speed, frames)
        assert motion.head_forward is not None
        motions.append(Motion(motion.joints_m[before:], fps, motion.head_forward[before:]))
    return motions[0], motions[1]


def _walk(rng: np.random.Generator, way: Floats, fps: float, speed: float, frames: int) -> Motion:
    walk = Walk(way[1:].tolist(), speed)
    return perform(rng, fps, way[0].tolist(), heading(way[1] - way[0]), [walk], frames / fps)


_RECIPES: dict[str, Recipe] = {
    "talk": _talk,
    "handshake": _handshake,
    "hug": _hug,
    "side_by_side": _side_by_side,
    "walk_together": _walk_together,
    "pass_by": _pass_by,
    "show": _show,
    "hand_over": _hand_over,
    "follow": _follow,
}

MEETINGS: tuple[str, ...] = tuple(_RECIPES)
"""What `meeting` can be asked for."""


def draw_groups(rng: np.random.Generator, count: int, people: int = 2, kinds: Sequence[str] = MEETINGS) -> Floats:
    """Moments of meetings: (count, people, K, 3), y up, the middle of the two above the origin, turned any way.

    Bodies are 0.85 to 1.1 of the reference adult's size, each its own; persons 0 and 1 are the two in either
    order. people 3 adds a bystander as the last, near them. Nobody overlaps another by more than `OVERLAP_M`.
    Eight moments come from each meeting, with the two within 2.5 m. Raises ValueError for other numbers of people, a
    count below 1 or kinds that aren't there.
    """
    if people not in (2, 3):
        raise ValueError(f"groups are of 2 or 3 people, not {people}")
    if count < 1 or not kinds:
        raise ValueError(f"{count} groups of {len(kinds)} kinds of meeting can't be drawn")
    pairs = np.concatenate([_moments(rng, str(rng.choice(kinds))) for _ in range(-(-count // _MOMENTS))])
    pairs = rng.permutation(pairs)[:count]
    pairs = np.where(rng.random((count, 1, 1, 1)) < 0.5, pairs, pairs[:, ::-1])
    pairs = pairs - pairs[:, :, :1].mean(axis=1, keepdims=True) * [1.0, 0.0, 1.0]
    groups = pairs if people == 2 else np.concatenate([pairs, _bystanders(rng, pairs)[:, None]], axis=1)
    return np.asarray(groups @ _turns(rng.uniform(-np.pi, np.pi, count))[:, None])


def _moments(rng: np.random.Generator, kind: str) -> Floats:
    """Some moments (M, 2, K, 3) of one meeting of two bodies."""
    first, second = rng.uniform(*_SIZES, 2)
    motions = meeting(rng, _MEETING_S, _MEETING_HZ, kind, (first, second))
    far = np.linalg.norm((motions[0].joints_m - motions[1].joints_m)[:, 0], axis=1)
    frames = rng.choice(np.argsort(far)[: max(_MOMENTS, np.count_nonzero(far < _NEAR_M))], _MOMENTS, replace=False)
    joints = [sized(motion.joints_m[frames], size) for motion, size in zip(motions, (first, second), strict=True)]
    return np.stack(joints, axis=1)


def _bystanders(rng: np.random.Generator, pairs: Floats) -> Floats:
    """Somebody (N, K, 3) near each pair (N, 2, K, 3): every other one turned to them; drawn again while in the way."""
    count, each = len(pairs), 2 * _MOMENTS
    pool = []
    for _ in range(-(-count // each)):
        body, arms = RECIPES[str(rng.choice(_BYSTANDING))](rng, frame_times(_MEETING_S, _MEETING_HZ), _MEETING_HZ)
        joints = solve(rng, body, arms, _MEETING_HZ).joints_m
        frames = rng.choice(len(joints), each, replace=False)
        pool.append(sized(joints[frames] - joints[frames, :1] * [1.0, 0.0, 1.0], rng.uniform(*_SIZES, each)))
    bodies = rng.permutation(np.concatenate(pool))[:count]
    others, left, far = np.empty_like(bodies), np.arange(count), 2.0
    while len(left):
        toward = rng.uniform(-np.pi, np.pi, len(left))
        away = rng.uniform(0.6, far, len(left))[:, None] * facing(toward)
        yaw = np.where(rng.random(len(left)) < 0.5, toward + np.pi + rng.normal(0, 0.4, len(left)), 2 * toward)
        others[left] = bodies[left] @ _turns(yaw) + np.insert(away, 1, 0.0, axis=1)[:, None]
        overlap = penetration(others[left, None], pairs[left]).max(axis=1)
        left, far = left[overlap > OVERLAP_M], far + 0.5
    return others


def _turns(yaw: Floats) -> Floats:
    """Matrices (N, 3, 3) that turn rows of points by yaw (N,) when multiplied from the right."""
    return np.swapaxes(rotation(np.stack([yaw, np.zeros_like(yaw), np.zeros_like(yaw)], axis=-1)), -1, -2)
