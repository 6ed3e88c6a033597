from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.words import WordErrors, compare, kept, normalise, pairs, tokens

SENTENCES = st.lists(st.sampled_from(["a", "b", "c", "d"]), max_size=12)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Go forward, ten meters!", ["go", "forward", "ten", "meters"]),
        ("ill-disposed", ["ill", "disposed"]),
        ("Don't — l\u2019homme", ["don't", "l\u2019homme"]),
        (" ... ", []),
    ],
)
def test_tokens_drop_case_and_punctuation(text: str, expected: list[str]) -> None:
    assert tokens(text) == expected


@pytest.mark.parametrize(
    ("language", "one", "other"),
    [
        ("en", "Press one, two, three.", "press 1 2 3"),
        ("en", "One two three four five", "1, 2, 3, 4, 5"),
        ("en", "Mister Dashwood didn't walk ten kilometres", "mr dashwood did not walk 10 kilometers"),
        ("en", "by hanging up or hang up", "by hanging up or hangup"),
        ("fr", "appuyez sur 2", "Appuyez sur deux."),
        ("es", "número 7 o 9", "número siete o nueve"),
        ("it", "premere 5", "Premere cinque"),
    ],
)
def test_spellings_of_the_same_words_are_the_same(language: str, one: str, other: str) -> None:
    assert compare(normalise(one, language), normalise(other, language)).errors == 0


def test_languages_without_spaces_are_counted_in_characters() -> None:
    assert normalise("いろは。", "ja") == ["い", "ろ", "は"]


def test_a_language_without_number_words_keeps_its_digits() -> None:
    assert normalise("12 x", "tlh") == ["12", "x"]


@given(SENTENCES, SENTENCES)
def test_errors_account_for_every_word(reference: list[str], hypothesis: list[str]) -> None:
    found = compare(reference, hypothesis)
    assert found.reference == len(reference)
    assert len(hypothesis) == len(reference) - found.missing + found.inserted
    assert found.errors <= max(len(reference), len(hypothesis))
    assert found.errors >= abs(len(reference) - len(hypothesis))
    assert found.doubled <= found.inserted


@given(SENTENCES)
def test_the_same_words_have_no_errors(words: list[str]) -> None:
    assert compare(words, words) == WordErrors(reference=len(words))


def test_kinds_of_errors_are_told_apart() -> None:
    assert compare(list("abcd"), list("axcde")) == WordErrors(4, substituted=1, inserted=1)
    assert compare(list("abcd"), list("abd")) == WordErrors(4, missing=1)
    assert compare(list("abcd"), list("abcbcd")) == WordErrors(4, inserted=2, doubled=2)


def test_errors_add_up() -> None:
    total = compare(["a"], ["b"]) + compare(["a", "b"], ["a"])
    assert total == WordErrors(3, substituted=1, missing=1)
    assert total.rate == pytest.approx(2 / 3)


def test_words_out_of_nothing_are_an_infinite_rate() -> None:
    assert compare([], []).rate == 0
    assert compare([], ["you"]).rate == float("inf")


@given(SENTENCES, SENTENCES)
def test_pairs_are_in_order_and_kept_ones_are_equal(reference: list[str], hypothesis: list[str]) -> None:
    found = pairs(reference, hypothesis)
    assert all(later[0] > earlier[0] and later[1] > earlier[1] for earlier, later in itertools.pairwise(found))
    equal = {one for one, other in found if reference[one] == hypothesis[other]}
    assert kept(reference, hypothesis) == equal
