"""Files on a disk that may fill up: what is being written can still be finished then."""

import contextlib
import errno
import io
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, cast

_RESERVE_BYTES = 4 << 20
_write = io.FileIO.write
_FULL = (errno.ENOSPC, errno.EDQUOT)


class Disk:
    """Opens files; where no space is left it gives up a reserve that it held, once, so that they can be closed.

    `is_full` says that this has happened: nothing more should be begun.
    """

    def __init__(self, folder: Path, reserve_bytes: int = _RESERVE_BYTES) -> None:
        """OSError where not even the reserve fits."""
        self._reserve = folder / ".reserve.partial"
        try:
            self._reserve.write_bytes(b"\1" * reserve_bytes)
        except OSError:
            with contextlib.suppress(OSError):
                self.close()
            raise
        self._when_full: list[Callable[[], None]] = []
        self.is_full = False

    def when_full(self, make_room: Callable[[], None]) -> None:
        """Call this too when no space is left."""
        self._when_full.append(make_room)

    def open(self, path: Path, mode: str = "wb") -> IO[bytes]:
        """A binary file, emptied, for writing ("wb") or for both ("w+b")."""
        raw = _File(self, path, mode.replace("b", ""))
        return cast("IO[bytes]", io.BufferedRandom(raw) if "+" in mode else io.BufferedWriter(raw))

    def open_text(self, path: Path) -> IO[str]:
        """A UTF-8 text file, emptied, that is written through with each line."""
        return io.TextIOWrapper(cast(Any, self.open(path)), encoding="utf-8", line_buffering=True)

    def make_room(self) -> bool:
        """Give up what can be; False where that has happened already."""
        if self.is_full:
            return False
        self.is_full = True
        self._reserve.unlink(missing_ok=True)
        for make_room in self._when_full:
            make_room()
        return True

    def close(self) -> None:
        """Remove the reserve."""
        self._reserve.unlink(missing_ok=True)


class _File(io.FileIO):
    """A file that tries again once there is room."""

    def __init__(self, disk: Disk, path: Path, mode: str) -> None:
        super().__init__(path, mode)
        self._disk = disk

    def write(self, data: Any) -> int:
        try:
            return _write(self, data)
        except OSError as error:
            if error.errno not in _FULL or not self._disk.make_room():
                raise
            return _write(self, data)
