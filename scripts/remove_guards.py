"""Takes every guard of the package away, one at a time, and sees whether a test fails: how strong the tests are.

    python -m scripts.remove_guards [--quick] [NAME ...]

Each guard is removed from a copy of the package, and the tests that must notice run against the copy.
Ends with 1 where one of them did not notice.
"""

from __future__ import annotations

import argparse
import importlib
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import pytest

from scripts.guards import GUARDS, Guard

ROOT = Path(__file__).parents[1]
PACKAGE = "voxtral_streaming"
HEAVY = ("numpy", "httpx", "fastapi", "fastapi_offline", "websockets", "hypothesis", "prometheus_client", "uvicorn")
OPTIONS = ("-q", "-x", "--timeout=60", "-p", "no:cacheprovider", "-W", "ignore::pytest.PytestAssertRewriteWarning")

SOME_FAILED = re.compile(r"^\d+ failed", re.MULTILINE)  # the exit code may tell of what went wrong after that


def without(guard: Guard, source: str) -> str:
    """The source of the guard's file without the guard; ValueError where it does not stand there once."""
    if source.count(guard.old) != 1:
        raise ValueError(f"{guard.name}: stands {source.count(guard.old)} times in {guard.file}")
    return source.replace(guard.old, guard.new)


@contextmanager
def copy_of_the_package(guard: Guard | None) -> Iterator[Path]:
    """A copy of the repository, of links but for the package, without the guard if there is one to leave out."""
    owner, folder = os.getpid(), Path(tempfile.mkdtemp())
    try:
        copy = folder / ROOT.name
        copy.mkdir()
        for path in ROOT.iterdir():
            if path.name != PACKAGE:
                copy.joinpath(path.name).symlink_to(path)
        shutil.copytree(ROOT / PACKAGE, copy / PACKAGE, ignore=shutil.ignore_patterns("__pycache__"))
        if guard is not None:
            file = copy / guard.file
            file.write_text(without(guard, file.read_text()))
        yield copy
    finally:
        if os.getpid() == owner:  # tests fork, too
            shutil.rmtree(folder)


def outcome(guard: Guard) -> str:
    """What the guard's tests say without it: `noticed`, `NOT NOTICED`, or why they could not run."""
    status, said = _run_tests(guard.tests, guard)
    if status != pytest.ExitCode.OK and SOME_FAILED.search(said):
        return "noticed"
    return "NOT NOTICED" if status == pytest.ExitCode.OK else f"did not run\n{said}"


def check(guards: Sequence[Guard]) -> str:
    """What is wrong with the tests of the guards while all guards are there; nothing, if nothing is."""
    status, said = _run_tests(sorted({test for guard in guards for test in guard.tests}), None)
    return "" if status == pytest.ExitCode.OK else said


def _run_tests(tests: Sequence[str], guard: Guard | None) -> tuple[int, str]:
    """The exit code of pytest without the guard, and the end of what it said.

    It runs in a fork: what is heavy to import was imported once, the package never.
    """
    with copy_of_the_package(guard) as copy:
        log = copy.parent / "log"
        pid = os.fork()
        if pid == 0:
            _become_pytest(tests, copy, log)
        _, status = os.waitpid(pid, 0)
        return os.waitstatus_to_exitcode(status), log.read_text()[-4000:]


def _become_pytest(tests: Sequence[str], root: Path, log: Path) -> NoReturn:
    """Run pytest in the place of this process, which never returns from here, whatever happens."""
    status: int = pytest.ExitCode.INTERNAL_ERROR
    try:
        with log.open("w") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        os.chdir(root)
        os.environ["PYTHONPATH"] = sys.path[0] = str(root)
        status = pytest.main([*OPTIONS, *tests])
    finally:
        os._exit(status)


def main() -> int:
    """Print a line for each guard; 1 where a removal was not noticed."""
    parser = argparse.ArgumentParser(prog="remove_guards", description="Whether the tests notice a guard's absence.")
    parser.add_argument("--quick", action="store_true", help="only the guards whose tests take no second")
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    for name in HEAVY:
        importlib.import_module(name)
    asked = [guard for guard in GUARDS if guard.name in options.names or not options.names]
    guards = [guard for guard in asked if guard.is_quick or not options.quick]
    if trouble := check(guards):
        print(f"with every guard in its place:\n{trouble}")
        return 1
    return int(any([_tell(guard) != "noticed" for guard in guards]))  # noqa: C419


def _tell(guard: Guard) -> str:
    began = time.monotonic()
    told = outcome(guard)
    print(f"{guard.name}: {told} ({time.monotonic() - began:.1f} s)", flush=True)
    return told


if __name__ == "__main__":
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # a process that forks has one thread
    sys.exit(main())
