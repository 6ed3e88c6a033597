"""Takes every guard of the package away, one at a time, and sees whether a test fails: how strong the tests are.

    python -m scripts.remove_guards [--quick] [NAME ...]

Each guard is removed from a copy of the package, and the tests that must notice run against the copy.
Ends with 1 where one of them did not notice.
"""

from __future__ import annotations

import argparse
import importlib
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from scripts.guards import GUARDS, Guard

ROOT = Path(__file__).parents[1]
PACKAGE = "voxtral_streaming"
HEAVY = ("numpy", "httpx", "fastapi", "fastapi_offline", "websockets", "hypothesis", "prometheus_client", "uvicorn")
OPTIONS = ("-q", "-x", "--timeout=60", "-p", "no:cacheprovider")


def without(guard: Guard, source: str) -> str:
    """The source of the guard's file without the guard; ValueError where it does not stand there once."""
    if source.count(guard.old) != 1:
        raise ValueError(f"{guard.name}: stands {source.count(guard.old)} times in {guard.file}")
    return source.replace(guard.old, guard.new)


@contextmanager
def copy_without(guard: Guard) -> Iterator[Path]:
    """A copy of the repository, of links but for the package, without the guard."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, ROOT.name)
        copy.mkdir()
        for path in ROOT.iterdir():
            if path.name != PACKAGE:
                copy.joinpath(path.name).symlink_to(path)
        shutil.copytree(ROOT / PACKAGE, copy / PACKAGE, ignore=shutil.ignore_patterns("__pycache__"))
        file = copy / guard.file
        file.write_text(without(guard, file.read_text()))
        yield copy


def outcome(guard: Guard) -> str:
    """What the guard's tests say without it: `noticed`, `NOT NOTICED`, or why they could not run."""
    with copy_without(guard) as copy:
        log = copy.parent / "log"
        status = _run_tests(guard.tests, copy, log)
        if status == pytest.ExitCode.TESTS_FAILED:
            return "noticed"
        return "NOT NOTICED" if status == pytest.ExitCode.OK else f"did not run\n{log.read_text()[-2000:]}"


def _run_tests(tests: Sequence[str], root: Path, log: Path) -> int:
    """The exit code of pytest, in a fork: what is heavy to import was imported once, the package never."""
    pid = os.fork()
    if pid == 0:
        with log.open("w") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        os.chdir(root)
        os.environ["PYTHONPATH"] = sys.path[0] = str(root)
        os._exit(pytest.main([*OPTIONS, *tests]))
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status)


def main() -> int:
    """Print a line for each guard; 1 where a removal was not noticed."""
    parser = argparse.ArgumentParser(prog="remove_guards", description="Whether the tests notice a guard's absence.")
    parser.add_argument("--quick", action="store_true", help="only the guards whose tests take no second")
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    for name in HEAVY:
        importlib.import_module(name)
    guards = [guard for guard in GUARDS if (guard.name in options.names or not options.names)]
    bad = 0
    for guard in guards:
        if options.quick and not guard.is_quick:
            continue
        began = time.monotonic()
        told = outcome(guard)
        bad += told != "noticed"
        print(f"{guard.name}: {told} ({time.monotonic() - began:.1f} s)", flush=True)
    return int(bad > 0)


if __name__ == "__main__":
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # a process that forks has one thread
    sys.exit(main())
