"""`dualpose`: the command line. Exit code 0 is success, 2 bad input, 1 anything else."""

from __future__ import annotations

import errno
import functools
import os
import sys
import traceback
from collections.abc import Sequence
from types import FrameType
from typing import TYPE_CHECKING, Any

from dualpose_ros.errors import InputError, Stopped
from dualpose_ros.standalone.stopping import STOPPED, ignore, leave_command, stop_signals

if TYPE_CHECKING:
    import typer

_HELP = """3D poses, in metres and in the camera's frame, of every person that one camera sees.

`dualpose demo` shows it on a clip that ships with the package, `dualpose run` on your own video or camera.
"""

_LAB = "dualpose_ros.lab"
_FILE_ERRORS = (FileNotFoundError, NotADirectoryError, IsADirectoryError, PermissionError, FileExistsError)

_PACKAGES = {"cv2": "opencv-python-headless", "yaml": "PyYAML", "rerun": "rerun-sdk"}
"""Of modules that are called otherwise than their packages."""

_SHORTAGES = {
    errno.ENOSPC: "output",
    errno.EDQUOT: "output",
    errno.EFBIG: "output",
    errno.EMFILE: "raise the limit (`ulimit -n 1024`)",
    errno.ENFILE: "the whole system",
    errno.ENOMEM: "memory",
}


@functools.cache
def app() -> typer.Typer:
    """Every command."""
    # Here, not at the top: whoever presses Ctrl-C while they are imported should see no traceback.
    import typer
    import typer.core

    from dualpose_ros.commands import (
        bench,
        data,
        demo,
        evaluate,
        export,
        parameters,
        refine,
        results,
        run,
        synth,
        train,
        weights,
    )
    from dualpose_ros.paths import version

    class Commands(typer.core.TyperGroup):
        def invoke(self, ctx: Any) -> Any:
            # typer would make an exit code of it, and lose what it says.
            try:
                return super().invoke(ctx)
            except KeyboardInterrupt as stop:
                # Raised within text that is executed, as dataclasses are made, it would have Python end by the signal
                # in the end, whatever the exit code: until another text is executed.
                exec("")
                raise Stopped(str(stop) or STOPPED) from None

    made = typer.Typer(
        cls=Commands,
        help=_HELP,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode="markdown",
        context_settings={"help_option_names": ["-h", "--help"]},
    )

    def say_version(asked: bool) -> None:
        if asked:
            typer.echo(version())
            raise typer.Exit

    option = typer.Option(False, "--version", callback=say_version, is_eager=True, help="Print the version and end.")

    @made.callback()
    def everywhere(asked: bool = option) -> None:
        pass

    made.command("demo")(demo.demo)
    made.command("run")(run.run)
    made.command("parameters")(parameters.parameters)
    made.add_typer(train.app, name="train")
    made.command("export")(export.export)
    made.add_typer(data.app, name="data")
    made.add_typer(evaluate.app, name="eval")
    made.command("refine")(refine.refine)
    made.command("results")(results.results)
    made.command("synth")(synth.synth)
    made.command("bench")(bench.bench)
    made.add_typer(weights.app, name="weights")
    return made


def main(args: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; bad input is one line on stderr, no traceback.

    SIGTERM and SIGHUP end a command as Ctrl-C does, by KeyboardInterrupt, whose text is printed.
    """
    given = list(sys.argv[1:] if args is None else args)
    is_told = False

    def interrupt(number: int, frame: FrameType | None) -> None:
        nonlocal is_told
        is_told = True
        raise KeyboardInterrupt

    try:
        if "" in given:
            at = given.index("")
            raise InputError(f"nothing stands {f'after {given[at - 1]}' if at else 'first'}: is a variable unset?")
        with stop_signals(leave_command):
            import typer.main

            commands = typer.main.get_command(app())
        _check_once(commands, given)
        with stop_signals(interrupt):
            code = commands(args=given, prog_name="dualpose", standalone_mode=False)
    except KeyboardInterrupt:
        return Stopped.exit_code
    except Exception as error:
        # Where a module in C is imported, a KeyboardInterrupt becomes an ImportError.
        return _report(error if not is_told or isinstance(error, Stopped) else Stopped(STOPPED))
    finally:
        if args is None:
            # The process ends here, and torch alone takes a second to unload.
            ignore()
    return code if isinstance(code, int) else 0


def _check_once(command: Any, words: list[str]) -> None:
    """InputError for an option of one value that is given twice: the first would be lost without a word."""
    while words and words[0] in getattr(command, "commands", {}):
        command, words = command.commands[words[0]], words[1:]
    flags = [word.partition("=")[0] for word in words]
    for option in command.params:
        takes_one = option.param_type_name == "option" and not option.multiple and not option.is_flag
        if takes_one and sum(flag in option.opts for flag in flags) > 1:
            raise InputError(f"{option.opts[0]} is given twice, and takes one value")


def _report(error: Exception) -> int:
    """Print an error and return its exit code."""
    if isinstance(error, BrokenPipeError):
        # Whoever read our output has gone; the interpreter's own flush at exit would complain again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    if type(error).__name__ == "NoArgsIsHelpError":
        return 2
    message = _input_message(error)
    if isinstance(error, OSError) and error.errno in _SHORTAGES:
        where = error.filename or _SHORTAGES[error.errno]
        print(f"dualpose: {where}: {error.strerror}", file=sys.stderr)
        return 1
    if message is None:
        traceback.print_exception(error)
        return 1
    print(f"dualpose: {' '.join(message.split())}", file=sys.stderr)
    return int(getattr(error, "exit_code", 2))


def _input_message(error: Exception) -> str | None:
    """What to tell the user where an error is about their input, None where it is ours.

    Input errors are wrong arguments, files that aren't there or can't be read, every exception class that this
    package defines, which carry a message meant for its users, what a ROS installation leaves out, and others' packages
    that are missing.
    """
    if isinstance(error, ModuleNotFoundError) and f"{error.name}.".startswith(f"{_LAB}."):
        return (
            "this command renders, trains or measures, which an installation for robots leaves out "
            f"({_LAB}): install the package by pip from its source repository"
        )
    if isinstance(error, ModuleNotFoundError) and error.name and not error.name.startswith("dualpose_ros"):
        module = error.name.partition(".")[0]
        package = _PACKAGES.get(module, module)
        return f"this command needs the Python package '{package}', which is not installed: pip install {package}"
    if hasattr(error, "format_message"):
        return f"{error.format_message()} (see `dualpose --help`)"
    if type(error).__module__.split(".")[0] == "dualpose_ros":
        return str(error)
    if isinstance(error, _FILE_ERRORS) or (isinstance(error, OSError) and error.filename):
        return f"{error.filename}: {error.strerror}" if error.filename else str(error)
    return None


if __name__ == "__main__":
    sys.exit(main())
