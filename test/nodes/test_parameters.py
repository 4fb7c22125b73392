"""Settings as ROS parameters: descriptors, and what is said of values that nodes don't take."""

import math
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dualpose_ros.nodes import parameters
from dualpose_ros.nodes.bottom_up_node import BottomUpNode, BottomUpNodeConfig
from dualpose_ros.nodes.top_down_node import TopDownNodeConfig
from dualpose_ros.runs.parameter_lists import NODES
from dualpose_ros.settings import Item, SettingError, all_settings, with_values

ITEMS = [(node, item) for node, groups in NODES.items() for group in groups for item in all_settings(group)]
UNITS = {
    "s": "s",
    "m": "m",
    "px": "px",
    "hz": "Hz",
    "deg": "degrees",
    "rad": "rad",
    "cells": "cells",
    "fps": "frames/s",
}


@pytest.mark.parametrize("node", NODES)
def test_every_parameter_has_a_text_of_its_own(node: str) -> None:
    told = {item.name: parameters.descriptor(item).description for owner, item in ITEMS if owner == node}
    assert all(told.values()) and len(set(told.values())) == len(told)


@pytest.mark.parametrize(("node", "item"), ITEMS, ids=[f"{node}.{item.name}" for node, item in ITEMS])
def test_every_number_has_a_unit_and_a_bound_that_holds(node: str, item: Item) -> None:
    said = item.said
    unit = UNITS.get(item.name.rpartition("_")[2])
    if item.name.endswith("_m_s"):
        unit = "m/s"
    if item.name.endswith("per_s"):
        unit = "1/s"
    if unit is not None:
        assert said.unit == unit
    if said.choices:
        beyond: list[Any] = ["no such choice"]
    elif isinstance(item.value, (bool, str)) or item.value == ("person",):
        return
    else:
        assert said.low is not None or said.high is not None
        kind = int if isinstance(item.value, int) else float
        near = 1 if kind is int else 1e-3
        beyond = [kind(said.least - near)] if said.least is not None else []
        beyond += [kind(said.most + near)] if said.most is not None else []
        beyond += [kind(bound) for bound in (said.above, said.below) if bound is not None]
        beyond += [math.nan] if kind is float else []
        if isinstance(item.value, tuple):
            beyond = [[value] * len(item.value) for value in beyond]
    group = next(group for group in NODES[node] if item.name in {one.name for one in all_settings(group)})
    for value in beyond:
        with pytest.raises(SettingError, match=item.name.replace(".", r"\.")):
            with_values(group, {item.name: value})


@pytest.mark.parametrize(("node", "item"), ITEMS, ids=[f"{node}.{item.name}" for node, item in ITEMS])
def test_descriptors_hold_the_range(node: str, item: Item) -> None:
    told, said = parameters.descriptor(item), item.said
    assert told.name == item.name and told.read_only is not said.live
    ranges = [*told.floating_point_range, *told.integer_range]
    is_number = isinstance(item.value, (int, float)) and not isinstance(item.value, bool)
    assert len(ranges) == (is_number and said.low is not None and said.high is not None)
    for one in ranges:
        assert (one.from_value, one.to_value) == (said.low, said.high)
        assert one.from_value <= item.value <= one.to_value


def test_old_names_are_told_the_new_one() -> None:
    known = {node: {item.name for owner, item in ITEMS if owner == node} for node in NODES}
    for old, news in parameters.RENAMED.items():
        for new in news:
            holders = [node for node, names in known.items() if new in names]
            assert holders, f"no node has {new}, which {old} became"
            told = [node for node in holders if old not in known[node]]
            for node in told:
                with pytest.raises(SettingError, match=f"'{old}' .in here.: it is now called ") as caught:
                    parameters.check_given({old: "here"}, known[node])
                assert str(caught.value).rpartition(" ")[2] in news


def test_what_nobody_knows_is_named() -> None:
    parameters.check_given({}, ["a"])
    with pytest.raises(SettingError, match=r"unknown: 'max_wai' \(in f.yaml\): did you mean max_wait_s\?; 'zzz'$"):
        parameters.check_given({"max_wai": "f.yaml", "zzz": ""}, ["max_wait_s", "sync_queue_size"])
    with pytest.raises(SettingError, match="'image_reliability': the node takes no images"):
        parameters.check_given({"image_reliability": ""}, ["max_wait_s"])


SHARED = """\
/**:
  ros__parameters: {robot_name: spot, max_wait_s: 0.3}
fusion_node:
  ros__parameters: {max_wai: 1.0, qos_overrides: {/a: {publisher: {depth: 3, deep: 3}}}}
/other/fusion_node:
  ros__parameters: {of_another: 1}
"""


def test_only_what_is_meant_for_a_node_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a file that several packages share, and of what a launch file gives to all of its nodes, the rest passes."""
    file = tmp_path / "shared.yaml"
    file.write_text(SHARED)
    node = SimpleNamespace(get_fully_qualified_name=lambda: "/fusion_node", context=SimpleNamespace())
    given = ["--params-file", str(file), "-p", "fleet:=7", "-p", "give_up:=3", "-p", "other_node:fleet:=7"]
    monkeypatch.setattr(sys, "argv", ["fusion_node", "--ros-args", *given])
    known = ["max_wait_s", "give_up_after_frames"]
    unknown = parameters._unknown(node, known)
    assert set(unknown) == {"max_wai", "qos_overrides./a.publisher.deep", "give_up"}
    with pytest.raises(SettingError, match=r"max_wait_s.*qos_overrides\./a\.publisher\.deep.*now called give_up_after"):
        parameters.check_given(unknown, known)
    file.write_text("/**:\n  ros__parameters: {robot_name: spot}\n")
    monkeypatch.setattr(sys, "argv", ["fusion_node", "--ros-args", *given[:4]])
    assert parameters._unknown(node, known) == {}


@pytest.mark.parametrize("value", [(), None])
def test_a_list_of_nobody_is_refused(value: Any) -> None:
    """`person_classes:=[]` is an empty list here, and no value at all where ROS 2 reads it."""
    with pytest.raises(SettingError, match="person_classes"):
        with_values(TopDownNodeConfig(), {"person_classes": value})


def test_a_busy_machine_is_not_told_of_every_frame_without_heatmaps() -> None:
    said: list[str] = []
    pauses: list[float] = []

    def say(text: str, throttle_duration_sec: float) -> None:
        said.append(text)
        pauses.append(throttle_duration_sec)

    logger = SimpleNamespace(info=say, warning=say)
    node: Any = SimpleNamespace(config=BottomUpNodeConfig(), _without=0, get_logger=lambda: logger)

    def frames(guided: str) -> None:
        for letter in guided:
            BottomUpNode._tell_of_guidance(node, letter == "g", "no heatmaps")

    frames("gu" * 20 + "uu")
    assert len(said) == 1 and "3 frames in a row" in said[0]
    frames("uuuugugg")
    assert said[1:] == ["heatmaps come again"]
    assert min(pauses) >= 30.0
