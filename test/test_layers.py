"""Which room may import which: arrows point down, nothing that a robot runs imports the lab, no file is in a circle."""

import ast
from collections import defaultdict
from pathlib import Path

import pytest

from support.data import ROOT

PACKAGE = "dualpose_ros"

FLOORS: tuple[tuple[str, ...], ...] = (
    ("skeleton", "camera", "people", "arrays", "settings", "errors", "paths", "letterbox", "heatmap", "grouping",
     "pace", "backbone", "drawing", "msg"),
    ("inference", "metrics", "sources", "datasets", "weights"),
    ("detection", "top_down", "bottom_up", "fusion", "refinement"),
    ("standalone", "recording", "view"),
    ("launching",),
    ("nodes",),
    ("runs",),
    ("lab",),
    ("commands", "cli"),
)  # fmt: skip
"""Rooms from the ground up: a room imports those of its own floor and of lower ones."""

BRANCHES = ("detection", "top_down", "bottom_up", "fusion", "refinement")
"""Rooms that do not import each other."""


def modules() -> dict[str, Path]:
    """Every module of the package by its dotted name, and its file."""
    found = {}
    for path in sorted((ROOT / PACKAGE).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(everything: dict[str, Path]) -> dict[str, set[str]]:
    """Which modules of the package each module imports, within functions too; for types alone is not importing."""
    found: dict[str, set[str]] = defaultdict(set)
    for module, path in everything.items():
        for node in _statements(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == PACKAGE:
                names = [f"{node.module}.{alias.name}" for alias in node.names]
                found[module].update(name if name in everything else str(node.module) for name in names)
            elif isinstance(node, ast.Import):
                found[module].update(alias.name for alias in node.names if alias.name.split(".")[0] == PACKAGE)
    return found


def _statements(tree: ast.AST) -> list[ast.AST]:
    skipped = {
        id(inner) for node in ast.walk(tree) if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        for statement in node.body for inner in ast.walk(statement)
    }  # fmt: skip
    return [node for node in ast.walk(tree) if id(node) not in skipped]


def room(module: str) -> str:
    """The first name below the package."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else ""


ARROWS = imports(modules())


def test_every_room_stands_on_a_floor() -> None:
    known = {name for floor in FLOORS for name in floor}
    assert {room(module) for module in modules()} - {""} <= known


def test_no_arrow_goes_up() -> None:
    floor = {name: level for level, names in enumerate(FLOORS) for name in names}
    up = [
        f"{source} imports {target}" for source, targets in ARROWS.items() for target in targets
        if room(target) and floor[room(target)] > floor[room(source)]
    ]  # fmt: skip
    assert not up, up


def test_nothing_that_a_robot_runs_imports_the_lab() -> None:
    wrong = [
        f"{source} imports {target}" for source, targets in ARROWS.items() for target in targets
        if room(target) == "lab" and room(source) not in ("lab", "commands")
    ]  # fmt: skip
    assert not wrong, wrong


def test_branches_do_not_import_each_other() -> None:
    wrong = [
        f"{source} imports {target}" for source, targets in ARROWS.items() for target in targets
        if room(source) in BRANCHES and room(target) in BRANCHES and room(source) != room(target)
    ]  # fmt: skip
    assert not wrong, wrong


def test_no_file_is_in_a_circle_of_imports() -> None:
    waiting = {module: {t for t in ARROWS[module] if t != module} for module in modules()}
    while ready := [module for module, targets in waiting.items() if not targets & waiting.keys()]:
        for module in ready:
            del waiting[module]
    assert not waiting, sorted(waiting)


def test_a_walk_would_see_an_arrow_up(tmp_path: Path) -> None:
    path = tmp_path / "low.py"
    path.write_text("def f():\n    from dualpose_ros.lab import top\n")
    assert imports({"dualpose_ros.low": path, "dualpose_ros.lab.top": path})["dualpose_ros.low"] == {
        "dualpose_ros.lab.top"
    }


@pytest.mark.parametrize("folder", sorted({path.parent for path in modules().values()}), ids=str)
def test_rooms_are_small(folder: Path) -> None:
    files = [path for path in folder.glob("*.py") if path.name != "__init__.py"]
    assert len(files) <= 15, f"{folder} has {len(files)} files"
    long = [f"{path.name} {lines}" for path in files if (lines := len(path.read_text().splitlines())) > 400]
    assert not long, long
