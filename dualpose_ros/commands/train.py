"""`dualpose train`: train one of the networks, from labelled images or motion capture to an ONNX file."""

import inspect
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from dualpose_ros.commands.options import ConfigOption, Storage, StorageOption, folder_to_write, needs_torch
from dualpose_ros.datasets.shares import Share, parse_shares
from dualpose_ros.errors import InputError
from dualpose_ros.paths import share_dir
from dualpose_ros.weights import weights_path

app = typer.Typer(help="Train a network; Ctrl-C stops with a checkpoint, --resume goes on.", no_args_is_help=True)


@dataclass(frozen=True)
class Network:
    """A network that can be trained.

    learns_from: what `dualpose synth` makes for it, or "motion"; task: "MODULE:TASK:SETTINGS" within `lab.training`,
    empty for what is no single task; options: those that it has besides every run's.
    """

    name: str
    about: str
    learns_from: str
    task: str = ""
    options: tuple[str, ...] = ("data",)

    @property
    def learns_from_images(self) -> bool:
        """Whether it learns from labelled images, also of several folders."""
        return "images" in self.options

    @property
    def file(self) -> str:
        """Its name in the weights folder, and that of its settings."""
        return self.name.replace("-", "_")

    @property
    def config(self) -> Path:
        """The settings that come with the package."""
        return share_dir() / "config" / "training" / f"{self.file}.yaml"

    def settings(self, config: Path | None) -> Path:
        """The file of settings that --config names: a file, or `paper`, or those of `config` without."""
        if config is None:
            return self.config
        paper = self.config.parent / "paper" / self.config.name
        return paper if str(config) == "paper" and paper.is_file() else config


_MOTION = ("mocap", "body", "errors")
_IMAGES = ("images", "grow")
_FOLDERS = ("mocap", "first", "video", "held_out")
_FOOTAGE = ("video", "calibration", "held_out")
NETWORKS = {
    network.name: network
    for network in (
        Network(
            "detector", "Train the person detector, on labelled frames.", "frames",
            "detector.task:DetectorTask:DetectorTaskConfig", (*_IMAGES, "teacher"),
        ),
        Network(
            "top-down", "Train the top-down network, 2D joints of all in a patch, on labelled patches or frames.",
            "patches",
            "top_down.task:TopDownTask:TopDownTraining", _IMAGES,
        ),
        Network(
            "bottom-up", "Train the bottom-up network, all people of an image at once, on labelled frames.", "frames",
            "bottom_up.task:BottomUpTask:BottomUpTraining", _IMAGES,
        ),
        Network(
            "gcn", "Train the directed GCN, which completes the pose of one frame, on motion without images.", "motion",
            "lifting.gcn:GCNTask:GCNTraining", _MOTION,
        ),
        Network(
            "lifting", "Train the lifting network, pose and root depth over time, on motion without images.", "motion",
            "lifting.task:LiftingTask:LiftingTraining", (*_MOTION, "gcn"),
        ),
        Network(
            "fusion", "Train the integration network, on recordings of both branches.", "recordings",
            "fusion.task:FusionTask:FusionTraining",
        ),
        Network(
            "semi-supervised",
            "Adapt the installed lifting and integration network to your own --video, on recordings with labels; "
            "without one, train a row of the paper's Table 4: small networks, half of the recordings without labels.",
            "recordings", options=("data", *_FOOTAGE, "row", "first"),
        ),
    )
}  # fmt: skip
"""What can be trained, by the name of its command."""

_Options = dict[str, tuple[Any, Any]]


def _option(kind: Any, default: Any, flag: str, text: str, **bounds: Any) -> tuple[Any, Any]:
    """The annotation and the default of a parameter that is an option."""
    return Annotated[kind, typer.Option(flag, help=text, **bounds)], default


_FILE, _REQUIRED = Path | None, inspect.Parameter.empty
EVERY_RUN: _Options = {
    "out": _option(
        Path,
        _REQUIRED,
        "--out",
        "Folder of the run: checkpoints, curves.png, report.json, ONNX.",
        callback=folder_to_write,
    ),
    "resume": _option(bool, False, "--resume", "Go on with the run in the folder."),
    "max_minutes": _option(float | None, None, "--max-minutes", "Length of the run, of each network.", min=0.01),
    "epochs": _option(float | None, None, "--epochs", "Length in passes over the data.", min=0.001),
    "batch_size": _option(int | None, None, "--batch-size", "Samples a step.", min=1),
    "workers": _option(
        int | None, None, "--workers", "Processes that make batches; of images, threads that read them.", min=0
    ),
    "seed": _option(int | None, None, "--seed", "Of initial weights, order and variation.", min=0),
    "device": _option(str | None, None, "--device", "torch device, such as cpu or cuda."),
    "init": _option(
        _FILE, None, "--init", "Start from another run's weights: its best.pt, or a file of ONNX or safetensors."
    ),
    "config": (ConfigOption, None),
    "storage": (StorageOption, Storage.fp16),
    "tensorrt": _option(bool, False, "--tensorrt", "When it ends, build TensorRT's plan for this GPU too."),
}
"""Options of every training, by parameter."""

OPTIONS: _Options = {
    "grow": _option(
        bool, False, "--grow", "Start with the shards that are there, and take in those that are still being made."
    ),
    "teacher": _option(
        _FILE, None, "--teacher",
        "Published YOLOX network (ONNX) of the same size to learn from, too; `blocks` and `answers` in the settings.",
    ),
    "mocap": _option(_FILE, None, "--data", "Motion-capture clips (.npz), a file or a folder; procedural without."),
    "body": _option(_FILE, None, "--body", "Skinned body (.npz) to learn with."),
    "errors": _option(_FILE, None, "--errors", "2D errors, as `dualpose eval joints --save` writes."),
    "gcn": _option(_FILE, None, "--gcn", "GCN to learn behind, .onnx or a run's best.pt, not the shipped one."),
    "video": _option(
        _FILE, None, "--video", "Video without labels, a folder of images or videos, or of runs (`dualpose run --out`)."
    ),
    "calibration": _option(_FILE, None, "--calibration", "Of the camera that took --video; a run has its own."),
    "held_out": _option(
        _FILE, None, "--held-out", "Other labelled recordings, to measure by; one in eight of --data without."
    ),
    "row": _option(
        str | None, None, "--row",
        "none, rep, mp, rep_dis, rep_mp_dis or full; with --video one of rep to rep_mp_dis, mp without.",
    ),
    "first": _option(_FILE, None, "--first", "The folder of row `none`, for all other rows."),
}  # fmt: skip
"""Options of some trainings, by parameter; `data` or `images` besides, whose text says what the network learns from."""


def train(network: Network, given: dict[str, Any]) -> None:
    """Train a network with what the command line gives, by parameter, and say what it came to."""
    name = "semi_supervised_video.yaml" if given.get("video") else None
    config = given.pop("config") or (network.config.with_name(name) if name else None)
    path, engine = network.settings(config), given.pop("tensorrt")
    out, resume, storage = given.pop("out"), given.pop("resume"), given.pop("storage").value
    shares = _shares(network, given.pop("images", None))
    files = {name: given.pop(name) for name in network.options if name not in ("row", *_IMAGES)}
    if network.learns_from_images:
        files["data"] = shares[0].folder if shares else None
    row = given.pop("row", None)
    _check_files(network, files, given["init"])
    if not network.task:
        _check_footage(row, files, given["init"])
    told = {name: value for name, value in given.items() if value is not None}
    if network.learns_from_images:
        told["shares"] = shares if len(shares) > 1 else ()
    with needs_torch(f"train {network.name}"):
        from dualpose_ros.lab.training.settings import read_settings
        from dualpose_ros.lab.training.start import make_task, run_settings, train_network, with_files

        content = read_settings(path)
        if not network.task:
            if int(os.environ.get("WORLD_SIZE", "1")) > 1:
                raise InputError(f"{network.name} trains two networks one after the other, without torchrun")
            train_both = _adapt if files["video"] else _train_row
            for file in train_both(row, out, content, files, resume=resume, storage=storage, **told):
                if engine:
                    build_engine(file, "auto", {})
            return
        task, data = content["task"], files.get("data", files.get("mocap"))
        if network.learns_from == "motion":
            if "gcn" in files and "gcn" not in task:
                files["gcn"] = files["gcn"] or weights_path("gcn")
            task = with_files(task, files)
        if files.get("teacher") is not None:
            task = {**task, "teacher": str(files["teacher"])}
        if network.learns_from == "recordings":
            task = {**task, "recordings": str(data)}
        run = {"trained_on": _learnt_from(network, data, shares), **content["run"]}
        settings = run_settings(path, run, {**told, "out": out, "cache": data or out})
        result, exported = train_network(make_task(network.task, path, task), settings, network.file, resume, storage)
    if exported is None:
        return
    _tell(network.file, result)
    typer.echo(
        f"put it in place with\n  dualpose weights install {exported.path} "
        f"--report {out / 'report.json'} --name {network.file}"
    )
    if engine:
        build_engine(exported.path, "auto", {})


def build_engine(path: Path, precision: str, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Build TensorRT's plan of a network for this GPU, keep it, and say how far it is from ONNX Runtime.

    shapes: of inputs, those that are not said are of the usual call. EngineError says why there is no plan.
    """
    from dualpose_ros.inference.backends.tensorrt_build import usual_shapes
    from dualpose_ros.inference.load import load_engine

    engine = load_engine(path, "tensorrt", 1, precision)
    if unknown := sorted(set(shapes) - set(engine.inputs)):
        raise InputError(f"--shapes names {unknown[0]}; {path.name} takes {', '.join(engine.inputs)}")
    wanted = {**usual_shapes(engine.inputs), **shapes}
    off = engine.prepare(wanted)  # type: ignore[attr-defined]  # of TensorRtEngine alone
    said = ", ".join(f"{name} {'x'.join(map(str, shape))}" for name, shape in wanted.items())
    typer.echo(f"{path.name}: TensorRT's plan for {said} is kept; it differs from ONNX Runtime by at most {off:.1e}")


def _adapt(
    row: str | None, out: Path, content: dict[str, Any], files: dict[str, Path | None], **told: Any
) -> tuple[Path, ...]:
    """Adapt the installed networks to a video, and say what that was worth; their files."""
    from dualpose_ros.lab.evaluation.report import report
    from dualpose_ros.lab.experiments.semi_supervised.adapt import ROW, Footage, adapt

    video, data = files["video"], files["data"]
    assert video is not None and data is not None
    footage = Footage(video, files["calibration"], data, files["held_out"])
    adapted = adapt(footage, out, content, row or ROW, **told)
    for network, result in adapted.results.items():
        _tell(network, result)
    report({"what": "semi-supervised", "seconds": 0, "tables": adapted.tables, "goals": []}, None, 0)
    for network, file in adapted.files.items():
        typer.echo(f"dualpose weights install {file} --report {out / network / 'report.json'} --name {network}")
    return tuple(adapted.files.values())


def _train_row(
    row: str | None, out: Path, content: dict[str, Any], files: dict[str, Path | None], **told: Any
) -> tuple[Path, ...]:
    """Train both networks of a row of the paper's Table 4, and say what they came to; their files."""
    from dualpose_ros.lab.experiments.semi_supervised.run import train_row

    row = row or "none"
    trained = train_row(row, files["data"] or out, out, content, files["first"], **told)
    for network, result in trained.results.items():
        _tell(f"{row}, {network}", result)
    typer.echo(f"networks: {trained.lifting}, {trained.fusion}")
    return trained.lifting, trained.fusion


def _tell(name: str, result: Any) -> None:
    figures = ", ".join(f"{name} {value:.4g}" for name, value in result.figures.items())
    typer.echo(f"{name}: {result.steps} steps in {result.seconds / 60:.1f} min; {figures}")


def _check_files(network: Network, files: dict[str, Path | None], init: Path | None) -> None:
    """Refuse what is not there, before anything heavy is imported."""
    for name, file in {**files, "init": init}.items():
        if name == "data":
            synth = f"dualpose synth {network.learns_from} --out"
            if file is None:
                raise InputError(f"--data is missing: a folder that `{synth} DIR` made")
            if not file.is_dir():
                raise InputError(f"--data {file} is no folder; make one with `{synth} {file}`")
        elif file is not None and not (file.is_file() or (name in _FOLDERS and file.is_dir())):
            raise InputError(f"--{'data' if name == 'mocap' else name.replace('_', '-')} {file} is no file")


def _check_footage(row: str | None, files: dict[str, Path | None], init: Path | None) -> None:
    """Refuse what the two networks that are trained one after the other can't use."""
    if init is not None:
        raise InputError("--init does nothing with `dualpose train semi-supervised`: its row says where it starts")
    for name in ("first",) if files["video"] else ("calibration", "held_out"):
        if files[name] is not None:
            raise InputError(
                f"--{name.replace('_', '-')} does nothing {'with' if files['video'] else 'without'} --video"
            )
    if files["first"] is not None and row in (None, "none"):
        raise InputError("--first does nothing with row `none`")


def _shares(network: Network, images: list[str] | None) -> tuple[Share, ...]:
    """The folders of images, each for its share; InputError names one that can't be told from another or is missing."""
    if not images:
        return ()
    try:
        shares = parse_shares(images)
    except ValueError as error:
        raise InputError(f"--data {error}") from error
    names = [share.folder.name for share in shares]
    for share in shares if len(shares) > 1 else ():
        if not share.folder.is_dir():
            raise InputError(f"--data {share.folder} is no folder")
        if names.count(share.folder.name) > 1:
            raise InputError(f"--data has two folders named {share.folder.name}: figures are told apart by the name")
    return shares


def _learnt_from(network: Network, data: Path | None, shares: tuple[Share, ...] = ()) -> str:
    """What the manifest will say that a network was trained on, unless the settings file says it."""
    if len(shares) > 1:
        return "a mixture of " + ", ".join(f"{share.folder.name} ({share.share:g})" for share in shares)
    if network.learns_from == "motion":
        if data is None:
            return "procedural motion"
        clips = sorted(data.glob("*.npz")) if data.is_dir() else [data]
        return f"procedural motion and {', '.join(file.name for file in clips)}"
    return f"synthetic {network.learns_from} ({data.name if data else '-'})"


def _command(network: Network) -> Callable[..., None]:
    """The function that typer makes the network's command of: its parameters are the options that the table names."""

    def command(**given: Any) -> None:
        train(network, given)

    data = _option(_FILE, None, "--data", f"Folder that `dualpose synth {network.learns_from}` made.")
    images = _option(
        list[str] | None, None, "--data",
        f"Folder that `dualpose synth {network.learns_from}` or `dualpose data import` made; several as FOLDER:SHARE "
        "each, such as real:0.6.",
    )  # fmt: skip
    own = {**OPTIONS, "data": data, "images": images}
    options = {**EVERY_RUN, **{name: own[name] for name in network.options}}
    command.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
            for name, (annotation, default) in options.items()
        ]
    )
    command.__doc__ = (
        f"{network.about}\n\nCtrl-C stops with a checkpoint; --resume goes on from there. When it ends it has written "
        "curves.png, report.json and the ONNX file, which `dualpose weights install` puts in place."
    )
    return command


for _network in NETWORKS.values():
    app.command(_network.name)(_command(_network))
