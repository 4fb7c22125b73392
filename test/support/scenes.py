"""Random people in front of a camera, for tests of the bottom-up branch."""

import numpy as np
import numpy.typing as npt

from dualpose_ros.arrays import Floats, Mask
from dualpose_ros.camera import Camera, camera_from_hfov, in_view, project
from dualpose_ros.letterbox import Letterbox, fit_long_side
from dualpose_ros.skeleton import K

STRIDE = 4

# Somebody who stands and faces the camera, metres about the pelvis, x to the right and y down.
STANDING = np.array(
    [
        [0, 0], [-0.12, 0], [-0.13, 0.43], [-0.13, 0.85], [0.12, 0], [0.13, 0.43], [0.13, 0.85], [0, -0.22],
        [0, -0.46], [0, -0.56], [0, -0.75], [0.16, -0.44], [0.2, -0.16], [0.22, 0.09], [-0.16, -0.44],
        [-0.2, -0.16], [-0.22, 0.09],
    ]
)  # fmt: skip


class Scene:
    """People (P, K, 3) seen by a camera whose image is letterboxed into a network's input."""

    def __init__(self, camera: Camera, joints_cam: Floats, long_side: int = 384) -> None:
        self.camera, self.joints_cam = camera, joints_cam
        self.letterbox: Letterbox = fit_long_side(camera.width, camera.height, long_side)
        self.size = (self.letterbox.height, self.letterbox.width)
        self.focal_px = float(np.sqrt(camera.fx * camera.fy * self.letterbox.scale.prod()))
        self.joints_px = self.letterbox.points_to_network(project(camera, joints_cam))

    @property
    def inside(self) -> Mask:
        """Which joints (P, K) are in the image, in cells of the map that have neighbours on all sides."""
        cells = (self.joints_px - 1.5) / STRIDE
        rows, columns = self.size[0] // STRIDE, self.size[1] // STRIDE
        amid = np.all((cells >= 0.51) & (cells <= np.array([columns, rows]) - 1.51), axis=-1)
        return amid & in_view(self.camera, project(self.camera, self.joints_cam))

    @property
    def drawn(self) -> Mask:
        """Which joints (P, K) lie in the network's input at all."""
        return np.all((self.joints_px >= -0.5) & (self.joints_px <= np.array(self.size[::-1]) - 0.5), axis=-1)

    def alone(self, cells: float = 4.5) -> tuple[Mask, Mask]:
        """Which joints (P, K) are so many cells away from the same joint of everybody else, and from any joint."""
        people = len(self.joints_px)
        same, any_joint = np.ones((people, K), bool), np.ones((people, K), bool)
        for n in range(people):
            for other in range(people):
                if other == n:
                    continue
                for k in range(K):
                    for j in np.flatnonzero(self.drawn[other]):
                        if np.linalg.norm(self.joints_px[n, k] - self.joints_px[other, j]) < cells * STRIDE:
                            any_joint[n, k] = False
                            same[n, k] &= j != k
        return same, any_joint


def person(rng: np.random.Generator, place: npt.ArrayLike, size: float = 1.0) -> Floats:
    """A person (K, 3) with the pelvis at a place, turned and bent at random."""
    turn = rng.uniform(0, 2 * np.pi)
    x, y = STANDING.T * size
    joints = np.stack([x * np.cos(turn), y, x * np.sin(turn)], axis=1)
    joints[1:] += rng.normal(0, 0.03, (K - 1, 3))
    return joints + np.asarray(place, dtype=np.float64)


def random_scene(seed: int, people: int, hfov: float = 1.05, size: tuple[int, int] = (640, 480)) -> Scene:
    """People anywhere in view between 1.5 and 15 m, tall and short, some cut by the frame."""
    rng = np.random.default_rng(seed)
    camera = camera_from_hfov(*size, hfov)
    found = []
    for _ in range(people):
        depth = rng.uniform(1.5, 15)
        across = rng.uniform(-0.5, 0.5) * size[0] / camera.fx * depth
        found.append(person(rng, (across, rng.uniform(-0.2, 0.6), depth), rng.uniform(0.6, 1.15)))
    return Scene(camera, np.array(found))
