"""`dualpose train`: train one of the networks, from labelled images or motion capture to an ONNX file."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
import yaml

from dualpose_ros.errors import InputError, needs_torch
from dualpose_ros.paths import share_dir
from dualpose_ros.weights import weights_path

if TYPE_CHECKING:
    from dualpose_ros.lab.training.loop.task import Task, TrainConfig


class Network(str, Enum):
    """What can be trained."""

    detector = "detector"
    top_down = "top-down"
    bottom_up = "bottom-up"
    gcn = "gcn"
    lifting = "lifting"
    fusion = "fusion"
    semi_supervised = "semi-supervised"

    @property
    def file(self) -> str:
        """Its name in the weights folder, and that of its settings."""
        return self.value.replace("-", "_")

    @property
    def images(self) -> str:
        """What `dualpose synth` makes for it to learn from."""
        kinds = {Network.top_down: "patches", Network.fusion: "recordings", Network.semi_supervised: "recordings"}
        return kinds.get(self, "frames")

    @property
    def from_motion(self) -> bool:
        """Whether it learns from movement, without images."""
        return self in (Network.gcn, Network.lifting)


NetworkArgument = Annotated[
    Network,
    typer.Argument(
        help="`detector` and `bottom-up` learn from frames, `top-down` from patches, which `dualpose synth` makes; "
        "`gcn` and `lifting` from motion, the latter with the former's help; `fusion` from recordings of both "
        "branches, and so `semi-supervised`: a small lifting and a small integration network, half without labels."
    ),
]
ConfigOption = Annotated[
    Path | None, typer.Option("--config", help="Settings (YAML), instead of config/training/NETWORK.yaml.")
]


class Storage(str, Enum):
    """How an ONNX file holds large weights."""

    fp32 = "fp32"
    fp16 = "fp16"
    int8 = "int8"


StorageOption = Annotated[
    Storage, typer.Option("--storage", help="How the ONNX file stores large weights; it computes in fp32.")
]


def train(
    network: NetworkArgument,
    out: Annotated[Path, typer.Option("--out", help="Folder of the run: checkpoints, curves.png, report.json, ONNX.")],
    data: Annotated[
        Path | None,
        typer.Option(
            "--data",
            help="Folder of labelled images, for fusion of recordings; for gcn and lifting motion-capture clips, a "
            "file or a folder of them, procedural without.",
        ),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in the folder.")] = False,
    max_minutes: Annotated[
        float | None, typer.Option("--max-minutes", min=0.01, help="Length of the run, of each network.")
    ] = None,
    epochs: Annotated[float | None, typer.Option("--epochs", min=0.001, help="Length in passes over the data.")] = None,
    batch_size: Annotated[int | None, typer.Option("--batch-size", min=1, help="Samples a step.")] = None,
    workers: Annotated[int | None, typer.Option("--workers", min=0, help="Processes that prepare batches.")] = None,
    seed: Annotated[int | None, typer.Option("--seed", min=0, help="Of initial weights, order and variation.")] = None,
    device: Annotated[str | None, typer.Option("--device", help="torch device, such as cpu or cuda.")] = None,
    body: Annotated[
        Path | None, typer.Option("--body", help="Skinned body (.npz) that gcn and lifting learn with.")
    ] = None,
    errors: Annotated[
        Path | None, typer.Option("--errors", help="2D errors (`dualpose eval joints --save`) for gcn and lifting.")
    ] = None,
    gcn: Annotated[
        Path | None,
        typer.Option("--gcn", help="GCN that lifting learns behind, .onnx or a run's best.pt, not the shipped one."),
    ] = None,
    init: Annotated[
        Path | None, typer.Option("--init", help="Start from another run's weights: its best.pt, or an ONNX file.")
    ] = None,
    row: Annotated[
        str, typer.Option("--row", help="Of semi-supervised: none, rep, mp, rep_dis, rep_mp_dis or full.")
    ] = "none",
    first: Annotated[
        Path | None, typer.Option("--first", help="Of semi-supervised: the folder of row `none`, for all other rows.")
    ] = None,
    config: ConfigOption = None,
    storage: StorageOption = Storage.fp16,
) -> None:
    """Train a network. Ctrl-C stops with a checkpoint; --resume goes on from there.

    When it ends it has written curves.png, report.json and the ONNX file, which
    `dualpose weights install` puts in place.
    """
    path = config or default_config(network)
    content = read_config(path)
    check_data(network, {"--data": data, "--body": body, "--errors": errors, "--gcn": gcn})
    if init is not None and not init.is_file():
        raise InputError(f"--init {init} is no file")
    run = {
        "max_minutes": max_minutes,
        "epochs": epochs,
        "batch_size": batch_size,
        "workers": workers,
        "seed": seed,
        "device": device,
        "init": init,
    }
    given = {name: value for name, value in run.items() if value is not None}
    task = content["task"]
    if network is Network.semi_supervised:
        _train_row(row, data or out, out, content, first, resume, storage, given)
        return
    if network.from_motion:
        task = with_files(task, data, body, errors)
    if network is Network.lifting and not (gcn is None and "gcn" in task):
        task = {**task, "gcn": str(gcn or weights_path("gcn"))}
    if network is Network.fusion:
        task = {**task, "recordings": str(data)}
    with needs_torch(f"train {network.value}"):
        told = {**given, "out": out, "cache": data or out}
        settings = run_settings(path, {"trained_on": learnt_from(network, data), **content["run"]}, told)
        _train_one(make_task(network, path, task), settings, network.file, resume, storage)


def with_files(task: dict[str, Any], mocap: Path | None, body: Path | None, errors: Path | None) -> dict[str, Any]:
    """The settings of a network that learns from motion, with the files that the command line names."""
    data = dict(task.get("data", {}))
    named = {name: str(file) for name, file in (("mocap", mocap), ("body", body)) if file is not None}
    data["bank"] = {**data.get("bank", {}), **named}
    return {**task, "data": {**data, **({"errors": str(errors)} if errors is not None else {})}}


def _train_row(
    row: str,
    data: Path,
    out: Path,
    content: dict[str, Any],
    first: Path | None,
    resume: bool,
    storage: Storage,
    given: dict[str, Any],
) -> None:
    """Train both networks of a row of the paper's Table 4, and say what they came to."""
    from dualpose_ros.lab.experiments.semi_supervised.evaluation import ROWS

    if row not in ROWS:
        raise InputError(f"--row {row} is unknown; there are {', '.join(ROWS)}")
    with needs_torch("train semi-supervised"):
        from dualpose_ros.lab.experiments.semi_supervised.run import train_row

        trained = train_row(row, data, out, content, first, resume, storage.value, **given)
    for network, result in trained.results.items():
        figures = ", ".join(f"{name} {value:.4g}" for name, value in result.figures.items())
        typer.echo(f"{row}, {network}: {result.steps} steps in {result.seconds / 60:.1f} min; {figures}")
    typer.echo(f"networks: {trained.lifting}, {trained.fusion}")


def _train_one(task: Task, settings: TrainConfig, file: str, resume: bool, storage: Storage) -> None:
    """Train and export one network, and say what it came to."""
    from dualpose_ros.inference.export import export_onnx
    from dualpose_ros.lab.training.loop.trainer import train as run_training

    result = run_training(task, settings, resume=resume)
    exported = export_onnx(result.model, task.export_spec(), settings.out / f"{file}.onnx", storage=storage.value)
    figures = ", ".join(f"{name} {value:.4g}" for name, value in result.figures.items())
    typer.echo(f"{file}: {result.steps} steps in {result.seconds / 60:.1f} min; {figures}")
    typer.echo(
        f"put it in place with\n  dualpose weights install {exported.path} "
        f"--report {settings.out / 'report.json'} --name {file}"
    )


def check_data(network: Network, files: dict[str, Path | None]) -> None:
    """Refuse files, by option, that a network can't learn from, before anything heavy is imported."""
    data = files["--data"]
    if network is Network.gcn and files["--gcn"] is not None:
        raise InputError("--gcn is for lifting, which learns behind one, not for the GCN itself")
    if network.from_motion:
        for option, file in files.items():
            if file is not None and not (file.is_file() or (option == "--data" and file.is_dir())):
                raise InputError(f"{option} {file} is no file")
        return
    for option, file in files.items():
        if file is not None and option != "--data":
            raise InputError(f"{option} is for gcn and lifting, which learn from motion, not for {network.value}")
    kind = network.images
    if data is None:
        raise InputError(f"--data is missing: a folder that `dualpose synth {kind} --out DIR` made")
    if not data.is_dir():
        raise InputError(f"--data {data} is no folder; make one with `dualpose synth {kind} --out {data}`")


def learnt_from(network: Network, data: Path | None) -> str:
    """What the manifest will say that a network was trained on, unless the settings file says it."""
    if network.from_motion:
        if data is None:
            return "procedural motion"
        clips = sorted(data.glob("*.npz")) if data.is_dir() else [data]
        return f"procedural motion and {', '.join(file.name for file in clips)}"
    return f"synthetic {network.images} ({data.name if data else '-'})"


def run_settings(path: Path, run: dict[str, Any], given: dict[str, Any]) -> TrainConfig:
    """Settings of a run: those of the file, what the command line gives in front; InputError names a bad one."""
    import dacite

    from dualpose_ros.lab.training.loop.task import TrainConfig

    kept = {**run}
    if {"max_minutes", "epochs"} & given.keys():
        kept = {name: value for name, value in run.items() if name not in ("max_minutes", "epochs")}
    try:
        return dacite.from_dict(TrainConfig, {**kept, **given}, dacite.Config(strict=True, cast=[float]))
    except (dacite.DaciteError, TypeError) as error:
        raise InputError(f"{path}, key `run`: {error}") from error


def default_config(network: Network) -> Path:
    """The settings that come with the package."""
    return share_dir() / "config" / "training" / f"{network.file}.yaml"


def read_config(path: Path) -> dict[str, dict[str, Any]]:
    """The mappings `run` and `task` of a settings file; InputError if it can't be read or holds anything else."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"settings {path} can't be read: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict) or not all(isinstance(content.get(k) or {}, dict) for k in ("run", "task")):
        raise InputError(f"settings {path} must hold the mappings `run` and `task`")
    unknown = sorted(content.keys() - {"run", "task"})
    if unknown:
        raise InputError(f"settings {path} have the unknown key '{unknown[0]}'; `run` and `task` are known")
    return {name: dict(content.get(name) or {}) for name in ("run", "task")}


def make_task(network: Network, path: Path, settings: dict[str, Any]) -> Task:
    """The task of a network from its settings; InputError names the file they are from and what is wrong."""
    import dacite

    strict = dacite.Config(strict=True, cast=[tuple, float])
    try:
        if network is Network.detector:
            from dualpose_ros.lab.training.detector.task import DetectorTask, DetectorTaskConfig

            return DetectorTask(dacite.from_dict(DetectorTaskConfig, settings, strict))
        networks = share_dir() / "config" / "networks"
        if network is Network.top_down:
            from dualpose_ros.lab.training.networks import load_network
            from dualpose_ros.lab.training.top_down.task import TopDownTask, TopDownTraining

            training = dacite.from_dict(TopDownTraining, settings, strict)
            return TopDownTask(training, load_network(training.network, networks / "top_down.yaml"))
        if network is Network.bottom_up:
            from dualpose_ros.lab.training.bottom_up.task import BottomUpTask, BottomUpTraining
            from dualpose_ros.lab.training.networks import load_network

            whole = dacite.from_dict(BottomUpTraining, settings, strict)
            return BottomUpTask(whole, load_network(whole.network, networks / "bottom_up.yaml"))
        if network is Network.gcn:
            from dualpose_ros.lab.training.lifting.gcn import GCNTask, GCNTraining

            return GCNTask(dacite.from_dict(GCNTraining, settings, strict))
        if network is Network.fusion:
            from dualpose_ros.lab.training.fusion.task import FusionTask, FusionTraining

            return FusionTask(dacite.from_dict(FusionTraining, settings, strict))
        from dualpose_ros.lab.training.lifting.task import LiftingTask, LiftingTraining

        return LiftingTask(dacite.from_dict(LiftingTraining, settings, strict))
    except (dacite.DaciteError, ValueError, TypeError) as error:
        raise InputError(f"{path}, key `task`: {error}") from error
