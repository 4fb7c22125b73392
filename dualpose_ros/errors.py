"""Errors that the command line shows as one line."""


class InputError(ValueError):
    """What the user gave can't be used; the message says what is wrong and what to do."""


class Stopped(Exception):
    """A signal ended the command; the message says what it leaves."""

    exit_code = 130
