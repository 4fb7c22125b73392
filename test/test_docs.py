"""The documentation holds together: links lead somewhere, commands exist, nothing of one machine is in it."""

import re
from pathlib import Path

import pytest
import typer

from dualpose_ros import cli
from support.data import ROOT

PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")])


def anchors(page: Path) -> set[str]:
    """What GitHub makes of a page's headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)]+)\)", text):
        if target.startswith("https://"):
            continue
        name, _, anchor = target.partition("#")
        file = page.parent / name if name else page
        assert file.exists(), f"{page.name}: {target}"
        assert not anchor or anchor in anchors(file), f"{page.name}: {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_exist(page: Path) -> None:
    app = typer.main.get_command(cli.app())
    commands = getattr(app, "commands")  # noqa: B009 (click's groups are not typed)
    for command, word in re.findall(r"\bdualpose ([a-z]+)(?: ([a-z][a-z-]*))?", page.read_text(encoding="utf-8")):
        assert command in commands, f"{page.name}: dualpose {command}"
        inner = getattr(commands[command], "commands", None)
        assert not inner or not word or word in inner, f"{page.name}: dualpose {command} {word}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_options_exist(page: Path) -> None:
    for line in re.findall(r"\bdualpose ([a-z][^\n`|#]*)", page.read_text(encoding="utf-8").replace("\\\n", " ")):
        command, words = typer.main.get_command(cli.app()), line.split()
        while words and words[0] in getattr(command, "commands", {}):
            command, words = command.commands[words[0]], words[1:]  # type: ignore[attr-defined]
        # Of DATASET, the first stands for all.
        command = command.commands["coco"] if words[:1] == ["DATASET"] else command  # type: ignore[attr-defined]
        known = {flag for option in command.params for flag in (*option.opts, *option.secondary_opts)}
        for flag in re.findall(r"(?<![\w-])--?[a-z][a-z-]*", " ".join(words)):
            assert flag in {*known, "--help"}, f"{page.name}: dualpose {line}"


def test_the_readme_is_short_and_shows_what_it_is() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 150
    images = [ROOT / name for name in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", text)]
    assert images and all(image.stat().st_size < 2_000_000 for image in images)
