"""`dualpose demo`: the graph on the clip that ships with the package, measured against its ground truth."""

from __future__ import annotations

from typing import Annotated
from pathlib import Path

import typer


def demo() -> None:
    """Placeholder while the evaluation module is on its way."""
