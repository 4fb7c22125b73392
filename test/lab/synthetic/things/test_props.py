"""Props: sound meshes of natural size, and occluders close to the lens."""

import itertools

import numpy as np
import pytest

from dualpose_ros.lab.synthetic.things import props
from dualpose_ros.lab.synthetic.things.mesh import MeshBuilder, frame_along, rotation_about_x, rotation_about_y

ALL = {**props.FURNITURE, **props.STREET, **props.HANDHELD, **props.WORN}
TALLEST_M = {
    "pole": 6,
    "tree": 6.5,
    "door_frame": 2.5,
    "shelf": 2.4,
    "lamp": 2.1,
    "box_pile": 3,
    "plant": 2.2,
    "car": 2,
}


def signed_volume(mesh: props.Mesh) -> float:
    a, b, c = (mesh.vertices[mesh.faces[:, k]].astype(float) for k in range(3))
    return float(np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6)


def is_closed(faces: np.ndarray) -> bool:
    """Whether every edge is used once in each direction: closed, all faces wound alike."""
    edges: dict[tuple[int, int], int] = {}
    for face in faces.tolist():
        for a, b in itertools.pairwise([*face, face[0]]):
            edges[a, b] = edges.get((a, b), 0) + 1
    return all(count == edges.get((b, a), 0) for (a, b), count in edges.items())


@pytest.mark.parametrize("name", list(ALL))
def test_a_prop_is_a_sound_mesh_of_natural_size(name: str) -> None:
    for seed in range(6):
        mesh = ALL[name](np.random.default_rng(seed))
        assert mesh.vertices.dtype == np.float32 and mesh.vertices.shape[1] == 3
        assert mesh.faces.dtype == np.int32 and mesh.colours.dtype == np.float32 and mesh.texture_id.dtype == np.int32
        assert len(mesh.faces) == len(mesh.colours) == len(mesh.texture_id) > 0
        assert mesh.faces.min() == 0 and mesh.faces.max() == len(mesh.vertices) - 1
        assert np.isfinite(mesh.vertices).all() and mesh.colours.min() >= 0 and mesh.colours.max() <= 1
        assert mesh.texture_id.min() >= 0 and mesh.texture_id.max() < props.TEXTURES
        assert is_closed(mesh.faces), "every edge has a face on either side, wound the other way"
        assert signed_volume(mesh) > 0, "faces look outward"
        size = np.ptp(mesh.vertices, axis=0)
        low, high = float(mesh.vertices[:, 1].min()), float(mesh.vertices[:, 1].max())
        if name in props.FURNITURE or name in props.STREET:
            assert -0.02 <= low <= 0.1, "it stands on the floor"
            assert 0.3 < high < TALLEST_M.get(name, 1.7) and size[[0, 2]].max() < 5.5
        else:
            assert 0.04 < size.max() < (2.6 if name in ("skis", "board") else 1.5)
            nearest = np.clip(0, mesh.vertices.min(0), mesh.vertices.max(0))
            assert np.linalg.norm(nearest) < 0.08, "it's where a hand or body holds it"


@pytest.mark.parametrize("name", list(ALL))
def test_a_prop_depends_on_the_seed_alone(name: str) -> None:
    first, again, other = (ALL[name](np.random.default_rng(seed)) for seed in (5, 5, 6))
    for field in ("vertices", "faces", "colours", "texture_id"):
        np.testing.assert_array_equal(getattr(first, field), getattr(again, field))
    same = first.vertices.shape == other.vertices.shape and np.array_equal(first.vertices, other.vertices)
    assert not (same and np.array_equal(first.colours, other.colours))


@pytest.mark.parametrize("name", ["chair", "stool", "office_chair", "sofa", "armchair", "bench"])
def test_seats_are_where_the_mesh_has_a_seat(name: str) -> None:
    for seed in range(5):
        mesh = ALL[name](np.random.default_rng(seed))
        assert mesh.seat_height_m is not None and 0.35 <= mesh.seat_height_m <= 0.85
        corners = mesh.vertices[mesh.faces].astype(float)
        normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        normal /= np.linalg.norm(normal, axis=1, keepdims=True) + 1e-12
        level = (normal[:, 1] > 0.8) & (np.abs(corners.mean(1)[:, [0, 2]]) < 0.45).all(1)
        height = corners.mean(1)[level, 1]
        assert np.abs(height - mesh.seat_height_m).min() < 0.06, "a face that looks up lies at that height"


@pytest.mark.parametrize("name", ["table", "desk", "counter"])
def test_tables_say_how_high_they_are(name: str) -> None:
    for seed in range(5):
        mesh = ALL[name](np.random.default_rng(seed))
        assert mesh.top_height_m is not None and 0.4 < mesh.top_height_m < 1.2
        assert np.abs(mesh.vertices[:, 1] - mesh.top_height_m).min() < 0.012


def test_transform_turns_scales_and_moves() -> None:
    mesh = props.FURNITURE["chair"](np.random.default_rng(0))
    moved = props.transform(mesh, np.pi / 2, (1.0, 0.5, -2.0), 2.0)
    x, y, z = mesh.vertices.T
    # +z turns toward +x
    np.testing.assert_allclose(moved.vertices, np.stack([2 * z + 1, 2 * y + 0.5, -2 * x - 2], axis=1), atol=1e-5)
    assert mesh.seat_height_m is not None
    assert moved.seat_height_m == pytest.approx(2 * mesh.seat_height_m + 0.5)
    assert signed_volume(props.transform(mesh, 0.7)) == pytest.approx(signed_volume(mesh), rel=1e-3)
    with pytest.raises(ValueError, match="scale 0"):
        props.transform(mesh, scale=0.0)


def test_merge_keeps_every_face() -> None:
    table, chair = (props.FURNITURE[name](np.random.default_rng(1)) for name in ("table", "chair"))
    both = props.merge([table, chair])
    np.testing.assert_array_equal(both.vertices[both.faces][: len(table.faces)], table.vertices[table.faces])
    np.testing.assert_array_equal(both.vertices[both.faces][len(table.faces) :], chair.vertices[chair.faces])
    assert (both.seat_height_m, both.top_height_m) == (chair.seat_height_m, table.top_height_m)
    with pytest.raises(ValueError, match="at least one"):
        props.merge([])


def test_solids_have_their_volumes() -> None:
    def volume(add: str, *arguments: object, **options: object) -> float:
        builder = MeshBuilder()
        getattr(builder, add)(*arguments, **options)
        mesh = builder.build()
        assert is_closed(mesh.faces)
        return signed_volume(mesh)

    grey = (0.5, 0.5, 0.5)
    turn = rotation_about_y(0.4) @ rotation_about_x(0.9)
    assert volume("box", (1, 2, 3), (0.2, 0.5, 1.5), grey, 0, turn) == pytest.approx(0.15, rel=1e-4)
    assert volume("tube", (0, 0, 0), (1, 2, 2), 0.1, grey, sides=64) == pytest.approx(np.pi * 0.01 * 3, rel=0.01)
    cone = volume("tube", (0, 1, 0), (0, 3, 0), 0.5, grey, radius_b=1e-6, sides=64)
    assert cone == pytest.approx(np.pi * 0.25 * 2 / 3, rel=0.01)
    ball = volume("ellipsoid", (1, 1, 1), (0.3, 0.5, 0.2), grey, rings=40, sides=64)
    assert ball == pytest.approx(4 / 3 * np.pi * 0.03, rel=0.01)
    triangle = volume("prism", [(0, 0), (1, 0), (0, 1)], 0.5, (0, 0, 0), grey)
    assert triangle == pytest.approx(0.25, rel=1e-4)


@pytest.mark.parametrize("axis", [(0, 1, 0), (0, -1, 0), (0, 0, 1), (0, 0, -2), (1, 0, 0), (0.3, -0.4, 0.9)])
def test_a_frame_along_an_axis_is_a_right_handed_rotation(axis: tuple[float, float, float]) -> None:
    frame = frame_along(axis)
    np.testing.assert_allclose(frame @ frame.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(frame) == pytest.approx(1)
    np.testing.assert_allclose(frame[1], np.array(axis) / np.linalg.norm(axis))


@pytest.mark.parametrize("size", [(64, 64), (120, 200)])
def test_an_occluder_covers_a_part_of_the_image(size: tuple[int, int]) -> None:
    covered = []
    for seed in range(40):
        rgb, alpha = props.foreground_occluder(np.random.default_rng(seed), *size)
        assert rgb.shape == (*size, 3) and rgb.dtype == np.uint8 and alpha.shape == size and alpha.dtype == np.float32
        assert alpha.min() >= 0 and alpha.max() <= 1
        covered.append(float(alpha.mean()))
    assert min(covered) > 0.005 and max(covered) < 0.65 and np.std(covered) > 0.05
    first, again = (props.foreground_occluder(np.random.default_rng(7), *size) for _ in range(2))
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])
