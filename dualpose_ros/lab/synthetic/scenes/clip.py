"""A video of people who cross, meet and hide each other, with its ground truth frame by frame."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dualpose_ros.camera import Camera, camera_from_hfov
from dualpose_ros.datasets.labels import People
from dualpose_ros.lab.synthetic.backdrop.backgrounds import background
from dualpose_ros.lab.synthetic.backdrop.paint import make_view
from dualpose_ros.lab.synthetic.body.body import shape_body
from dualpose_ros.lab.synthetic.body.rig import PosedRig, pose_rig
from dualpose_ros.lab.synthetic.looks.appearance import Dressed, dress
from dualpose_ros.lab.synthetic.looks.textures import cloth_atlas
from dualpose_ros.lab.synthetic.motion.motion import Action, Motion, Stand, Turn, Walk, perform
from dualpose_ros.lab.synthetic.render.degrade import apply, degrade_clip_params
from dualpose_ros.lab.synthetic.render.render import Lighting, render
from dualpose_ros.lab.synthetic.scenes.frames import level_camera
from dualpose_ros.lab.synthetic.scenes.world import WorldConfig, as_actor, load_model
from dualpose_ros.paths import write_whole, written_whole
from dualpose_ros.recording.video import VideoWriter


@dataclass(frozen=True)
class ClipConfig:
    """Length and camera of a clip: seconds, frames per second, pixels, radians, metres.

    scene: kind of background; degradation: strength of the camera's flaws; quality: of H.264 (CRF).
    """

    duration_s: float = 22.0
    fps: float = 20.0
    width: int = 640
    height: int = 480
    hfov: float = np.radians(66.0)
    camera_height_m: float = 1.55
    camera_pitch: float = 0.07
    scene: str = "street"
    degradation: float = 0.35
    quality: int = 22


_SCRIPTS: tuple[tuple[tuple[float, float], float, tuple[Action, ...]], ...] = (
    ((2.7, 5.2), -1.57, (Walk([(-0.9, 4.6)], 1.15), Stand(2.5, "wave", "right"), Walk([(-2.0, 5.0), (1.9, 6.6)], 1.1),
                         Turn(3.6), Stand(3.0, "conversation"), Walk([(-2.2, 5.6)], 1.2), Stand(20.0))),
    ((-3.2, 6.4), 1.57, (Walk([(1.2, 6.1)], 1.05), Turn(3.3), Stand(2.0, "arms_crossed"),
                         Walk([(2.3, 5.3), (0.4, 5.0), (-1.4, 4.2)], 1.0),
                         Stand(2.0, "on_hips"), Walk([(2.6, 7.0)], 1.2), Stand(20.0))),
    ((1.9, 10.0), 3.3, (Walk([(0.3, 3.6)], 1.25), Stand(1.8, "hold_phone", "left"),
                        Walk([(-0.5, 3.5), (-0.6, 7.0)], 1.1), Turn(3.0),
                        Stand(2.0, "conversation"), Walk([(-1.0, 4.8)], 1.1), Stand(20.0))),
    ((-1.6, 4.4), 2.7, (Stand(3.0, "conversation"), Walk([(-1.9, 7.6), (1.8, 8.2)], 1.2), Turn(3.4), Stand(1.5),
                        Walk([(3.1, 6.7), (2.6, 5.4), (0.2, 5.5)], 1.15),
                        Stand(2.0, "point", "right"), Walk([(1.4, 4.9)], 1.0), Stand(20.0))),
)  # fmt: skip
"""Where each person of the demo starts (x, z), which way they face, and what they do."""


def script_motions(rng: np.random.Generator, config: ClipConfig) -> list[Motion]:
    """The motions of the demo's four people, in the world frame."""
    return [perform(rng, config.fps, start, yaw, list(actions), config.duration_s) for start, yaw, actions in _SCRIPTS]


def write_clip(out: Path, seed: int, world: WorldConfig, config: ClipConfig | None = None) -> Iterator[int]:
    """Render the demo's script into out/clip.mp4, truth.npz and camera.yaml, yielding 1 for each frame."""
    config = config or ClipConfig()
    rng = np.random.default_rng(seed)
    out.mkdir(parents=True, exist_ok=True)
    camera = camera_from_hfov(config.width, config.height, config.hfov)
    view = level_camera(camera, config.camera_height_m, config.camera_pitch)
    motions = script_motions(rng, config)
    model, textures = load_model(world), cloth_atlas(rng, 16)
    people = [dress(shape_body(model, rng, adult=True), rng, len(textures)) for _ in motions]
    posed = [_pose(dressed, motion) for dressed, motion in zip(people, motions, strict=True)]
    behind = make_view(config.height, config.width, config.hfov, config.camera_height_m, config.camera_pitch)
    backdrop = background(rng, config.height, config.width, config.scene, behind)
    light = Lighting(np.array([0.4, 0.8, -0.45]), np.full(3, 1.0), np.array([0.55, 0.58, 0.62]), np.full(3, 0.3))
    damage = degrade_clip_params(rng, config.degradation)
    frames: list[People] = []
    count = round(config.duration_s * config.fps)
    with written_whole(out / "clip.mp4") as film, VideoWriter(film, quality=config.quality, preset="slow") as video:
        for time in range(count):
            actors = [as_actor(n, d, p, time) for n, (d, p) in enumerate(zip(people, posed, strict=True))]
            sample = render(actors, [], view, backdrop, textures, light)
            video.write(apply(damage, sample.image, rng), round(time / config.fps * 1e9))
            frames.append(sample.people)
            yield 1
    _write_truth(out / "truth.npz", frames, camera, config)
    _write_calibration(out / "camera.yaml", camera, config)


def _pose(dressed: Dressed, motion: Motion) -> PosedRig:
    return pose_rig(dressed.rig, motion.joints_m, motion.head_forward)


def _write_truth(path: Path, frames: list[People], camera: Camera, config: ClipConfig) -> None:
    """The clip's ground truth as `datasets.clip` reads it; joints in half precision (2 mm at 4 m)."""

    def column(name: str) -> np.ndarray:
        return np.stack([getattr(frame, name) for frame in frames])

    boxes = column("boxes_px")
    extent = boxes[..., 2:] - boxes[..., :2]
    arrays = dict(
        stamps_s=np.arange(len(frames)) / config.fps, ids=column("ids"), fps=np.float64(config.fps),
        joints_cam=column("joints_cam").astype(np.float16), joints_px=column("joints_px").astype(np.float16),
        boxes_px=boxes.astype(np.float16), visibility=column("visibility"),
        visible_fraction=column("visible_fraction").astype(np.float16), present=(extent > 2).all(-1),
        intrinsics=np.array([camera.fx, camera.fy, camera.cx, camera.cy, camera.width, camera.height]),
    )  # fmt: skip
    with written_whole(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **arrays)


def _write_calibration(path: Path, camera: Camera, config: ClipConfig) -> None:
    """The camera in the YAML format of ROS's camera_calibration, and where it stands over the ground."""
    k = camera.matrix
    rows = {
        "camera_matrix": (3, 3, k.ravel()), "distortion_coefficients": (1, 5, np.zeros(5)),
        "rectification_matrix": (3, 3, np.eye(3).ravel()),
        "projection_matrix": (3, 4, np.hstack([k, np.zeros((3, 1))]).ravel()),
    }  # fmt: skip
    lines = [f"image_width: {camera.width}", f"image_height: {camera.height}", "camera_name: clip"]
    lines.append("distortion_model: plumb_bob")
    for name, (height, width, values) in rows.items():
        data = ", ".join(f"{value:.9g}" for value in values)
        lines += [f"{name}:", f"  rows: {height}", f"  cols: {width}", f"  data: [{data}]"]
    lines += [
        f"camera_height_m: {config.camera_height_m:g}",
        f"camera_pitch_deg: {np.degrees(config.camera_pitch):.4f}",
    ]
    write_whole(path, "\n".join(lines) + "\n")
