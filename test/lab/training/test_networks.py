from pathlib import Path

import pytest

from dualpose_ros.backbone import HRNetConfig
from dualpose_ros.lab.training.loop.task import TrainingError
from dualpose_ros.lab.training.networks import load_network
from dualpose_ros.paths import share_dir


@pytest.mark.parametrize("branch", ["top_down", "bottom_up"])
def test_both_families_of_both_branches_load(branch: str) -> None:
    networks = share_dir() / "config" / "networks" / f"{branch}.yaml"
    assert load_network("cpu", networks) == HRNetConfig(context_blocks=1)
    assert load_network("paper", networks).widths == (32, 64, 128, 256)
    with pytest.raises(TrainingError, match=r"no network 'huge'.*cpu, paper"):
        load_network("huge", networks)


def test_mistakes_are_named(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("a: {stm: 64}\nb: {stem: wide}\nc: {modules: [1]}\n")
    for name, message in (("a", "stm"), ("b", "stem"), ("c", "modules")):
        with pytest.raises(TrainingError, match=rf"wrong\.yaml, network '{name}'.*{message}"):
            load_network(name, wrong)
