"""Files with spoilt bytes, or with fields of other kinds, to a reader: errors of the package alone, one line each."""

import contextlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

COUNT = int(os.environ.get("DUALPOSE_FUZZ", "25"))

Spoils = list[tuple[str, float, bytes]]

HOW = ("set", "cut", "double", "insert", "field", "field")
ODD: tuple[Any, ...] = (
    None,
    -1,
    0,
    1e308,
    float("nan"),
    2**70,
    True,
    "",
    "x" * 3000,
    "-1",
    "\0",
    [],
    [[1]],
    {},
    {"a": 1},
)

SPOILS = st.lists(
    st.tuples(st.sampled_from(HOW), st.floats(0, 1), st.binary(min_size=1, max_size=6)), min_size=1, max_size=4
)


@dataclass(frozen=True)
class Reader:
    """What writes a good file, and what reads it; `reads_good` False: the good file already lacks something."""

    file: str
    write: Callable[[Path], object]
    read: Callable[[Path], object]
    reads_good: bool = True


def spoilt(data: bytes, spoils: Spoils) -> bytes:
    """Bytes set, cut off, doubled or put in between; of JSON a field replaced by something odd."""
    for how, where, what in spoils:
        at = int(where * len(data))
        if how == "set":
            data = data[:at] + what + data[at + len(what) :]
        elif how == "cut":
            data = data[:at]
        elif how == "double":
            data = data[:at] + data[at : at + 40] * 2 + data[at + 40 :]
        elif how == "insert":
            data = data[:at] + what + data[at:]
        elif data[:1] in b"[{":
            with contextlib.suppress(ValueError, RecursionError):
                data = _odd_field(data, where, what[0])
    return data


def _odd_field(data: bytes, where: float, pick: int) -> bytes:
    """JSON, or its first line, with one of its values replaced."""
    line, end, rest = data.partition(b"\n")
    try:
        content = json.loads(data)
        end = rest = b""
    except ValueError:
        content = json.loads(line)
    places: list[tuple[Any, Any]] = []

    def collect(value: Any) -> None:
        for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
            places.append((value, key))
            collect(value[key])

    collect(content)
    if places:
        holder, key = places[min(int(where * len(places)), len(places) - 1)]
        holder[key] = ODD[pick % len(ODD)]
    return json.dumps(content).encode() + end + rest


def strange(reader: Reader, path: Path, data: bytes) -> str:
    """What a reader raises that is none of the package's errors, or more than a line; '' where all is well."""
    path.write_bytes(data)
    try:
        reader.read(path)
    except Exception as error:
        if not type(error).__module__.startswith("dualpose_ros."):
            return f"{type(error).__name__}: {error}"
        return "" if str(error) and "\n" not in str(error) else f"not one line: {error}"
    return ""


def check(reader: Reader, folder: Path, *seeds: Spoils) -> None:
    """Read so many spoilt files, and those of `seeds`, which failed once."""
    path = folder / reader.file
    path.parent.mkdir(exist_ok=True, parents=True)
    reader.write(path)
    good = path.read_bytes()
    if reader.reads_good:
        reader.read(path)

    def run(spoils: Spoils) -> None:
        assert not strange(reader, path, spoilt(good, spoils))

    for spoils in seeds:
        run = example(spoils)(run)
    options = settings(max_examples=COUNT, deadline=None, database=None, derandomize=True,
                       phases=[Phase.explicit, Phase.generate], suppress_health_check=list(HealthCheck))  # fmt: skip
    options(given(SPOILS)(run))()
