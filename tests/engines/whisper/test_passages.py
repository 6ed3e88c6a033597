"""What partials hear of an utterance that grows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxtral_streaming.engines.whisper.passages import LONG, SHORTEST, Passages

WORDS = (" so", " it", " goes")


def test_everything_is_heard_until_something_is_settled() -> None:
    assert Passages().next(2 * LONG) == (0, 2 * LONG)


def test_what_was_heard_up_to_a_pause_is_settled() -> None:
    passages = Passages()
    passages.pause(SHORTEST)
    passages.settle(WORDS, SHORTEST)
    assert passages.words == WORDS
    assert passages.next(SHORTEST + 1) == (SHORTEST, SHORTEST + 1)


def test_nothing_is_settled_without_a_pause_or_enough_speech() -> None:
    passages = Passages()
    passages.pause(SHORTEST - 1)
    passages.settle(WORDS, SHORTEST - 1)
    passages.settle(WORDS, SHORTEST)
    assert passages.next(LONG) == (0, LONG)
    assert passages.words == ()


def test_a_long_passage_is_heard_up_to_its_last_pause() -> None:
    passages = Passages()
    for pause in (SHORTEST - 1, SHORTEST, SHORTEST + 5):
        passages.pause(pause)
    assert passages.next(LONG) == (0, LONG)
    assert passages.next(LONG + 1) == (0, SHORTEST + 5)


@pytest.mark.parametrize(
    ("settled", "following", "together"),
    [
        ((" consider", " how."), (" much",), (" consider", " how", " much")),
        ((" so", " it", " goes."), (" Then",), (" so", " it", " goes.", " Then")),
        ((" is", " it?"), (" much",), (" is", " it?", " much")),
        ((" how.",), (), (" how.",)),
        ((), (" much",), (" much",)),
    ],
)
def test_a_full_stop_goes_where_the_sentence_goes_on(
    settled: tuple[str, ...], following: tuple[str, ...], together: tuple[str, ...]
) -> None:
    passages = Passages()
    passages.pause(SHORTEST)
    passages.settle(settled, SHORTEST)
    assert passages.continued(following) == together


@given(st.lists(st.tuples(st.integers(1, 4 * LONG), st.booleans(), st.booleans()), max_size=30))
def test_what_is_heard_begins_where_the_settled_part_ends_and_goes_on(steps: list[tuple[int, bool, bool]]) -> None:
    passages, end, settled = Passages(), 0, 0
    for grown, is_pause, is_heard in steps:
        end += grown
        if is_pause:
            passages.pause(end)
        start, heard = passages.next(end)
        assert settled <= start < heard <= end
        if is_heard:
            passages.settle(WORDS, heard)
        settled = start
