from __future__ import annotations

import contextlib
import math
import string
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from voxtral_streaming.config.plain_yaml import MAX_DEPTH, MAX_NODES, parse


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"),
        ("on", "on"),
        ("true", True),
        ("False", False),
        ("~", None),
        ("", None),
        ("null", None),
        ("0", 0),
        ("-16", -16),
        ("010", "010"),
        ("0x10", "0x10"),
        ("1_000", "1_000"),
        ("1:30", "1:30"),
        ("2026-01-01", "2026-01-01"),
        ("9" * 30, "9" * 30),
        ("80.5", 80.5),
        (".5", 0.5),
        ("1e3", 1000.0),
        (".inf", math.inf),
        ("'5'", "5"),
        ("١", "١"),  # noqa: RUF001 (a digit, but not an ASCII one)
        ("{a: [1, x]}", {"a": [1, "x"]}),
        ("<<: {a: 1}", {"<<": {"a": 1}}),
    ],
)
def test_scalars_follow_the_core_schema(text: str, value: object) -> None:
    assert parse(text) == value
    assert type(parse(text)) is type(value)


@pytest.mark.parametrize(
    "text", ["a: &x 1", "*x", "!!int 5", "! x", "!!set {a}", "a: 1\na: 2", "1: x", "~: x", "[a]: x"]
)
def test_extras_are_refused(text: str) -> None:
    with pytest.raises(yaml.YAMLError):
        parse(text)


def test_depth_and_length_are_bounded() -> None:
    assert parse("[" * MAX_DEPTH + "]" * MAX_DEPTH) is not None
    for text in ("[" * (MAX_DEPTH + 1), "[" * 500_000, "- x\n" * MAX_NODES):
        with pytest.raises(yaml.YAMLError, match="too deeply or too long"):
            parse(text)


TEXTS = st.text(string.ascii_letters + " :#-'\"[]{}\n", max_size=20)
LEAVES = st.none() | st.booleans() | st.integers(-(10**17), 10**17) | TEXTS
DOCUMENTS = st.dictionaries(TEXTS, LEAVES | st.lists(LEAVES) | st.dictionaries(TEXTS, LEAVES), max_size=5)


@given(DOCUMENTS)
def test_what_is_dumped_is_read_back(document: dict[str, Any]) -> None:
    assert parse(yaml.safe_dump(document)) == document


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(yaml.YAMLError):
        parse(text)
