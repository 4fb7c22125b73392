"""The page of results, written from what `dualpose eval` saved with `--json`, and from demos' summaries.

Files `NAME.json` are one run; `NAME_1.json`, `NAME_2.json` and so on are several of the same, whose figures are given
from the least to the most.
"""

import json
import re
import shlex
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dualpose_ros.errors import InputError
from dualpose_ros.inference.load import SHIPPED
from dualpose_ros.paths import write_whole
from dualpose_ros.weights import shipped_networks

Result = Mapping[str, Any]
Rows = Sequence[Mapping[str, Any]]

_MOST_ROWS = 30
_KEYS = ("what", "version", "seed", "seconds", "tables", "goals")
_OF_OTHERS = ("weights", "detector", "params-file", "stored-only")
"""Options by which something else is measured than what ships, but for `--detector own`."""


@dataclass(frozen=True)
class Evaluation:
    """One section of the page: the name of its files, what to type, what it measures, and the networks it uses."""

    name: str
    command: str
    about: str
    networks: tuple[str, ...] = ()


EVALUATIONS = (
    Evaluation(
        "demo",
        "demo",
        "The live graph, each node a process of its own, on the rendered clip that ships: rate and latency, and how "
        "right `/humans/poses3d` is (`refined`), the poses before refinement (`fused`) and those of the top-down "
        "branch alone. Rate and latency are those of the machine that it ran on, with whatever else ran there.",
        SHIPPED,
    ),
    Evaluation(
        "photographs",
        "eval photographs --root DIR",
        "2D joints on real photographs, given the people's boxes: object keypoint similarity (OKS) over the twelve "
        "joints that COCO and the skeleton share.",
        ("top_down",),
    ),
    Evaluation(
        "detector", "eval detector --data FRAMES", "Boxes on rendered frames that trained nothing.", ("detector",)
    ),
    Evaluation(
        "joints",
        "eval joints --data FRAMES",
        "2D joints on rendered frames that trained nothing, given boxes as inexact as a detector's. Errors are shares "
        "of the longer side of the person.",
        ("top_down",),
    ),
    Evaluation(
        "top-down",
        "eval top-down",
        "The top-down branch on movements and scenes that trained nothing: people in front of each other, hidden "
        "joints, windows of time, how honest the stated deviations are, speed. Windows of a named length, what learnt "
        "without a GCN, and the network of one person a patch are baselines of an earlier skeleton: "
        "compare them with one another alone.",
        ("top_down", "gcn", "lifting"),
    ),
    Evaluation(
        "bottom-up",
        "eval bottom-up",
        "The bottom-up branch by itself, with and without the top-down heatmaps, with boxes taken away, through many "
        "cameras, and from exact maps.",
        ("top_down", "bottom_up"),
    ),
    Evaluation(
        "fusion",
        "eval fusion",
        "Both branches and their fusion on rendered videos, through the detector, the tracker and the live stages; "
        "missed people count 0. The paper's Tables 3, 4 and 5.",
        SHIPPED,
    ),
    Evaluation(
        "scores",
        "eval scores --root DIR",
        "Whether the score after fusion is the chance that there is such a person: stated chances beside the shares of "
        "people who were there, in bins of the former, and what `min_score` gives and takes. Rendered videos, and "
        "photographs all of whose people have boxes.",
        SHIPPED,
    ),
    Evaluation(
        "people",
        "eval scores --sequences 0 --root DIR --every-split",
        "Who of the people on photographs that trained nothing the whole graph publishes, and how many ghosts, by "
        "`min_score`: detector, both branches and fusion, each photograph as the first two frames of a video. So few "
        "people say little of reliability.",
        SHIPPED,
    ),
    Evaluation(
        "ablation",
        "eval ablation",
        "The twelve rows of the paper's Table 3 on `dualpose-synth-v2`, twenty rendered videos that are the same on "
        "every machine. The paper's figures beside them are of MuPoTS-3D under its released protocol: only which row "
        "is better than which can be compared.",
        SHIPPED,
    ),
    Evaluation(
        "refinement",
        "eval refinement",
        "Refinement beside the paper's optimisation of the whole movement (Eq. 16), on held-out movements with the "
        "errors that the branches and fusion made. The paper's Tables 6 and 7. How honest deviations are, the people "
        "of four rendered worlds say.",
        SHIPPED,
    ),
    Evaluation(
        "ground",
        "eval ground",
        "Refinement with a ground that is known exactly, as surely as stated, off by 1 or 2 degrees or 5 %, or not: "
        "rendered videos of people of 1.1 to 2.05 m, cameras 0.3 to 3 m high, some of which drive.",
        SHIPPED,
    ),
    Evaluation(
        "trajectory",
        "eval trajectory",
        "How well past frames foretell where captured movements go next (the paper's Table 7).",
    ),
)


def write_page(folder: Path, out: Path) -> int:
    """Write the page of a folder's results to a file; gives how many files it is made of. InputError as `page`."""
    files = _files(folder)
    write_whole(out, page(folder))
    return len(files)


def page(folder: Path, shipped: Mapping[str, str] | None = None) -> str:
    """The page (Markdown) of a folder's results.

    folder: with the JSON files; shipped: the first digits of the sha256 of the networks to compare with; those of the
    manifest if left out.
    Returns a section for each of EVALUATIONS, which says so where it was not run, then one for each other file.
    InputError if a file is not a result, or one of something else than its name says, or several of one name are not
    of the same form, or were made with different options.
    """
    current = shipped_networks() if shipped is None else shipped
    groups: dict[str, list[Result]] = defaultdict(list)
    for path in _files(folder):
        groups[_name(path)].append(_read(path))
    parts = [_HEAD]
    for evaluation in EVALUATIONS:
        parts.append(_section(evaluation, groups.pop(evaluation.name, []), current))
    for name, runs in groups.items():
        parts.append(_section(Evaluation(name, f"eval {runs[0]['what']}", "", SHIPPED), runs, current))
    return "\n".join(parts)


def take_in(summary: Path, folder: Path) -> Path:
    """Put the summary.json of a demo into a folder of results, as one more run `demo_N.json`; gives that file.

    The networks are taken to be those that ship now. InputError if it is no demo's summary.
    """
    content = read_json(summary)
    missing = [key for key in ("fps", "latency_ms", "recall", "fused", "top_down", "goals") if key not in content]
    if missing:
        raise InputError(f"{summary} is no summary.json of `dualpose demo`: it lacks {missing[0]}")
    live = ("frames_sent", "frames_published", "fps", "cpu_count")
    run = {name: content.get(name) for name in live}
    run |= {f"latency_{name}_ms": value for name, value in content["latency_ms"].items()}
    accuracy = [
        {"figure": name, "refined": content[name], "fused": content["fused"][name], "top_down": value}
        for name, value in content["top_down"].items()
    ]
    record = {
        "what": "demo",
        **({"command": "demo", "options": content["options"]} if "options" in content else {}),
        "version": content["version"],
        "seed": 0,
        "seconds": content["seconds"],
        "networks": shipped_networks(),
        "tables": {"run": [run], "accuracy": accuracy},
        "goals": content["goals"],
    }
    number = 1
    while (path := folder / f"demo_{number}.json").exists():
        number += 1
    write_whole(path, json.dumps(record, indent=2) + "\n")
    return path


_HEAD = """# Results

Written by `dualpose results` from `docs/results/*.json`, which hold what `dualpose eval` saved and what demos came to;
`make results` measures everything anew (it takes an hour or two, and the data of [data.md](data.md)). What the figures
of a demo mean is in [running.md](running.md#how-right-a-demo-was).

The networks learnt as `dualpose weights list` says. A section says so if its networks are not those that ship now.
"""


def _files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder of results; `dualpose eval WHAT --json {folder}/WHAT.json` makes it")
    # Those of `dualpose bench` have a page of their own.
    return sorted(path for path in folder.glob("*.json") if not path.name.startswith("bench_"))


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file, an empty one for anything else; InputError if it can't be read."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} can't be read: {error}") from error
    return content if isinstance(content, dict) else {}


def _read(path: Path) -> Result:
    content = read_json(path)
    missing = [key for key in _KEYS if key not in content]
    if missing:
        raise InputError(f"{path} is no result of `dualpose eval ... --json`: it lacks {missing[0]}")
    options = content.get("options", {})
    if not isinstance(options, dict):
        raise InputError(f"{path}: 'options' is no object")
    own = next((e for e in EVALUATIONS if e.name == _name(path)), None)
    if own is None:
        return content
    asked = re.findall(r"--[a-z-]+(?: [0-9a-z]+)?", own.command)  # what is free there is in capitals
    given = f"{shlex.join(_flags(options))} "
    # Photographs are half of what `eval scores` looks at, where there are any; elsewhere it asks for them itself.
    lacks = [flag for flag in asked if "options" in content and flag != "--root" and f"{flag} " not in given]
    if content["what"] != own.command.removeprefix("eval ").split()[0] or lacks:
        made = _command(own, content) if "command" in content else f"eval {content['what']}"
        raise InputError(f"{path} is of `dualpose {made}`, its name means `dualpose {own.command}`: rename it")
    return content


def _name(path: Path) -> str:
    return re.sub(r"_\d+$", "", path.stem)


def _flags(options: Mapping[str, Any]) -> list[str]:
    """Options as they are typed."""
    words = []
    for name, value in options.items():
        for each in value if isinstance(value, list) else [value]:
            words.append(f"--no-{name}" if each is False else f"--{name}")
            words += [] if isinstance(each, bool) else [str(each)]
    return words


def _command(evaluation: Evaluation, run: Result) -> str:
    """What was typed; of files that don't say it, what is usual, and the part."""
    if "options" in run:
        return shlex.join([*str(run.get("command", evaluation.command)).split(), *_flags(run["options"])])
    return evaluation.command + (f" --part {run['part']}" if "part" in run else "")


def _section(evaluation: Evaluation, runs: Sequence[Result], shipped: Mapping[str, str]) -> str:
    lines = [f"## {evaluation.name}", ""]
    if evaluation.about:
        lines += [evaluation.about, ""]
    if not runs:
        return "\n".join([*lines, f"Not run yet; `dualpose {evaluation.command}` measures it.", ""])
    lines += [_made_by(evaluation, runs, shipped), ""]
    for name in runs[0]["tables"]:
        rows = merged([run["tables"].get(name, []) for run in runs])
        if rows:
            shown = table(rows) if len(rows) <= _MOST_ROWS else [f"{len(rows)} rows; they are in the file."]
            lines += [f"**{name}**", "", *shown, ""]
    goals = merged([run["goals"] for run in runs])
    if goals:
        lines += ["**goals**", "", *table(goals), ""]
    return "\n".join(lines)


def _made_by(evaluation: Evaluation, runs: Sequence[Result], shipped: Mapping[str, str]) -> str:
    """Which command, how often, with which version and seed, and whether with networks that have changed since."""
    seconds = sum(float(run["seconds"]) for run in runs)
    times = "" if len(runs) == 1 else f" {len(runs)} times"
    versions = ", ".join(sorted({str(run["version"]) for run in runs}))
    seeds = ", ".join(sorted({str(run["seed"]) for run in runs}))
    commands = list(dict.fromkeys(_command(evaluation, run) for run in runs))
    if len(commands) > 1:
        raise InputError(f"results named {evaluation.name} are of different commands: {' and '.join(commands)}")
    text = f"`dualpose {commands[0]}`{times}, version {versions}, seed {seeds}, {seconds:.0f} s."
    others = sorted(
        {name for name in evaluation.networks for run in runs if run.get("networks", {}).get(name) != shipped.get(name)}
    )
    text += f" **With other networks than those that ship now: {', '.join(others)}.**" if others else ""
    options = runs[0].get("options", {})
    foreign = {name: options[name] for name in _OF_OTHERS if options.get(name, "own") != "own"}
    return f"{text} **Not of what ships: `{shlex.join(_flags(foreign))}`.**" if foreign else text


def merged(tables: Sequence[Rows]) -> Rows:
    """One table of several of the same form: numbers that differ become the least and the most of them.

    InputError where the tables have different rows or columns.
    """
    if len({len(rows) for rows in tables}) != 1 or any(
        len({tuple(row) for row in rows}) != 1 for rows in zip(*tables, strict=True)
    ):
        raise InputError("results of one name have different tables; they are not of the same evaluation")
    return [{name: _span([row[name] for row in rows]) for name in rows[0]} for rows in zip(*tables, strict=True)]


def _span(values: Sequence[Any]) -> Any:
    """A value that all share, the range of numbers that differ, or all that there are."""
    if all(value == values[0] for value in values):
        return values[0]
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        return f"{cell(min(values))} to {cell(max(values))}"
    return ", ".join(dict.fromkeys(cell(value) for value in values))


def table(rows: Rows) -> list[str]:
    """A Markdown table of rows that share their columns, line by line; nothing of none."""
    if not rows:
        return []
    names = list(rows[0])
    lines = [names, ["---"] * len(names), *([cell(row.get(name)) for name in names] for row in rows)]
    return [f"| {' | '.join(line)} |" for line in lines]


def cell(value: Any) -> str:
    """A value as a table shows it: four digits, yes and no, a dash for what was not measured."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list | tuple):
        return ", ".join(cell(item) for item in value)
    return str(value).replace("|", "\\|")
