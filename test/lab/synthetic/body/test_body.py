"""Shaped bodies keep joints where their vertices say, files that can't be used are named, clothes cover the skin."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dualpose_ros.lab.synthetic.body.body import EYE, SKIN, SKIRT, SUIT, BodyError, BodyModel, load_body, shape_body
from dualpose_ros.lab.synthetic.body.rig import JOINT_PART, PART, PART_PARENT, PARTS
from dualpose_ros.lab.synthetic.looks.appearance import HAIR_M, SKIN_M, TOP_M, Outfit, dress, random_outfit
from dualpose_ros.skeleton import H36M17

MIRROR = {part: name.replace("left", "right") for part, name in enumerate(PARTS) if name.startswith("left")}
OUTFIT = Outfit(
    sleeve=0.3, leg=0.5, hem_m=0.1, top_thickness_m=0.01, bottom_thickness_m=0.01, bare_chest=False, skirt=0.0,
    skirt_is_top=False, shoes=True, boot=0.0, hair="short", neckline_m=0.0,
)  # fmt: skip


def test_a_model_is_of_one_piece(model: BodyModel) -> None:
    count = len(model.vertices)
    assert model.faces.min() >= 0 and model.faces.max() < count
    assert len(model.layer) == len(model.faces) and {SKIN, SUIT} <= set(model.layer)
    np.testing.assert_allclose(model.skin_weight.sum(1), 1, atol=1e-5)
    assert model.skin_weight.min() >= 0 and set(np.unique(model.skin_index[:, 0])) == set(range(len(PARTS)))
    origins = np.array([model.vertices[chosen].mean(0) for chosen in model.origins])
    for part, other in MIRROR.items():
        np.testing.assert_allclose(origins[part] * [-1, 1, 1], origins[PART[other]], atol=0.01)
        assert origins[part, 0] > 0, "left is at +x"
    head, feet = origins[PART["head"]], origins[[PART["left_foot"], PART["right_foot"]]]
    assert head[1] - feet[:, 1].mean() > 1.2


def test_surfaces_wind_outward(model: BodyModel) -> None:
    corners = model.vertices[model.faces[model.layer == SKIN]]
    volume = np.einsum("fi,fi->f", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])).sum() / 6
    assert 0.03 < volume < 0.13  # a person's, in cubic metres


@pytest.mark.parametrize("seed", range(8))
def test_shaped_joints_lie_where_their_vertices_are(model: BodyModel, seed: int) -> None:
    body = shape_body(model, np.random.default_rng(seed))
    for part, chosen in enumerate(model.origins):
        np.testing.assert_allclose(body.rig.origins[part], body.vertices[chosen].mean(0), atol=1e-4)
    skin = np.unique(model.faces[model.layer == SKIN])
    assert body.rig.sole_y == pytest.approx(body.vertices[skin, 1].min(), abs=1e-4)
    head = skin[model.skin_index[skin, 0] == PART["head"]]
    assert body.rig.joints[10, 1] == pytest.approx(body.vertices[head, 1].max(), abs=1e-4)
    trunk = [H36M17.index(name) for name in ("spine", "thorax", "neck", "head_top")]
    for joint, part in enumerate(JOINT_PART):
        if joint not in trunk:
            np.testing.assert_allclose(body.rig.joints[joint], body.rig.origins[part])
    for part, parent in enumerate(PART_PARENT):
        assert parent < 0 or np.linalg.norm(body.rig.origins[part] - body.rig.origins[parent]) < 0.7


def test_joints_lie_where_anthropometry_has_them(model: BodyModel) -> None:
    """Means of adults over stature, against Winter, "Biomechanics and Motor Control of Human Movement" (4th ed., figure
    4.1, after Drillis and Contini 1966) for limbs and de Leva, "Adjustments to Zatsiorsky-Seluyanov's segment inertia
    parameters", J. Biomech. 29, 1996 (table 4, mean of men and women) for the trunk and shoulders."""
    rng = np.random.default_rng(0)
    rigs = [shape_body(model, rng, adult=True).rig for _ in range(40)]
    joints = np.mean([rig.joints / (rig.joints[10, 1] - rig.sole_y) for rig in rigs], axis=0)
    at = {name: joints[index] for index, name in enumerate(H36M17.joint_names)}

    def apart(a: str, b: str) -> float:
        return float(np.linalg.norm(at[a] - at[b]))

    shoulders = (at["left_shoulder"] + at["right_shoulder"]) / 2
    np.testing.assert_allclose(at["pelvis"], (at["left_hip"] + at["right_hip"]) / 2, atol=1e-9)
    np.testing.assert_allclose(at["spine"], (at["pelvis"] + at["thorax"]) / 2, atol=1e-9)
    assert apart("left_hip", "left_knee") == pytest.approx(0.245, abs=0.02)
    assert apart("left_knee", "left_ankle") == pytest.approx(0.246, abs=0.02)
    assert apart("left_elbow", "left_wrist") == pytest.approx(0.146, abs=0.015)
    assert apart("left_shoulder", "left_elbow") == pytest.approx(0.160, abs=0.02)
    assert np.linalg.norm(shoulders - at["pelvis"]) == pytest.approx(0.29, abs=0.03)
    assert np.linalg.norm(shoulders - at["head_top"]) == pytest.approx(0.19, abs=0.025)
    assert apart("left_hip", "right_hip") == pytest.approx(0.11, abs=0.02)
    # 5 cm below and 13 cm above the shoulders of somebody of 1.72 m.
    assert np.linalg.norm(shoulders - at["thorax"]) == pytest.approx(0.029, abs=0.006)
    assert np.linalg.norm(shoulders - at["neck"]) == pytest.approx(0.077, abs=0.012)


def test_bodies_vary_within_human_bounds(model: BodyModel) -> None:
    rng = np.random.default_rng(0)
    heights = {
        adult: [rig.joints[10, 1] - rig.sole_y for rig in (shape_body(model, rng, adult).rig for _ in range(25))]
        for adult in (True, False)
    }
    assert min(heights[True]) > 1.4 and max(heights[True]) < 2.1 and np.std(heights[True]) > 0.03
    assert min(heights[False]) > 0.9 and max(heights[False]) < 1.55


def test_the_same_seed_shapes_and_dresses_the_same(builtin: BodyModel) -> None:
    first, second = (dress(shape_body(builtin, rng), rng, 4) for rng in (np.random.default_rng(5) for _ in range(2)))
    other = dress(shape_body(builtin, np.random.default_rng(6)), np.random.default_rng(6), 4)
    np.testing.assert_array_equal(first.vertices, second.vertices)
    np.testing.assert_array_equal(first.materials.colour, second.materials.colour)
    assert not np.array_equal(first.materials.colour, other.materials.colour)


@pytest.mark.parametrize("seed", range(6))
def test_dressed_meshes_hold_what_is_drawn_and_no_more(model: BodyModel, seed: int) -> None:
    rng = np.random.default_rng(seed)
    body = shape_body(model, rng)
    dressed = dress(body, rng, 4)
    assert set(np.unique(dressed.faces)) == set(range(len(dressed.vertices)))
    count = len(dressed.faces)
    assert len(dressed.face_closed) == len(dressed.face_material) == len(dressed.face_uv) == count
    assert dressed.face_uv.min() > 0, "shading wraps texture coordinates by masking bits"
    assert dressed.materials.texture_id.max() < 4 and dressed.materials.colour.min() >= 0
    assert dressed.materials.colour.max() <= 1
    grown = np.abs(dressed.vertices).max(0) - np.abs(body.vertices).max(0)
    assert grown.max() < 0.25


def test_clothes_go_where_the_outfit_says(mesh_model: BodyModel) -> None:
    rng = np.random.default_rng(1)
    body = shape_body(mesh_model, rng, adult=True)
    rig = body.rig

    def centres(outfit: Outfit, material: int) -> Any:
        dressed = dress(body, np.random.default_rng(2), 4, outfit)
        chosen = dressed.faces[dressed.face_material == material]
        return dressed.vertices[chosen].mean(1)

    left_elbow_x = rig.joints[12, 0]
    short = centres(OUTFIT, TOP_M)
    long = centres(Outfit(**{**OUTFIT.__dict__, "sleeve": 1.0}), TOP_M)
    assert short[:, 0].max() < left_elbow_x < long[:, 0].max()
    assert long[:, 0].max() == pytest.approx(rig.joints[13, 0], abs=0.05)
    bare = centres(Outfit(**{**OUTFIT.__dict__, "bare_chest": True, "hair": "bald"}), TOP_M)
    assert len(bare) == 0
    assert len(centres(OUTFIT, HAIR_M)) and centres(OUTFIT, HAIR_M)[:, 1].min() > rig.joints[9, 1] - 0.02
    assert len(centres(OUTFIT, SKIN_M))
    skirted = Outfit(**{**OUTFIT.__dict__, "skirt": 0.9, "skirt_is_top": True})
    assert centres(skirted, TOP_M)[:, 1].min() < rig.joints[2, 1] < short[:, 1].min()
    assert (mesh_model.layer == SKIRT).any() and (mesh_model.layer == EYE).any()


def test_outfits_stay_in_their_ranges() -> None:
    rng = np.random.default_rng(0)
    outfits = [random_outfit(rng) for _ in range(200)]
    for name in ("sleeve", "leg", "skirt", "boot"):
        values = [getattr(outfit, name) for outfit in outfits]
        assert min(values) >= 0 and max(values) <= 1 and np.std(values) > 0.1, name
    assert all(0 < outfit.top_thickness_m < 0.1 for outfit in outfits)
    assert len({outfit.hair for outfit in outfits}) == 6


def arrays_of(path: Path) -> dict[str, Any]:
    with np.load(path) as archive:
        return {name: archive[name] for name in archive.files}


def test_missing_and_corrupt_files_are_named(tmp_path: Path) -> None:
    absent = tmp_path / "absent.npz"
    with pytest.raises(BodyError, match=r"absent\.npz does not exist"):
        load_body(absent)
    for content in (b"", b"not an archive", b"PK\x03\x04 and then nothing"):
        broken = tmp_path / "broken.npz"
        broken.write_bytes(content)
        with pytest.raises(BodyError, match=r"broken\.npz can't be read"):
            load_body(broken)
    single = tmp_path / "single.npz"
    with open(single, "wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(BodyError, match=r"single\.npz can't be read"):
        load_body(single)
    np.savez(tmp_path / "other.npz", vertices_dm=np.zeros((3, 3)))
    with pytest.raises(BodyError, match=r"other\.npz lacks bone_head_joint, .*quads"):
        load_body(tmp_path / "other.npz")


def test_a_cut_off_file_is_named(mesh_path: Path, tmp_path: Path) -> None:
    content = mesh_path.read_bytes()
    (tmp_path / "cut.npz").write_bytes(content[: len(content) // 2])
    with pytest.raises(BodyError, match=r"cut\.npz can't be read"):
        load_body(tmp_path / "cut.npz")
    scratched = bytearray(content)
    scratched[len(content) // 3 : len(content) // 3 + 400] = bytes(400)
    (tmp_path / "scratched.npz").write_bytes(bytes(scratched))
    with pytest.raises(BodyError, match=r"scratched\.npz"):
        load_body(tmp_path / "scratched.npz")


def test_arrays_that_do_not_fit_are_named(mesh_path: Path, tmp_path: Path) -> None:
    arrays = arrays_of(mesh_path)
    target = "target:african-male-young"
    spoilt: dict[str, dict[str, Any]] = {
        "faces": {"quads": arrays["quads"] + len(arrays["vertices_dm"])},
        "nan": {"vertices_dm": arrays["vertices_dm"] * np.nan},
        "bones": {"weight_bone": arrays["weight_bone"] + 1000},
        "names": {"bone_names": np.array([f"bone{i}" for i in range(len(arrays["bone_names"]))])},
        "skinless": {"group_names": np.array([f"group{i}" for i in range(len(arrays["group_names"]))])},
        "target": {f"{target}:delta": arrays[f"{target}:delta"][:-1]},
    }
    for name, change in spoilt.items():
        path = tmp_path / f"{name}.npz"
        np.savez(path, **{**arrays, **change})
        with pytest.raises(BodyError, match=rf"{name}\.npz"):
            load_body(path)
