"""Tokens to text and to words with times, without a model."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxtral_streaming.engines.voxtral.tekken import Tekken
from voxtral_streaming.engines.voxtral.words import Predicted, Writer, timed, whole

PIECES = (b" one", b" two", b"teen", b",", b" ", b"7", "好".encode(), "好".encode()[:1], "好".encode()[1:], b"\n")
ONE, TWO, TEEN, COMMA, SPACE, SEVEN, GOOD, GOOD_1, GOOD_2, LINE = range(3, 3 + len(PIECES))
PAD, MARKER = 1, 2


@pytest.fixture(scope="module")
def tekken() -> Tekken:
    return Tekken(3, PIECES, 0, PAD, 32, 480, MARKER)


def write(writer: Writer, tokens: list[int], step: int = 0, probability: float = 0.5) -> str:
    return writer.write(Predicted(tokens, [probability] * len(tokens)), step)


def written(tekken: Tekken, tokens: list[int]) -> list[tuple[int, str]]:
    writer = Writer(tekken)
    write(writer, tokens)
    writer.finish()
    return [(word.step, word.text) for word in writer.words]


def test_a_word_is_dated_by_its_first_token(tekken: Tekken) -> None:
    assert written(tekken, [PAD, MARKER, TWO, TEEN, COMMA, PAD, MARKER, ONE]) == [(2, " twoteen,"), (7, " one")]


def test_words_in_one_go_are_told_apart_by_their_spaces(tekken: Tekken) -> None:
    assert written(tekken, [MARKER, ONE, TWO, TEEN]) == [(1, " one"), (2, " twoteen")]


def test_the_marker_begins_a_word_where_there_are_no_spaces(tekken: Tekken) -> None:
    assert written(tekken, [MARKER, GOOD, GOOD, PAD, MARKER, GOOD_1, GOOD_2]) == [(1, "好好"), (5, "好")]
    assert written(tekken, [GOOD, MARKER, GOOD_1]) == [(0, "好"), (2, "\ufffd")]


def test_a_word_ends_where_it_was_heard_and_begins_as_long_before_as_it_takes(tekken: Tekken) -> None:
    """Step 10 is told after 11 tokens of audio and the delay; its marker, after 10: the word ended in the tenth."""
    writer = Writer(tekken)
    write(writer, [MARKER, ONE], step=9, probability=0.9)
    write(writer, [MARKER, TWO, TEEN], step=11, probability=0.4)
    one, twoteen = timed(writer.words, at=16_000, n_samples=32_000)
    assert (one.text, one.end, one.probability) == ("one", 1.76, 0.9)
    assert one.start == pytest.approx(one.end - 0.28)
    assert (twoteen.text, twoteen.start, twoteen.end) == ("twoteen", one.end, 1.92)
    assert twoteen.probability == pytest.approx(0.4)


def test_white_space_alone_is_no_word(tekken: Tekken) -> None:
    writer = Writer(tekken)
    write(writer, [MARKER, ONE, LINE, SPACE, SEVEN, SEVEN])
    assert [word.text for word in timed(writer.words, 0, 16_000)] == ["one", "77"]


tokens = st.lists(st.sampled_from([PAD, MARKER, *range(3, 3 + len(PIECES))]), max_size=30)


@given(begun=tokens, ended=tokens, at=st.integers(0, 10**9), n_samples=st.integers(0, 60_000))
def test_words_spell_the_text_and_their_times_never_go_back(
    tekken: Tekken, begun: list[int], ended: list[int], at: int, n_samples: int
) -> None:
    """Also where the end is written on trial, by a fork that leaves no trace."""
    writer = Writer(tekken)
    text = write(writer, begun)
    before = list(writer.words)
    fork = writer.fork()
    tail = write(fork, ended, step=len(begun)) + fork.finish()
    assert writer.words == before
    words = timed(whole(writer.words, fork.words), at, n_samples)
    assert "".join("".join(word.text for word in words).split()) == "".join((text + tail).split())
    moments = [at / 16_000, *(moment for word in words for moment in (word.start, word.end)), (at + n_samples) / 16_000]
    assert all(after >= earlier - 0.0005 for earlier, after in pairwise(moments))
    for earlier, later in pairwise(words):
        assert earlier.start <= earlier.end <= later.start <= later.end
    assert all(0 < word.probability <= 1 for word in words)
