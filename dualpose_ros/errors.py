"""Errors that the command line shows as one line."""

from collections.abc import Iterator
from contextlib import contextmanager


class InputError(ValueError):
    """What the user gave can't be used; the message says what is wrong and what to do."""


class Stopped(Exception):
    """A signal ended the command; the message says what it leaves."""

    exit_code = 130


_TRAINING_PACKAGES = ("torch", "onnx", "onnxscript", "dacite", "numba")


@contextmanager
def needs_torch(command: str) -> Iterator[None]:
    """Turn a failed import of torch, or what else training needs, into an InputError that names the extra."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] not in _TRAINING_PACKAGES:
            raise
        raise InputError(
            f"`dualpose {command}` needs {error.name}, which the base install leaves out: "
            "pip install 'dualpose_ros[train]'"
        ) from error
