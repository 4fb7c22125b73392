"""The nodes over DDS: bad input while they run, bad input at start, the newest frame only, a file from start to end."""

import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip("cyclonedds")

from support.child_environment import make_environment, scenario


def as_words(parameters: Iterable[str]) -> list[str]:
    """Parameters `name:=value` as a command line has them."""
    return ["--ros-args", *(word for parameter in parameters for word in ("-p", parameter))]


@pytest.mark.live("nodes", "top_down")
def test_top_down_node_survives_bad_input(result: dict[str, Any]) -> None:
    assert result["errors"] == 6 and result["published_from_bad"] == 0
    assert "not calibrated" in result["diagnostics"][0]
    assert "the network has fallen over" in result["last_error"]
    assert (result["stamp"], result["frame_id"], result["ids"]) == (100_200_000_000, "eye", [4])
    assert result["heatmap"] == [[[7, 7, 7], [7, 7, 7]]]


@pytest.mark.live("nodes", "bottom_up")
def test_bottom_up_node_with_heatmaps_without_and_on_its_own(result: dict[str, Any]) -> None:
    assert result["before_bad"] == result["after_bad"] == [1, 2], "nothing is published from bad input"
    assert 0.25 <= result["waited"] < 1.5
    guided = dict(result["seen"])
    assert guided[1] and guided[70] and not guided[2] and not guided[14]
    assert any("not calibrated" in text for text in result["diagnostics"])
    assert any("fallen over" in text or "nose" in text for text in result["diagnostics"])
    # It gives the detector 2 s, then takes 5 images of 10 a second by itself.
    assert result["first_alone_s"] >= 1.8 and not any(guided[number] for number in result["alone"])
    assert 5 <= len(result["alone"]) <= 5 * (result["alone_seconds"] - 2) + 1
    assert result["published"] == sorted(set(result["published"]))
    assert result["values"]["guided"] == "2"
    assert int(result["values"]["unguided"]) == 2 + len(result["alone"])
    assert (result["track_id"], result["frame_id"]) == (-1, "eye")
    assert result["prepared"] == [[64, 48]], "as soon as the size is known, and once"


@pytest.mark.live("nodes", "detection")
def test_detection_node_takes_the_newest_and_survives_errors(result: dict[str, Any]) -> None:
    assert len(result["burst"]) <= 3, "a backlog was worked off"
    assert result["burst"][-1] == result["newest"]
    assert result["passed_on"] == result["burst"], "what it works on, and nothing else"
    assert any("no picture of people" in text for text in result["errors"])
    assert result["after_error"] == 0
    assert result["tracks"] == [[2, "TENTATIVE"]]
    assert result["prepared"] == [[48, 64, 3]], "for images of which a camera_info without a stamp has told, once"


@pytest.mark.live("cuts", "graph", "always")
def test_all_nodes_start_anew_where_a_film_cuts(result: dict[str, Any]) -> None:
    assert result["cuts"] == [6]
    assert (np.diff(result["told"]) < 0).sum() == 1
    before, after = (
        {tuple(ids) for number, ids in result["people"] if number in frames} for frames in (range(6), range(6, 9))
    )
    assert len(before) == len(after) == 1 and before != after, "another person, and no ghost"


@pytest.mark.live("cuts", "graph", "auto")
def test_a_camera_has_no_cuts(result: dict[str, Any]) -> None:
    assert result["cuts"] == [] and (np.diff(result["told"]) > 0).all()
    assert len({i for _, ids in result["people"] for i in ids}) == 1, "who stands there is taken for the same"
    assert dict(result["people"])[9], "and is a ghost for a while"


@pytest.mark.live("fusion", "paced_detection")
def test_detection_node_starts_no_more_than_the_graph_keeps_up_with(result: dict[str, Any]) -> None:
    assert len(result["full"]) == 3 and result["full"][:2] == [0, 1], "frame 0 came out, two are in work"
    assert len(result["refilled"]) == 4
    assert 18 <= result["refilled"][-1] <= 20, "the newest image starts when there is room, not the next one"
    assert result["waited"] == result["refilled"]
    assert len(result["timed_out"]) >= 5 and result["timed_out"][4] == 32
    assert 0.3 < result["seconds"] < 2.5
    assert len(result["free"]) >= len(result["timed_out"]) + 3, "a graph whose end is dead is not waited for"


@pytest.mark.live("fusion", "fusion")
def test_fusion_node_with_both_branches_one_and_none_that_makes_sense(result: dict[str, Any]) -> None:
    waits = result["waits"]
    assert waits["both"] < 0.25
    assert 0.2 <= waits["top_down"] < 1.0 and 0.2 <= waits["bottom_up"] < 1.0
    assert "joints_cam that are not finite" in result["errors"][0] and "joint_scores" in result["errors"][1]
    assert result["nonsense"] == []
    assert result["published"] == [1, 2, 3, *range(10, 35)], "once each, in order"
    sources = result["sources"]
    assert sources[:-3] == ["FUSED", "TOP_DOWN", "BOTTOM_UP", *["FUSED"] * 5, *["TOP_DOWN"] * 17]
    assert sources[-1] == "FUSED", "when it returns, it is not waited for at once"
    assert result["ids"] == [3], "one person, whoever sees them"
    gaps = np.diff(result["arrived"])
    assert gaps.max() < 0.3 + 0.1 + 0.1, "a dead branch stops the output for no longer than max_wait_s and a frame"
    assert np.median(gaps) == pytest.approx(0.1, abs=0.03)
    values = result["values"]
    counts = {name: int(values[name]) for name in ("fused", "top_down_only", "bottom_up_only")}
    assert counts == {name: sources.count(name.upper().removesuffix("_ONLY")) for name in counts}
    assert int(values["late_bottom_up"]) == 1 + sources[-3:].count("TOP_DOWN")
    assert values["pairs"] == "1" and values["persons"] == "1"
    assert result["frame_id"] == "eye"
    assert result["box"] == [1.0, 2.0, 30.0, 40.0]


@pytest.mark.live("refinement", "refinement")
def test_refinement_node_puts_out_every_frame_refined_or_not(result: dict[str, Any]) -> None:
    refined = [4, 5, 6, 7, 15, 18]
    assert result["published"] == [1, 2, *refined[:4], 13, 14, 15, 16, 18], "each once, but for the one of nonsense"
    assert result["frame_ids"] == ["eye", "other eye"]
    assert {int(n): ids for n, ids in result["ids"].items()} == {
        n: [3, 9] if n in refined else [3] for n in result["published"]
    }
    assert (result["states"], result["source"]) == (["CONFIRMED", "COASTING"], "FUSED")
    assert result["focals"] == [[4, 70], [5, 80], [6, 80], [7, 80], [13, 80], [14, 80], [15, 80], [18, 80]]
    # After each of the two failures the stage starts anew.
    moved = {4: 1, 5: 2, 6: 3, 7: 4, 15: 1, 18: 2}
    assert {int(n): z for n, z in result["depths"].items()} == {n: 2 + moved.get(n, 0) for n in result["published"]}
    words = ["frame 'eye' yet", "K is all zero", "fallen over", "not finite", "frame 'other eye'", "person 3 has"]
    assert all(word in text for word, text in zip(words, result["errors"], strict=True)), result["errors"]
    assert result["total_errors"] == 8
    counts = {"refined": "6", "passed_through": "5", "borrowed_camera_info": "6", "persons": "1", "coasting": "1"}
    assert counts.items() <= result["values"].items()
    assert 2 <= float(result["values"]["stage_ms_p50"]) <= float(result["values"]["stage_ms_p95"]) < 1000


@pytest.mark.live("refinement", "ground")
def test_refinement_node_knows_the_ground_by_tf_at_the_image_s_stamp(result: dict[str, Any]) -> None:
    before, between, too_late, below = result["grounds"]
    assert before is None and too_late is None and below is None
    np.testing.assert_allclose(between, [0, np.cos(0.15), np.sin(0.15), 1.25], atol=1e-6)
    assert result["published"] == [1, 6, 9, 10], "no frame waits for TF"
    assert result["errors"] == 3, "of a ground that was asked for and is not there is told"
    where, off = result["diagnostics"]
    assert "above" in where and "pitch +1.8 +- 0.3 degrees" in off
    assert "pitch +1.8 +- 0.3 degrees" in result["warnings"][0] and "throttle_duration_sec" in result["warnings"][0]


@pytest.mark.live("refinement", "disabled")
def test_refinement_node_that_is_told_not_to_refine(result: dict[str, Any]) -> None:
    assert result["depths"] == [2, 2] and result["focals"] == [] and result["errors"] == []
    assert result["extra"]["passed_through"] == "2" and result["extra"]["refined"] == "0"


@pytest.mark.live("refinement", "lagging")
def test_refinement_node_with_a_lag_stamps_poses_with_their_own_frames(result: dict[str, Any]) -> None:
    assert (result["early"], result["before_rest"]) == (0, 4)
    assert result["published"] == [[40, 2, 1], [41, 1, 0], [42, 1, 0], [13, 1, 0], [50, 2, 1], [51, 2, 2]], (
        "each once with what the stage made of it; after one that fails what waits goes as it came, and so in a rest"
    )


@pytest.mark.live("nodes", "visualization")
def test_visualization_node(result: dict[str, Any]) -> None:
    add, delete = 0, 2
    assert result["markers"] == [[[3, add], [4, add]], [[3, delete], [4, add]]]
    assert result["lifetime"] == 2
    assert result["overlay_stamps"] == [100_010_000_000, 100_020_000_000]
    assert result["drawn"][0] > result["drawn"][1] > 50
    assert any("smpl24" in text for text in result["errors"])


@pytest.mark.usefixtures("stand_in")
@pytest.mark.live("graph", "namespaces")
def test_two_graphs_in_two_namespaces_do_not_meet(result: dict[str, Any]) -> None:
    for name, track_id in (("left", 1), ("right", 2)):
        parts = [[f"{name}/{part}", track_id] for part in ("bones", "joints", "label")]
        assert result[f"/{name}/humans/markers"] == parts


@pytest.mark.live("graph", "recorder")
def test_no_message_ends_the_recorder(result: dict[str, Any]) -> None:
    assert result["came"]
    assert result["files"] == [[n, f"{n}.png"] for n in range(4)], "whether it is said before the poses or after them"
    assert result["scores"] == [None, 0.9, 0.9, 0.9], "the one with too few joints is left out"
    assert result["ids"] == [1, 2, 4, 9], "what is answered again counts once"
    assert result["stamps"][2] < 0 and result["fused"] == [1, 2, 4]
    assert result["state"] == "camera_node", "and not that of another namespace"
    assert result["drawn"] == 0
    # Forward and up of the image are forward and up of the body frame in which players show it.
    assert result["frames"] == [["camera_link", "eye", [[1, 0, 0], [0, 0, 1]]]]
    counts = {
        "/tf_static": 1,
        "/humans/poses3d": 4,
        "/dualpose/fused/poses3d": 3,
        "/camera_info": 4,
        "/humans/markers": 3,
    }
    assert result["counts"] == counts and result["as_it_came"]
    assert result["times"][:2] == [0, result["stamp_of_5"]] and result["times"][2] > result["stamp_of_5"]
    assert len(result["info_stamps"]) == 4 and result["width"] == 320
    first, last = result["stamps"][0], result["stamps"][-1]
    assert result["recorded"].count(first) == 2 and result["recorded"][-1] == last, "a source may go on after each"


def test_a_film_waits_for_its_recorder(tmp_path: Path) -> None:
    for number in range(6):
        cv2.imwrite(str(tmp_path / f"{number}.png"), np.full((48, 64, 3), 40 * number, np.uint8))
    assert scenario("graph", "film", tmp_path)["sent"] == [3, 4]


def test_pictures_that_can_not_be_had_keep_their_time_and_number(tmp_path: Path) -> None:
    for number in range(6):
        path = tmp_path / f"{number}.png"
        cv2.imwrite(str(path), np.full((48, 64, 3), 40 * number, np.uint8))
        if number in (0, 2, 3):
            path.write_bytes(path.read_bytes()[:40])
    result = scenario("graph", "numbers", tmp_path)
    at = {number: 1_000_000_000 + number * 100_000_000 for number in range(6)}
    assert result["sent"] == [at[1], at[4], at[5]]
    assert result["said"] == {f"{number} {number}.png": at[number] for number in (1, 4, 5)}


@pytest.mark.live("graph", "blas_threads")
def test_blas_has_one_thread_in_a_node(result: dict[str, Any]) -> None:
    assert result["before"] and set(result["before"]) == {2}
    assert set(result["spinning"]) == {1}


@pytest.mark.live("inputs", "off_by_a_millisecond")
def test_the_newest_camera_info_serves_images_that_it_was_not_stamped_for(result: dict[str, Any]) -> None:
    assert result["poses"] == 30


@pytest.mark.live("inputs", "latched")
def test_a_camera_info_that_was_sent_once_before_the_start_serves(result: dict[str, Any]) -> None:
    assert result["poses"] == 5


@pytest.mark.live("inputs", "sent_again")
def test_a_frame_that_is_sent_again_has_all_its_answers_again(result: dict[str, Any]) -> None:
    assert result == {"poses": 2, "heatmaps": 2, "worked": 1}


@pytest.mark.live("inputs", "missing")
def test_a_camera_info_that_never_comes_is_named_and_no_longer_once_it_has_come(result: dict[str, Any]) -> None:
    assert result["before"] == 0 and result["after"] == 1
    (text,) = {text.partition(":")[0] for text in result["texts"] if "camera_info" in text}
    assert text == "no /camera_info (sensor_msgs/msg/CameraInfo, reliable, depth 10, or transient local)"
    assert any("nobody publishes it" in text for text in result["texts"])
    assert "camera_info" not in result["last"]


@pytest.mark.live("inputs", "passed_on")
def test_images_that_are_passed_on_replace_the_camera_s_until_there_are_none(result: dict[str, Any]) -> None:
    assert result["poses"] == 6
    assert result["takers"] == [1, 1, 0, 1, 1, 1], "image_raw costs nothing while images are passed on"
    assert not any("image" in text for text in result["texts"])


@pytest.mark.live("inputs", "compressed")
def test_compressed_images_are_taken_where_image_transport_puts_them(result: dict[str, Any]) -> None:
    assert result["poses"] == 3


@pytest.mark.live("inputs", "unset")
def test_images_without_stamps_are_served_as_they_arrive(result: dict[str, Any]) -> None:
    assert result["poses"] == 6 and result["stamps"] == [0] and result["rising"]
    assert result["warnings"] == [3, 3], "no stamp, no frame, and no stamp of no frame, each once"


def test_camera_node_plays_a_directory_to_its_end(tmp_path: Path) -> None:
    for index in range(8):
        cv2.imwrite(str(tmp_path / f"{index}.png"), np.full((48, 64, 3), 20 * index, np.uint8))
    (tmp_path / "3.png").write_bytes(b"broken")
    parameters = (f"source:={tmp_path}", "hfov_deg:=90", "wait_for_subscribers:=1", "fps:=20", "playback_rate:=2",
                  "frame_id:=eye", "start_delay_s:=0.3")  # fmt: skip
    environment = make_environment()
    run = [sys.executable, "-m", "dualpose_ros.standalone.run_node", "dualpose_ros.nodes.camera_node"]
    camera = subprocess.Popen([*run, *as_words(parameters)], env=environment, stderr=subprocess.PIPE, text=True)
    try:
        result = scenario("nodes", "camera_listener", environment=environment)
        assert camera.poll() is None, "the node must stay after the end of the file"
    finally:
        camera.terminate()
        _, stderr = camera.communicate(timeout=10)
    assert camera.returncode == 0
    assert result["grey"] == [0, 20, 40, 80, 100, 120, 140]
    assert result["sent"] == "7" and result["same_stamps"], "of images; before them one without a stamp says their size"
    assert result["frame_id"] == "eye"
    assert 0 <= result["age_s"] < 10
    assert np.median(result["intervals_s"]) == pytest.approx(1 / 40, abs=0.012)
    assert result["size"] == [64, 48]
    np.testing.assert_allclose(result["k"], [32, 0, 31.5, 0, 32, 23.5, 0, 0, 1], atol=1e-9)
    assert "3.png cannot be decoded" in stderr


REFUSED = (
    (["source:=/nowhere/clip.mp4", "hfov_deg:=60"], "/nowhere/clip.mp4 does not exist"),
    (["source:={images}"], "give a calibration file or hfov_deg"),
    (["source:={images}", "calibration:=/nowhere/camera.yaml"], "/nowhere/camera.yaml does not exist"),
    (["source:={images}", "hfov_deg:=60", "hfov:=60"], "'hfov'"),
    (["source:={images}", "hfov_deg:=wide"], "hfov_deg is 'wide'; a finite number is needed"),
    (
        ["source:={images}", "hfov_deg:=60", "playback_rate:=-1"],
        "CameraNode: cannot start: playback_rate is -1.0; it must be 0 to 1000",
    ),
    (["source:={images}", "hfov_deg:=190.5"], "hfov_deg is 190.5; it must be >= 0, < 180 degrees"),
    (["source:={images}", "hfov_deg:=60", "rate:=2"], "'rate' (in the command line): it is now called playback_rate"),
)


def test_camera_node_refuses_to_start(tmp_path: Path) -> None:
    """One process for all: each is refused by one line, and exit code 2."""
    cv2.imwrite(str(tmp_path / "0.png"), np.zeros((48, 64, 3), np.uint8))
    code = (
        "import json, sys\nfrom dualpose_ros.nodes.base import run_node\n"
        "from dualpose_ros.nodes.camera_node import CameraNode\n"
        "for sys.argv[1:] in json.loads(sys.argv[1]):\n    print(run_node(CameraNode), file=sys.stderr)\n"
    )
    words = [as_words(text.format(images=tmp_path) for text in parameters) for parameters, _ in REFUSED]
    done = subprocess.run([sys.executable, "-c", code, json.dumps(words)], env=make_environment(),
                          capture_output=True, text=True, timeout=60)  # fmt: skip
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    assert len(lines) == 2 * len(REFUSED) and set(lines[1::2]) == {"2"}, done.stderr
    for line, (_, says) in zip(lines[::2], REFUSED, strict=True):
        assert says in line
