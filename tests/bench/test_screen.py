from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bench.dialects.base import Committed, Shown, Stopped
from bench.screen import Screen, Utterance, broken_promises, text_settled, utterances, words_settled
from bench.words import kept

WORDS = st.lists(st.sampled_from(["a", "b", "c"]), max_size=6)


def test_observations_are_sorted_by_utterance() -> None:
    first, second = utterances(
        [
            (1.0, Shown("0", "go", " for", 16_000)),
            (1.5, Stopped("0")),
            (1.6, Shown("1", "", "ten")),
            (2.0, Committed("0", "Go forward", (0, 24_000))),
        ]
    )
    assert first.screens == [Screen(1.0, "go", " for", 16_000)]
    assert (first.stopped, first.committed, first.text, first.span) == (1.5, 2.0, "Go forward", (0, 24_000))
    assert first.states == [(1.0, ["go", "for"]), (2.0, ["go", "forward"])]
    assert second.committed is None
    assert second.states == [(1.6, ["ten"])]


@given(st.lists(WORDS, max_size=6), WORDS)
def test_a_word_is_settled_since_it_stands_without_a_break(earlier: list[list[str]], final: list[str]) -> None:
    states = [(float(time), words) for time, words in enumerate([*earlier, final])]
    settled = words_settled(states)
    assert len(settled) == len(final)
    for index, since in enumerate(settled):
        assert all(index in kept(final, words) for time, words in states if time >= since)
        before = [words for time, words in states if time == since - 1]
        assert not before or index not in kept(final, before[0])


def test_a_word_that_comes_and_goes_counts_from_its_last_coming() -> None:
    states = [(1.0, ["ten"]), (2.0, ["then"]), (3.0, ["ten", "clubs"]), (4.0, ["ten", "of", "clubs"])]
    assert words_settled(states) == [3.0, 4.0, 3.0]
    assert text_settled(states) == 4.0


def test_the_whole_text_is_settled_since_nothing_else_was_shown() -> None:
    states = [(1.0, ["ten", "of"]), (2.0, ["ten", "of", "clubs"]), (3.0, ["ten", "of", "clubs"])]
    assert text_settled(states) == 2.0


def _utterance(stable: list[str], final: str) -> Utterance:
    return Utterance([Screen(float(time), text) for time, text in enumerate(stable)], committed=9.0, text=final)


def test_kept_promises() -> None:
    assert broken_promises(_utterance(["Ten", "Ten of"], "ten of clubs.")) == (2, 0)
    assert broken_promises(_utterance([], "ten")) == (0, 0)


def test_a_stable_word_that_the_final_changed_is_broken() -> None:
    assert broken_promises(_utterance(["ten", "ten off clubs"], "ten of clubs")) == (3, 1)
    assert broken_promises(_utterance(["ten off", "ten of clubs"], "ten of clubs")) == (3, 1)


def test_a_word_that_moved_because_another_came_before_it_is_kept() -> None:
    assert broken_promises(_utterance(["of clubs"], "ten of clubs")) == (2, 0)


def test_a_stable_text_may_end_inside_a_word() -> None:
    assert broken_promises(_utterance(["Green", "Greenfi", "Greenfield"], "Greenfield.")) == (1, 0)
