"""What an appending client is sent."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxtral_streaming.server.dialects.deltas import Deltas, RunningText

texts = st.lists(st.sampled_from(["one", "two,", "three.", "ça", "vier"]), max_size=8).map(" ".join)


@given(texts, st.lists(st.integers(0, 40), max_size=5))
def test_deltas_of_stable_text_join_to_the_final(text: str, cuts: list[int]) -> None:
    deltas = Deltas()
    told = [deltas.tell(text[:cut]) for cut in sorted(cuts)]
    assert "".join([*told, deltas.tell(text)]) == text


def test_surrounding_space_is_never_told() -> None:
    deltas = Deltas()
    assert [deltas.tell(" One "), deltas.tell(" One  two "), deltas.tell("One  two three")] == [
        "One",
        "  two",
        " three",
    ]


def test_lead_goes_before_the_first_text_only() -> None:
    deltas = Deltas(" ")
    assert [deltas.tell(""), deltas.tell("One"), deltas.tell("One two")] == ["", " One", " two"]
    assert Deltas(" ").tell("") == ""
    assert Deltas(" ").tell("One") == " One"


@pytest.mark.parametrize(
    ("stable", "final", "rest"),
    [
        ("The quick brown fax", "The quick brown fox jumps.", " jumps."),
        ("the quick", "The quick fox", " fox"),  # another case
        ("The quick brown", "The brown fox", " fox"),  # a word too many
        ("The brown fox", "The quick brown fox jumps.", " jumps."),  # a word too few
        ("The quick brown", "The", ""),
        ("The quick", "", ""),
        ("今天天汽", "今天天气很好", "很好"),
    ],
)
def test_a_stable_word_that_differs_from_the_final_is_not_said_again(stable: str, final: str, rest: str) -> None:
    deltas = Deltas()
    assert deltas.tell(stable) == stable
    assert deltas.tell(final) == rest


def test_utterances_are_parted_by_one_space() -> None:
    text = RunningText()
    told = [
        text.settle(""),
        text.grow("One"),
        text.settle("One."),
        text.settle(""),
        text.grow("Two"),
        text.settle("Two."),
    ]
    assert told == ["", "One", ".", "", " Two", "."]
