"""Commands that must be refused."""

import pytest

from dualpose_ros import cli


def refused(capsys: pytest.CaptureFixture[str], *args: object) -> str:
    """Run a command that must be refused with exit code 2 and one line on stderr; gives the line."""
    capsys.readouterr()
    code = cli.main([str(arg) for arg in args])
    captured = capsys.readouterr()
    lines = captured.err.strip().splitlines()
    assert code == 2, captured.err
    assert len(lines) == 1, captured.err
    assert lines[0].startswith("dualpose: ")
    return lines[0]
