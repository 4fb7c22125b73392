"""The ROS command line and parameter files: `--ros-args -r a:=b -p x:=y --params-file f.yaml --log-level info`."""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from typing import Any

from dualpose_ros.standalone.errors import StandaloneError, require

LOG_LEVELS = {"debug": 10, "info": 20, "warn": 30, "warning": 30, "error": 40, "fatal": 50}


@dataclass(frozen=True)
class Remap:
    """One `[node:][rostopic://]from:=to` rule; node is None where the rule holds for all nodes.

    `scheme` is "rostopic" or "rosservice" where the rule says that it holds for topics or services alone.
    """

    node: str | None
    source: str
    target: str
    scheme: str = ""


@dataclass(frozen=True)
class Override:
    """One parameter value given from outside: for the nodes that match, and where it was written."""

    node_pattern: str
    name: str
    value: Any
    origin: str

    def matches(self, qualified_name: str) -> bool:
        """Whether it is meant for the node of this fully qualified name."""
        return _pattern(self.node_pattern).fullmatch(qualified_name) is not None

    @property
    def is_for_all(self) -> bool:
        """Whether it stands under `/**`, so that a node which lacks the parameter may pass it over."""
        return self.node_pattern == "/**"


@dataclass(frozen=True)
class RosArguments:
    """What stood after `--ros-args`; `others` is the rest of the command line."""

    remaps: tuple[Remap, ...] = ()
    overrides: tuple[Override, ...] = ()
    log_levels: tuple[tuple[str | None, int], ...] = ()
    others: tuple[str, ...] = ()

    def named(self, special: str, node: str) -> str | None:
        """The target of a `__node` or `__ns` rule for a node of this name, or None."""
        for rule in self.remaps:
            if rule.source == special and rule.node in (None, node):
                return rule.target
        return None


def parse(arguments: Sequence[str]) -> RosArguments:
    """Split a command line into ROS arguments and the rest.

    Errors: StandaloneError names the argument that is wrong.
    """
    remaps: list[Remap] = []
    overrides: list[Override] = []
    levels: list[tuple[str | None, int]] = []
    others: list[str] = []
    rest = iter(arguments)
    inside = False
    for argument in rest:
        if argument == "--ros-args":
            inside = True
        elif not inside:
            others.append(argument)
        elif argument == "--":
            inside = False
        elif argument in ("-r", "--remap"):
            remaps.append(_remap(_value(rest, argument)))
        elif argument in ("-p", "--param"):
            overrides.append(_parameter(_value(rest, argument)))
        elif argument == "--params-file":
            overrides += read_parameter_file(Path(_value(rest, argument)))
        elif argument == "--log-level":
            levels.append(_log_level(_value(rest, argument)))
        elif not re.fullmatch(r"--(enable|disable)-(rosout|stdout|external-lib)-logs", argument):
            raise StandaloneError(f"unknown ROS argument {argument!r} (known: -r, -p, --params-file, --log-level)")
    return RosArguments(tuple(remaps), tuple(overrides), tuple(levels), tuple(others))


def _value(rest: Iterator[str], argument: str) -> str:
    value = next(rest, None)
    if value is None:
        raise StandaloneError(f"ROS argument {argument!r} lacks its value")
    return value


# As rcl reads them: an optional node name, then for remapping an optional scheme; names may hold {node} and the like.
_REMAP = re.compile(
    r"(?:(?P<node>[A-Za-z_]\w*):(?!//))?(?:(?P<scheme>rostopic|rosservice)://)?(?P<source>[\w~/{}]+):=(?P<target>.+)"
)
_PARAMETER = re.compile(r"(?:(?P<node>[A-Za-z_]\w*):)?(?P<name>[^:]+):=(?P<value>.*)", re.DOTALL)


def _remap(text: str) -> Remap:
    found = _REMAP.fullmatch(text)
    if found is None:
        raise StandaloneError(f"remap rule {text!r} is not of the form [node:][rostopic://]name:=name")
    source = {"__name": "__node"}.get(found["source"], found["source"])
    return Remap(found["node"], source, found["target"], found["scheme"] or "")


def _parameter(text: str) -> Override:
    found = _PARAMETER.fullmatch(text)
    if found is None:
        raise StandaloneError(f"parameter {text!r} is not of the form [node:]name:=value")
    node, name, value = found["node"], found["name"], found["value"]
    return Override(f"/**/{node}" if node else "**", name, parse_value(value, text), "the command line")


def _log_level(text: str) -> tuple[str | None, int]:
    name, _, level = text.rpartition(":=")
    if level.lower() not in LOG_LEVELS:
        raise StandaloneError(f"log level {text!r} is not one of {', '.join(LOG_LEVELS)}")
    return name or None, LOG_LEVELS[level.lower()]


def value_text(value: Any) -> str:
    """A parameter value as YAML text, which keeps the difference between the text "1" and the number 1."""

    def whole(pair: re.Match[str]) -> str:
        high, low = (int(half, 16) for half in pair.groups())
        return f"\\U{0x10000 + ((high - 0xD800) << 10) + low - 0xDC00:08x}"

    # JSON is YAML but for characters beyond 16 bits, which it has as two.
    return re.sub(r"\\u(d[89ab]..)\\u(d[c-f]..)", whole, json.dumps(value))


def parse_value(text: str, where: str) -> Any:
    """A parameter value from YAML text. StandaloneError where it is not valid YAML or is a mapping."""
    yaml = require("yaml")
    from dualpose_ros.settings import read_yaml

    try:
        value = read_yaml(text)
    except yaml.YAMLError as error:
        raise StandaloneError(f"parameter {where!r}: the value is not valid YAML") from error
    if isinstance(value, dict):
        raise StandaloneError(f"parameter {where!r}: a mapping is not a parameter value")
    return value


def read_parameter_file(path: Path) -> list[Override]:
    """The values in a ROS parameter file: `/**` or node names, `ros__parameters`, nested names joined by points.

    Errors: StandaloneError names the file and what in it is wrong.
    """
    try:
        status = path.stat()
        return list(_overrides(path, status.st_mtime_ns, status.st_size))
    except OSError as error:
        raise StandaloneError(f"parameter file {path} cannot be read: {error.strerror}") from error


@lru_cache(maxsize=4)
def _overrides(path: Path, changed_ns: int, size: int) -> tuple[Override, ...]:
    """The values of a file as it was at a time: a run asks for those of the same file a dozen times."""
    yaml = require("yaml")
    from dualpose_ros.settings import read_yaml

    try:
        tree = read_yaml(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise StandaloneError(f"parameter file {path} is not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(tree, dict):
        raise StandaloneError(f"parameter file {path} must map node names to `ros__parameters`")
    return tuple(item for name, section in tree.items() for item in _section("", str(name), section, path))


def in_force(overrides: Iterable[Override], node: str) -> dict[str, Override]:
    """By parameter, the value that holds for the node of a fully qualified name.

    As in ROS 2 (measured under Jazzy), that of the section which begins later, be it `/**`, and of a section its last
    line. The command line's come last; there a node's own section goes over a `-p` that names no node.
    """
    meant = [item for item in overrides if item.matches(node)]
    begins: dict[str, int] = {}
    for item in meant:
        begins.setdefault(item.node_pattern, len(begins))
    return {i.name: i for i in sorted(meant, key=lambda i: (i.node_pattern == "**", begins[i.node_pattern]))}


def parameter_of(path: Path, node: str, name: str, default: Any) -> Any:
    """What a parameter file says of a node's parameter, `default` where it says nothing; StandaloneError as above."""
    said = in_force(read_parameter_file(path), f"/{node}").get(name)
    return default if said is None else said.value


def misspelt_sections(overrides: Iterable[Override], nodes: Sequence[str]) -> dict[str, str]:
    """Of sections that are none of these nodes' and whose names are nearly one's: which node each may mean."""
    found: dict[str, str] = {}
    for item in overrides:
        name = item.node_pattern.rpartition("/")[2]
        if "*" not in name and name not in nodes:
            near = [f"{name}_node"] if f"{name}_node" in nodes else get_close_matches(name, nodes, n=1, cutoff=0.8)
            found.update((item.node_pattern, node) for node in near)
    return found


def misspelt_parameters(overrides: Iterable[Override], names: Sequence[str]) -> dict[str, str]:
    """Of what stands under `/**`, where nodes pass over what they lack, and is none of these: which each may mean."""
    shared = [item.name for item in overrides if item.is_for_all and item.name not in names]
    return {name: near for name in shared for near in get_close_matches(name, names, n=1, cutoff=0.8)}


def _section(prefix: str, name: str, section: Any, path: Path) -> Iterator[Override]:
    """A node's values, or those of the nodes inside a namespace."""
    pattern = f"{prefix}/{name.lstrip('/')}"
    if not isinstance(section, dict):
        raise StandaloneError(f"parameter file {path}: section {name!r} must hold `ros__parameters`")
    for key, value in section.items():
        if key != "ros__parameters":
            yield from _section(pattern, str(key), value, path)
        elif value is not None and not isinstance(value, dict):
            raise StandaloneError(f"parameter file {path}: `ros__parameters` of {name!r} must map names to values")
        else:
            given: set[str] = set()
            for parameter, item in _flatten("", value or {}):
                if item is None or parameter in given:
                    how = "no value for" if item is None else "two values for"
                    raise StandaloneError(f"parameter file {path}: {name!r} gives {how} {parameter!r}")
                given.add(parameter)
                yield Override(pattern, parameter, item, str(path))


def _flatten(prefix: str, tree: dict[Any, Any]) -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from _flatten(f"{prefix}{key}.", value)
        else:
            yield f"{prefix}{key}", value


def _pattern(node_pattern: str) -> re.Pattern[str]:
    """`*` stands for one part of a name, `**` for any number of them."""
    parts = node_pattern.strip("/").split("/")
    wild = {"**": "(/[^/]+)*", "*": "/[^/]+"}
    return re.compile("".join(wild.get(part) or re.escape(f"/{part}") for part in parts))


def expand_topic(name: str, namespace: str, node: str) -> str:
    """The absolute name of a topic: `x` is under the namespace, `~/x` under the node; {node}, {ns}, {namespace} stand
    for theirs.

    Errors: StandaloneError for a name that ROS 2 would refuse.
    """
    root = namespace.rstrip("/")
    written = name
    for word, meaning in (("{node}", node), ("{ns}", root), ("{namespace}", root)):
        name = name.replace(word, meaning)
    if name.startswith("~"):
        full = f"{root}/{node}/{name[1:].lstrip('/')}".rstrip("/")
    else:
        full = name if name.startswith("/") else f"{root}/{name}"
    if not re.fullmatch(r"(/[A-Za-z_][A-Za-z0-9_]*)+", full) or "__" in full:
        raise StandaloneError(f"topic name {written!r} is not valid in ROS 2")
    return full


def remap_topic(name: str, namespace: str, node: str, remaps: Sequence[Remap]) -> str:
    """The absolute name of a topic after the remap rules; the first rule that matches holds."""
    full = expand_topic(name, namespace, node)
    for rule in remaps:
        if rule.source.startswith("__") or rule.scheme == "rosservice" or rule.node not in (None, node):
            continue
        if expand_topic(rule.source, namespace, node) == full:
            return expand_topic(rule.target, namespace, node)
    return full
