"""Compiled functions where nothing can be kept."""

import subprocess
import sys

from support.data import ROOT

_CODE = """
from numba.core import caching
caching.CacheImpl._locator_classes = []  # as where package and home are read-only
import dualpose_ros.lab.synthetic.compiled as compiled
assert compiled.compiled(fastmath=True)(lambda x: x + 1)(1) == 2
"""


def test_a_read_only_installation_compiles_without_keeping_it() -> None:
    subprocess.run([sys.executable, "-c", _CODE], cwd=ROOT, check=True, timeout=120)
