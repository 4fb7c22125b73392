"""What keeps a node's memory from growing, and what keeps the time short in which one that died is back."""

import subprocess
import sys

import psutil
import pytest

pytest.importorskip("cyclonedds")

from dualpose_ros.inference.cpu import give_memory_back

_MB = 1 << 20


def resident_mb() -> float:
    return float(psutil.Process().memory_info().rss / _MB)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="what the C library keeps is glibc's affair")
def test_what_images_leave_behind_goes_back_to_the_system() -> None:
    # Small enough to come from the heap, which glibc does not give back below what is still in use.
    images = [bytearray(100_000) for _ in range(800)]
    in_use = images[::50]
    del images
    give_memory_back()
    least = resident_mb()
    for _ in range(20):
        images = [bytearray(100_000) for _ in range(800)]
        in_use[:] = images[::50]
        del images
        give_memory_back()
    assert resident_mb() < least + 8


def test_refinement_starts_without_what_few_ask_for() -> None:
    lines = "import sys, dualpose_ros.nodes.refinement_node; print('scipy.spatial' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", lines], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False"]
