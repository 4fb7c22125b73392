"""`dualpose train`: a command for each network of the table, with its own options and settings that make its task."""

from pathlib import Path

import pytest
import typer.main

from dualpose_ros.commands.train import EVERY_RUN, NETWORKS, Network, app

TASKS = [network for network in NETWORKS.values() if network.task]


def options(name: str) -> set[str]:
    command = typer.main.get_command(app).commands[name]  # type: ignore[attr-defined]
    return {opt for parameter in command.params for opt in parameter.opts} - {"--help", "-h"}


def test_every_network_has_a_command() -> None:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    assert list(commands) == list(NETWORKS)
    assert all(commands[name].help.startswith(network.about) for name, network in NETWORKS.items())


@pytest.mark.parametrize(
    ("name", "own"),
    [
        ("detector", {"--data", "--grow", "--teacher"}),
        ("top-down", {"--data", "--grow"}),
        ("bottom-up", {"--data", "--grow"}),
        ("gcn", {"--data", "--body", "--errors"}),
        ("lifting", {"--data", "--body", "--errors", "--gcn"}),
        ("fusion", {"--data"}),
        ("semi-supervised", {"--data", "--video", "--calibration", "--held-out", "--row", "--first"}),
    ],
)
def test_a_command_has_every_runs_options_and_its_own(name: str, own: set[str]) -> None:
    every = {f"--{parameter.replace('_', '-')}" for parameter in EVERY_RUN}
    assert options(name) == every | own


@pytest.mark.parametrize("size", [None, Path("paper")])
@pytest.mark.parametrize("network", TASKS, ids=[network.name for network in TASKS])
def test_the_settings_that_ship_make_its_task(network: Network, size: Path | None) -> None:
    pytest.importorskip("torch", reason="training needs torch")
    pytest.importorskip("numba", reason="the synthetic world needs numba")
    from dualpose_ros.lab.training.settings import read_settings
    from dualpose_ros.lab.training.start import make_task, run_settings

    path = network.settings(size)
    assert path.is_file() and (path.parent.name == "paper") == (size is not None)
    content = read_settings(path)
    task = make_task(network.task, path, content["task"])
    assert task.name == network.file
    config = run_settings(path, content["run"], {"out": path, "cache": path})
    assert config.epochs or config.max_minutes


def test_sequences_are_longer_than_the_window() -> None:
    """Of 54 frames, a window of 243 would never see but its padding."""
    pytest.importorskip("torch", reason="training needs torch")
    from dualpose_ros.lab.training.lifting.task import LiftingTraining
    from dualpose_ros.settings import SettingError
    from dualpose_ros.top_down.lifting.network import LiftingConfig

    with pytest.raises(SettingError, match="is 54; it must be more than the network's window, 243"):
        LiftingTraining(network=LiftingConfig(window=243))
