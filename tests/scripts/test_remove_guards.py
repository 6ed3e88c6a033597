"""The list of guards is true to the package, and the tests notice where one is missing.

`make soak` takes every guard away; here only those whose tests are quick.
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from scripts.guards import GUARDS, Guard
from scripts.remove_guards import without

each_guard = pytest.mark.parametrize("guard", GUARDS, ids=lambda guard: guard.name)


@cache
def functions_of(path: Path) -> set[str]:
    """`test_x`, `TestY` and `TestY::test_x` of a file; the empty name is the whole of it."""
    found = {""}
    for node in ast.parse(path.read_text()).body:
        inner = node.body if isinstance(node, ast.ClassDef) else [node]
        prefix = f"{node.name}::" if isinstance(node, ast.ClassDef) else ""
        found |= {prefix + one.name for one in inner if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)}
        found |= {node.name} if isinstance(node, ast.ClassDef) else set()
    return found


@each_guard
def test_a_guard_can_be_taken_away(guard: Guard, root: Path) -> None:
    compile(without(guard, (root / guard.file).read_text()), guard.file, "exec")


@each_guard
def test_its_tests_are_there(guard: Guard, root: Path) -> None:
    for test in guard.tests:
        path, _, name = test.partition("::")
        assert name in functions_of(root / path)


def test_names_are_unique() -> None:
    assert len({guard.name for guard in GUARDS}) == len(GUARDS)


def test_a_guard_that_moved_is_told() -> None:
    guard = Guard("g", "f.py", "if x:", "if True:", ())
    assert without(guard, "if x:\n") == "if True:\n"
    for source in ("", "if x: if x:"):
        with pytest.raises(ValueError, match="g: stands"):
            without(guard, source)


@pytest.mark.skipif(sys.platform != "linux", reason="forks")
def test_tests_notice_when_a_guard_is_gone(root: Path) -> None:
    command = [sys.executable, "-m", "scripts.remove_guards", "--quick"]
    done = subprocess.run(
        command,
        cwd=root,
        env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("noticed") == sum(guard.is_quick for guard in GUARDS)
