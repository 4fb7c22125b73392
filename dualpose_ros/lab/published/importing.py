"""Checkpoints that others published, recognised by their names and shapes, into ONNX files that compute the same."""

import tempfile
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from dualpose_ros.inference.engine import LOOKAHEAD_FRAMES
from dualpose_ros.inference.export import Axis, ExportSpec, export_onnx
from dualpose_ros.lab.published import released
from dualpose_ros.lab.published.hrnet import HigherHRNetPose, HRNetPose, own_names
from dualpose_ros.lab.published.layers import Layer
from dualpose_ros.weights import WeightsError

State = Mapping[str, torch.Tensor]

_COUNTERS = "num_batches_tracked"
_SOME = 3
_N = {0: Axis("N")}
_SQUARE = {2: Axis("H", 64), 3: Axis("W", 64)}


@dataclass(frozen=True)
class Known:
    """A published network: its ONNX file's name, its module, what its export needs, and how its checkpoint's names
    become ours."""

    name: str
    make: Callable[[], nn.Module]
    spec: ExportSpec
    names: Callable[[State], State] = dict


def _spec(
    outputs: tuple[str, ...], dynamic: dict[int, Axis], lookahead: int = 0, **inputs: tuple[int, ...]
) -> ExportSpec:
    examples = {name: torch.full(shape, 0.5) for name, shape in inputs.items()}
    told = {LOOKAHEAD_FRAMES: str(lookahead)} if lookahead else {}
    return ExportSpec(examples, outputs, dict.fromkeys(inputs, dynamic), told)


KNOWN = (
    Known("released_bottom_up", released.BottomUp, _spec(("maps",), _SQUARE, pictures=(1, 20, 128, 128))),
    Known("released_gcn", released.JointGraph,
          _spec(("joints",), _N, joints_2d=(2, 17, 2), affinity=(2, 17, 17), affinity_bones=(2, 16, 16))),
    Known("released_tcn", lambda: released.Temporal(51, 51),
          _spec(("joints",), _N, released.LOOKAHEAD, frames=(2, released.WINDOW, 51))),
    Known("released_root", lambda: released.Temporal(34, 1),
          _spec(("depth",), _N, released.LOOKAHEAD, frames=(2, released.WINDOW, 34))),
    Known("released_integration", released.Integration,
          _spec(("pose", "depth"), _N, poses=(2, 2, 3, 17), depths=(2, 2))),
    Known("released_adaptation", released.Adaptation, _spec(("poses_out",), _N, poses=(2, 3, 17))),
    Known("released_scale", released.AxisScale, _spec(("joints_out",), _N, joints=(2, 14, 3))),
    Known("released_transform", released.JointTransform, _spec(("joints_17",), _N, joints_14=(2, 42))),
    Known("hrnet_w32", HRNetPose, _spec(("heatmaps",), _N, pixel_values=(2, 3, 256, 192)), own_names),
    Known("higher_hrnet_w32", HigherHRNetPose,
          _spec(("coarse", "fine"), _SQUARE, pixel_values=(1, 3, 128, 128)), own_names),
)  # fmt: skip


@dataclass(frozen=True)
class Imported:
    """What became of a checkpoint: the network's name, its module with the weights, the checkpoint's entries that it
    has no use for, and the ONNX file once written with its largest relative difference from the module."""

    name: str
    module: nn.Module
    unused: tuple[str, ...]
    source: str
    file: Path | None = None
    difference: float = 0.0


def import_published(path: Path, out: Path, storage: str = "fp32") -> Iterator[Imported]:
    """Turn checkpoints into ONNX files in a folder, each whole or not at all, and tell of each as it is done.

    path: a .pth or .safetensors file; a folder whose text file `checkpoint` names one, as the paper's release has them;
    a folder of these; or an archive of them (3DMPP.zip). out: where `NAME.onnx` goes, NAME of `KNOWN`; storage: of
    large weights, see `inference.export.export_onnx`.
    WeightsError for what is missing, damaged or none of `KNOWN`; it names file and entry; ExportError if an ONNX file
    would compute something else.
    """
    with _checkpoints(path) as files:
        found = [recognise(read_checkpoint(file), name) for name, file in files]
        names = [imported.name for imported in found]
        if twice := [name for name in names if names.count(name) > 1]:
            raise WeightsError(f"{path} has two checkpoints of {twice[0]}: import one of them alone")
        for imported in found:
            known = next(known for known in KNOWN if known.name == imported.name)
            result = export_onnx(folded(imported.module), known.spec, out / f"{known.name}.onnx", storage)
            yield Imported(imported.name, imported.module, imported.unused, imported.source, result.path,
                           max(result.difference.values()))  # fmt: skip


def read_checkpoint(path: Path) -> State:
    """The tensors of a checkpoint by name; nothing in it is run. WeightsError for a file that is no such thing."""
    try:
        if path.suffix.lower() == ".safetensors":
            from safetensors.torch import load_file

            return dict(load_file(path))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch has no common base class for what a damaged file makes it raise
        # Of a pickle that would run something its first sentence; what follows is how to run it all the same.
        said = str(error).strip().split(". ")[0].splitlines() or [type(error).__name__]
        raise WeightsError(f"{path} is no checkpoint of tensors alone, or damaged: {said[0]}") from None
    for wrapper in ("state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(wrapper), dict):
            content = content[wrapper]
    if not isinstance(content, dict) or not any(isinstance(value, torch.Tensor) for value in content.values()):
        raise WeightsError(f"{path} holds a {type(content).__name__} instead of tensors by name")
    return {str(name): value for name, value in content.items() if isinstance(value, torch.Tensor)}


def recognise(state: State, source: str) -> Imported:
    """The network of KNOWN whose names and shapes a checkpoint has, with its weights.

    WeightsError says what it lacks of the nearest one, or which of its numbers is not finite.
    """
    best, lacks = None, ["everything"]
    for known in KNOWN:
        wanted = _shapes(known.name)
        given = known.names(state)
        problems = [
            f"{name} is {tuple(given[name].shape)} instead of {tuple(shape)}" if name in given else f"no {name}"
            for name, shape in wanted.items() if name not in given or given[name].shape != shape
        ]  # fmt: skip
        if best is None or len(problems) / len(wanted) < best[1]:
            best, lacks = (known, len(problems) / len(wanted), given, wanted), problems
    assert best is not None
    known, _, given, wanted = best
    if lacks:
        more = f" and {len(lacks) - _SOME} more" if len(lacks) > _SOME else ""
        raise WeightsError(
            f"{source} is none of {', '.join(k.name for k in KNOWN)}; of {known.name}, the nearest, "
            f"it has: {'; '.join(lacks[:_SOME])}{more}"
        )
    for name in wanted:
        if not torch.isfinite(given[name].float()).all():
            raise WeightsError(f"{source}: {name} holds a number that is not finite")
    module = known.make()
    module.load_state_dict({name: given[name].float() for name in wanted}, strict=False)
    unused = tuple(sorted(name for name in given if name not in wanted and _COUNTERS not in name))
    return Imported(known.name, module.eval(), unused, source)


def folded(module: nn.Module) -> nn.Module:
    """A copy whose batch norms are part of the convolutions before them: the exporter leaves some of large networks."""
    copy = deepcopy(module)
    for layer in copy.modules():
        norm = getattr(layer, "bn", None)
        if isinstance(layer, Layer) and isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d):
            layer.conv, layer.bn = fuse_conv_bn_eval(layer.conv, norm), nn.Identity()  # type: ignore[type-var]
        elif isinstance(layer, HigherHRNetPose):
            layer.up = fuse_conv_bn_eval(layer.up, layer.up_norm, transpose=True)
            layer.up_norm = nn.Identity()  # type: ignore[assignment]
    return copy


@cache
def _shapes(name: str) -> dict[str, torch.Size]:
    """The names and shapes of a network of KNOWN."""
    with torch.device("meta"):
        state = next(known for known in KNOWN if known.name == name).make().state_dict()
    return {key: value.shape for key, value in state.items() if _COUNTERS not in key}


@contextmanager
def _checkpoints(path: Path) -> Iterator[list[tuple[str, Path]]]:
    """The checkpoints below a path, by what to call them."""
    if not path.exists():
        raise WeightsError(f"{path} is not there")
    if zipfile.is_zipfile(path) and path.suffix.lower() == ".zip":
        with tempfile.TemporaryDirectory(prefix="dualpose_") as folder:
            try:
                with zipfile.ZipFile(path) as archive:
                    # Of an archive with more in it, what belongs to checkpoints; zipfile keeps names below the folder.
                    wanted = [n for n in archive.namelist() if n.endswith((".pth", "/checkpoint"))]
                    archive.extractall(folder, wanted)
            except (OSError, zipfile.BadZipFile) as error:
                raise WeightsError(f"{path} can't be unpacked: {error}") from None
            yield [(f"{path}:{name}", file) for name, file in _below(Path(folder), path)]
    elif path.is_dir():
        yield [(str(path / name), file) for name, file in _below(path, path)]
    else:
        yield [(str(path), path)]


def _below(folder: Path, told: Path) -> list[tuple[str, Path]]:
    found = []
    for note in sorted(folder.rglob("checkpoint")):
        lines = note.read_text(encoding="utf-8", errors="replace").split()
        file = note.parent / Path(lines[0]).name if lines else note
        if not lines or not file.is_file():
            raise WeightsError(f"{told}: {note.relative_to(folder)} names no checkpoint beside it")
        found.append((str(note.parent.relative_to(folder)), file))
    if not found:
        raise WeightsError(f"{told} holds no folder with a file 'checkpoint': this is not the paper's release")
    return found
