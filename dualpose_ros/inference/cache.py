"""Files that a start would else make anew, in the user's cache folder."""

import contextlib
import hashlib
import logging
import os
from pathlib import Path

from dualpose_ros.paths import written_whole

_LOGGER = logging.getLogger(__name__)
_DIGEST_BYTES = 32
_MOST_FILES = 64


def cache_folder(kind: str) -> Path:
    """Where files of a kind are kept: `XDG_CACHE_HOME`, or `~/.cache`; a folder that can't be for who has no home."""
    try:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError:
        base = Path(os.devnull)
    return base / "dualpose_ros" / kind


def cache_file(kind: str, suffix: str, maker: str, network: bytes, *what: object) -> Path:
    """File that holds what is made of a network, for these versions and settings alone.

    maker: the source file of what makes it; what it made before it was changed serves no more.
    """
    digest = hashlib.sha256(network)
    digest.update(repr((hashlib.sha256(Path(maker).read_bytes()).digest(), *what)).encode())
    return cache_folder(kind) / f"{digest.hexdigest()[:32]}.{suffix}"


def write_atomically(path: Path, data: bytes, level: int = logging.WARNING) -> bool:
    """Write a file that is there whole or not at all; where it can't be written, say so and return False."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with written_whole(path) as file:
            file.write_bytes(data)
    except OSError as error:
        _LOGGER.log(level, "%s can't be kept (%s): it is built anew at every start", path, error.strerror)
        return False
    return True


def kept(path: Path) -> bytes | None:
    """What `keep` wrote; None where that is missing or damaged."""
    try:
        data = path.read_bytes()
    except OSError:
        return None
    digest, content = data[:_DIGEST_BYTES], data[_DIGEST_BYTES:]
    return content if hashlib.sha256(content).digest() == digest else None


def keep(path: Path, content: bytes) -> None:
    """Write a file with its checksum, and let the oldest of too many in its folder go."""
    if not write_atomically(path, hashlib.sha256(content).digest() + content, logging.INFO):
        return
    with contextlib.suppress(OSError):
        files = sorted(path.parent.iterdir(), key=lambda file: file.stat().st_mtime_ns)
        for file in files[:-_MOST_FILES]:
            file.unlink(missing_ok=True)
