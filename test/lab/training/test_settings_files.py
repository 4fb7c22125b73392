"""The files of config/training/ say of each setting what its class says."""

from pathlib import Path

import pytest

from dualpose_ros.lab.training import settings_files
from dualpose_ros.paths import share_dir
from dualpose_ros.settings import SettingError

FOLDER = share_dir() / "config" / "training"


def test_every_file_is_known() -> None:
    assert set(FOLDER.rglob("*.yaml")) == set(settings_files.files(FOLDER))


@pytest.mark.parametrize("path", settings_files.files(FOLDER), ids=lambda path: str(path.relative_to(FOLDER)))
def test_comments_are_up_to_date(path: Path) -> None:
    assert path.read_text(encoding="utf-8") == settings_files.annotated(path), "run `make parameters`"


def test_unknown_settings_are_named(tmp_path: Path) -> None:
    (tmp_path / "gcn.yaml").write_text("run: {lr: 0.1}\ntask: {data: {bank: {mocup: null}}}")
    with pytest.raises(SettingError, match="mocup is unknown; there are mocap, body, motions"):
        settings_files.annotated(tmp_path / "gcn.yaml")
