"""The rasteriser against rays cast at every triangle, skinning and normals against plain NumPy."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from dualpose_ros.arrays import AnyArray, AnyFloats, AnyInts
from dualpose_ros.camera import Camera, camera_from_hfov
from dualpose_ros.lab.synthetic.render import raster

CAMERA = camera_from_hfov(40, 30, np.radians(60))


def cast_rays(
    vertices: AnyFloats, faces: AnyArray, closed: AnyArray, camera: Camera
) -> tuple[AnyFloats, AnyFloats, AnyFloats]:
    """Depth (H, W), face and corner shares (H, W, 3) of the first triangle on each pixel's ray (Moller-Trumbore)."""
    depth = np.full((camera.height, camera.width), np.inf)
    hit = np.full(depth.shape, -1)
    shares = np.zeros((*depth.shape, 3))
    y, x = np.mgrid[: camera.height, : camera.width]
    rays = np.stack([(x - camera.cx) / camera.fx, (y - camera.cy) / camera.fy, np.ones(x.shape)], axis=-1)
    for number, (a, b, c) in enumerate(vertices[faces].astype(np.float64)):
        if min(a[2], b[2], c[2]) < raster.NEAR:
            continue
        ab, ac = b - a, c - a
        if closed[number] and np.cross(ab, ac) @ a > 0:  # its outside looks away from the camera
            continue
        p = np.cross(rays, ac)
        determinant = p @ ab
        with np.errstate(divide="ignore", invalid="ignore"):
            u = p @ -a / determinant
            q = np.cross(-a, ab)
            v = rays @ q / determinant
            z = ac @ q / determinant
        inside = (u >= 0) & (v >= 0) & (u + v <= 1) & (z > 0) & (z < depth)
        depth[inside], hit[inside] = z[inside], number
        shares[inside] = np.stack([1 - u - v, u, v], axis=-1)[inside]
    return depth, hit, shares


def draw(
    vertices: AnyFloats, faces: AnyArray, closed: AnyArray, camera: Camera
) -> tuple[AnyFloats, AnyFloats, AnyInts]:
    points = raster.project_vertices(vertices, camera.fx, camera.fy, camera.cx, camera.cy)
    nearness = np.zeros((camera.height, camera.width), np.float32)
    face_id = np.full(nearness.shape, -1, np.int32)
    raster.rasterise(points, faces, closed, nearness, face_id)
    return points, nearness, face_id


@pytest.mark.parametrize("seed", range(12))
def test_rasterising_finds_what_rays_hit(seed: int) -> None:
    rng = np.random.default_rng(seed)
    size = rng.choice([0.05, 0.4, 1.5])
    count = int(rng.integers(1, 40))
    centres = rng.uniform([-1, -1, 0.3], [1, 1, 3], (count, 1, 3))
    vertices = (centres + rng.normal(0, size, (count, 3, 3))).reshape(-1, 3).astype(np.float32)
    faces = rng.permutation(3 * count).reshape(-1, 3).astype(np.int32)
    closed = rng.random(count) < 0.5
    depth, hit, shares = cast_rays(vertices, faces, closed, CAMERA)
    points, nearness, face_id = draw(vertices, faces, closed, CAMERA)
    same = hit == face_id
    assert np.mean(same) > 0.997  # rays that graze an edge may go either way
    covered = same & (hit >= 0)
    assert covered.any() or (hit < 0).all()
    np.testing.assert_allclose(1 / nearness[covered], depth[covered], rtol=1e-4)
    for y, x in np.argwhere(covered)[::7]:
        i, j, k = faces[face_id[y, x]]
        found = raster.corner_shares(points, i, j, k, np.float32(x), np.float32(y))
        np.testing.assert_allclose(found, shares[y, x], atol=2e-3)


def test_only_closed_surfaces_lose_their_back() -> None:
    vertices = np.array([[-1, -1, 2], [1, -1, 2], [0, 1, 2]], np.float32)
    outward, inward = np.array([[0, 2, 1]], np.int32), np.array([[0, 1, 2]], np.int32)
    normal = np.cross(vertices[2] - vertices[0], vertices[1] - vertices[0])
    assert normal[2] < 0, "the first winding faces the camera"
    for faces, closed, seen in ((outward, True, True), (inward, True, False), (inward, False, True)):
        assert (draw(vertices, faces, np.array([closed]), CAMERA)[2] >= 0).any() == seen


def test_triangles_that_reach_behind_the_camera_are_dropped() -> None:
    vertices = np.array([[-1, -1, 2], [1, -1, 2], [0, 1, -1], [0, 1, raster.NEAR / 2]], np.float32)
    faces = np.array([[0, 1, 2], [0, 1, 3]], np.int32)
    assert (draw(vertices, faces, np.zeros(2, np.bool_), CAMERA)[2] == -1).all()


def test_bounds_are_those_of_the_points_in_front() -> None:
    rng = np.random.default_rng(0)
    vertices = rng.uniform(-1, 2, (50, 3)).astype(np.float32)
    points = raster.project_vertices(vertices, CAMERA.fx, CAMERA.fy, CAMERA.cx, CAMERA.cy)
    front = vertices[10:40][vertices[10:40, 2] >= raster.NEAR].astype(np.float64)
    pixels = front[:, :2] / front[:, 2:] * [CAMERA.fx, CAMERA.fy] + [CAMERA.cx, CAMERA.cy]
    np.testing.assert_allclose(raster.bounds(points, 10, 40), [*pixels.min(0), *pixels.max(0)], rtol=1e-4)
    behind = raster.project_vertices(-np.abs(vertices), CAMERA.fx, CAMERA.fy, CAMERA.cx, CAMERA.cy)
    box = raster.bounds(behind, 0, 50)
    assert box[2] < box[0] and box[3] < box[1]


def test_light_sees_the_whole_scene_from_its_own_side() -> None:
    rng = np.random.default_rng(1)
    basis = Rotation.random(rng=rng).as_matrix().astype(np.float32)
    vertices = rng.normal(0, 1, (40, 3)).astype(np.float32)
    points, to_light = raster.place_in_light(vertices, basis, 64)
    assert points[:, :2].min() >= 0.99 and points[:, :2].max() <= 62.01
    assert np.ptp(points[:, :2], axis=0).max() == pytest.approx(61, abs=0.01)
    toward = vertices @ basis[2]
    np.testing.assert_allclose(points[:, 2], toward - toward.min() + 0.01, atol=1e-5)
    np.testing.assert_allclose(vertices @ to_light[:, :3].T + to_light[:, 3], points, atol=1e-4)


def test_skinning_blends_the_parts_transforms() -> None:
    rng = np.random.default_rng(2)
    vertices = rng.normal(0, 1, (60, 3)).astype(np.float32)
    index = rng.integers(0, 5, (60, 4)).astype(np.int32)
    weight = rng.dirichlet(np.ones(4), 60).astype(np.float32)
    weight[:20, 2:] = 0
    rotation = Rotation.random(5, rng=rng).as_matrix()
    translation = rng.normal(0, 1, (5, 3))
    moved = np.einsum("vkab,vb->vka", rotation[index], vertices) + translation[index]
    skinned = raster.skin(vertices, index, weight, rotation.astype(np.float32), translation.astype(np.float32))
    np.testing.assert_allclose(skinned, np.einsum("vk,vka->va", weight, moved), atol=1e-5)


def test_normals_are_the_mean_of_the_faces_by_area() -> None:
    rng = np.random.default_rng(3)
    vertices = rng.normal(0, 1, (20, 3)).astype(np.float32)
    faces = rng.integers(0, 19, (30, 3)).astype(np.int32)
    faces = faces[(faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2]) & (faces[:, 0] != faces[:, 2])]
    expected = np.zeros((20, 3))
    for face in faces:
        a, b, c = vertices[face].astype(np.float64)
        expected[face] += np.cross(b - a, c - a)
    length = np.linalg.norm(expected, axis=1, keepdims=True)
    expected = np.divide(expected, length, out=np.zeros_like(expected), where=length > 0)
    normals = raster.vertex_normals(vertices, faces)
    np.testing.assert_allclose(normals, expected, atol=1e-4)
    assert (normals[19] == 0).all(), "a vertex of no face has no normal"
