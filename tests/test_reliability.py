"""The page on reliability says what is so, and what it says of the source is read off the source."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

ROWS = {"A": 7, "B": 10, "C": 10, "D": 10, "E": 9, "F": 10, "G": 17, "H": 5, "I": 9}
STATES = {"held", "in part", "not held", "not tried"}
SECRET = re.compile(r"key|token|secret|hash|mac|digest|password|credential", re.IGNORECASE)
ABOUT = re.compile(r"is_|n_|_path|prefix", re.IGNORECASE)  # what is no secret but bears its name
DOORS = ("auth", "credentials", "tokens", "minting", "resuming", "wyoming")
ARCHIVES = {"tarfile", "zipfile", "zipimport", "shutil.unpack_archive"}


@pytest.fixture(scope="module")
def page() -> str:
    return (Path(__file__).parents[1] / "docs" / "reliability.md").read_text()


def rows(page: str) -> Iterator[list[str]]:
    for line in page.splitlines():
        if re.match(r"\| [A-I]\d+ \|", line):
            yield [cell.strip() for cell in line.strip("|").split("|")]


def test_every_row_has_a_state(page: str) -> None:
    assert Counter(name[0] for name, *_ in rows(page)) == ROWS
    assert len({name for name, *_ in rows(page)}) == sum(ROWS.values())
    assert {state for _, _, state, _ in rows(page)} <= STATES


def test_what_is_not_whole_says_why(page: str) -> None:
    for name, _, state, shown in rows(page):
        assert state != "held" or "tests/" in shown or "tests of" in shown or "test of" in shown, name
        assert state != "in part" or re.sub(r"`[^`]*`|[,;\s]", "", shown), name


def names_in(path: Path) -> set[str]:
    """The tests and the classes of tests in a file."""
    found = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.ClassDef):
            found |= {f"{node.name}::{one.name}" for one in node.body if hasattr(one, "name")} | {node.name}
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            found.add(node.name)
    return found


def test_every_test_that_is_named_is_there(page: str, root: Path) -> None:
    named = set(re.findall(r"`(tests/[\w/]+\.py)(?:::([\w:]+))?`", page))
    assert len(named) > 100
    for path, name in named:
        assert (root / path).is_file(), path
        assert not name or name in names_in(root / path), f"{path}::{name}"


def names_of(node: ast.expr) -> set[str]:
    return {part for one in ast.walk(node) for part in (getattr(one, "id", ""), getattr(one, "attr", "")) if part}


def test_secrets_are_compared_in_constant_time(root: Path) -> None:
    for door in DOORS:
        source = (root / "voxtral_streaming" / "server" / f"{door}.py").read_text()
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Compare) and any(isinstance(one, ast.Eq | ast.NotEq | ast.In) for one in node.ops):
                sides = names_of(node.left).union(*map(names_of, node.comparators))
                secrets = {name for name in sides if SECRET.search(name) and not (ABOUT.search(name) or name.isupper())}
                assert not secrets, f"{door}: {ast.unparse(node)}"


def test_no_archive_is_unpacked(root: Path) -> None:
    for path in (root / "voxtral_streaming").rglob("*.py"):
        tree = ast.parse(path.read_text())
        used = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
        used |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        used |= {ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        assert not used & ARCHIVES, path
