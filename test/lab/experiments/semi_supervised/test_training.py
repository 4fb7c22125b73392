"""Semi-supervised training: its terms, what it sees of which domain, and rows of Table 4 from end to end."""

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from scipy.spatial.transform import Rotation
from torch import Tensor, nn

from dualpose_ros.datasets.recordings import Recordings, save_recordings
from dualpose_ros.inference.load import load_engine
from dualpose_ros.lab.experiments.semi_supervised import data, evaluation, run
from dualpose_ros.lab.experiments.semi_supervised import terms as training
from dualpose_ros.lab.experiments.semi_supervised.fusion import SemiSupervisedFusion, SemiSupervisedFusionTask
from dualpose_ros.lab.experiments.semi_supervised.lifting import SemiSupervisedLifting, SemiSupervisedLiftingTask
from dualpose_ros.lab.experiments.semi_supervised.run import TrainedRow, onnx_file, train_row
from dualpose_ros.lab.training.fusion.discriminator import DiscriminatorConfig
from dualpose_ros.lab.training.loop.task import TrainingError
from dualpose_ros.settings import SettingError
from dualpose_ros.top_down.lifting.lifter import empty_memory
from dualpose_ros.top_down.lifting.person_view import place_root
from support import made_recordings as made
from support.data import ROOT

CONFIG = ROOT / "config" / "training" / "semi_supervised.yaml"
K, SEQUENCES, FRAMES = data.K, 16, 4
TINY: dict[str, dict[str, Any]] = {
    "run": {
        "common": {"batch_size": 1, "workers": 0, "bf16": False, "channels_last": False, "validations": 1,
                   "log_steps": 2},
        "first": {"lifting": {"epochs": 1.0, "lr": 3e-3}, "fusion": {"epochs": 1.0, "lr": 3e-3}},
        "rows": {"lifting": {"epochs": 0.5, "lr": 1e-3}, "fusion": {"epochs": 0.5, "lr": 1e-3}},
    },
    "task": {
        "terms": {"meetings": 8, "epoch": 2},
        "lifting": {"network": {"window": 9, "channels": 8, "hidden": 16, "blocks": 1, "dropout": 0.0},
                    "discriminator": {"people": 2, "hidden": 8}, "tracks": 6, "groups": 8, "samples": 8},
        "fusion": {"network": {"hidden": 16}, "discriminator": {"people": 2, "hidden": 8}, "groups": 8, "samples": 8},
    },
}  # fmt: skip


def made_domains(seed: int = 0) -> Recordings:
    """Three people in sixteen sequences, every second one not level, the last two of either domain for validation."""
    found: Recordings = made.made_recordings(np.random.default_rng(seed), SEQUENCES, FRAMES)
    frames, top_down = found.frames, found.top_down
    level = (frames.sequence // 8 + frames.sequence) % 2 == 0
    tilted = np.where(level[:, None], [0.0, 1.0, 0.0], [0.1, 0.97, 0.2]).astype(np.float32)
    return dataclasses.replace(
        found,
        frames=dataclasses.replace(frames, level=level, down=tilted),
        top_down=dataclasses.replace(top_down, track=found.truth.person[top_down.truth]),
    )


@pytest.fixture(scope="module")
def recordings() -> Recordings:
    return made_domains()


@pytest.fixture(scope="module")
def folder(recordings: Recordings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("recordings")
    save_recordings(out / "recordings_00000.npz", recordings)
    return out


@pytest.fixture(scope="module")
def first(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, TrainedRow]:
    out = tmp_path_factory.mktemp("first")
    return out, train_row("none", folder, out, TINY, storage="int8")


@pytest.fixture(scope="module")
def tracks(recordings: Recordings) -> data.Tracks:
    return data.make_tracks(recordings, ~recordings.frames.level)


def test_easy_samples_weigh_most_at_first_and_all_alike_in_the_end() -> None:
    rng = np.random.default_rng(0)
    one, other = rng.uniform(0.1, 3, 40), rng.uniform(10, 300, 40)
    early = training.easy_weights([torch.tensor(one), torch.tensor(other)], 1.0).numpy()
    expected = np.zeros(40)
    for errors in (one, other):
        powers = np.array([np.exp(-e / errors.mean()) for e in errors])
        expected += 40 / 2 * powers / powers.sum()
    np.testing.assert_allclose(early, expected, rtol=1e-6)
    late = training.easy_weights([torch.tensor(one), torch.tensor(other)], 1000.0).numpy()
    assert early.mean() == pytest.approx(1) and late.mean() == pytest.approx(1)
    assert np.ptp(late) < 0.01 < np.ptp(early)
    alone = training.easy_weights([torch.tensor(one)], 2.0).numpy()
    assert (np.diff(alone[np.argsort(one)]) < 0).all()


def test_reprojection_is_a_confidence_weighted_sum() -> None:
    rng = np.random.default_rng(1)
    joints = rng.normal([0, 0, 5], 0.4, (6, K, 3))
    rays = joints[..., :2] / joints[..., 2:] + rng.normal(0, 0.01, (6, K, 2))
    confidence, extent = rng.uniform(0, 1, (6, K)), rng.uniform(0.05, 0.2, 6)
    expected = np.zeros(6)
    for n in range(6):
        for k in range(K):
            offset = (joints[n, k, :2] / joints[n, k, 2] - rays[n, k]) / extent[n]
            expected[n] += confidence[n, k] * float(offset @ offset) / K
    arrays = [torch.tensor(a) for a in (joints, rays, confidence, extent)]
    np.testing.assert_allclose(training.reprojection_errors(*arrays), expected, rtol=1e-9)
    arrays[1][0, 3] += 100.0
    assert training.reprojection_errors(*arrays)[0] <= expected[0] + 4 * confidence[0, 3] / K


def test_people_are_placed_as_the_live_stage_places_them(tracks: data.Tracks) -> None:
    rng, view = np.random.default_rng(2), tracks.told.people.view
    joints = rng.normal(0, 0.3, (len(view.rays), K, 3))
    stddev, depth = rng.uniform(0.02, 0.2, joints.shape[:2]), rng.uniform(2, 8, len(joints))
    expected = place_root(view, joints, stddev, depth)
    arrays = [torch.tensor(a) for a in (joints, depth, view.rays, view.confidence / stddev**2)]
    placed = training.place(*arrays).numpy() - joints
    np.testing.assert_allclose(np.einsum("nab,nb->na", view.to_camera, placed[:, 5]), expected, atol=1e-6)


def test_rotations_are_those_of_scipy() -> None:
    rng = np.random.default_rng(3)
    down = rng.normal([0, 1, 0], 0.3, (20, 3))
    down /= np.linalg.norm(down, axis=1, keepdims=True)
    angle = rng.uniform(-np.pi, np.pi, 20)
    expected = Rotation.from_rotvec(down * angle[:, None]).as_matrix()
    np.testing.assert_allclose(data.about_vertical(down, angle), expected, atol=1e-12)
    turn = data.upright(down)
    np.testing.assert_allclose(turn @ turn.transpose(0, 2, 1), np.tile(np.eye(3), (20, 1, 1)), atol=1e-12)
    np.testing.assert_allclose(np.einsum("nab,nb->na", turn, down), np.tile([0.0, 1.0, 0.0], (20, 1)), atol=1e-12)
    assert (np.linalg.det(turn) > 0).all()
    shortest = np.arccos(down[:, 1])
    np.testing.assert_allclose(Rotation.from_matrix(turn).magnitude(), shortest, atol=1e-9)


def test_turned_people_keep_their_shape_and_their_heights(tracks: data.Tracks) -> None:
    turned = data.turned_targets(tracks, np.random.default_rng(4), 0.0)
    own = data.targets(tracks.told, tracks.joints_cam, tracks.known)
    assert turned.counted.all() and not np.allclose(turned.joints, own.joints, atol=0.05)
    for joints in (turned.joints, own.joints):
        np.testing.assert_allclose(
            np.linalg.norm(joints[..., 3, :] - joints[..., 10, :], axis=-1),
            np.linalg.norm(tracks.joints_cam[..., 3, :] - tracks.joints_cam[..., 10, :], axis=-1), rtol=1e-5,
        )  # fmt: skip
    still = data.turned_targets(tracks, np.random.default_rng(4), 0.0, limit=0.0)
    exact = evaluation.lifting_input(
        tracks.told.rows, tracks.joints_cam[..., :2] / tracks.joints_cam[..., 2:], tracks.scores,
        evaluation.elapsed(tracks.stamps_s, tracks.told.there),
    )  # fmt: skip
    np.testing.assert_allclose(still.features, exact.features, atol=1e-5)
    np.testing.assert_allclose(still.joints, data.targets(exact, tracks.joints_cam, tracks.known).joints, atol=1e-5)


def test_a_track_is_turned_as_a_whole_about_the_vertical(tracks: data.Tracks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data, "targets", lambda told, joints, known: joints)
    turned: Any = data.turned_targets(tracks, np.random.default_rng(5), 0.0)
    for n in range(0, len(tracks), 5):
        own, moved = tracks.joints_cam[n].reshape(-1, 3), turned[n].reshape(-1, 3)
        apart = [np.linalg.norm(joints[:, None] - joints[None], axis=2) for joints in (own, moved)]
        np.testing.assert_allclose(apart[1], apart[0], atol=1e-9)
        down = tracks.upright[n, 0, 1]
        np.testing.assert_allclose(moved @ down, own @ down, atol=1e-9)
        np.testing.assert_allclose(turned[n, :, 0].mean(axis=0), tracks.joints_cam[n, :, 0].mean(axis=0), atol=1e-9)
        assert np.linalg.norm(moved - own) > 0.1


def test_the_nearest_other_is_found_as_a_slow_search_finds_it() -> None:
    rng = np.random.default_rng(6)
    frame = np.sort(rng.integers(0, 12, 40))
    roots = rng.uniform(-4, 4, (40, 3))
    roots[7] = np.nan
    found = data.nearest(frame, roots)
    for row in range(40):
        others = [n for n in range(40) if n != row and frame[n] == frame[row]]
        away = {n: np.linalg.norm(roots[n] - roots[row]) for n in others if np.isfinite(roots[[n, row]]).all()}
        near = {n: d for n, d in away.items() if d < 4}
        assert found[row] == (min(near, key=near.__getitem__) if near else -1)


def test_people_of_a_frame_are_shown_together_to_the_discriminator(tracks: data.Tracks) -> None:
    chosen = data.take(tracks, data.draw_sequences(tracks, np.random.default_rng(7), 6))
    first, second = data.pairs_within(chosen)
    rows = chosen.told.rows.ravel()
    assert (second >= 0).any() and len(first) == (rows >= 0).sum()
    for a, b in zip(first, second, strict=True):
        if b >= 0:
            assert rows[b] == chosen.other.ravel()[a] and a != b
            frames = [chosen.stamps_s.ravel()[n] for n in (a, b)]
            assert frames[0] == frames[1]


def test_real_people_come_as_they_are_asked_for(recordings: Recordings) -> None:
    real = data.real_people(recordings, recordings.frames.level, 16, None, 0)
    together = np.arange(30) % 3 == 0
    drawn = real.draw(np.random.default_rng(8), together)
    assert np.isfinite(drawn).all() and (drawn[~together, 1] == 0).all()
    # Heads are above feet: the y axis points down.
    assert (drawn[:, 0, 10, 1] < drawn[:, 0, [3, 6], 1].min(axis=1)).all()
    away = np.linalg.norm(drawn[together, 0, 0] - drawn[together, 1, 0], axis=1)
    assert (away > 0.1).all() and (away < 4).all()


def test_smoothing_keeps_straight_lines_and_averages_the_rest() -> None:
    line = np.linspace(0, 1, 7)[None, :, None] * np.ones((1, 1, 3))
    known = np.array([[True] * 6 + [False]])
    np.testing.assert_allclose(data.smoothed(line, known)[0, 1:5], line[0, 1:5])
    spike = np.zeros((1, 7, 1))
    spike[0, 3] = 4
    np.testing.assert_allclose(data.smoothed(spike, known)[0, :, 0], [0, 0, 1, 2, 1, 0, 0])


def test_steps_count_on_in_a_row_and_anew_in_another() -> None:
    def student(row: str) -> training.Student:
        return training.Student(torch.nn.Linear(2, 2), DiscriminatorConfig(2, 4), row)

    one = student("rep")
    assert [one.next_epoch(2) for _ in range(5)] == [1.0, 1.5, 2.0, 2.5, 3.0]
    same, other = student("rep"), student("mp")
    same.load_state_dict(one.state_dict())
    other.load_state_dict(one.state_dict())
    assert same.steps == 5 and other.steps == 0 and other.row == list(training.ROWS).index("mp")
    assert one.steps == 5 and all(map(torch.equal, other.network.parameters(), one.network.parameters()))


def test_settings_are_checked(folder: Path) -> None:
    with pytest.raises(TrainingError, match="no row 'all'"):
        training.SemiSupervision(str(folder), "all")
    with pytest.raises(TrainingError, match="teachers"):
        training.SemiSupervision(str(folder), "rep")
    with pytest.raises(SettingError, match="epoch is 0"):
        training.SemiSupervision(str(folder), epoch=0)
    with pytest.raises(TrainingError, match="starts from row 'none'"):
        train_row("rep", folder, folder / "out", TINY)
    with pytest.raises(TrainingError, match="key `terms`"):
        train_row("none", folder, folder / "out", {**TINY, "task": {"terms": {"meeting": 3}}})
    with pytest.raises(TrainingError, match="no recordings"):
        training.domains(str(folder / "nowhere"))


def lifting_task(folder: Path, first: Path | None, row: str, **terms: Any) -> SemiSupervisedLiftingTask:
    named: dict[str, Any] = (
        {} if first is None else {f"teacher_{n}": str(onnx_file(first, "none", n)) for n in ("lifting", "fusion")}
    )
    supervision = training.SemiSupervision(str(folder), row, meetings=8, **named, **terms)
    return SemiSupervisedLiftingTask(SemiSupervisedLifting(supervision, tracks=6, groups=8, samples=2))


def fusion_task(folder: Path, first: Path, row: str) -> SemiSupervisedFusionTask:
    files = [str(onnx_file(first, "none", n)) for n in ("lifting", "fusion")]
    terms = training.SemiSupervision(str(folder), row, files[0], files[1], meetings=8)
    return SemiSupervisedFusionTask(SemiSupervisedFusion(terms, files[0], groups=8, samples=2))


def tensors(batch: Any) -> list[Tensor]:
    """All tensors of a batch in their order."""
    if isinstance(batch, Tensor):
        return [batch]
    return [t for part in batch if part is not None and not isinstance(part, bool) for t in tensors(part)]


@pytest.mark.parametrize("row", list(training.ROWS))
def test_only_the_row_that_may_sees_the_truth_of_the_unlabelled(
    row: str, folder: Path, recordings: Recordings, first: tuple[Path, TrainedRow], tmp_path: Path
) -> None:
    truth, level = recordings.truth, recordings.frames.level
    joints = np.where(level[truth.frame][:, None, None], truth.joints_cam, truth.joints_cam * np.float32(1.5))
    save_recordings(
        tmp_path / "recordings_00000.npz",
        dataclasses.replace(recordings, truth=dataclasses.replace(truth, joints_cam=joints)),
    )
    for make in (lifting_task, fusion_task):
        drawn = []
        for source in (folder, tmp_path):
            samples, _ = make(source, first[0], row).datasets()
            drawn.append([t for i in range(6) for t in tensors(samples.draw(i, np.random.default_rng(i)))])
        same = all(torch.equal(a, b) for a, b in zip(*drawn, strict=True))
        assert same == (row != "full")


@pytest.mark.parametrize("row", list(training.ROWS))
def test_a_row_has_the_terms_of_its_name(row: str, folder: Path, first: tuple[Path, TrainedRow]) -> None:
    wanted = {"rep": "reprojection", "mp": "perspective", "dis": "adversarial"}
    for make in (lifting_task, fusion_task):
        task: Any = make(folder, first[0], row)
        samples, _ = task.datasets()
        torch.manual_seed(0)
        model = task.build_model().train()
        total, parts = task.loss(model, samples[0])
        assert set(parts) >= {"mpjpe_mm"} and torch.isfinite(total)
        assert {n for n in wanted.values() if n in parts} == {wanted[n] for n in row.split("_") if n in wanted}
        total.backward()
        assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)
        told = any(p.grad is not None for p in model.discriminator.parameters())
        assert told == ("adversarial" in parts)


def test_depths_that_are_held_are_the_teachers_and_nothing_else_pulls_at_them(
    folder: Path, first: tuple[Path, TrainedRow]
) -> None:
    task = lifting_task(folder, first[0], "rep_mp_dis", hold_depths=True)
    batch = task.datasets()[0][0]
    torch.manual_seed(0)
    model: Any = task.build_model().eval()
    answers = task._supervised.answers(model, batch.labelled.features)
    (joints, stddev, *depths), off = task._with_held_depths(answers, batch.labelled.features)
    teacher = load_engine(onnx_file(first[0], "none", "lifting"))
    told = teacher.run({"features": batch.labelled.features.numpy(), **empty_memory(teacher, len(joints))})
    torch.testing.assert_close(depths[0], torch.from_numpy(told["log_depth_extent"]))
    assert joints is answers[0] and stddev is answers[1] and not any(depth.requires_grad for depth in depths)
    assert off.item() == pytest.approx(
        sum((a - b).abs().mean().item() for a, b in zip(answers[2:], depths, strict=True)), rel=1e-5
    )
    # Labels of people twice as far away then change no weight.
    far = batch.labelled._replace(log_depth_extent=batch.labelled.log_depth_extent + 0.7)
    gradients = []
    for own in (batch.labelled, far):
        model.zero_grad()
        model.steps.zero_()
        task.loss(model, batch._replace(labelled=own))[0].backward()
        gradients.append([p.grad.clone() for p in model.network.parameters() if p.grad is not None])
    assert gradients[0] and all(torch.equal(a, b) for a, b in zip(*gradients, strict=True))


def test_without_truth_of_the_unlabelled_the_labelled_choose_the_best_state(
    folder: Path, first: tuple[Path, TrainedRow]
) -> None:
    lifting, fusion = lifting_task(folder, first[0], "mp"), fusion_task(folder, first[0], "mp")
    joints = {"mpjpe_mm_labelled": 90.0, "root_depth_rel_err_labelled": 0.05, "steps": 3.0}
    shares = {"pck_rel_labelled": 60.0, "pck_abs_labelled": 30.0, "root_25_labelled": 30.0, "steps": 3.0}
    assert lifting.objective(joints) == pytest.approx(90 + 50) and fusion.objective(shares) == pytest.approx(-40)
    assert lifting.objective({**joints, "mpjpe_mm_unlabelled": 80.0}) == -3
    assert fusion.objective({**shares, "pck_rel_unlabelled": 50.0}) == -3


def test_a_larger_batch_than_one_sample_is_refused(folder: Path, first: tuple[Path, TrainedRow]) -> None:
    for make in (lifting_task, fusion_task):
        task: Any = make(folder, first[0], "none")
        samples, _ = task.datasets()
        with pytest.raises(TrainingError, match="batch_size is 2"):
            task.collate([samples[0], samples[1]])


def test_a_row_from_recordings_to_its_figures(
    folder: Path,
    recordings: Recordings,
    first: tuple[Path, TrainedRow],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def copied(model: nn.Module, spec: object, path: Path, storage: str) -> None:
        """Exporting takes its time, and the first row's networks have been exported."""
        assert storage == "int8"
        shutil.copy(onnx_file(first[0], "none", path.parent.name), path)

    monkeypatch.setattr(run, "export_onnx", copied)
    row = train_row("rep_mp_dis", folder, tmp_path, TINY, first[0], storage="int8")
    assert row.lifting.name == "rep_mp_dis_lifting.onnx" and row.fusion.is_file()
    assert row.results["lifting"].figures["steps"] == 4 and first[1].results["fusion"].figures["steps"] == 8
    rows = evaluation.semi_supervised_rows(recordings, {"none": (load_engine(row.lifting), load_engine(row.fusion))})
    assert [r["row"] for r in rows] == ["none"]
    assert rows[0]["people"] == 3 * int((~recordings.frames.level).sum())
    again = train_row("rep_mp_dis", folder, tmp_path, TINY, first[0], resume=True, storage="int8")
    assert again.results["lifting"].steps == 4
    with pytest.raises(TrainingError, match="is missing"):
        train_row("rep", folder, tmp_path / "other", TINY, tmp_path / "nothing")


def test_the_settings_that_ship_can_be_read(folder: Path, first: tuple[Path, TrainedRow], tmp_path: Path) -> None:
    files = {network: onnx_file(tmp_path, "none", network) for network in run.NETWORKS}
    content = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))
    for row in training.ROWS:
        begins = None if row == "none" else run.begin_at(row, first[0])
        settings = run.row_settings(row, folder, files, content, begins, epochs=3.0)
        models: list[Any] = [make().build_model() for make, _ in settings.values()]
        sizes = [sum(p.numel() for p in model.network.parameters()) for model in models]
        # Both of all six rows are to fit into 1.6 MB, with a byte a weight and their graphs.
        assert sum(sizes) < 230_000
        assert all(config.epochs == 3.0 and config.batch_size == 1 for _, config in settings.values())
        assert all((config.init is None) == (row == "none") for _, config in settings.values())
    timed = run.row_settings("none", folder, files, content, max_minutes=2.0)
    assert all(config.epochs is None and config.max_minutes == 2.0 for _, config in timed.values())
