"""What tests of several commands share."""

import json
from pathlib import Path

import pytest

from dualpose_ros import weights as weights_module

NETWORKS = ("detector", "top_down", "gcn", "lifting", "bottom_up", "fusion")


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A weights folder whose files are not networks but match the manifest, in the shipped one's place."""
    folder = tmp_path / "share" / "weights"
    folder.mkdir(parents=True)
    networks = {}
    for name in NETWORKS:
        (folder / f"{name}.onnx").write_bytes(name.encode() * 50)
        networks[name] = {
            "file": f"{name}.onnx",
            "sha256": weights_module.sha256_of(folder / f"{name}.onnx"),
            "bytes": (folder / f"{name}.onnx").stat().st_size,
            "domain": "synthetic",
            "trained_on": "nothing",
            "command": "none",
        }
    (folder / "manifest.json").write_text(json.dumps({"format": 1, "networks": networks}))
    monkeypatch.setattr(weights_module, "share_dir", lambda: tmp_path / "share")
    return folder
