"""The converter on a small tree in MakeHuman's layout, and on what such a tree may lack."""

import gzip
import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dualpose_ros import cli
from dualpose_ros.lab.synthetic.body.body import SKIN, SUIT, BodyError, load_body, shape_body
from dualpose_ros.lab.synthetic.body.convert_makehuman import TARGETS, convert
from dualpose_ros.lab.synthetic.body.rig import PART

BONES = {
    "root": None, "spine05": "root", "spine04": "spine05", "spine03": "spine04", "spine02": "spine03",
    "spine01": "spine02", "neck01": "spine01", "neck03": "neck01", "head": "neck03", "oris05": "head",
    **{
        f"{bone}.{side}": parent if "spine" in parent or parent in ("root",) else f"{parent}.{side}"
        for side in "LR"
        for bone, parent in (
            ("clavicle", "spine01"), ("upperarm01", "clavicle"), ("lowerarm01", "upperarm01"), ("wrist", "lowerarm01"),
            ("upperleg01", "root"), ("lowerleg01", "upperleg01"), ("foot", "lowerleg01"),
        )
    },
}  # fmt: skip
"""Bones that the nineteen parts are made of, and their parents."""

NAMES = sorted(BONES)


def cube(centre: tuple[float, float, float]) -> list[tuple[float, float, float]]:
    return [tuple(c + d for c, d in zip(centre, corner, strict=True)) for corner in np.ndindex(2, 2, 2)]


QUADS = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]


def place(bone: str) -> tuple[float, float, float]:
    """Where the test's body has a bone: sides apart, in an order of heights, decimetres."""
    side = {"L": 3.0, "R": -4.0}.get(bone[-1] if "." in bone else "", -0.5)
    return side, 1.0 + 0.6 * NAMES.index(bone.replace(".R", ".L")), 0.0


def write_tree(data: Path) -> None:
    """A body of cubes, one for each bone, with clothes, joint markers, rig, weights and targets."""
    lines, count = ["# a mesh", "o base"], 0
    faces: dict[str, list[tuple[int, ...]]] = {"body": [], "helper-tights": [], "joint-pelvis": []}
    for group in faces:
        for bone in NAMES if group != "joint-pelvis" else NAMES[:1]:
            lines += [f"v {x:.4f} {y:.4f} {z:.4f}" for x, y, z in cube(place(bone))]
            faces[group] += [tuple(count + corner + 1 for corner in quad) for quad in QUADS]
            count += 8
    lines += ["vt 0.5 0.5"]
    for group, quads in faces.items():
        lines += [f"g {group}", "s off"] + ["f " + " ".join(f"{v}/1" for v in quad) for quad in quads]
    for folder in ("3dobjs", "rigs", "targets/macrodetails/height"):
        (data / folder).mkdir(parents=True)
    (data / "3dobjs" / "base.obj").write_text("\n".join(lines) + "\n")
    joints = {f"{bone}____head": list(range(8 * n, 8 * n + 8)) for n, bone in enumerate(NAMES)}
    joints |= {f"{bone}____tail": [8 * n] for n, bone in enumerate(NAMES)}
    bones = {
        name: {"head": f"{name}____head", "tail": f"{name}____tail", "parent": parent, "rotation_plane": "x"}
        for name, parent in BONES.items()
    }
    (data / "rigs" / "default.mhskel").write_text(json.dumps({"bones": bones, "joints": joints, "planes": {}}))
    weights = {
        bone: [[8 * (n + shell * len(NAMES)) + v, 0.7] for shell in range(2) for v in range(8)]
        for n, bone in enumerate(NAMES)
    }
    (data / "rigs" / "default_weights.mhw").write_text(json.dumps({"license": "CC0", "weights": weights}))
    for number, name in enumerate(TARGETS):
        text = f"# a target\n\n0 .5 -0.25 {number / 8}\n7 0 1 0\n"
        path = data / "targets" / "macrodetails" / f"{name}.target"
        if number % 2:
            path.write_text(text)
        else:
            path.with_name(path.name + ".gz").write_bytes(gzip.compress(text.encode()))


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    data = tmp_path / "makehuman" / "data"
    write_tree(data)
    return data


@pytest.mark.parametrize("folder", (".", "..", "../.."))
def test_a_tree_becomes_a_body(tree: Path, tmp_path: Path, folder: str) -> None:
    out = tmp_path / "body.npz"
    convert(tree / folder, out)
    with np.load(out) as archive:
        assert archive["vertices_dm"].shape == (16 * len(NAMES) + 8, 3)
        assert list(archive["group_names"]) == ["body", "helper-tights"], "markers of joints are left out"
        assert len(archive["quads"]) == 12 * len(NAMES)
        head = int(archive["bone_head_joint"][list(archive["bone_names"]).index("wrist.L")])
        assert archive["joint_names"][head] == "wrist.L____head"
        assert archive["bone_parent"][list(archive["bone_names"]).index("root")] == -1
    model = load_body(out)
    assert {SKIN, SUIT} == set(model.layer) and len(model.faces) == 24 * len(NAMES)
    middle = np.array(place("wrist.L")) + 0.5
    np.testing.assert_allclose(model.vertices[model.origins[PART["left_hand"]]].mean(0), middle / 10, atol=1e-6)
    chosen = model.vertices[:, 0] > 0.3
    foot = chosen & np.isin(np.arange(len(model.vertices)), model.origins[PART["left_foot"]])
    assert (model.skin_index[foot, 0] == PART["left_foot"]).all()
    np.testing.assert_allclose(model.skin_weight.sum(1), 1)
    assert set(model.targets) == set(TARGETS)
    index, delta = model.targets[TARGETS[3]]
    np.testing.assert_array_equal(index, [0, 7])
    np.testing.assert_allclose(delta, [[0.05, -0.025, 3 / 80], [0, 0.1, 0]], atol=1e-6)
    assert np.isfinite(shape_body(model, np.random.default_rng(0)).vertices).all()


def drop(name: str) -> Callable[[Path], None]:
    return lambda data: (data / name).unlink()


def rewrite(name: str, old: str, new: str) -> Callable[[Path], None]:
    def change(data: Path) -> None:
        text = (data / name).read_text()
        assert re.search(old, text)
        (data / name).write_text(re.sub(old, new, text, count=1))

    return change


TEXT_TARGET = f"targets/macrodetails/{TARGETS[1]}.target"


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (drop("3dobjs/base.obj"), r"base\.obj does not exist"),
        (drop("rigs/default.mhskel"), r"default\.mhskel does not exist"),
        (drop("rigs/default_weights.mhw"), r"default_weights\.mhw does not exist"),
        (drop(TEXT_TARGET), rf"{TARGETS[1]}\.target does not exist"),
        (rewrite("3dobjs/base.obj", "g body", "g corpus"), r"base\.obj has no group 'body'"),
        (rewrite("3dobjs/base.obj", r"f 1/1", "f 999999/1"), r"base\.obj, line \d+: a face"),
        (rewrite("3dobjs/base.obj", r"v \S+", "v west"), r"base\.obj, line 3: "),
        (rewrite("rigs/default.mhskel", "{", ""), r"default\.mhskel is not JSON"),
        (rewrite("rigs/default.mhskel", '"joints"', '"knees"'), r"default\.mhskel has no 'joints'"),
        (rewrite("rigs/default.mhskel", '"head____head": ', '"crown____head": '), r"default\.mhskel is not a Make"),
        (rewrite("rigs/default_weights.mhw", '"weights"', '"loads"'), r"default_weights\.mhw has no 'weights'"),
        (rewrite("rigs/default_weights.mhw", r"\[\[\d+", "[[999999"), r"default_weights\.mhw weighs vertices"),
        (rewrite("rigs/default_weights.mhw", '"wrist.L"', '"paw.L"'), r"weighs bones .* paw\.L"),
        (rewrite(TEXT_TARGET, r"7 0 1 0", "7 0 1"), rf"{TARGETS[1]}\.target is not a target"),
        (rewrite(TEXT_TARGET, r"7 0 1 0", "70000 0 1 0"), rf"{TARGETS[1]}\.target moves vertices"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(tree: Path, tmp_path: Path, spoil: Callable[[Path], None], message: str) -> None:
    spoil(tree)
    with pytest.raises(BodyError, match=message):
        convert(tree, tmp_path / "body.npz")
    assert not (tmp_path / "body.npz").exists()


def test_folders_of_something_else_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BodyError, match="not MakeHuman's data folder"):
        convert(tmp_path, tmp_path / "body.npz")


def test_the_command_makes_a_body(tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "mine.npz"
    assert cli.main(["synth", "body", "--makehuman", str(tree), "--out", str(out)]) == 0
    assert len(load_body(out).targets) == len(TARGETS)
    (tree / "3dobjs" / "base.obj").unlink()
    assert cli.main(["synth", "body", "--makehuman", str(tree), "--out", str(out)]) == 2
    assert "base.obj does not exist" in capsys.readouterr().err
    assert cli.main(["synth", "body", "--out", str(out)]) == 2
    assert "--makehuman" in capsys.readouterr().err
