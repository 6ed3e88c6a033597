"""How a command fails: one message on standard error, and an exit code that a script can tell apart."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from voxtral_streaming.errors import ConfigError, VoxtralError, WeightsError

EXIT_FAILED = 1
EXIT_CONFIG = 2
EXIT_WEIGHTS = 3
EXIT_INTERRUPTED = 130  # what a shell reports of a program that SIGINT ended
EXIT_PIPE = 141  # … and of one that SIGPIPE did

_with_traceback: ContextVar[bool] = ContextVar("with_traceback", default=False)


def complain(message: str, error: Exception | None = None) -> None:
    """Tell what is wrong; with `--debug`, behind the traceback of the error."""
    if error is not None and _with_traceback.get():
        traceback.print_exception(error)
    sys.stderr.write(f"voxtral: {message}\n")


@contextmanager
def told_in_a_line(*, debug: bool) -> Iterator[None]:
    """Errors as one message, with `debug` behind their traceback, and an exit code."""
    _with_traceback.set(debug)
    try:
        yield
    except KeyboardInterrupt as interrupt:
        raise SystemExit(EXIT_INTERRUPTED) from interrupt
    except BrokenPipeError as error:  # whoever read our output has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(EXIT_PIPE) from error
    except (VoxtralError, OSError) as error:
        complain(error.message if isinstance(error, VoxtralError) else _describe(error), error)
        raise SystemExit(_exit_code(error)) from error


@contextmanager
def interrupted_at_once() -> Iterator[None]:
    """While modules are imported: some turn the KeyboardInterrupt of a Ctrl-C into an error of their own."""
    before = signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _describe(error: OSError) -> str:
    """What the operating system said, and of which file."""
    name = f"{error.filename}: " if error.filename else ""
    return f"{name}{error.strerror or error}"


def _exit_code(error: Exception) -> int:
    """2: the configuration is wrong, 3: the weights are, 1: anything else."""
    match error:
        case ConfigError():
            return EXIT_CONFIG
        case WeightsError():
            return EXIT_WEIGHTS
        case _:
            return EXIT_FAILED
