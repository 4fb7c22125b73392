"""Node parameters out of frozen dataclasses: one source for names, types and defaults.

Each field is a parameter of its name; the fields of a nested dataclass are `field.subfield`.
"""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

Config = TypeVar("Config")


class ParameterError(ValueError):
    """A parameter that is unknown, of the wrong type, or out of its range."""


@dataclasses.dataclass(frozen=True)
class ParameterField:
    """One parameter: full name, type, default and a description."""

    name: str
    hint: Any
    default: Any
    help: str


def parameter_fields(config_type: type[Any], default: Any = None, prefix: str = "") -> list[ParameterField]:
    """The parameters of a dataclass, nested ones included; `default` is an instance to take defaults from."""
    found: list[ParameterField] = []
    hints = typing.get_type_hints(config_type)
    for field in dataclasses.fields(config_type):
        hint, name = hints[field.name], prefix + field.name
        value = getattr(default, field.name) if default is not None else _default_of(field)
        if dataclasses.is_dataclass(hint) and isinstance(hint, type):
            found += parameter_fields(hint, value, name + ".")
        else:
            help_text = field.metadata.get("help") or (config_type.__doc__ or "").split("\n")[0]
            found.append(ParameterField(name, hint, value, str(help_text)))
    return found


def build_config(config_type: type[Config], values: Mapping[str, Any], prefix: str = "") -> Config:
    """The dataclass from its parameters' values, every one given; ParameterError if it refuses them."""
    hints = typing.get_type_hints(config_type)
    arguments = {}
    for field in dataclasses.fields(config_type):  # type: ignore[arg-type]
        hint, name = hints[field.name], prefix + field.name
        nested = dataclasses.is_dataclass(hint) and isinstance(hint, type)
        arguments[field.name] = build_config(hint, values, name + ".") if nested else values[name]
    try:
        return config_type(**arguments)
    except ParameterError:
        raise
    except ValueError as error:
        raise ParameterError(f"{prefix.rstrip('.')}: {error}" if prefix else str(error)) from error


def coerce(name: str, value: Any, hint: Any) -> Any:
    """A parameter's value as the type of its field; ParameterError names both where they differ.

    Whole numbers pass for floats, and lists become tuples; nothing else is converted.
    """
    if typing.get_origin(hint) is tuple:
        items = value.tolist() if hasattr(value, "tolist") else value
        if not isinstance(items, (list, tuple)):
            raise ParameterError(f"parameter {name} is {value!r}; a list is needed")
        kinds = typing.get_args(hint)
        if kinds[-1] is Ellipsis:
            kinds = kinds[:1] * len(items)
        if len(items) != len(kinds):
            raise ParameterError(f"parameter {name} has {len(items)} values; {len(kinds)} are needed")
        return tuple(coerce(name, item, kind) for item, kind in zip(items, kinds, strict=True))
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if hint in (bool, int, float, str) and type(value) is not hint:
        raise ParameterError(f"parameter {name} is {value!r}; {_KINDS[hint]} is needed")
    return value


_KINDS = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}


def to_parameter(value: Any) -> Any:
    """A field's value as ROS parameters hold it: tuples as lists."""
    return list(value) if isinstance(value, tuple) else value


def check_known(given: Iterable[str], known: Iterable[str]) -> None:
    """ParameterError if a name that was given is none of the known ones."""
    known = sorted(known)
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise ParameterError(f"unknown parameter {', '.join(unknown)}; known are {', '.join(known)}")


def _default_of(field: dataclasses.Field[Any]) -> Any:
    if field.default is not dataclasses.MISSING:
        return field.default
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    raise TypeError(f"configuration field {field.name} needs a default to be a parameter")
