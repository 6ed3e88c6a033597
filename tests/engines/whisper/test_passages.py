"""What partials hear of an utterance that grows."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from voxtral_streaming.engines.whisper.passages import BEHIND, LONG, SHORTEST, Passage, Passages

WORDS = (" so", " it", " goes")


def test_everything_is_heard_until_something_is_settled() -> None:
    assert Passages().next(2 * LONG) == Passage(0, 2 * LONG)


def test_what_was_heard_up_to_a_pause_is_settled() -> None:
    passages = Passages()
    passages.pause(SHORTEST)
    passages.heard(WORDS, Passage(0, SHORTEST))
    assert passages.next(SHORTEST + 1) == Passage(SHORTEST, SHORTEST + 1, WORDS)


def test_nothing_is_settled_without_a_pause_or_enough_speech() -> None:
    passages = Passages()
    passages.pause(SHORTEST - 1)
    passages.heard(WORDS, Passage(0, SHORTEST - 1))
    passages.heard(WORDS, Passage(0, SHORTEST))
    assert passages.next(LONG) == Passage(0, LONG)


def test_a_long_passage_may_be_settled_at_its_pauses() -> None:
    passages = Passages()
    for pause in (SHORTEST - 1, SHORTEST, SHORTEST + 5, LONG + 1 - BEHIND, LONG + 2 - BEHIND):
        passages.pause(pause)
    assert passages.next(LONG) == Passage(0, LONG)
    assert passages.next(LONG + 1) == Passage(0, LONG + 1, (), (LONG + 1 - BEHIND, SHORTEST + 5, SHORTEST))


def test_what_was_heard_before_something_was_settled_settles_nothing() -> None:
    passages = Passages()
    passages.pause(2 * LONG)
    passages.settle(WORDS, LONG)
    passages.heard(WORDS * 3, Passage(0, 2 * LONG))
    assert passages.next(3 * LONG) == Passage(LONG, 3 * LONG, WORDS, (2 * LONG,))


@given(st.lists(st.tuples(st.integers(1, 4 * LONG), st.booleans(), st.booleans()), max_size=30))
def test_what_is_heard_begins_where_the_settled_part_ends_and_goes_on(steps: list[tuple[int, bool, bool]]) -> None:
    passages, end, settled = Passages(), 0, 0
    for grown, is_pause, is_heard in steps:
        end += grown
        if is_pause:
            passages.pause(end)
        passage = passages.next(end)
        assert settled <= passage.start < passage.end <= end
        if is_heard:
            passages.heard(WORDS, passage)
        settled = passage.start
