"""Arguments of the launch files: a wrong one ends the launch before anything is started."""

import sys

import pytest

from support.data import ROOT
from support.launch_files import LAUNCH_FILES, actions_of, arguments_of, describe


@pytest.mark.parametrize(
    "wrong", ["use_sim_time:=maybe", "rviz:=2", "log_level:=loud", "hfov_deg:=wide", "params_file:=nothing.yaml",
              "params_file:=LICENSE", "hfov_deg:=60 calibration:=a.yaml", "source:=0"],
)  # fmt: skip
def test_a_wrong_argument_stops_the_launch_before_anything_starts(launch_stub: None, wrong: str) -> None:
    """launch forgets nodes that are on their way when an error meets it, and they run on."""
    description = describe("demo.launch.py")
    given = dict(word.split(":=") for word in wrong.split())
    with pytest.raises(RuntimeError, match=next(iter(given))):
        actions_of(description, arguments_of(description) | given)


@pytest.mark.parametrize("name", [path.name for path in LAUNCH_FILES])
@pytest.mark.parametrize("by_path", [False, True])
def test_an_argument_that_a_launch_file_does_not_have_ends_it(
    launch_stub: None, monkeypatch: pytest.MonkeyPatch, name: str, by_path: bool
) -> None:
    """launch itself sets a configuration that nobody reads, and says nothing."""
    file = ["launch/../launch/" + name] if by_path else ["dualpose_ros", name]
    monkeypatch.chdir(ROOT)
    description = describe(name)
    context = arguments_of(description)
    for wrong, told in {"grond_frame:=map": "ground_frame", "qqq:=": "params_file"}.items():
        argv = ("log_level:=warn", "launch-prefix:=nice", wrong)
        monkeypatch.setattr(sys, "argv", ["/opt/ros2", "launch", *file, *argv])
        with pytest.raises(RuntimeError, match=rf"{wrong.partition(':')[0]}:= is no argument of {name}.*{told}"):
            actions_of(description, context, argv)
    assert actions_of(description, context, argv[:2])


@pytest.mark.parametrize("name", [path.name for path in LAUNCH_FILES])
def test_arguments_of_a_launch_file_that_includes_ours_are_its_own(
    launch_stub: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    """Its name may be that of ours; what is all but a name of ours is said. Ours in turn may be of one launch file."""
    words = ("robot:=rover", "use_rviz:=false", "grond_frame:=map")
    monkeypatch.setattr(sys, "argv", ["/opt/ros2", "launch", "robot", name, *words])
    description = describe(name)
    others = {key: value for path in LAUNCH_FILES for key, value in arguments_of(describe(path.name)).items()}
    parents = dict(word.split(":=") for word in words)
    assert actions_of(description, others | parents | arguments_of(description), words)
    assert [record.getMessage() for record in caplog.records] == [
        f"{name} has ground_frame and takes no notice of grond_frame"
    ]
