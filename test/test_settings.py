"""Settings: what is said of a field is what is checked, listed and told."""

from dataclasses import dataclass

import pytest
import yaml

from dualpose_ros.settings import (
    Setting,
    SettingError,
    Settings,
    all_settings,
    read_yaml,
    setting,
    with_values,
    yaml_lines,
)


@dataclass(frozen=True)
class Inner(Settings):
    """Inner settings."""

    gain: float = setting(0.5, "how much", unit="dB", least=0, below=1)
    steps: int = setting(3, "how often", least=1, most=9, step=2)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.gain * self.steps > 8:
            raise ValueError("gain and steps are too much together")


@dataclass(frozen=True)
class Outer(Settings):
    """Outer settings."""

    name: str = setting("x", "what it is called", choices=("x", "y"))
    flag: bool = setting(False, "whether at all")
    weights: tuple[float, ...] = setting((1.0, 2.0), "one after the other", above=0)
    size: tuple[int, int] = setting((3, 4), "width and height")
    limit: float | None = setting(None, "none, or so much", least=0)
    inner: Inner = setting(Inner(gain=0.9), "what lies within")


def test_groups_are_flattened_with_the_values_that_they_have() -> None:
    found = {item.name: item for item in all_settings(Outer())}
    assert list(found) == ["name", "flag", "weights", "size", "limit", "inner.gain", "inner.steps"]
    assert found["inner.gain"].value == 0.9
    assert found["inner.steps"].said.text == "what lies within: how often"


def test_values_take_the_place_of_defaults() -> None:
    assert with_values(Outer(), {item.name: item.value for item in all_settings(Outer())}) == Outer()
    assert with_values(Outer(), {"inner.steps": 5}).inner == Inner(0.9, 5)
    changed = with_values(Outer(), {"weights": [1, 2], "size": [1, 2], "inner.gain": 0, "limit": 2})
    assert changed.weights == (1.0, 2.0) and changed.size == (1, 2)
    assert isinstance(changed.weights[0], float) and isinstance(changed.inner.gain, float)


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [("inner.gain", -0.1, "inner.gain is -0.1; it must be >= 0, < 1 dB"), ("inner.gain", 1.0, "< 1"),
     ("inner.gain", float("nan"), "a finite number"), ("inner.gain", float("inf"), "a finite number"),
     ("inner.gain", "much", "inner.gain is 'much'"), ("inner.gain", True, "a finite number"),
     ("inner.gain", None, "a finite number"),
     ("inner.steps", 2, "in steps of 2"), ("inner.steps", 11, "1 to 9"), ("inner.steps", 3.5, "a whole number"),
     ("inner.steps", "3", "a whole number"), ("inner.steps", True, "a whole number"),
     ("name", "z", "name is 'z'; it must be x or y"), ("name", 5, "a text"), ("flag", 1, "true or false"),
     ("weights", [1, -1], "weights is -1.0; it must be > 0"), ("weights", 3.0, "a list"), ("weights", "ab", "a list"),
     ("weights", ["a"], "a finite number"), ("size", [1, 2, 3], "size has 3 values; 2"), ("limit", -1.0, "limit is")],
)  # fmt: skip
def test_what_is_not_allowed_is_named_in_full(name: str, value: object, says: str) -> None:
    with pytest.raises(SettingError) as caught:
        with_values(Outer(), {name: value})
    assert says in str(caught.value) and str(caught.value).startswith(name)


def test_what_does_not_go_together_names_the_group() -> None:
    with pytest.raises(SettingError, match="inner: gain and steps are too much together"):
        with_values(Outer(), {"inner.steps": 9})


@pytest.mark.parametrize(
    ("said", "words"),
    [(Setting("", least=0, most=10), "0 to 10"), (Setting("", above=0), "> 0"), (Setting(""), ""),
     (Setting("", above=0, most=1), "> 0, <= 1"), (Setting("", choices=("a", "b", "c")), "a, b or c"),
     (Setting("", least=32, most=96, step=32), "32 to 96 in steps of 32")],
)  # fmt: skip
def test_ranges_in_words(said: Setting, words: str) -> None:
    assert said.range == words


def test_yaml_that_holds_an_entry_twice_is_refused() -> None:
    assert read_yaml("base: &b {a: 1e-3, c: 2}\nown: {<<: *b, a: 2}\n'1': x\n1: y\n") == {
        "base": {"a": 0.001, "c": 2}, "own": {"a": 2, "c": 2}, "1": "x", 1: "y"
    }  # fmt: skip
    for text in ("a: 1\nb: 2\na: 3", "a: {b: 1, 'b': 2}", "- {a: 1, a: 1}"):
        with pytest.raises(yaml.YAMLError, match="is there twice"):
            read_yaml(text)


def test_yaml_holds_values_and_what_is_said_of_them() -> None:
    lines = yaml_lines(Outer(), indent=2)
    content = yaml.safe_load("\n".join(lines))
    assert content["inner"] == {"gain": 0.9, "steps": 3}
    assert content["name"] == "x" and content["weights"] == [1.0, 2.0] and content["limit"] is None
    assert any(line.startswith("    gain: 0.9") and line.endswith("# how much [dB, >= 0, < 1]") for line in lines)
