"""Messages with spoilt fields to every callback of every node: no crash, no growth, and errors that are the package's.

DUALPOSE_FUZZ=100000 makes it so many messages a callback, for an hour or a night.
"""

import os
from typing import Any

import pytest

pytest.importorskip("cyclonedds")

COUNT = int(os.environ.get("DUALPOSE_FUZZ", "15"))
NODES = ("detection", "top_down", "compressed", "bottom_up", "fusion", "refinement", "visualization", "recorder")


@pytest.mark.timeout(60 + 2 * COUNT)
@pytest.mark.parametrize(
    "node", [pytest.param(node, marks=pytest.mark.live("fuzz", node, COUNT, timeout_s=60 + COUNT)) for node in NODES]
)
def test_no_message_is_more_than_one_clear_error(node: str, result: list[dict[str, Any]]) -> None:
    assert len(result) >= 2
    for of in result:
        assert not of["strange"], (node, of["what"], of["samples"])
        assert of["growth_mb"] < 30, of["what"]
