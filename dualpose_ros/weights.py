"""The trained networks that ship with the package: where they are, what they are, whether they are whole.

`weights/manifest.json` says for each network which file it is, its sha256, what it was trained on, by
which command, with which figures, and its domain. A file that is not the manifest's is never loaded.
"""

import hashlib
import json
import logging
import math
import shlex
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, get_origin, get_type_hints

from dualpose_ros.paths import share_dir, user_path, write_whole, written_whole

_LOGGER = logging.getLogger(__name__)

MANIFEST = "manifest.json"
MANIFEST_FORMAT = 1
BASELINES = "baselines"
"""The folder of the networks that only tables compare with; a robot's installation leaves it out."""
BASELINE = "baseline_"
"""What their names begin with."""
INT8 = "_int8"
"""What the name of a network's form in 8 bits ends with; `data` of its entry has the sha256 of what it was made of."""
MADE_OF = "made_of"
OBTAIN_BASELINES = "networks that only evaluations compare with are in weights/baselines of the source repository"
"""Where to get those that an installation left out."""


class WeightsError(RuntimeError):
    """Weights that are missing, damaged or not those of the manifest; the message says what to do."""


@dataclass(frozen=True)
class WeightsEntry:
    """What the manifest says of one network.

    domain: what kind of images or motion it was trained on ("synthetic", "mocap"); figures: validation
    figures by name; seconds: of training. TypeError for a value of another type.
    """

    name: str
    file: str
    sha256: str
    bytes: int
    domain: str
    trained_on: str
    command: str
    figures: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    seed: int = 0
    parameters: int = 0
    data: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, kind in get_type_hints(WeightsEntry).items():
            value, wanted = getattr(self, name), get_origin(kind) or kind
            if isinstance(value, bool) or not isinstance(value, (int, float) if wanted is float else wanted):
                raise TypeError(f"{name} is {value!r:.80}")
        if not all(isinstance(figure, int | float) and math.isfinite(figure) for figure in self.figures.values()):
            raise TypeError(f"figures are {self.figures!r:.80}, not finite numbers")


def weights_dir() -> Path:
    """The folder of the shipped weights; WeightsError if the installation has none."""
    try:
        return share_dir() / "weights"
    except FileNotFoundError as error:
        raise WeightsError(str(error)) from error


def list_weights(directory: Path | str | None = None) -> list[WeightsEntry]:
    """The networks of the manifest, by name; WeightsError if it is missing or can't be understood."""
    return sorted(_read_manifest(_folder(directory)).values(), key=lambda entry: entry.name)


def shipped_networks() -> dict[str, str]:
    """The first digits of the sha256 of every network that a robot runs, by name."""
    return {entry.name: entry.sha256[:12] for entry in list_weights() if not entry.name.startswith(BASELINE)}


def networks_digest() -> str:
    """The first digits of a sha256 over those of every network: what names it was found by these and no others."""
    every = sorted((entry.name, entry.sha256) for entry in list_weights())
    return hashlib.sha256(json.dumps(every).encode()).hexdigest()[:12]


def network_file(name: str, int8: bool = False) -> Path:
    """The file of a network: `name` itself where it ends in .onnx, the shipped network of that name otherwise.

    int8: its form in 8 bits, where one ships that was made of this very network. WeightsError as of `weights_path`.
    """
    if name.endswith(".onnx"):
        return user_path(name)
    path, small = weights_path(name), name + INT8
    if not int8:
        return path
    entries = _read_manifest(weights_dir())
    if small in entries and entries[small].data.get(MADE_OF) != entries[name].sha256:
        _LOGGER.warning(
            "%s runs in fp32: its 8-bit form is of another network; `dualpose export %s --precision int8` makes one",
            name,
            name.replace("_", "-"),
        )
        return path
    return weights_path(small) if small in entries else path


def weights_path(name: str, directory: Path | str | None = None) -> Path:
    """The verified file of network `name` ("detector", "top_down", "gcn", "lifting").

    directory: where manifest.json lies, the shipped weights by default. The sha256 is computed once a
    process and file. WeightsError if the network is unknown, left out of this installation, or its file missing or
    another one.
    """
    folder = _folder(directory)
    entries = _read_manifest(folder)
    if name not in entries:
        raise WeightsError(
            f"{folder / MANIFEST} has no network '{name}'; it has {', '.join(sorted(entries)) or 'none'}"
        )
    entry = entries[name]
    if is_left_out(entry, folder):
        raise WeightsError(f"'{name}' is not installed: {OBTAIN_BASELINES}; copy that folder to {folder / BASELINES}")
    problem = _problem(folder, entry)
    if problem:
        raise WeightsError(problem)
    return folder / entry.file


def verify_weights(directory: Path | str | None = None) -> dict[str, str | None]:
    """For every network of the manifest that this installation has, what is wrong with its file, or None."""
    folder = _folder(directory)
    entries = sorted(_read_manifest(folder).items())
    return {name: _problem(folder, entry) for name, entry in entries if not is_left_out(entry, folder)}


def is_left_out(entry: WeightsEntry, directory: Path | str | None = None) -> bool:
    """Whether a network is one that only evaluations compare with, in an installation without their folder."""
    folder = _folder(directory)
    return entry.file.startswith(f"{BASELINES}/") and not (folder / BASELINES).is_dir()


def install_weights(
    onnx_file: Path | str,
    report: Path | str | Mapping[str, Any],
    name: str,
    directory: Path | str | None = None,
    domain: str | None = None,
) -> WeightsEntry:
    """Put a trained network in place as `<name>.onnx`, below `baselines/` if named so, and record it in the manifest.

    onnx_file: the network; report: the report.json that training wrote, or its content; name: of the network;
    directory: where manifest.json lies, the shipped weights without; domain: what it was trained on in a word, where
    the report's is not right.
    WeightsError if the file doesn't load as ONNX or is of another kind than the network of that name that it replaces,
    or the report lacks what the manifest records.
    """
    source, folder = Path(onnx_file), _folder(directory)
    if not name.isidentifier():
        raise WeightsError(f"'{name}' is no name for a network: use letters, digits and underscores")
    content = _read_report(report)
    entries = _read_manifest(folder) if (folder / MANIFEST).is_file() else {}
    taken, precision = inputs_and_precision(source)
    before = entries.get(name) or entries.get(name.removesuffix(INT8))
    if before is not None and (folder / before.file).is_file():
        expected, _ = inputs_and_precision(folder / before.file)
        if taken != expected:
            raise WeightsError(f"{source} is no {name} network: it takes {taken}, and {before.file} {expected}")
    if precision != (wanted := "int8" if name.endswith(INT8) else "fp32"):
        raise WeightsError(f"{source} computes in {precision}, and what is called {name} in {wanted}")
    try:
        entry = WeightsEntry(
            name=name,
            file=_file_of(name),
            sha256=sha256_of(source),
            bytes=source.stat().st_size,
            domain=domain or content.get("domain") or "synthetic",
            trained_on=content["trained_on"],
            command=portable_command(content["command"]),
            figures={k: float(v) for k, v in content["figures"].items()},
            seconds=float(content.get("seconds", 0.0)),
            seed=int(content.get("seed", 0)),
            parameters=int(content.get("parameters", 0)),
            data={key: _portable(value) for key, value in content.get("data", {}).items()},
        )
    except (AttributeError, TypeError, ValueError) as error:
        raise WeightsError(f"the training report holds something else than training writes: {error}") from None
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / entry.file
    if source.resolve() != target.resolve():
        with written_whole(target) as file:
            shutil.copyfile(source, file)
    _write_manifest(folder, {**entries, name: entry})
    return entry


def inputs_and_precision(path: Path) -> tuple[str, str]:
    """What a network takes, by name, which tells its kind whatever it gives, and what it computes in.

    WeightsError if it is none.
    """
    from dualpose_ros.inference.backends.onnxruntime_engine import OnnxRuntimeEngine
    from dualpose_ros.inference.engine import EngineError

    try:
        engine = OnnxRuntimeEngine(path, threads=1)
    except EngineError as error:
        raise WeightsError(str(error)) from error
    return ", ".join(sorted(engine.inputs)), engine.metadata.get("precision", "fp32")


def replace_file(name: str, data: bytes, directory: Path | str | None = None) -> WeightsEntry:
    """Put a file of the same network with a rewritten graph in place, and record its sha256."""
    folder, path = _folder(directory), weights_path(name, directory)
    with written_whole(path) as file:
        file.write_bytes(data)
    entries = _read_manifest(folder)
    entry = replace(entries[name], sha256=sha256_of(path), bytes=len(data))
    for other in [e for e in entries.values() if e.data.get(MADE_OF) == entries[name].sha256]:
        entries[other.name] = replace(other, data={**other.data, MADE_OF: entry.sha256})
    _write_manifest(folder, {**entries, name: entry})
    return entry


def sha256_of(path: Path) -> str:
    """Hex sha256 of a file, read in pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def portable_command(command: str) -> str:
    """A command line as anyone could type it: the program's own name, and of absolute paths the last part."""
    program, *arguments = shlex.split(command)
    program = "dualpose" if Path(program).name == "cli.py" else program
    return shlex.join([_portable(argument) for argument in (program, *arguments)])


def _portable(value: Any) -> Any:
    """The last part of an absolute path; anything else as it is."""
    return Path(value).name if isinstance(value, str) and value.startswith("/") else value


@lru_cache(maxsize=64)
def _known_sha256(path: Path, size: int, modified_ns: int) -> str:
    """sha256 of a file that is taken as unchanged as long as its size and time are."""
    return sha256_of(path)


def _file_of(name: str) -> str:
    """Where a network lies in the folder of weights, by its name."""
    return f"{BASELINES}/{name.removeprefix(BASELINE)}.onnx" if name.startswith(BASELINE) else f"{name}.onnx"


def _folder(directory: Path | str | None) -> Path:
    return weights_dir() if directory is None else Path(directory)


def _remedy(folder: Path, name: str) -> str:
    return f"install the package again, or train it: `dualpose train {name.replace('_', '-')}` ({folder})"


def _problem(folder: Path, entry: WeightsEntry) -> str | None:
    """What is wrong with an entry's file, with what to do, or None."""
    path = folder / entry.file
    try:
        status = path.stat()
        if not path.is_file():
            return f"{path} is no file; {_remedy(folder, entry.name)}"
        if status.st_size != entry.bytes:
            return f"{path} is damaged: {status.st_size} bytes instead of {entry.bytes}; {_remedy(folder, entry.name)}"
        found = _known_sha256(path, status.st_size, status.st_mtime_ns)
    except FileNotFoundError:
        return f"{path} is missing; {_remedy(folder, entry.name)}"
    except OSError as error:
        return f"{path} can't be read ({error.strerror}); {_remedy(folder, entry.name)}"
    if found != entry.sha256:
        return (
            f"{path} is not the network of the manifest (sha256 {found[:12]}... instead of {entry.sha256[:12]}...); "
            f"if you put it there yourself, use `dualpose weights install`, otherwise {_remedy(folder, entry.name)}"
        )
    return None


def _read_json(path: Path, what: str) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise WeightsError(f"{what} {path} is missing") from None
    except (OSError, ValueError) as error:
        raise WeightsError(f"{what} {path} can't be read: {error}") from error
    if not isinstance(content, dict):
        raise WeightsError(f"{what} {path} holds a {type(content).__name__} instead of an object")
    return content


def _read_manifest(folder: Path) -> dict[str, WeightsEntry]:
    path = folder / MANIFEST
    content = _read_json(path, "the manifest")
    if content.get("format") != MANIFEST_FORMAT or not isinstance(content.get("networks"), dict):
        raise WeightsError(f"the manifest {path} is not of format {MANIFEST_FORMAT}; install the package again")
    known = {f.name for f in fields(WeightsEntry)}
    entries = {}
    for name, values in content["networks"].items():
        try:
            entry = WeightsEntry(name=name, **{k: v for k, v in values.items() if k in known and k != "name"})
        except (TypeError, AttributeError) as error:
            raise WeightsError(f"the manifest {path} is incomplete for '{name}': {error}") from error
        if entry.file != _file_of(name):
            raise WeightsError(f"the manifest {path} points outside of its folder for '{name}': {entry.file}")
        entries[name] = entry
    return entries


def _write_manifest(folder: Path, entries: Mapping[str, WeightsEntry]) -> None:
    networks = {
        name: {k: v for k, v in asdict(entry).items() if k != "name"} for name, entry in sorted(entries.items())
    }
    text = json.dumps({"format": MANIFEST_FORMAT, "networks": networks}, indent=2) + "\n"
    write_whole(folder / MANIFEST, text)


def _read_report(report: Path | str | Mapping[str, Any]) -> Mapping[str, Any]:
    content = report if isinstance(report, Mapping) else _read_json(Path(report), "the report")
    missing = [key for key in ("command", "trained_on", "figures") if not content.get(key)]
    if missing:
        raise WeightsError(f"the training report lacks {', '.join(missing)}: the manifest has to say that")
    return content
