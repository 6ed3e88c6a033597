"""What silence says of words that were heard around it."""

from __future__ import annotations

import pytest

from voxtral_streaming.audio.units import SAMPLE_RATE
from voxtral_streaming.silences import Silence, apart, outside
from voxtral_streaming.transcript import Final, Word


def at(seconds: float) -> int:
    return round(seconds * SAMPLE_RATE)


def silence(start_s: float, end_s: float, *, is_long: bool = True) -> Silence:
    return Silence(at(start_s), at(end_s), is_long)


def spoken(text: str, *bounds: float) -> tuple[Word, ...]:
    """Words of which each lasts until the next one begins."""
    return tuple(Word(*one, 1.0) for one in zip(text.split(), bounds[:-1], bounds[1:], strict=True))


def final(text: str, words: tuple[Word, ...]) -> Final:
    return Final(3, 0, at(10), text, words, "en")


@pytest.mark.parametrize(
    ("said", "left"),
    [
        ((1.0, 1.8), (1.0, 1.8)),
        ((1.0, 2.0), (1.0, 2.0)),
        ((1.0, 2.5), (1.0, 2.0)),  # it lasted until the next one began
        ((2.5, 3.5), (3.0, 3.5)),
        ((3.0, 3.5), (3.0, 3.5)),
        ((1.0, 3.1), (1.0, 2.0)),
        ((1.9, 4.0), (3.0, 4.0)),
        ((2.2, 2.8), (3.0, 3.0)),  # said in silence: as much a word of what follows
    ],
)
def test_a_word_lies_outside_silence(said: tuple[float, float], left: tuple[float, float]) -> None:
    word = outside(Word("so", *said, 0.5), silence(2.0, 3.0))
    assert word == Word("so", *left, 0.5)


def test_finals_are_told_apart_where_it_was_silent_for_long() -> None:
    whole = final("Go on, he said. And on.", spoken("Go on, he said. And on.", 0, 0.5, 2.4, 3, 5.9, 7, 8))
    silences = [silence(1, 2), silence(3.2, 3.6, is_long=False), silence(4, 6.5)]
    first, second, third = apart(whole, silences)
    assert [first.text, second.text, third.text] == ["Go on,", "he said.", "And on."]
    assert [first.start_sample, second.start_sample, third.start_sample] == [0, at(2), at(6.5)]
    assert [first.end_sample, second.end_sample, third.end_sample] == [at(1), at(4), at(10)]
    assert first.words == spoken("Go on,", 0, 0.5, 1)
    assert [word.start for word in third.words] == [6.5, 7]


def test_a_silence_that_is_not_long_only_moves_words() -> None:
    [one] = apart(final("so  it goes", spoken("so it goes", 1, 2, 5, 6)), [silence(2.5, 4, is_long=False)])
    assert one.text == "so  it goes"
    assert [(word.start, word.end) for word in one.words] == [(1, 2), (4, 5), (5, 6)]


def test_nothing_is_told_apart_without_words_on_both_sides() -> None:
    assert list(apart(final("so it goes", ()), [silence(1, 2)])) == [final("so it goes", ())]
    behind = final("so", spoken("so", 3, 4))
    assert list(apart(behind, [silence(1, 2), silence(5, 6)])) == [behind]


def test_scripts_without_spaces_are_told_apart_too() -> None:
    words = spoken("看 书 去", 0, 1, 4, 5)
    assert [one.text for one in apart(final("看书。去!", words), [silence(1.5, 3.9)])] == ["看书。", "去!"]
