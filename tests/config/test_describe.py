from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import Field

from voxtral_streaming.config.describe import expectation
from voxtral_streaming.config.sections import Section
from voxtral_streaming.config.settings import SECTIONS
from voxtral_streaming.config.values import Rule


class Sample(Section):
    integer: int = Field(ge=1, le=9)
    number: float = Field(gt=0, le=0.5)
    probability: float = Field(gt=0, lt=1)
    half_open: Annotated[float, Field(ge=1, lt=2)]
    switch: bool
    text: str
    path: Path | None
    choice: Literal["a", "b"]
    fact: Literal[16000]
    ruled: Annotated[str, Rule(str.islower, "lower case")]
    many: tuple[Annotated[int, Field(ge=1, le=2)], ...]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("integer", "an integer from 1 to 9"),
        ("number", "a number above 0 and at most 0.5"),
        ("probability", "a number above 0 and below 1"),
        ("half_open", "a number at least 1 and below 2"),
        ("switch", "`true` or `false`"),
        ("text", "a text"),
        ("path", "a path, or `null`"),
        ("choice", "one of `a`, `b`"),
        ("fact", "exactly 16000"),
        ("ruled", "lower case"),
        ("many", "a list, each item an integer from 1 to 2"),
    ],
)
def test_each_kind_of_setting_is_put_in_words(name: str, words: str) -> None:
    assert expectation(Sample.model_fields[name]) == words


def test_an_item_of_a_list_is_put_in_words() -> None:
    assert expectation(Sample.model_fields["many"], of_item=True) == "an integer from 1 to 2"


def test_every_setting_can_be_put_in_words() -> None:
    for model in SECTIONS.values():
        for field in model.model_fields.values():
            assert expectation(field)
