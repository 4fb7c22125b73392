"""A row of Table 4 from recordings to two ONNX files: the lifting network, then the integration network behind it."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from dualpose_ros.inference.export import export_onnx
from dualpose_ros.lab.experiments.semi_supervised.fusion import SemiSupervisedFusion, SemiSupervisedFusionTask
from dualpose_ros.lab.experiments.semi_supervised.lifting import SemiSupervisedLifting, SemiSupervisedLiftingTask
from dualpose_ros.lab.experiments.semi_supervised.rows import ROWS
from dualpose_ros.lab.experiments.semi_supervised.terms import SemiSupervision, Student
from dualpose_ros.lab.training.loop.task import Task, TrainConfig, TrainingError
from dualpose_ros.lab.training.loop.trainer import TrainResult
from dualpose_ros.lab.training.loop.trainer import train as run_training
from dualpose_ros.lab.training.settings import filled, run_values

FIRST = "none"
"""The row that the others start from, and that makes their pseudo-labels."""

NETWORKS = ("lifting", "fusion")


@dataclass(frozen=True)
class RowRun:
    """Settings of `TrainConfig` by name: common to all; of the first row, and of the others, by network."""

    common: dict[str, Any] = field(default_factory=dict)
    first: dict[str, dict[str, Any]] = field(default_factory=dict)
    rows: dict[str, dict[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class RowTask:
    """Settings by name of `SemiSupervision`, `SemiSupervisedLifting` and `SemiSupervisedFusion`."""

    terms: dict[str, Any] = field(default_factory=dict)
    lifting: dict[str, Any] = field(default_factory=dict)
    fusion: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class TrainedRow:
    """The ONNX files of a row, and what its runs came to."""

    lifting: Path
    fusion: Path
    results: dict[str, TrainResult]


def onnx_file(out: Path, row: str, network: str) -> Path:
    """Where `train_row` puts a network."""
    return out / network / f"{row}_{network}.onnx"


def train_row(
    row: str, recordings: Path, out: Path, content: dict[str, dict[str, Any]], first: Path | None = None, **changed: Any
) -> TrainedRow:
    """Train both networks of a row of `rows.ROWS`, into folders of `out`.

    content: a settings file's mappings `run` (RowRun) and `task` (RowTask); first: `out` of row FIRST, which all
    others need; changed: of `train_both`, and settings of TrainConfig in front of the file's. With `resume` what is
    finished stays.
    TrainingError names a bad setting, or a network that is missing; others as `trainer.train`.
    """
    begins = None if first is None else begin_at(row, first)
    if row in ROWS and row != FIRST and begins is None:
        raise TrainingError(f"row '{row}' starts from row '{FIRST}': train that first and name its folder")
    files = {network: onnx_file(out, row, network) for network in NETWORKS}
    return train_both(row, recordings, files, content, begins, **changed)


@dataclass(frozen=True)
class Beginning:
    """By network: teachers, the ONNX files that make the pseudo-labels, and weights, what training starts from (a
    best.pt, or an ONNX file; none: untrained). gcn: what completes poses before they are lifted."""

    teachers: dict[str, Path]
    weights: dict[str, Path]
    gcn: Path | None = None


def begin_at(row: str, first: Path) -> Beginning:
    """With the networks of row FIRST in the folder `first`; TrainingError where they are missing."""
    teachers = {network: _found(onnx_file(first, FIRST, network)) for network in NETWORKS}
    weights = {} if row == FIRST else {network: _found(first / network / "best.pt") for network in NETWORKS}
    return Beginning(teachers, weights)


def train_both(
    row: str,
    recordings: Path,
    files: dict[str, Path],
    content: dict[str, dict[str, Any]],
    begins: Beginning | None = None,
    resume: bool = False,
    storage: str = "fp16",
    **changed: Any,
) -> TrainedRow:
    """Train the lifting network, then the integration network behind it, each into its `files`, whose folder is its
    run's; arguments and errors as of `train_row`."""
    results = {}
    for network, (make, config) in row_settings(row, recordings, files, content, begins, **changed).items():
        task = make()
        results[network] = run_training(task, config, resume=resume and (config.out / "last.pt").is_file())
        model = results[network].model
        assert isinstance(model, Student)
        export_onnx(model.network, task.export_spec(), files[network], storage=storage)
    return TrainedRow(files["lifting"], files["fusion"], results)


def row_settings(
    row: str,
    recordings: Path,
    files: dict[str, Path],
    content: dict[str, dict[str, Any]],
    begins: Beginning | None = None,
    **changed: Any,
) -> dict[str, tuple[Callable[[], Task], TrainConfig]]:
    """By network, how its task is made and the settings of its run; arguments and errors as of `train_both`.

    The task of the integration network can only be trained once there is the lifting network.
    """
    if row not in ROWS:
        raise TrainingError(f"--row {row} is unknown; there are {', '.join(ROWS)}")
    run, task = (
        filled(RowRun, content.get("run", {}), "settings, key `run`"),
        filled(RowTask, content.get("task", {}), "settings, key `task`"),
    )
    given: dict[str, Any] = {"recordings": str(recordings), "row": row}
    if begins is not None:
        given |= {f"teacher_{network}": str(path) for network, path in begins.teachers.items()}
        given["gcn"] = str(begins.gcn) if begins.gcn is not None else None
    terms = filled(SemiSupervision, {**task.terms, **given}, "settings, key `terms`")
    # The terms are checked once, above, and put in place of these.
    bare = {"data": {"recordings": str(recordings)}}
    lifting = filled(SemiSupervisedLifting, {**task.lifting, **bare}, "settings, key `lifting`")
    behind = {"lifting": str(files["lifting"])}
    fusion = filled(SemiSupervisedFusion, {**task.fusion, **bare, **behind}, "settings, key `fusion`")
    makers: dict[str, Callable[[], Task]] = {
        "lifting": lambda: SemiSupervisedLiftingTask(replace(lifting, data=terms)),
        "fusion": lambda: SemiSupervisedFusionTask(replace(fusion, data=terms)),
    }
    settings = {}
    trained_on = changed.pop("trained_on", f"synthetic recordings ({recordings.name})")
    for network, make in makers.items():
        told = {"out": files[network].parent, "cache": recordings, "trained_on": trained_on}
        if begins is not None and network in begins.weights:
            told["init"] = begins.weights[network]
        own = {**run.common, **(run.first if row == FIRST else run.rows).get(network, {})}
        settings[network] = (make, filled(TrainConfig, run_values(own, {**changed, **told}), "settings, key `run`"))
    return settings


def _found(path: Path) -> Path:
    if not path.is_file():
        raise TrainingError(f"{path} is missing: train row '{FIRST}' first")
    return path
