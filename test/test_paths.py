"""Files that are written whole or not at all, and folders that one process has at a time."""

import os
from pathlib import Path

import pytest

from dualpose_ros.paths import claimed, write_whole, written_whole


def test_a_file_is_replaced_whole_or_stays_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "file.json"
    for text, fails in (("first", False), ("half", True), ("second", False)):
        try:
            with written_whole(path) as file:
                file.write_text(text)
                if fails:
                    raise KeyboardInterrupt
        except KeyboardInterrupt:
            assert path.read_text() == "first"
    assert path.read_text() == "second" and list(path.parent.iterdir()) == [path]


def test_what_is_no_file_is_written_itself(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDWR)
    try:
        write_whole(pipe, "text")
        assert os.read(reader, 9) == b"text" and pipe.is_fifo()
    finally:
        os.close(reader)


def test_a_folder_that_cannot_be_made_is_an_os_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"), written_whole(tmp_path / "file" / "new"):
        pass


@pytest.mark.parametrize("error", [OSError("4096 requested and 12 written"), OSError(28, "No space left on device")])
def test_an_error_of_writing_says_what_and_where(tmp_path: Path, error: OSError) -> None:
    with pytest.raises(OSError, match=rf"(?s)(?=.*file\.npz).*{error.args[-1]}"), written_whole(tmp_path / "file.npz"):
        raise error


def test_a_folder_is_claimed_by_one_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with claimed(tmp_path) as first, claimed(tmp_path) as second:
        assert (first, second) == (True, False)

    def lacks_locks(*_: int) -> None:
        raise OSError("no locks available")

    monkeypatch.setattr("dualpose_ros.paths.fcntl.flock", lacks_locks)
    with claimed(tmp_path) as here:
        assert here
    with pytest.raises(FileNotFoundError), claimed(tmp_path / "missing"):
        pass
