"""One id for a person, whichever branch sees them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dualpose_ros.fusion.identities import FusedIdentities, IdentityConfig, Sighting
from support import fusion_people as people

body = people.body

FRAME_NS = 100_000_000


class Sequence:
    """Frames 0.1 s apart."""

    def __init__(self, **config: float) -> None:
        self.identities = FusedIdentities(IdentityConfig(**config))  # type: ignore[arg-type]
        self.now_ns = 1_000_000_000

    def see(self, *sightings: tuple[int | None, np.ndarray], complete: bool = True) -> list[int]:
        """Ids of people given as (track, joints)."""
        return [who.person_id for who in self.look(*sightings, complete=complete)]

    def look(self, *sightings: tuple[int | None, np.ndarray], complete: bool = True):  # type: ignore[no-untyped-def]
        self.now_ns += FRAME_NS
        seen = [Sighting(joints, track, track is not None) for track, joints in sightings]
        return self.identities.assign(self.now_ns, seen, complete)

    def wait(self, seconds: float) -> None:
        self.now_ns += int(seconds * 1e9)


def test_a_track_gives_its_id_and_keeps_it_wherever_it_goes() -> None:
    frames = Sequence()
    assert frames.see((7, body(0)), (3, body(2))) == [7, 3]
    assert frames.see((3, body(0)), (7, body(2))) == [3, 7]
    frames.wait(20)
    assert frames.see((7, body(-2))) == [7]


def test_somebody_without_a_track_gets_an_id_of_their_own_and_keeps_it() -> None:
    frames = Sequence()
    seen = [frames.see((None, body(0.1 * k, z=4 + 0.3 * (-1) ** k)), (None, body(2 - 0.1 * k, z=6))) for k in range(12)]
    assert seen == [[1, 2]] * 12, "they walk past each other at 1 m/s, at jittering depths"


def test_people_who_cross_are_told_apart_by_where_they_were_going() -> None:
    frames = Sequence()
    seen = [frames.see((None, body(-1.2 + 0.12 * k, z=4)), (None, body(1.2 - 0.12 * k, z=4.6))) for k in range(21)]
    assert seen == [seen[0]] * 21


def test_the_top_down_branch_finds_somebody_later() -> None:
    frames = Sequence()
    (own,) = frames.see((None, body(0)))
    assert own == 1
    assert frames.see((5, body(0.05))) == [own], "the published id stays"
    assert frames.see((5, body(1.5))) == [own], "and now belongs to the track, wherever it is"
    assert frames.see((5, body(1.5)), (None, body(0.1))) == [own, 2]


def test_a_track_drops_out_and_comes_back() -> None:
    frames = Sequence()
    assert frames.see((5, body(0))) == [5]
    for k in range(1, 30):
        assert frames.see((None, body(0.1 * k))) == [5], "the bottom-up branch still sees them"
    assert frames.see((5, body(3))) == [5]


def test_another_track_takes_over() -> None:
    frames = Sequence()
    frames.see((5, body(0)))
    frames.see((None, body(0.1)))
    assert frames.see((9, body(0.2))) == [5]
    assert frames.see((9, body(0.3)), (5, body(2))) == [5, 6], "the first track is somebody else now"
    assert frames.see((5, body(2)), (9, body(0.4))) == [6, 5]


def test_nobody_is_known_again_far_away_or_after_long() -> None:
    frames = Sequence(max_lost_s=1.0)
    assert frames.see((5, body(0))) == [5]
    assert frames.see((None, body(1.5))) == [6]
    assert frames.see((8, body(0, z=7))) == [8], "the same place on the image, but 3 m behind"
    frames.wait(1.5)
    assert frames.see((None, body(1.5))) == [9]


@pytest.mark.parametrize("period_s", [1.0, 2.0, 4.0])
def test_people_are_known_again_however_seldom_frames_come(period_s: float) -> None:
    frames, rng = Sequence(), np.random.default_rng(0)
    seen = []
    for _ in range(6):
        frames.wait(period_s * rng.uniform(0.9, 1.1))
        seen.append(frames.see((None, body(0)), (None, body(2))))
    assert seen == [seen[0]] * 6


def test_a_gap_is_bridged_by_the_velocity() -> None:
    frames = Sequence()
    for k in range(10):
        frames.see((None, body(0.2 * k)))
    frames.wait(0.7)
    assert frames.see((None, body(0.2 * 9 + 0.2 * 8))) == [1]


def test_whoever_the_bottom_up_branch_sees_first_has_the_next_id() -> None:
    frames = Sequence()
    assert frames.see((3, body(0)), (None, body(2))) == [3, 4]
    assert frames.see((3, body(0)), (4, body(2)), (5, body(-2))) == [3, 4, 5], "most often the next track is theirs"
    assert frames.see((3, body(0)), (4, body(2)), (5, body(-2)), (None, body(4))) == [3, 4, 5, 6]
    assert frames.see((6, body(-4)), (None, body(4))) == [7, 6], "and where it is somebody else's, they give way"


def test_a_track_number_that_is_taken_is_not_used_twice() -> None:
    frames = Sequence()
    frames.see((5, body(0)))
    frames.see((9, body(0.1)))
    # The detector has started again and counts from the beginning: 5 is somebody else.
    ids = frames.see((9, body(0.2)), (5, body(2)), (None, body(-2)))
    assert ids[0] == 5 and len(set(ids)) == 3


def test_ids_stay_small_and_none_comes_back_within_a_minute() -> None:
    frames = Sequence(max_lost_s=0.05)
    last: dict[int, int] = {}
    for k in range(1500):
        for person in frames.see((None, body(4.0 * (k % 3))), (100_000 + k, body(-4.0 - 4.0 * (k % 3)))):
            assert 0 <= person < 1000
            assert frames.now_ns - last.get(person, -(10**12)) > 20_000_000_000, "nobody is near where they were"
            last[person] = frames.now_ns
        frames.wait(0.2)


def test_more_people_than_ids_are_still_told_apart() -> None:
    frames = Sequence(max_lost_s=0.05)
    for k in range(400):
        ids = frames.see((None, body(4.0 * (k % 3))), (None, body(-4.0 - 4.0 * (k % 3))))
        assert len(set(ids)) == 2 and max(ids) < 1000


def test_who_is_confirmed() -> None:
    frames = Sequence(confirm_frames=3)

    def confirmed(*sightings: tuple[int | None, np.ndarray], complete: bool = True) -> list[bool]:
        return [who.confirmed for who in frames.look(*sightings, complete=complete)]

    assert [confirmed((None, body(0))) for _ in range(2)] == [[False]] * 2
    assert confirmed() == []
    assert [confirmed((None, body(0))) for _ in range(2)] == [[False]] * 2, "it was not in a row"
    assert confirmed(complete=False) == []
    assert confirmed((None, body(0))) == [True], "a frame that the branch skipped says nothing"
    assert confirmed() == []
    assert confirmed((None, body(0))) == [True], "and it stays"
    assert confirmed((None, body(0)), (4, body(2))) == [True, True]
    assert confirmed((None, body(0)), (None, body(2))) == [True, True]


def test_velocities_follow_the_root() -> None:
    frames = Sequence()
    for k in range(30):
        (who,) = frames.look((None, body(0.12 * k)))
    np.testing.assert_allclose(who.velocity, (1.2, 0, 0), atol=0.01)


def test_time_set_back_starts_anew() -> None:
    frames = Sequence()
    frames.see((None, body(0)))
    frames.now_ns = 0
    assert frames.see((None, body(0))) == [2]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.lists(st.tuples(st.none() | st.integers(0, 4), st.integers(-6, 6)), max_size=5), max_size=12))
def test_no_id_is_given_twice_in_a_frame(sequence: list[list[tuple[int | None, int]]]) -> None:
    frames = Sequence()
    for crowd in sequence:
        tracks = [track for track, _ in crowd if track is not None]
        if len(set(tracks)) < len(tracks):
            continue
        ids = frames.see(*((track, body(0.3 * place)) for track, place in crowd))
        assert len(set(ids)) == len(ids) == len(crowd)
