"""The package's own files agree with each other: versions, parameters, executables, launch arguments."""

import ast
import importlib
import json
import os
import re
import runpy
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from dualpose_ros import paths
from dualpose_ros.runs.parameter_lists import NODES, as_markdown, as_yaml
from dualpose_ros.settings import all_settings, with_values
from dualpose_ros.weights import BASELINES, list_weights

tomllib = importlib.import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")

ROOT = Path(__file__).resolve().parents[1]


def flat(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in tree.items():
        found |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return found


@pytest.mark.parametrize(("name", "write"), [("config/pipeline.yaml", as_yaml), ("docs/parameters.md", as_markdown)])
def test_files_that_list_the_settings_are_up_to_date(name: str, write: Callable[[], str]) -> None:
    assert (ROOT / name).read_text(encoding="utf-8") == write(), "run `make parameters`"


@pytest.mark.parametrize("node", NODES)
def test_a_parameter_file_holds_every_parameter_at_its_default(node: str) -> None:
    given = flat(yaml.safe_load(as_yaml([node]))[node]["ros__parameters"])
    names = [item.name for group in NODES[node] for item in all_settings(group)]
    assert list(given) == names and len(set(names)) == len(names)
    for group in NODES[node]:
        assert with_values(group, given) == group


def test_versions_and_license_agree() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    package = ET.parse(ROOT / "package.xml").getroot()
    assert package.findtext("name") == project["name"] == paths.PACKAGE
    assert package.findtext("version") == project["version"]
    assert package.findtext("license") == project["license"] == "Apache-2.0"
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert "Apache License" in text and "END OF TERMS AND CONDITIONS" in text


def test_base_install_is_light_and_works_on_arm() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = {re.split(r"[<>=; ]", line)[0] for line in project["dependencies"]}
    assert not names & {"torch", "torchvision", "tensorrt", "numba"}
    requirements = importlib.import_module("packaging.requirements")
    only_x86 = [line for line in project["dependencies"] if line.startswith(("cyclonedds", "openvino"))]
    assert len(only_x86) == 2
    for line in only_x86:
        marker = requirements.Requirement(line).marker
        assert marker.evaluate({"sys_platform": "linux", "platform_machine": "x86_64"})
        assert not marker.evaluate({"sys_platform": "linux", "platform_machine": "aarch64"})
    assert not any("torchvision" in line for line in project["optional-dependencies"]["test"])
    assert not any("torchvision" in line for line in project["optional-dependencies"]["train"])


def test_the_types_are_announced_in_a_wheel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    distribution = importlib.import_module("setuptools").Distribution({"script_name": "setup.py"})
    distribution.parse_config_files()
    build = distribution.get_command_obj("build_py")
    build.ensure_finalized()
    assert "py.typed" in {
        file for package, *_, files in build.data_files if package == "dualpose_ros" for file in files
    }


def test_cmake_installs_every_message_and_executable() -> None:
    cmake = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
    assert set(re.findall(r'"(msg/\w+\.msg)"', cmake)) == {f"msg/{p.name}" for p in (ROOT / "msg").glob("*.msg")}
    scripts = {path.name for path in (ROOT / "scripts").iterdir()}
    assert set(re.findall(r"scripts/(\w+)", cmake)) == scripts == {*NODES, "dualpose", "composed_graph", "check_gpu"}
    for path in (ROOT / "scripts").iterdir():
        assert os.access(path, os.X_OK), f"{path} is not executable"
        (module,) = re.findall(r"^from (dualpose_ros[\w.]*) import main\b", path.read_text(), re.MULTILINE)
        assert (ROOT / Path(*module.split("."))).with_suffix(".py").is_file()


def test_installations_leave_out_what_only_evaluations_compare_with(monkeypatch: pytest.MonkeyPatch) -> None:
    installed: dict[str, Any] = {}
    setuptools = ModuleType("setuptools")
    setuptools.setup = installed.update  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "setuptools", setuptools)
    runpy.run_path(str(ROOT / "setup.py"))
    names = [name for _, files in installed["data_files"] for name in files]
    shipped = {entry.file for entry in list_weights() if not entry.file.startswith(f"{BASELINES}/")}
    assert {name for name in names if name.endswith(".onnx")} == {f"weights/{file}" for file in shipped}
    assert {"weights/manifest.json", "demo/truth.npz", "msg/Heatmaps.msg", "config/pipeline.yaml"} <= set(names)
    cmake = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
    (package,) = re.findall(r"DIRECTORY \$\{PROJECT_NAME\}/[^)]*", cmake)
    (data,) = re.findall(r"DIRECTORY config launch weights[^)]*", cmake)
    assert 'PATTERN "lab" EXCLUDE' in package and f'PATTERN "{BASELINES}" EXCLUDE' in data
    assert f"prune weights/{BASELINES}" in (ROOT / "MANIFEST.in").read_text(encoding="utf-8")


def test_message_packages_are_declared() -> None:
    declared = {element.text for element in ET.parse(ROOT / "package.xml").getroot()}
    cmake = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
    for path in (ROOT / "msg").glob("*.msg"):
        used = set(re.findall(r"^(\w+)/\w+", path.read_text(), re.MULTILINE))
        assert used <= declared
        assert all(f"find_package({package} REQUIRED)" in cmake for package in used)
    sources = "\n".join(path.read_text() for path in (ROOT / "dualpose_ros" / "nodes").rglob("*.py"))
    assert set(re.findall(r"^from (\w+_(?:msgs|interfaces))\.msg import", sources, re.MULTILINE)) <= declared


def test_rviz_config_shows_our_topics() -> None:
    content = yaml.safe_load((ROOT / "config" / "rviz" / "pipeline.rviz").read_text(encoding="utf-8"))
    displays = content["Visualization Manager"]["Displays"]
    topics = {display["Topic"]["Value"] for display in displays if "Topic" in display}
    assert topics == {"/humans/markers", "/humans/overlay"}


def test_share_dir_of_a_checkout() -> None:
    assert paths.share_dir() == ROOT


def test_share_dir_of_a_pip_install(tmp_path: Path) -> None:
    """Files laid out as pip does with --target are found by the package that lies beside them."""
    package = tmp_path / "dualpose_ros"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "paths.py").write_text((ROOT / "dualpose_ros" / "paths.py").read_text())
    command = [sys.executable, "-c", "from dualpose_ros.paths import share_dir; print(share_dir())"]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    info = tmp_path / "dualpose_ros-9.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: dualpose_ros\nVersion: 9\n")
    (info / "RECORD").write_text("../../share/dualpose_ros/msg/MultiPersonPose3D.msg,,\n")
    missing = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert missing.returncode != 0 and "install the package again" in missing.stderr
    (tmp_path / "share" / "dualpose_ros" / "msg").mkdir(parents=True)
    (tmp_path / "share" / "dualpose_ros" / "msg" / "MultiPersonPose3D.msg").touch()
    found = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert found.stdout.strip() == str(tmp_path / "share" / "dualpose_ros"), found.stderr


def test_pip_packages_for_ros_are_those_of_the_base_install() -> None:
    """Within its limits, and NumPy as old as the distributions' OpenCV and SciPy want it."""
    requirements = importlib.import_module("packaging.requirements")
    lines = [line for line in (ROOT / "requirements-ros.txt").read_text().splitlines() if not line.startswith("#")]
    given = [requirements.Requirement(line) for line in lines]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    base = {item.name: item for item in map(requirements.Requirement, project["dependencies"])}
    assert all(item.specifier == base[item.name].specifier for item in given if item.name != "numpy")
    for python, newest, too_new in (("3.10", "1.24.4", "1.25.0"), ("3.12", "1.26.4", "2.0.0")):
        (numpy,) = (i for i in given if i.name == "numpy" and i.marker.evaluate({"python_version": python}))
        assert newest in numpy.specifier and too_new not in numpy.specifier


def test_package_xml_declares_what_the_tests_need() -> None:
    declared = {element.text for element in ET.parse(ROOT / "package.xml").getroot() if element.tag == "test_depend"}
    cmake = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
    linters = set(re.findall(r"^  find_package\((\w+) REQUIRED\)", cmake, re.MULTILINE))
    assert linters and linters <= declared
    assert (ROOT / ".flake8").is_file() and "ament_add_pytest_test" in cmake


def test_foxglove_layout_shows_our_topics() -> None:
    """Every panel that the layout places is configured, and shows what the graph publishes."""
    content = json.loads((ROOT / "config" / "foxglove" / "people.json").read_text(encoding="utf-8"))
    panels = content["configById"]

    def placed(part: Any) -> set[str]:
        return {part} if isinstance(part, str) else placed(part["first"]) | placed(part["second"])

    assert placed(content["layout"]) == set(panels)
    topics = {topic for panel in panels.values() for topic in panel.get("topics", {})}
    topics |= {panel.get("topicToRender", panel.get("imageMode", {}).get("imageTopic")) for panel in panels.values()}
    assert topics - {None} == {"/humans/markers", "/humans/overlay", "/diagnostics"}


PIP_NAMES = {"cv2": "python3-opencv", "lap": "lapx"}
LIVE_ROOMS = ("nodes", "sources", "detection", "top_down", "bottom_up", "fusion", "refinement", "launching")


def test_what_the_nodes_import_comes_by_rosdep_or_by_requirements_ros() -> None:
    """Packages of ROS and rosdep keys from package.xml, the rest into the virtual environment beside ROS."""
    declared = {str(element.text) for element in ET.parse(ROOT / "package.xml").getroot()}
    lines = (ROOT / "requirements-ros.txt").read_text(encoding="utf-8").splitlines()
    declared |= {re.split(r"[<>=; ]", line)[0] for line in lines if not line.startswith("#")}
    imported: set[str] = set()
    for path in [path for room in LIVE_ROOMS for path in (ROOT / "dualpose_ros" / room).rglob("*.py")]:
        if path.name.endswith("network.py"):
            continue
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported.add((node.module or "").partition(".")[0])
    needed = {PIP_NAMES.get(name, name) for name in imported - sys.stdlib_module_names - {"dualpose_ros"}}
    assert {"av", "numpy", "rclpy", "vision_msgs"} <= needed
    assert not {name for name in needed if name not in declared and f"python3-{name}" not in declared}
