"""A tiny clip's truth against its own geometry and its frames."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

pytest.importorskip("av", reason="clips are written by PyAV")

from dualpose_ros.camera import camera_from_hfov, project
from dualpose_ros.datasets.clip import load_clip_truth
from dualpose_ros.datasets.labels import OUTSIDE, VISIBLE, LabelledImage
from dualpose_ros.lab.synthetic.body.body import BodyError
from dualpose_ros.lab.synthetic.render import render
from dualpose_ros.lab.synthetic.scenes import clip
from dualpose_ros.lab.synthetic.scenes.world import WorldConfig

CONFIG = clip.ClipConfig(duration_s=0.3, fps=20.0, width=160, height=120, degradation=0.0, quality=18)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[LabelledImage]]:
    """A folder with a clip of six frames, and the pictures that were drawn for it."""
    out = tmp_path_factory.mktemp("clip")
    drawn: list[LabelledImage] = []

    def keep(*args: object, **options: object) -> LabelledImage:
        drawn.append(render.render(*args, **options))  # type: ignore[arg-type]
        return drawn[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clip, "render", keep)
        assert list(clip.write_clip(out, 4, WorldConfig(), CONFIG)) == [1] * 6
    return out, drawn


def test_truth_is_that_of_the_drawn_pictures(written: tuple[Path, list[LabelledImage]]) -> None:
    out, drawn = written
    truth = load_clip_truth(out / "truth.npz")
    assert (truth.num_frames, truth.num_people, truth.fps) == (6, 4, 20.0)
    np.testing.assert_allclose(truth.stamps_s, np.arange(6) / 20)
    assert truth.camera == camera_from_hfov(160, 120, CONFIG.hfov)
    for time, sample in enumerate(drawn):
        people = sample.people
        np.testing.assert_array_equal(truth.ids, people.ids)
        np.testing.assert_allclose(truth.joints_cam[time], people.joints_cam, atol=0.005)  # half precision
        np.testing.assert_allclose(truth.joints_px[time], people.joints_px, atol=0.1)
        np.testing.assert_allclose(truth.boxes_px[time], people.boxes_px, atol=0.1)
        np.testing.assert_array_equal(truth.visibility[time], people.visibility)
        np.testing.assert_allclose(truth.visible_fraction[time], people.visible_fraction, atol=1e-3)
        shown = {int(n) - 1 for n in np.unique(sample.mask) if n}
        assert shown <= set(np.flatnonzero(truth.present[time]))


def test_truth_agrees_with_itself(written: tuple[Path, list[LabelledImage]]) -> None:
    truth = load_clip_truth(written[0] / "truth.npz")
    np.testing.assert_allclose(project(truth.camera, truth.joints_cam), truth.joints_px, atol=0.5)
    x, y = truth.joints_px[..., 0], truth.joints_px[..., 1]
    inside = (x > 0) & (x < 159) & (y > 0) & (y < 119)
    assert (truth.visibility[inside] != OUTSIDE).all()
    assert ((truth.visibility == VISIBLE) & inside).sum() > 6 * 17
    assert (np.linalg.norm(np.diff(truth.joints_cam, axis=0), axis=-1) < 0.25).all(), "nobody jumps between frames"


def test_video_shows_the_drawn_pictures(written: tuple[Path, list[LabelledImage]]) -> None:
    out, drawn = written
    video = cv2.VideoCapture(str(out / "clip.mp4"))
    assert video.get(cv2.CAP_PROP_FPS) == pytest.approx(20, abs=0.1)
    for sample in drawn:
        read, frame = video.read()
        assert read and frame.shape == (120, 160, 3)
        assert np.abs(frame[..., ::-1].astype(int) - sample.image).mean() < 6
    assert not video.read()[0]
    video.release()


def test_calibration_is_the_cameras(written: tuple[Path, list[LabelledImage]]) -> None:
    content = yaml.safe_load((written[0] / "camera.yaml").read_text())
    camera = camera_from_hfov(160, 120, CONFIG.hfov)
    assert (content["image_width"], content["image_height"]) == (160, 120)
    np.testing.assert_allclose(content["camera_matrix"]["data"], camera.matrix.ravel(), rtol=1e-8)
    projection = np.reshape(content["projection_matrix"]["data"], (3, 4))
    np.testing.assert_allclose(projection[:, :3], camera.matrix, rtol=1e-8)
    assert content["distortion_model"] == "plumb_bob" and not any(content["distortion_coefficients"]["data"])


def test_the_script_brings_four_people_together_and_across() -> None:
    config = clip.ClipConfig(fps=5.0)
    motions = clip.script_motions(np.random.default_rng(0), config)
    assert len(motions) == 4 and all(len(m.joints_m) == (22 * 5) for m in motions)
    paths = np.stack([m.joints_m[:, 0] for m in motions])
    bearing = paths[..., 0] / paths[..., 2]
    crossings = 0
    for a in range(4):
        for b in range(a + 1, 4):
            crossings += np.count_nonzero(np.diff(np.sign(bearing[a] - bearing[b])))
            assert np.linalg.norm((paths[a] - paths[b])[:, [0, 2]], axis=1).min() > 0.35, "nobody walks through another"
    assert crossings >= 6
    assert paths[..., 2].min() > 2.0


def test_a_clip_that_is_stopped_leaves_no_film(tmp_path: Path) -> None:
    making = clip.write_clip(tmp_path, 4, WorldConfig(), CONFIG)
    assert next(making) == 1
    making.close()  # type: ignore[attr-defined]  # a generator
    assert list(tmp_path.iterdir()) == []


def test_a_clip_of_a_missing_body_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(BodyError, match=r"nobody\.npz does not exist"):
        list(clip.write_clip(tmp_path / "out", 0, WorldConfig(body=tmp_path / "nobody.npz"), CONFIG))
