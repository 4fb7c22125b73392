"""install(): ours only where rclpy cannot be imported; what is missing is said in one line."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from dualpose_ros.standalone import dds
from dualpose_ros.standalone.errors import MissingPackageError, StandaloneError, require

HERE = Path(__file__).resolve().parent


def python(code: Any, environment: Any, *paths: Any) -> Any:
    """(exit code, stdout, stderr) of a fresh interpreter."""
    path = ":".join([*map(str, paths), environment["PYTHONPATH"]])
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**environment, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.returncode, done.stdout.strip(), done.stderr.strip()


@pytest.fixture
def fake_ros(tmp_path: Path) -> Any:
    """A folder with an rclpy that imports."""
    (tmp_path / "rclpy").mkdir()
    (tmp_path / "rclpy" / "__init__.py").write_text("MARK = 'real'\n", encoding="utf-8")
    return tmp_path


def test_working_ros_is_not_touched(domain_environment: Any, fake_ros: Any) -> None:
    code = (
        "import sys\nfrom dualpose_ros import standalone\nbefore = set(sys.modules)\n"
        "print(standalone.install(), standalone.is_installed())\nimport rclpy\nprint(rclpy.MARK)\n"
        "print(sorted(name for name in set(sys.modules) - before if name.endswith('_msgs') or '.msg' in name))"
    )
    assert python(code, domain_environment, fake_ros)[:2] == (0, "False False\nreal\n[]")


def test_broken_ros_is_replaced(domain_environment: Any, fake_ros: Any) -> None:
    (fake_ros / "rclpy" / "__init__.py").write_text("import rclpy.impl\n", encoding="utf-8")
    (fake_ros / "rclpy" / "impl.py").write_text("raise ImportError('built for another Python')\n", encoding="utf-8")
    code = (
        "from dualpose_ros import standalone\nprint(standalone.install(), standalone.install())\n"
        "from rclpy.node import Node\nprint(Node.__module__)"
    )
    assert python(code, domain_environment, fake_ros)[:2] == (0, "True True\ndualpose_ros.standalone.rclpy.node")


def test_names_are_importable_as_in_ros(domain_environment: Any) -> None:
    code = """
from dualpose_ros import standalone
assert standalone.install()
import rclpy, rclpy.node, rclpy.executors, rclpy.serialization
import sensor_msgs.msg
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray
from dualpose_ros.msg import Heatmaps, MultiPersonPose3D, PersonPose3D
from rcl_interfaces.msg import ParameterDescriptor, SetParametersResult
from sensor_msgs.msg import CameraInfo, Image
from vision_msgs.msg import Detection2DArray
from visualization_msgs.msg import MarkerArray
import dualpose_ros.camera
assert sensor_msgs.msg.Image is Image
assert type(Image().header.stamp) is Time
assert type(MultiPersonPose3D(persons=[PersonPose3D()]).persons[0]) is PersonPose3D
from dualpose_ros.standalone.messages import deserialize
assert deserialize(rclpy.serialization.serialize_message(Image(width=3)), Image.TYPE).width == 3
try:
    from sensor_msgs.msg import Imagee
except ImportError as error:
    print(error)
"""
    code, out, err = python(code, domain_environment)
    assert code == 0, err
    assert "Imagee" in out


@pytest.mark.parametrize("package", ["cyclonedds", "rosbags"])
def test_missing_package_is_one_line_with_what_to_do(domain_environment: Any, tmp_path: Path, package: Any) -> None:
    (tmp_path / f"{package}.py").write_text("raise ImportError('not here')\n", encoding="utf-8")
    code = f"""
import sys
sys.path.insert(0, {str(tmp_path)!r})
from dualpose_ros.standalone.run_node import main
sys.exit(main(["launcher_node"]))
"""
    code, _, err = python(code, domain_environment)
    assert code == 2, err
    lines = err.splitlines()
    assert len(lines) == 1
    assert all(part in lines[0] for part in (package, f"pip install {package}", "ROS 2", "aarch64"))


def test_what_is_said_where_ros_is_sourced(domain_environment: Any, fake_ros: Any) -> None:
    """With its rclpy nobody works without ROS 2; where its rclpy does not import, that is the first thing to know."""
    environment = {**domain_environment, "ROS_DISTRO": "jazzy"}
    code = (
        "from dualpose_ros import standalone\nprint(standalone.install())\nstandalone.errors.require('no_such_module')"
    )
    _, out, err = python(code, environment, fake_ros)
    last = err.splitlines()[-1]
    assert out == "False" and "pip install no_such_module" in last and "without ROS 2" not in last
    (fake_ros / "rclpy" / "__init__.py").write_text("raise ImportError('built for another Python')\n", encoding="utf-8")
    _, out, err = python(code, environment, fake_ros)
    first, last = err.splitlines()[0], err.splitlines()[-1]
    assert out == "True" and "jazzy is sourced" in first and "built for another Python" in first
    assert "without ROS 2" in last


def test_require_names_the_package() -> None:
    with pytest.raises(MissingPackageError, match="'no_such_module'"):
        require("no_such_module.part")
    assert require("json").dumps(1) == "1"


@pytest.mark.parametrize(("text", "number"), [("", 0), ("0", 0), (" 42 ", 42), ("232", 232)])
def test_domain_id(text: Any, number: Any) -> None:
    assert dds.domain_id({"ROS_DOMAIN_ID": text}) == number
    assert dds.domain_id({}) == 0


@pytest.mark.parametrize("text", ["-1", "233", "abc", "1.5"])
def test_bad_domain_id(text: Any) -> None:
    with pytest.raises(StandaloneError, match="ROS_DOMAIN_ID"):
        dds.domain_id({"ROS_DOMAIN_ID": text})


def test_network_is_closed_unless_asked() -> None:
    assert not dds.network_is_open({})
    assert not dds.network_is_open({"ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"})
    assert dds.network_is_open({"ROS_AUTOMATIC_DISCOVERY_RANGE": "subnet"})
    with pytest.raises(StandaloneError, match="ROS_AUTOMATIC_DISCOVERY_RANGE"):
        dds.network_is_open({"ROS_AUTOMATIC_DISCOVERY_RANGE": "WORLD"})
    assert "127.0.0.1" in dds.cyclone_config(False) and "127.0.0.1" not in dds.cyclone_config(True)


def test_small_receive_buffer_is_warned_about(tmp_path: Path) -> None:
    limit = tmp_path / "rmem_max"
    limit.write_text("212992\n", encoding="ascii")
    warning = dds.receive_buffer_warning(limit)
    assert warning is not None and "212992" in warning and "sudo sysctl -w net.core.rmem_max=4194304" in warning
    limit.write_text("4194304\n", encoding="ascii")
    assert dds.receive_buffer_warning(limit) is None
    assert dds.receive_buffer_warning(tmp_path / "absent") is None


@pytest.mark.parametrize("open_network", [False, True])
def test_cyclone_takes_the_configuration(domain_environment: Any, open_network: Any) -> None:
    code = (
        "from dualpose_ros.standalone import dds\nfrom cyclonedds.domain import Domain, DomainParticipant\n"
        f"domain = Domain(dds.domain_id(), dds.cyclone_config({open_network}))\n"
        "DomainParticipant(dds.domain_id())\nprint('ok')"
    )
    assert python(code, domain_environment) == (0, "ok", "")


def test_sends_on_loopback_only(domain_environment: Any) -> None:
    code = (
        "import json, psutil\nfrom dualpose_ros.standalone import dds\nparticipant = dds.Participant(dds.domain_id())\n"
        "print(json.dumps([c.laddr.ip for c in psutil.Process().net_connections('udp') if c.laddr]))"
    )
    code, out, err = python(code, domain_environment)
    assert code == 0, err
    # What it sends leaves by loopback; its receiving sockets Cyclone binds to any address.
    assert set(json.loads(out)) == {"127.0.0.1", "0.0.0.0"}


def test_a_configuration_of_cyclone_that_is_no_file_is_named(domain_environment: Any, tmp_path: Path) -> None:
    good = tmp_path / "cyclone.xml"
    good.write_text("<CycloneDDS/>")
    for uri in ("", f"file://{good}", str(good), "<CycloneDDS><Domain/></CycloneDDS>"):
        dds.check_configuration({"CYCLONEDDS_URI": uri})
    environment = {**domain_environment, "CYCLONEDDS_URI": f"file://{tmp_path}/none.xml"}
    code = (
        "import sys\nfrom dualpose_ros.standalone.run_node import main\n"
        "sys.exit(main(['dualpose_ros.nodes.fusion_node']))"
    )
    status, _, err = python(code, environment)
    assert status == 2 and len(err.splitlines()) == 1 and "none.xml, which is no file" in err
