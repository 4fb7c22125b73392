"""Data sets and networks that users bring, spoilt: no crash, and errors that are the package's own, one line each."""

import json
import pickle
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from scipy.io import savemat

from dualpose_ros.datasets.coco import read_coco
from dualpose_ros.datasets.joint_errors import JointErrors, load_joint_errors, save_joint_errors
from dualpose_ros.datasets.lsp import read_lsp
from dualpose_ros.datasets.motion import load_clips
from dualpose_ros.datasets.predictions import FoundPeople, Predictions, read_predictions, write_predictions
from dualpose_ros.datasets.published.pickles import read_arrays
from dualpose_ros.datasets.recordings import load_recordings, save_recordings
from dualpose_ros.datasets.video_truth import load_video_truth
from dualpose_ros.lab.published import importing, released
from dualpose_ros.lab.training.loop import checkpoints
from dualpose_ros.lab.training.settings import read_settings
from dualpose_ros.skeleton import COCO17, H36M17
from support.made_recordings import made_recordings
from support.spoiling import Reader, Spoils, check
from support.tiny_task import TinyTask


def coco(path: Path) -> None:
    people = [{"image_id": 1, "bbox": [1, 2, 20, 30], "iscrowd": 0, "keypoints": [5, 6, 2] * 17}]
    people.append({"image_id": 1, "bbox": [0, 0, 9, 9], "iscrowd": 1, "keypoints": [0] * 51})
    content = {"images": [{"id": 1, "file_name": "a.jpg", "width": 64, "height": 48}], "annotations": people,
               "categories": [{"id": 1, "name": "person", "keypoints": list(COCO17.joint_names)}]}  # fmt: skip
    path.write_text(json.dumps(content))


def lsp(path: Path) -> None:
    savemat(path, {"joints": np.random.default_rng(0).uniform(0, 40, (3, 14, 1))})
    (path.parent / "images").mkdir(exist_ok=True)
    cv2.imwrite(str(path.parent / "images" / "im0001.jpg"), np.zeros((48, 64, 3), np.uint8))


def motion(path: Path) -> None:
    np.savez(path, joints_m=np.zeros((5, 17, 3), np.float32), clip_lengths=np.array([2, 3]), fps=np.float64(30),
             clip_names=np.array(["a", "b"]), joint_names=np.array(H36M17.joint_names))  # fmt: skip


def joint_errors(path: Path) -> None:
    known = np.ones((3, 17), bool)
    save_joint_errors(path, JointErrors(np.ones((3, 17, 2), np.float32), np.ones((3, 17), np.float32), known, known))


def predictions(path: Path) -> None:
    people = FoundPeople(np.array([1, 2]), np.ones(2), np.ones((2, 3, 3)), np.ones((2, 3, 2)))
    write_predictions(path.parent, Predictions(path.stem, "a system", ("a", "b", "c"), {0: people})).rename(path)


def arrays(path: Path) -> None:
    path.write_bytes(pickle.dumps({"a": [np.arange(6.0).reshape(2, 3)], "b": "text"}))


def trc(path: Path) -> None:
    names = [
        "Hip", "RHip", "RKnee", "RAnkle", "LHip", "LKnee", "LAnkle", "Neck", "Head", "Nose", "LShoulder", "LElbow",
        "LWrist", "RShoulder", "RElbow", "RWrist",
    ]  # fmt: skip
    rows = [
        "PathFileType\t4\t(X/Y/Z)\ta.trc", "DataRate\tNumFrames\tNumMarkers\tUnits", f"30\t2\t{len(names)}\tm",
        "Frame#\tTime\t" + "\t\t\t".join(names), "\t".join(f"X{n}\tY{n}\tZ{n}" for n in range(len(names))),
        *("\t".join([str(n), f"{n / 30:.3f}", *(f"{0.03 * k:.2f}" for k in range(3 * len(names)))]) for n in (1, 2)),
    ]  # fmt: skip
    path.write_text("\n".join(rows) + "\n")


def setup(path: Path) -> None:
    trc(path.parent / "a.trc")
    path.write_text(json.dumps({"rotation": [0, 0, 0], "translation_m": [0, 0, 4], "fps": 30, "everybody": True}))


def training_settings(path: Path) -> None:
    path.write_text(json.dumps({"run": {"lr": 0.001, "epochs": 2}, "task": {"width": 3}}))


def checkpoint(path: Path) -> None:
    task = TinyTask()
    content = {"format": checkpoints.CHECKPOINT_FORMAT, "task": task.name, "model": task.build_model().state_dict()}
    torch.save(content, path)


def start(path: Path) -> None:
    task = TinyTask()
    checkpoints.start_from(task.build_model(), path, task, [])


def recognised(path: Path) -> None:
    importing.recognise(importing.read_checkpoint(path), str(path))


READERS = {
    "coco": Reader("person_keypoints.json", coco, lambda path: read_coco(path.parent)),
    "lsp": Reader("joints.mat", lsp, lambda path: read_lsp(path.parent)),
    "motion": Reader("m.npz", motion, lambda path: load_clips(path, "all")),
    "recordings": Reader(
        "recordings_0.npz",
        lambda path: save_recordings(path, made_recordings(np.random.default_rng(0))),
        lambda path: load_recordings(path.parent),
    ),
    "joint errors": Reader("e.npz", joint_errors, load_joint_errors),
    "predictions": Reader("p.json", predictions, read_predictions),
    "pickle": Reader("a.pkl", arrays, read_arrays),
    "trc": Reader("a.trc", trc, lambda path: load_video_truth([path])),
    "setup": Reader("setup.yaml", setup, lambda path: load_video_truth([path.parent / "a.trc"], path)),
    "settings": Reader("t.yaml", training_settings, read_settings),
    "checkpoint": Reader("best.pt", checkpoint, start),
    "safetensors": Reader("a.safetensors", lambda path: save_file(TinyTask().build_model().state_dict(), path), start),
    "published": Reader("a.pth", lambda path: torch.save(released.AxisScale().state_dict(), path), recognised),
}


SEEDS: dict[str, list[Spoils]] = {
    "lsp": [[("set", 0.36017955389518874, b"\x8a")]],
    "pickle": [[("field", 0.5219008187595062, b"\x9a"), ("double", 0.3066792286566331, b"\x9f"),
                ("set", 0.3581473078156584, b"P0F")],
               [("insert", 0.6049174875583387, b"G\x13Q\x0b&\xd4")]],
    "coco": [[("field", 0.8647937806351166, b"\xe1LX")]],
    "predictions": [[("field", 0.1993143073874104, b"\x00")], [("field", 0.5140277086438999, b"P")],
                    [("field", 0.12170821574131818, b"\x8b")], [("field", 0.610357168767143, b"\xe9")]],
    "joint errors": [[("cut", 0.7080467895191612, b"\xcc")]],
}  # fmt: skip
"""What failed once."""


@pytest.mark.parametrize("name", READERS)
def test_what_users_bring_spoilt_is_one_clear_error_at_most(tmp_path: Path, name: str) -> None:
    check(READERS[name], tmp_path, *SEEDS.get(name, []))
