"""Where the package's own data files are (messages, configuration, launch files, weights), and files written whole."""

import fcntl
import importlib.metadata
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PACKAGE = "dualpose_ros"
_MARK = Path("msg") / "MultiPersonPose3D.msg"


def user_path(name: str | Path) -> Path:
    """A path as users write it: `~` is somebody's home, unless there is nobody of that name or no home is known."""
    return Path(os.path.expanduser(name))


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Where to write: it takes the place of the file at the end of the block, and is gone where that fails.

    What is no file, as /dev/stdout, is written itself.
    """
    if path.exists() and not path.is_file():
        yield path
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        # Where no space is left, none is named; NumPy's errors of writing have words alone.
        if error.errno is None:
            raise OSError(f"{path}: {error}") from error
        error.filename = str(path)
        raise
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def claimed(folder: Path) -> Iterator[bool]:
    """Whether a folder is free; then it is ours until the end of the block, where its file system has locks.

    OSError where it can't be opened.
    """
    handle = os.open(folder, os.O_RDONLY)
    is_free = True
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            is_free = False
        except OSError:
            pass
        yield is_free
    finally:
        os.close(handle)


def write_whole(path: Path, text: str) -> None:
    """Write a text as a file, which is there whole or as it was."""
    with written_whole(path) as file:
        file.write_text(text, encoding="utf-8")


def share_dir() -> Path:
    """Folder that holds `msg`, `config`, `launch` and `weights` of the running installation.

    A checkout (or editable install) serves itself; otherwise the ament index of a sourced
    ROS 2 workspace, then the files that pip installed. FileNotFoundError lists what was tried.
    """
    candidates = [Path(__file__).resolve().parents[1], *_ament_share(), *_pip_share()]
    for candidate in candidates:
        if (candidate / _MARK).is_file():
            return candidate
    tried = ", ".join(str(candidate) for candidate in candidates)
    raise FileNotFoundError(f"the data files of {PACKAGE} are missing (looked in {tried}); install the package again")


def _ament_share() -> list[Path]:
    """Share folder by the ament index; empty where no ROS 2 is sourced or it lacks the package."""
    try:
        from ament_index_python.packages import PackageNotFoundError, get_package_share_directory
    except ImportError:
        return []
    try:
        return [Path(get_package_share_directory(PACKAGE))]
    except PackageNotFoundError:
        return []


def _pip_share() -> list[Path]:
    """Share folder by pip's record of installed files (right for --user), beside the package (--target, whose record
    is wrong), then by prefix."""
    found = []
    try:
        files = importlib.metadata.files(PACKAGE) or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    for file in files:
        if file.parts[-2:] == _MARK.parts:
            found.append(Path(str(file.locate())).resolve().parents[1])
    return [*found, Path(__file__).resolve().parents[1] / "share" / PACKAGE, Path(sys.prefix) / "share" / PACKAGE]


def version() -> str:
    """The running installation's: by pip's record, else by package.xml (a ROS 2 workspace has no record)."""
    try:
        return importlib.metadata.version(PACKAGE)
    except importlib.metadata.PackageNotFoundError:
        pass
    manifest = share_dir() / "package.xml"
    found = re.search(r"<version>([^<]+)</version>", manifest.read_text("utf-8")) if manifest.is_file() else None
    return found[1] if found else "unknown"
