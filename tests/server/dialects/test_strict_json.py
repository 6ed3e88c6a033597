"""Hostile JSON gets one meaning or none."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxtral_streaming.server.dialects.strict_json import parse_object
from voxtral_streaming.server.errors import InvalidJson


@pytest.mark.parametrize(
    ("text", "trouble"),
    [
        ("", "Expecting value"),
        ("{", "Expecting property name"),
        ("[" * 1_000_000, "nested too deeply"),
        ('{"a":' * 200_000, "nested too deeply"),
        ('{"type": "start", "type": "close"}', "a key stands twice"),
        ('{"a": {"b": 1, "b": 1}}', "a key stands twice"),
        ('{"a": NaN}', "out of range"),
        ('{"a": -Infinity}', "out of range"),
        ('{"a": 1e999}', "out of range"),
        ('{"a": ' + "9" * 100_000 + "}", "out of range"),
        (r'{"a": "\ud800"}', "surrogate"),
        (r'{"\udfff": 1}', "surrogate"),
        ('"text"', "not a JSON object"),
        ("[]", "not a JSON object"),
        ("null", "not a JSON object"),
        ('{"a": 1} {"b": 2}', "Extra data"),
        ("\ufeff{}", "Expecting value"),
    ],
)
def test_is_refused(text: str, trouble: str) -> None:
    with pytest.raises(InvalidJson, match=trouble):
        parse_object(text)


def test_whole_characters_in_escapes_are_fine() -> None:
    assert parse_object(r'{"a": "\ud83d\ude00 é"}') == {"a": "😀 é"}


@given(st.text())
def test_any_text_is_an_object_or_refused(text: str) -> None:
    with contextlib.suppress(InvalidJson):
        assert isinstance(parse_object(text), dict)
