"""The version of the running installation."""

from __future__ import annotations

import importlib.metadata
import re

from dualpose_ros.paths import PACKAGE, share_dir


def version() -> str:
    """By pip's record, else by package.xml (a ROS 2 workspace has no record)."""
    try:
        return importlib.metadata.version(PACKAGE)
    except importlib.metadata.PackageNotFoundError:
        pass
    manifest = share_dir() / "package.xml"
    found = re.search(r"<version>([^<]+)</version>", manifest.read_text()) if manifest.is_file() else None
    return found[1] if found else "unknown"
