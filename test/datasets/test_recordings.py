"""Recordings of both branches: written and read back, joined, damaged, and made of a tiny sequence."""

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from dualpose_ros.camera import Camera, camera_from_hfov, project
from dualpose_ros.datasets import recordings as module
from dualpose_ros.datasets.recordings import (
    Estimates,
    Frames,
    RecordingError,
    Recordings,
    Truth,
    camera_of,
    joined,
    load_recordings,
    save_recordings,
    with_frames,
)
from dualpose_ros.lab.evaluation import record as recording
from dualpose_ros.lab.evaluation.branches import Branches
from dualpose_ros.lab.evaluation.record import record
from dualpose_ros.lab.synthetic.body.builtin_body import builtin_body
from dualpose_ros.lab.synthetic.render.render import View
from dualpose_ros.lab.synthetic.scenes.sequences import ACTIONS, Script, SequenceConfig, draw_sequence
from dualpose_ros.lab.synthetic.scenes.world import World, WorldConfig, make_world
from dualpose_ros.skeleton import K

PARTS = ("frames", "truth", "top_down", "bottom_up")
SMALL = WorldConfig(cast=3, textures=3, poses=2, seated=2, props=1)
CAMERA = camera_from_hfov(256, 192, 1.0)


def made_up(rng: np.random.Generator, sequences: int = 2, frames: int = 3, people: int = 2) -> Recordings:
    """Numbers without a meaning, of the right shapes; every other estimate is of nobody."""
    count, rows = sequences * frames, sequences * frames * people
    frame = np.repeat(np.arange(count), people).astype(np.int32)
    estimates = [
        Estimates(
            frame, rng.integers(-1, 5, rows).astype(np.int32),
            np.where(np.arange(rows) % 2, rng.permutation(rows), -1).astype(np.int32),
            *(rng.random(shape, np.float32) for shape in ((rows, K, 3), (rows, K), (rows, K), (rows,), (rows, K, 2))),
        )
        for _ in "ab"
    ]  # fmt: skip
    camera = np.tile(np.array([300, 301, 159.5, 119.5, 320, 240], np.float32), (count, 1))
    return Recordings(
        Frames(np.repeat(np.arange(sequences), frames).astype(np.int32), np.tile(np.arange(frames) / 12.5, sequences),
               camera, rng.random((count, 3), np.float32), rng.random(count) < 0.5),
        Truth(frame, np.tile(np.arange(people), count).astype(np.int32),
              rng.choice(ACTIONS, rows), rng.random((rows, K, 3), np.float32),
              rng.random((rows, K, 2), np.float32), rng.integers(3, size=(rows, K)).astype(np.uint8),
              rng.random(rows, np.float32), rng.random((rows, 4), np.float32)),
        *estimates,
    )  # fmt: skip


def assert_same(a: Recordings, b: Recordings) -> None:
    for name in PARTS:
        for field in fields(getattr(a, name)):
            one, other = (getattr(getattr(r, name), field.name) for r in (a, b))
            np.testing.assert_array_equal(one, other, err_msg=f"{name}.{field.name}")


def test_what_is_written_is_read(tmp_path: Path) -> None:
    one = made_up(np.random.default_rng(0))
    save_recordings(tmp_path / "new" / "recordings_00000.npz", one)
    assert_same(load_recordings(tmp_path / "new"), one)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["recordings_00000.npz"]


def test_files_of_a_folder_are_joined_in_their_order(tmp_path: Path) -> None:
    parts = [made_up(np.random.default_rng(seed), sequences=1) for seed in range(3)]
    for index in (2, 0, 1):
        save_recordings(tmp_path / f"recordings_{index:05d}.npz", parts[index])
    (tmp_path / "notes.txt").write_text("of something else")
    assert_same(load_recordings(tmp_path), joined(parts))


def test_some_of_the_frames_are_what_joining_put_together() -> None:
    parts = [made_up(np.random.default_rng(seed), sequences=1) for seed in range(3)]
    whole = joined(parts)
    sequence = whole.frames.sequence
    second = with_frames(whole, sequence == 1)
    assert_same(second, replace(parts[1], frames=replace(parts[1].frames, sequence=parts[1].frames.sequence + 1)))
    kept = with_frames(whole, sequence != 1)
    assert np.unique(kept.frames.sequence).tolist() == [0, 2]
    numbers = replace(kept.frames, sequence=kept.frames.sequence // 2)
    assert_same(replace(kept, frames=numbers), joined([parts[0], parts[2]]))
    # Who is found in a frame that stays, but belongs to somebody of another, belongs to nobody.
    lost = with_frames(replace(whole, truth=replace(whole.truth, frame=whole.truth.frame[::-1])), sequence == 0)
    assert (lost.top_down.truth == -1).all() and len(lost.truth) == len(parts[0].truth)


def test_joining_goes_on_with_all_numbers() -> None:
    rng = np.random.default_rng(1)
    parts = [made_up(rng, 2, 3, 2), made_up(rng, 1, 4, 3), made_up(rng, 3, 1, 0), made_up(rng, 1, 2, 1)]
    whole = joined(iter(parts))
    assert whole.frames.sequence.tolist() == [0] * 3 + [1] * 3 + [2] * 4 + [3, 4, 5] + [6, 6]
    frame = person = 0
    sizes = {name: 0 for name in PARTS}
    for part in parts:
        for branch in ("top_down", "bottom_up"):
            own, its = getattr(part, branch), getattr(whole, branch)
            rows = slice(sizes[branch], sizes[branch] + len(own.frame))
            np.testing.assert_array_equal(its.frame[rows], own.frame + frame)
            np.testing.assert_array_equal(its.track[rows], own.track)
            for got, before in zip(its.truth[rows], own.truth, strict=True):
                assert got == (before + person if before >= 0 else -1)
                if before >= 0:  # it is still the same person
                    np.testing.assert_array_equal(whole.truth.joints_cam[got], part.truth.joints_cam[before])
            sizes[branch] += len(own.frame)
        rows = slice(person, person + len(part.truth.frame))
        np.testing.assert_array_equal(whole.truth.frame[rows], part.truth.frame + frame)
        np.testing.assert_array_equal(whole.truth.person[rows], part.truth.person)
        frame += len(part.frames.stamp_s)
        person += len(part.truth.frame)
    assert len(whole.frames.stamp_s) == frame and len(whole.truth.frame) == person
    with pytest.raises(RecordingError, match="no recordings to join"):
        joined([])


def test_empty_and_absent_folders_are_named(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "absent"):
        with pytest.raises(RecordingError, match=f"{folder} holds no recordings.*dualpose synth recordings"):
            load_recordings(folder)


def write_raw(path: Path, change: dict[str, np.ndarray | None]) -> None:
    """A good file with some of its arrays replaced, or left out."""
    save_recordings(path, made_up(np.random.default_rng(2)))
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    arrays = {name: change.get(name, array) for name, array in arrays.items()}
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"truth.joints_cam": None}, "truth.joints_cam"),
        ({"top_down.joints_cam": np.zeros((12, 16, 3))}, "top_down.joints_cam"),
        ({"bottom_up.frame": np.zeros((12, 2), np.int32)}, "bottom_up.frame"),
        ({"truth.action": np.full(12, 999)}, "truth.action holds int64"),
        ({"frames.stamp_s": np.zeros(5)}, "frames.stamp_s"),
        ({"bottom_up.score": np.zeros(11)}, "bottom_up.score"),
    ],
)
def test_files_that_hold_something_else_are_named(
    tmp_path: Path, change: dict[str, np.ndarray | None], what: str
) -> None:
    path = tmp_path / "recordings_00003.npz"
    write_raw(path, change)
    with pytest.raises(RecordingError, match=r"recordings_00003\.npz.*" + what.replace(".", r"\.")):
        load_recordings(tmp_path)


def test_damaged_files_are_named(tmp_path: Path) -> None:
    path = tmp_path / "recordings_00000.npz"
    save_recordings(path, made_up(np.random.default_rng(3)))
    whole = path.read_bytes()
    middle = len(whole) // 2
    contents = [b"", b"not a file of arrays", whole[:middle], whole[:-30]]
    contents += [whole[:at] + bytes(64) + whole[at + 64 :] for at in range(200, len(whole) - 64, len(whole) // 7)]
    for content in contents:
        path.write_bytes(content)
        with pytest.raises(RecordingError, match=r"recordings_00000\.npz"):
            load_recordings(tmp_path)
    with path.open("wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(RecordingError, match=r"recordings_00000\.npz"):
        load_recordings(tmp_path)


def test_a_write_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(module.np, "savez_compressed", full)
    with pytest.raises(OSError, match="no space"):
        save_recordings(tmp_path / "recordings_00000.npz", made_up(np.random.default_rng(0)))
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def world() -> World:
    return make_world(SMALL, np.random.default_rng(3), builtin_body(), ())


@pytest.fixture(scope="module")
def script(world: World) -> Script:
    drawn = draw_sequence(world, [], np.random.default_rng(12), SequenceConfig(frames=4, people=(2, 2), level=True))
    return replace(drawn, views=tuple(View(CAMERA, view.rotation, view.translation) for view in drawn.views))


@pytest.fixture(scope="module")
def branches() -> Branches:
    return Branches()


@pytest.fixture(scope="module")
def recorded(world: World, script: Script, branches: Branches) -> Recordings:
    (only,) = record(world, [script], branches)
    return only


def test_a_recorded_sequence(recorded: Recordings, script: Script) -> None:
    frames, truth = recorded.frames, recorded.truth
    assert frames.sequence.tolist() == [0] * 4 and frames.level.all()
    np.testing.assert_array_equal(frames.stamp_s, script.stamps_s)
    np.testing.assert_allclose(frames.down, np.tile(script.down(0), (4, 1)), atol=1e-6)
    assert (np.diff(truth.frame) >= 0).all() and set(truth.frame) <= set(range(4))
    for row in range(len(truth.frame)):
        person, frame = truth.person[row], truth.frame[row]
        assert truth.action[row] == script.actions[person]
        world_joints = script.posed[person].joints[frame]
        np.testing.assert_allclose(
            truth.joints_cam[row], world_joints @ script.views[0].rotation.T + script.views[0].translation, atol=1e-4
        )
        np.testing.assert_allclose(truth.joints_px[row], project(CAMERA, truth.joints_cam[row]), atol=0.05)
    for branch in (recorded.top_down, recorded.bottom_up):
        rows = len(branch.frame)
        assert rows > 0 and (np.diff(branch.frame) >= 0).all()
        assert branch.joints_cam.shape == (rows, K, 3) and np.isfinite(branch.joints_cam).all()
        assert (branch.joints_cam[:, 0, 2] > 0).all() and (branch.joint_stddev > 0).all()
        assert ((branch.joint_scores >= 0) & (branch.joint_scores <= 1)).all()
        known = branch.truth >= 0
        assert known.any()
        # Whom they are is somebody of the same frame.
        np.testing.assert_array_equal(truth.frame[branch.truth[known]], branch.frame[known])
    assert (recorded.bottom_up.track == -1).all() and (recorded.top_down.track >= 0).all()
    camera = camera_of(recorded, 2)
    assert (camera.width, camera.height) == (256, 192) and isinstance(camera, Camera)
    assert camera.fx == pytest.approx(CAMERA.fx, rel=1e-6) and camera.cy == pytest.approx(CAMERA.cy)


def test_each_sequence_starts_anew(
    world: World, script: Script, branches: Branches, recorded: Recordings, tmp_path: Path
) -> None:
    # The same twice, after one another: no track is carried over, and it is the same as alone.
    once, again = record(world, [script, script], branches)
    assert_same(once, recorded)
    for name in ("frame", "truth", "track"):
        np.testing.assert_array_equal(getattr(again.bottom_up, name), getattr(once.bottom_up, name))
    np.testing.assert_array_equal(again.top_down.joints_cam, once.top_down.joints_cam)
    save_recordings(tmp_path / "recordings_00000.npz", joined([once, again]))
    assert load_recordings(tmp_path).frames.sequence.tolist() == [0] * 4 + [1] * 4


def test_files_that_are_there_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recorded: Recordings) -> None:
    drawn: list[int] = []

    def instead(world: World, scripts: list[Script], branches: object) -> list[Recordings]:
        drawn.append(scripts[0].seed)
        return [recorded] * len(scripts)

    monkeypatch.setattr(recording, "SHARD_SIZE", 2)
    monkeypatch.setattr(recording, "record", instead)
    monkeypatch.setattr(recording, "Branches", lambda: None)
    config = SequenceConfig(frames=2, people=(1, 1))

    def write(count: int) -> list[int]:
        return list(recording.write_recordings(tmp_path, count, 4, SMALL, config=config))

    assert recording.missing_sequences(tmp_path, 5) == 5
    assert write(5) == [2, 2, 1]
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == [f"recordings_{index:05d}.npz" for index in range(3)]
    assert len(set(drawn)) == 3
    (tmp_path / names[1]).unlink()
    kept = (tmp_path / names[0]).stat().st_mtime_ns
    assert recording.missing_sequences(tmp_path, 5) == 2
    assert write(5) == [2]
    # The missing one is drawn as it was, whatever else is there.
    assert drawn[3] == drawn[1] and (tmp_path / names[0]).stat().st_mtime_ns == kept
    assert write(5) == [] and recording.missing_sequences(tmp_path, 5) == 0
    assert len(load_recordings(tmp_path).frames.stamp_s) == 5 * 4
