"""A small world of the built-in body, and MakeHuman's mesh where DUALPOSE_DATA has it."""

import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("numba", reason="the synthetic world needs numba")

from dualpose_ros.lab.synthetic.body.body import BodyModel, load_body
from dualpose_ros.lab.synthetic.body.builtin_body import builtin_body
from dualpose_ros.lab.synthetic.scenes.world import World, WorldConfig, make_world
from support.data import data_path

SMALL = WorldConfig(cast=4, textures=4, poses=10, seated=5, props=1)


@pytest.fixture(autouse=True)
def _no_curves_of_trainings(monkeypatch: pytest.MonkeyPatch) -> None:
    """They take seconds to draw, after each validation; `test_trainer` and the tests of commands look at them."""
    if report := sys.modules.get("dualpose_ros.lab.training.loop.report"):
        monkeypatch.setattr(report, "draw_curves", lambda *_: None)


@pytest.fixture(scope="session")
def builtin() -> BodyModel:
    return builtin_body()


@pytest.fixture(scope="session")
def small_world(builtin: BodyModel) -> World:
    return make_world(SMALL, np.random.default_rng(3), builtin, ())


@pytest.fixture(scope="session")
def mesh_path() -> Path:
    return data_path("makehuman/makehuman_base.npz")


@pytest.fixture(scope="session")
def mesh_model(mesh_path: Path) -> BodyModel:
    return load_body(mesh_path)


@pytest.fixture(scope="session", params=["builtin", "mesh"])
def model(request: pytest.FixtureRequest) -> BodyModel:
    """Each body in turn."""
    body: BodyModel = request.getfixturevalue("builtin" if request.param == "builtin" else "mesh_model")
    return body
