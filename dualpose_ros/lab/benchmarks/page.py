"""The page on speed and its pictures, written from what `dualpose bench` saved with `--json`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dualpose_ros.drawing import write_figure
from dualpose_ros.errors import InputError
from dualpose_ros.lab.evaluation.results import read_json, table
from dualpose_ros.paths import write_whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NAMES = ("stages", "people", "transport", "pipeline", "composed")
_NETWORK, _REST, _MESSAGE = "#0072b2", "#e69f00", "#999999"
_MOST_STEPS = 24

_HEAD = """\
# Speed

Written by `dualpose bench page` from what `make speed` measured; change that, not this file. Milliseconds are of the
processor's time of one thread on the demo's clip (640 x 480, four people), but where it says otherwise. They grow too
where other programs share caches and cores: a load (programs that want a core) of 1 is this measurement alone. So steps
are given as ratios too, to the detector's network on one image, which ran after each frame (`reference_ms`).
"""

_SECTIONS = {
    "stages": """
## Where a frame's time goes

Bytes and messages count for each node that sends or takes them; what the operating system does to carry them is under
[messages](#messages).
""",
    "people": """
## People

The same clip's people, cut out and put side by side, all of one size. The detector looks at every frame here.
""",
    "transport": """
## Messages

Between two processes over Cyclone DDS on loopback, 40 a second; processor time is that of the whole process, its
threads in the middleware among it. Within a process (`composed`) they are handed over as they are.
""",
    "pipeline": """
## Cores

Frames/s of the whole graph, each node a process of its own; the clip is played at three times its pace, so that the
graph sets the rate. The model takes what the steps cost for a processed frame and for an image of the camera: the graph
can't be faster than all cores together allow, nor than its slowest node, which works on one frame at a time, nor than
the camera. With many cores each network has several threads, whose gain was measured with two. Frames that wait, and
what the system does itself, are not in it. The nodes' processor time a frame is that between the fifth and the last one
that came out: starts are left out.
""",
    "composed": """
## Cores, with all nodes in one process
""",
}

_END = """
## What sets the pace

- **Frames in work** (`max_frames_in_flight: -1`): the detection node starts as many as raise the frame rate: two on two
  cores, three where there are more. While images wait for room it compares that with one less and one more now and
  then, in turns, for eight seconds or so at 15 frames/s. One more is kept where it brings 4 % more frames, or where
  images then hardly wait; so all cores are used without longer delays, and one core gets no queue. A number fixes it.
  Until the graph has answered for the first time, which takes it longest, frames are started after 0, 0.1, 0.2, 0.4
  seconds and so on, so that no queue is there at the start either.
- **Images**: the top-down and the bottom-up node take those that the detection node passes on; each image that nobody
  works on would cost both 1.2 ms, and the camera 0.2 for each.
- **The detector** looks every 0.1 s or so (`detect_every: 0`); between, tracks are predicted by their Kalman filters.
  On the demo's clip tracks find as many people as with a look at every frame (recall 0.995 and 0.994), with as good
  boxes (mean IoU 0.815 and 0.819). While somebody is new it looks at every frame. Looks every 0.15 s would lose 0.1
  points of recall at 13 frames/s and 0.35 at 20, every 0.2 s 1.6 and 0.5.
- **Heatmaps go first**: the top-down node sends them as soon as its network has answered, 6 to 9 ms of the processor
  (of 30) before its poses, and the bottom-up branch works while those are read.
- **Threads**: a network has `engine.threads`, bound to no core: left to itself OpenVINO binds those of every process to
  the same first cores. BLAS, OpenMP and OpenCV have one in every process, however it is started.
- **Memory**: nodes keep what images and maps have taken (64 MB at a time, glibc alone), and give free memory back every
  ten seconds: 1,500 pages a frame were touched for the first time before, now six.
- **One process** (`dualpose demo --composed`, `composed:=true` of the launch files): images and poses are handed over
  as they are, and one interpreter starts instead of seven. It costs isolation: errors of callbacks stay in their node
  as before, but a crash of one library ends all nodes, which are then started again together. Robots keep separate
  processes by default.
"""


def write_page(results: Path, page: Path) -> None:
    """Write the page, and the pictures beside it; InputError where no result is there, or one is none."""
    files = {name: results / f"{name}.json" for name in NAMES}
    found = {name: _read(path) for name, path in files.items() if path.is_file()}
    if not found:
        raise InputError(f"{results} holds no NAME.json of `dualpose bench --json`; `make speed` makes all")
    images = page.parent / "images"
    images.mkdir(parents=True, exist_ok=True)
    parts = [_HEAD]
    for name, about in _SECTIONS.items():
        parts.append(about)
        if name not in found:
            parts.append("Not run yet; `make speed` measures it.\n")
            continue
        tables = found[name]["tables"]
        parts += [_where(tables), _picture(images, name, tables)]
        parts += ["\n".join(table(rows)) for rows in _shown(name, tables)]
    goals = [{"of": name, **goal} for name, result in found.items() for goal in result["goals"]]
    parts += [_END, "\n## Goals\n", "\n".join(table(goals))]
    write_whole(page, "\n".join(part.rstrip("\n") + "\n" for part in parts if part))


def _where(tables: Mapping[str, Any]) -> str:
    """On what it was measured."""
    rows = tables.get("machine", ())
    beside = [f", reference {row['reference_ms']:g} ms" if "reference_ms" in row else "" for row in rows]
    words = (f"On {row['cores']} cores, at a load of {row['load']:g}" for row in rows)
    return "".join(f"{word}{more}.\n" for word, more in zip(words, beside, strict=True))


def _shown(name: str, tables: Mapping[str, Any]) -> list[Sequence[Mapping[str, Any]]]:
    """The tables of a section."""
    if name == "stages":
        return [tables["nodes"], sorted(tables["steps"], key=lambda row: -row["cpu_ms"])[:_MOST_STEPS]]
    return [rows for key, rows in tables.items() if key in ("people", "line", "messages", "cores")]


def _picture(images: Path, name: str, tables: Mapping[str, Any]) -> str:
    """Draw a section's picture, and the line that shows it; nothing where there is none."""
    path = images / f"speed_{name}.png"
    if name == "stages":
        draw_stages(path, tables["steps"])
    elif name == "people":
        draw_people(path, tables["people"], tables["line"][0])
    elif name != "transport":
        draw_cores(path, tables["cores"])
    else:
        return ""
    return f"![{name}](images/{path.name})\n"


def _read(path: Path) -> dict[str, Any]:
    result = read_json(path)
    if not {"tables", "goals"} <= set(result):
        raise InputError(f"{path} is no result of `dualpose bench --json`; `make speed` makes all")
    composed, options = path.stem == "composed", result.get("options")
    meant = "pipeline" if composed else path.stem
    if result.get("what", meant) != meant or (options is not None and bool(options.get("composed")) != composed):
        raise InputError(f"{path} is of another measurement than its name says; `make speed` makes all")
    return result


def _axes(width: float, height: float) -> tuple[Any, Axes]:
    # on the object interface alone: no global state, no display
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=110, layout="constrained")
    axes = figure.subplots()
    axes.grid(alpha=0.25)
    return figure, axes


def draw_stages(path: Path, steps: Sequence[Mapping[str, Any]]) -> None:
    """Write a picture (PNG) of each node's milliseconds: networks, messages, and the rest."""
    nodes = list(dict.fromkeys(row["step"].partition(":")[0] for row in steps))
    sums = {kind: np.zeros(len(nodes)) for kind in ("networks", "messages", "everything else")}
    for row in steps:
        node, _, step = row["step"].partition(": ")
        is_message = any(word in step for word in ("bytes", "message", "markers"))
        kind = "networks" if "network" in step else "messages" if is_message else "everything else"
        sums[kind][nodes.index(node)] += row["cpu_ms"]
    figure, axes = _axes(8.0, 3.6)
    left = np.zeros(len(nodes))
    for (kind, ms), colour in zip(sums.items(), (_NETWORK, _MESSAGE, _REST), strict=True):
        axes.barh(nodes, ms, left=left, color=colour, label=kind)
        left += ms
    for at, whole in enumerate(left.tolist()):
        axes.text(whole, at, f" {whole:.1f}", va="center", fontsize=8)
    axes.invert_yaxis()
    axes.set(xlabel="processor time of a frame (ms)", title=f"A frame of four people: {left.sum():.0f} ms")
    axes.margins(x=0.1)
    axes.legend(fontsize=8)
    write_figure(path, figure)


def draw_people(path: Path, rows: Sequence[Mapping[str, Any]], line: Mapping[str, Any]) -> None:
    """Write a picture (PNG) of what a frame costs against the people found, with the straight line."""
    found = np.array([row["found"] for row in rows], dtype=np.float64)
    figure, axes = _axes(7.0, 4.0)
    axes.plot(found, [row["cpu_ms"] for row in rows], "o-", color=_NETWORK, label="all")
    axes.plot(found, [row["without_networks_ms"] for row in rows], "o", color=_REST, label="without networks")
    axes.plot(found, line["ms_a_frame"] + line["ms_a_person"] * found, color=_REST, linewidth=1,
              label=f"{line['ms_a_frame']:.1f} ms + {line['ms_a_person']:.2f} ms a person")  # fmt: skip
    axes.set(xlabel="people found", ylabel="processor time of a frame (ms)", ylim=(0, None), xlim=(0, None))
    axes.legend(fontsize=8)
    write_figure(path, figure)


def draw_cores(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write a picture (PNG) of frames/s against cores, measured and by the model."""
    figure, axes = _axes(7.0, 4.0)
    cores = [row["cores"] for row in rows]
    axes.plot(cores, [row["model_fps"] for row in rows], "--", color="#555555", label="model")
    measured = [(row["cores"], row["fps"]) for row in rows if row["fps"] is not None]
    if measured:
        axes.plot(*zip(*measured, strict=True), "o-", color=_NETWORK, label="measured")
    axes.set(xlabel="cores", ylabel="frames/s", ylim=(0, None), xscale="log", xticks=cores, xticklabels=cores)
    axes.minorticks_off()
    axes.legend(fontsize=8)
    write_figure(path, figure)
