import numpy as np

from dualpose_ros.lab.evaluation.bottom_up.truth_maps import TAG_STEP, truth_maps
from dualpose_ros.skeleton import K
from support import scenes


def test_maps_against_cell_by_cell_drawing() -> None:
    scene = scenes.random_scene(5, 4, 1.2, (200, 160))
    size, focal = (96, 128), scene.focal_px * 128 / 384
    joints = scene.joints_px * 128 / 384
    maps = truth_maps(joints, scene.joints_cam, focal, size)
    assert maps.heatmaps.shape == (K, 24, 32) and maps.heatmaps.dtype == np.float32
    for k in (0, 5, 13):
        for row in range(24):
            for column in range(32):
                at = np.array([4 * column + 1.5, 4 * row + 1.5])
                inside = ((joints >= -0.5) & (joints <= (127.5, 95.5))).all(axis=-1)
                values = np.where(inside, np.exp(-(((joints - at) / 8) ** 2).sum(axis=-1) / 2), 0)
                best = int(values[:, k].argmax())
                assert abs(maps.heatmaps[k, row, column] - values[best, k]) < 1e-5
                nearest = int(values.max(axis=1).argmax())
                root = np.log(100 * scene.joints_cam[nearest, 0, 2] / focal) if values.max() > 0.01 else 0.0
                assert abs(maps.depths[0, row, column] - root) < 1e-5
                if values[best, k] > 0.01:
                    assert maps.tags[k, row, column] == TAG_STEP * best
                    rel = scene.joints_cam[best, k, 2] - scene.joints_cam[best, 0, 2]
                    assert k == 0 or abs(maps.depths[k, row, column] - rel) < 1e-5


def test_joints_outside_or_unknown_are_not_drawn() -> None:
    joints = np.full((1, K, 2), np.nan)
    joints[0, 3], joints[0, 4] = (-5.0, 20.0), (20.0, 20.0)
    cam = np.tile((0.0, 0.0, 3.0), (1, K, 1))
    maps = truth_maps(joints, cam, 100.0, (64, 64))
    drawn = maps.heatmaps.reshape(K, -1).max(axis=1) > 0
    assert np.flatnonzero(drawn).tolist() == [4]
    assert truth_maps(joints[:0], cam[:0], 100.0, (64, 64)).heatmaps.max() == 0
