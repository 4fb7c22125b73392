"""What the nodes print during a run: into a file, and the last words of each kept at hand."""

import contextlib
import re
import sys
from pathlib import Path

_LINE = re.compile(r"\[(?P<node>\w+)\]\s+(?P<text>.*)")
_LAUNCHER = re.compile(r"(died of|ended with exit code) ")


class NodeLog:
    """A text stream for the launcher's output; lines are `[node_name]  text`.

    With `echo` they go to stderr as well.
    """

    def __init__(self, path: Path, *, echo: bool = False) -> None:
        self._stream = path.open("w", encoding="utf-8")
        self._echo = echo
        self._last: dict[str, str] = {}

    def write(self, text: str) -> int:
        """Take lines in; never fails for a file that is closed or a disk that is full, as nodes print to the end."""
        with contextlib.suppress(OSError):
            if not self._stream.closed:
                self._stream.write(text)
        if self._echo:
            with contextlib.suppress(OSError):
                sys.stderr.write(text)
        for line in text.splitlines():
            found = _LINE.match(line)
            if found and found["text"].strip() and not _LAUNCHER.match(found["text"]):
                self._last[found["node"]] = found["text"].strip()
        return len(text)

    def flush(self) -> None:
        """Write through."""
        with contextlib.suppress(OSError):
            if not self._stream.closed:
                self._stream.flush()

    def isatty(self) -> bool:
        """Never: no colours in the file."""
        return False

    def last_words(self, node: str) -> str:
        """The last line that a node printed; an empty string if it was silent."""
        return self._last.get(node, "")

    def close(self) -> None:
        """Close the file."""
        with contextlib.suppress(OSError):
            self._stream.close()
