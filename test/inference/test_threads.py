"""How many threads a network has."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from dualpose_ros.inference import load
from dualpose_ros.inference.cpu import usable_cores, usual_threads
from dualpose_ros.inference.load import EngineConfig


@pytest.mark.parametrize(("cores", "threads"), [(1, 1), (2, 1), (4, 1), (7, 1), (8, 2), (16, 4), (64, 4)])
def test_threads_follow_the_cores(cores: int, threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    given = []
    monkeypatch.setattr(load, "usable_cores", lambda: cores)
    monkeypatch.setattr(load, "computes_bf16_fast", lambda: False)
    monkeypatch.setattr(load, "load_engine", lambda path, backend, count, precision: given.append(count))
    EngineConfig().load("x.onnx")
    EngineConfig(threads=3).load("x.onnx")
    assert given == [usual_threads(cores), 3] == [threads, 3]


def test_cores_are_those_that_the_process_may_use() -> None:
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        assert usable_cores() == 1
    finally:
        os.sched_setaffinity(0, before)
    assert usable_cores() == len(before)


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_a_network_runs_on_whichever_core_is_free(backend: str) -> None:
    """Nodes are processes of their own: bound to cores, all their networks would be on the same first ones."""
    pytest.importorskip(backend)
    if usable_cores() < 2:
        pytest.skip("one core alone")
    engine, image = EngineConfig(backend, "fp32", threads=1).network("detector"), np.zeros((1, 64, 64, 3), np.uint8)
    runner, before, over = threading.get_native_id(), os.sched_getaffinity(0), threading.Event()
    seen: list[set[int]] = []

    def watch() -> None:
        while not over.wait(0.0002):
            seen.append(os.sched_getaffinity(runner))

    watcher = threading.Thread(target=watch)
    watcher.start()
    until = time.monotonic() + 0.5
    while time.monotonic() < until:
        engine.run({"image": image})
    over.set()
    watcher.join()
    assert len(seen) > 20 and all(cores == before for cores in seen)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="memory is taken otherwise there")
def test_memory_of_images_is_not_mapped_anew_for_each() -> None:
    code = (
        "import resource, sys, numpy as np\n"
        "from dualpose_ros.inference.cpu import keep_memory\n"
        "keep_memory()\n"
        "def pages():\n"
        "    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n"
        "    for _ in range(20):\n"
        "        several = [np.ones(1 << 20, np.uint8) for _ in range(3)]\n"
        "    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before\n"
        "pages()\n"
        "sys.exit(pages() > 100)"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0
    # Each array of ones is 256 pages; without, they are all touched anew.
    assert subprocess.run([sys.executable, "-c", code.replace("keep_memory()\ndef", "def")], timeout=60).returncode == 1


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="memory is taken otherwise there")
def test_threads_take_memory_from_one_heap(tmp_path: Path) -> None:
    code = (
        "import ctypes, sys, threading\n"
        "from dualpose_ros.inference.cpu import keep_memory\n"
        "keep_memory()\n"
        "taken, meet = [], threading.Barrier(4)\n"
        "def take():\n"
        "    taken.append(bytearray(50_000))\n"
        "    meet.wait()\n"
        "threads = [threading.Thread(target=take) for _ in range(4)]\n"
        "[thread.start() for thread in threads], [thread.join() for thread in threads]\n"
        "libc = ctypes.CDLL(None)\n"
        "libc.fopen.restype = ctypes.c_void_p\n"
        "stream = ctypes.c_void_p(libc.fopen(sys.argv[1].encode(), b'w'))\n"
        "libc.malloc_info(0, stream), libc.fclose(stream)\n"
        "print(open(sys.argv[1]).read().count('<heap '))\n"
    )
    for text, heaps in ((code, 1), (code.replace("keep_memory()\ntaken", "taken"), 5)):
        command = [sys.executable, "-c", text, str(tmp_path / "info")]
        assert int(subprocess.run(command, timeout=60, capture_output=True, check=True).stdout) == heaps
