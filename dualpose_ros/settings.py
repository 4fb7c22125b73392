"""A setting is said once: a field of a frozen dataclass, with its text, unit, range and choices beside its default.

From that come range errors, the parameters of the nodes with their descriptors, and the files that list them.
"""

import dataclasses
import functools
import math
import numbers
import re
import textwrap
import types
import typing
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar

import yaml

T = TypeVar("T")
S = TypeVar("S", bound="Settings")

_WIDTH, _LONGEST = 120, 60
"""Of lines of YAML, and of a line that has its comment beside it, not above."""
_TIED = "\u00a0"
_KINDS = {bool: "true or false", int: "a whole number", float: "a finite number", str: "a text"}
_NUMBERS = {int: numbers.Integral, float: numbers.Real}


class SettingError(ValueError):
    """A setting that is unknown, of the wrong type, or out of its range: its `name`, and what is wrong with it."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name} {reason}")
        self.name, self.reason = name, reason


@dataclasses.dataclass(frozen=True)
class Setting:
    """What is said of a field: see `setting`."""

    text: str
    unit: str = ""
    least: float | None = None
    most: float | None = None
    above: float | None = None
    below: float | None = None
    step: int = 1
    choices: tuple[str, ...] = ()
    live: bool = False

    @property
    def low(self) -> float | None:
        """The lower bound, whether it is allowed itself or not."""
        return self.above if self.least is None else self.least

    @property
    def high(self) -> float | None:
        """The upper bound, whether it is allowed itself or not."""
        return self.below if self.most is None else self.most

    @property
    def range(self) -> str:
        """What is allowed: `0 to 10`, `> 0, <= 1`, `a or b`; empty where everything is."""
        if self.choices:
            return f"{', '.join(self.choices[:-1])} or {self.choices[-1]}"
        if self.least is not None and self.most is not None:
            words = f"{self.least:g} to {self.most:g}"
        else:
            bounds = {">": self.above, ">=": self.least, "<": self.below, "<=": self.most}
            words = ", ".join(f"{name} {bound:g}" for name, bound in bounds.items() if bound is not None)
        return words if self.step == 1 else f"{words} in steps of {self.step}"

    @property
    def limits(self) -> str:
        """Unit and range, as the lists of settings show them."""
        return ", ".join(part for part in (self.unit, self.range) if part)

    def problem(self, value: Any) -> str:
        """What is wrong with a value of the right type, or an empty string. Of a list, each item is looked at."""
        if isinstance(value, (list, tuple)):
            return next((problem for problem in map(self.problem, value) if problem), "")
        if self.choices and value not in self.choices:
            return f"is {value!r}; it must be {self.range}"
        if not isinstance(value, numbers.Real) or isinstance(value, bool):
            return ""
        number = float(value)
        fits = (
            (self.least is None or number >= self.least)
            and (self.most is None or number <= self.most)
            and (self.above is None or number > self.above)
            and (self.below is None or number < self.below)
            and (self.step == 1 or (number - (self.low or 0)) % self.step == 0)
        )
        unit = f" {self.unit}" if self.unit else ""
        return "" if fits else f"is {value}; it must be {self.range}{unit}"


def setting(
    default: T,
    text: str,
    *,
    unit: str = "",
    least: float | None = None,
    most: float | None = None,
    above: float | None = None,
    below: float | None = None,
    step: int = 1,
    choices: Iterable[str] = (),
    live: bool = False,
) -> T:
    """A field of `Settings`.

    default: its value; of a group of settings, an instance of their class. text: what it does, for somebody who knows
    ROS and the paper; unit: of a number that has one: s, m, px, frames. least, most: bounds that are allowed
    themselves; above, below: bounds that are not; step: whole numbers so far apart, counted from the lower bound;
    choices: the texts that are allowed; live: it may change while a node runs; of a group, all of it may.
    """
    said = Setting(text, unit, least, most, above, below, step, tuple(choices), live)
    return typing.cast(T, dataclasses.field(default=default, metadata={"setting": said}))


def share(default: float, text: str, *, live: bool = False) -> float:
    """A field of `Settings` that is a share, or a probability: 0 to 1."""
    return setting(default, text, least=0, most=1, live=live)


class Settings:
    """Base of frozen dataclasses of settings; SettingError on construction names the first that is not allowed.

    A class that checks more, such as two fields against each other, calls this `__post_init__` first.
    """

    def __post_init__(self) -> None:
        for item in own_settings(self):
            if problem := _type_problem(item.value, item.hint) or item.said.problem(item.value):
                raise SettingError(item.name, problem)


@dataclasses.dataclass(frozen=True)
class Item:
    """One setting: name (with its groups', `group.name`), value, type, and what is said of it."""

    name: str
    value: Any
    hint: Any
    said: Setting


@functools.cache
def _said(settings: type[Settings]) -> tuple[tuple[str, Any, Setting], ...]:
    hints = typing.get_type_hints(settings)
    fields = dataclasses.fields(settings)  # type: ignore[arg-type]
    return tuple((f.name, hints[f.name], f.metadata["setting"]) for f in fields if "setting" in f.metadata)


def own_settings(settings: Settings) -> Iterator[Item]:
    """The settings of an instance, groups as they are."""
    for name, hint, said in _said(type(settings)):  # type: ignore[arg-type]
        yield Item(name, getattr(settings, name), hint, said)


def all_settings(settings: Settings, prefix: str = "", group: str = "", live: bool = False) -> list[Item]:
    """The settings of an instance, those of its groups in place of them: `group.name`, with the group's text too."""
    found: list[Item] = []
    for item in own_settings(settings):
        name = prefix + item.name
        if isinstance(item.value, Settings):
            found += all_settings(item.value, name + ".", item.said.text + ": ", live or item.said.live)
        else:
            said = dataclasses.replace(item.said, text=group + item.said.text, live=live or item.said.live)
            found.append(dataclasses.replace(item, name=name, said=said))
    return found


def with_values(settings: S, values: Mapping[str, Any], prefix: str = "") -> S:
    """The settings with values by full name in place of their own.

    Whole numbers pass for floats, and lists become tuples; SettingError names what is not allowed in full.
    """
    changed: dict[str, Any] = {}
    for item in own_settings(settings):
        name = prefix + item.name
        if isinstance(item.value, Settings):
            changed[item.name] = with_values(item.value, values, name + ".")
        elif name in values:
            changed[item.name] = _converted(values[name], item.hint)
    try:
        return dataclasses.replace(settings, **changed)  # type: ignore[type-var]
    except SettingError as error:
        raise error if "." in error.name else SettingError(prefix + error.name, error.reason) from None
    except ValueError as error:
        raise SettingError(f"{prefix.rstrip('.')}:", str(error)) if prefix else error from None


def _converted(value: Any, hint: Any) -> Any:
    if typing.get_origin(hint) is tuple and hasattr(value, "__iter__") and not isinstance(value, str):
        kinds = typing.get_args(hint)
        return tuple(_converted(item, kinds[0]) for item in value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    return value


def _type_problem(value: Any, hint: Any) -> str:
    """What is wrong with the type of a value, or an empty string."""
    if isinstance(hint, types.UnionType):
        if value is None:
            return ""
        hint = next(kind for kind in typing.get_args(hint) if kind is not type(None))
    if typing.get_origin(hint) is tuple:
        kinds = typing.get_args(hint)
        if not isinstance(value, tuple):
            return f"is {value!r}; a list is needed"
        if kinds[-1] is not Ellipsis and len(value) != len(kinds):
            return f"has {len(value)} values; {len(kinds)} are needed"
        return next((problem for item in value if (problem := _type_problem(item, kinds[0]))), "")
    if hint not in _KINDS:
        return ""
    fits = isinstance(value, _NUMBERS.get(hint, hint)) and (hint is bool or not isinstance(value, bool))
    fits = fits and (hint is not float or math.isfinite(value))
    return "" if fits else f"is {value!r}; {_KINDS[hint]} is needed"


def yaml_lines(*groups: Settings, indent: int = 0) -> list[str]:
    """Settings as YAML, each with its text, unit and range as a comment."""
    return _commented([entry for group in groups for entry in _entries(type(group), _values(group))], indent)


def annotated_yaml(kind: type[Settings], values: Mapping[str, Any], indent: int = 0) -> list[str]:
    """Some settings of a class, and their groups', as YAML with comments; SettingError names one that is unknown."""
    return _commented(list(_entries(kind, values)), indent)


def _values(settings: Settings) -> dict[str, Any]:
    values = {item.name: item.value for item in own_settings(settings)}
    return {name: _values(value) if isinstance(value, Settings) else value for name, value in values.items()}


def _entries(kind: type[Settings], values: Mapping[str, Any], depth: int = 0) -> Iterator[tuple[str, str]]:
    """Lines and their comments; a group's before those of its settings."""
    known = {name: (hint, said) for name, hint, said in _said(kind)}  # type: ignore[arg-type]
    for name, value in values.items():
        if name not in known:
            raise SettingError(name, f"is unknown; there are {', '.join(known)}")
        hint, said = known[name]
        comment = f"{said.text} [{said.limits.replace(' ', _TIED)}]" if said.limits else said.text
        start = "  " * depth + name + ":"
        group = next((one for one in (hint, *typing.get_args(hint)) if _is_group(one)), None)
        if group is None or not isinstance(value, Mapping):
            yield f"{start} {yaml_value(value)}", comment
        else:
            yield start, comment
            yield from _entries(group, value, depth + 1)


def _is_group(hint: Any) -> bool:
    return isinstance(hint, type) and issubclass(hint, Settings)


def _commented(lines: list[tuple[str, str]], indent: int) -> list[str]:
    """Lines with their comments beside them, or above them where they are long."""
    column = 2 + max(len(line) for line, _ in lines if len(line) <= _LONGEST)
    pad = " " * indent
    result = []
    for line, comment in lines:
        start = line.ljust(column) if len(line) <= _LONGEST else " " * (len(line) - len(line.lstrip()))
        width = _WIDTH - indent - len(start) - 4
        wrapped = [part.replace(_TIED, " ") for part in textwrap.wrap(comment, width, break_long_words=False)]
        result.append(f"{pad}{start}# {wrapped[0]}")
        result += [f"{pad}{' ' * len(start)}#   {more}" for more in wrapped[1:]]
        result += [pad + line] if len(line) > _LONGEST else []
    return result


def yaml_value(value: Any) -> str:
    """A value as YAML, on one line."""
    plain = list(value) if isinstance(value, tuple) else value
    return yaml.safe_dump(plain, default_flow_style=True, width=10**6).removesuffix("...\n").strip()


class YamlLoader(yaml.SafeLoader):
    """Plain YAML, with `1e-3` a number as for ROS 2, and none of two entries of one name lost without a word."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        """A mapping whose keys differ."""
        node = super().compose_mapping_node(anchor)
        seen: set[tuple[str, str]] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                if (key.tag, key.value) in seen:
                    raise yaml.composer.ComposerError(None, None, f"'{key.value}' is there twice", key.start_mark)
                seen.add((key.tag, key.value))
        return node


# NumPy and JSON write no point where there is an exponent.
YamlLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"), list("-+.0123456789")
)


def read_yaml(text: str) -> Any:
    """The content of a text of one document; yaml.YAMLError says where it is none, or holds an entry twice."""
    return yaml.load(text, Loader=YamlLoader)
