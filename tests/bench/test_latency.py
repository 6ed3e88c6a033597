from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.dialects.base import Committed, Observation, Shown
from bench.latency import Measures, Place, locate, longest_gap, measure, place
from bench.schedule import Schedule
from bench.screen import utterances
from bench.truth import SpokenWord
from voxtral_streaming.audio.units import samples_from_seconds

RUNS = ((16_000, 32_000), (48_000, 64_000))  # 1 to 2 s, 3 to 4 s


def _schedule() -> Schedule:
    spoken = [("go", 1.0, 1.4), ("forward", 1.4, 2.0), ("ten", 3.0, 3.5), ("meters", 3.5, 4.0)]
    words = tuple(
        SpokenWord(text, samples_from_seconds(start), samples_from_seconds(end)) for text, start, end in spoken
    )
    return Schedule(np.zeros(80_000, dtype=np.float32), RUNS, words, (("en", "go forward ten meters"),))


def _measure(*observations: tuple[float, Observation]) -> Measures:
    schedule = _schedule()
    return measure(place(utterances(observations), schedule))


FIRST = (
    (1.5, Shown("0", "", "goat", 19_200)),
    (2.1, Shown("0", "go", " forward", 32_000)),
    (2.5, Committed("0", "Go forward.", (12_800, 40_000))),
)
SECOND = ((3.9, Shown("1", "", "ten", 56_000)), (4.6, Committed("1", "Ten meters.", (44_800, 72_000))))


def test_everything_is_counted_from_what_was_spoken() -> None:
    found = _measure(*FIRST, *SECOND)
    assert found.first_partial == pytest.approx([0.5, 0.9])
    assert found.word == pytest.approx([0.7, 0.1, 0.4, 0.6])
    assert found.text == pytest.approx([0.1, 0.6])
    assert found.commit == pytest.approx([0.5, 0.6])
    assert found.gap == pytest.approx([0.5, 0.9])
    assert found.lag == pytest.approx([0.3, 0.1, 0.4])
    assert (found.utterances, found.cut, found.nowhere, found.misplaced) == (2, 0, 0, 0)
    assert (found.stable_words, found.broken_words) == (1, 0)


def test_without_positions_the_words_say_where_an_utterance_is() -> None:
    blind = [
        (time, Committed(seen.utterance, seen.text) if isinstance(seen, Committed) else seen)
        for time, seen in (*FIRST, *SECOND)
    ]
    assert _measure(*blind) == _measure(*FIRST, *SECOND)


def test_an_utterance_cut_inside_speech_has_no_end_to_count_from() -> None:
    found = _measure((1.7, Committed("0", "Go", (12_800, 24_000))), (2.6, Committed("1", "forward", (24_000, 40_000))))
    assert found.cut == 1
    assert found.commit == pytest.approx([0.6])
    assert found.first_partial == pytest.approx([0.7])


def test_text_where_nobody_spoke_is_told() -> None:
    found = _measure(*FIRST, (3.0, Committed("1", "you", (68_000, 76_000))))
    assert (found.utterances, found.nowhere) == (2, 1)
    assert len(found.commit) == 1


def test_utterances_without_text_or_final_are_left_out() -> None:
    assert _measure((1.5, Shown("0", "go", "")), (4.0, Committed("1", " "))) == Measures()


def test_a_word_shown_before_it_was_spoken_is_misplaced() -> None:
    found = _measure((1.2, Committed("0", "meters", None)))
    assert (found.misplaced, found.word) == (1, [])


def test_measures_add_up() -> None:
    total = _measure(*FIRST) + _measure(*SECOND)
    assert total.commit == pytest.approx([0.5, 0.6])
    assert total.utterances == 2


@pytest.mark.parametrize(
    ("span", "expected"),
    [
        (None, None),
        ((0, 16_400), None),
        ((12_000, 40_000), Place(1.0, 2.0)),
        ((12_000, 29_000), Place(1.0, 2.0)),  # ends a little inside
        ((12_000, 24_000), Place(1.0, None)),
        ((24_000, 40_000), Place(None, 2.0)),
        ((12_000, 80_000), Place(1.0, 4.0)),
    ],
)
def test_speech_inside_a_span(span: tuple[int, int] | None, expected: Place | None) -> None:
    assert locate(span, RUNS) == expected


@given(
    st.lists(st.floats(0, 10), min_size=1, max_size=8).map(sorted),
    st.none() | st.floats(0, 10),
    st.none() | st.floats(0, 10),
)
def test_no_gap_is_longer_than_the_longest(shown: list[float], begins: float | None, ends: float | None) -> None:
    first = shown[0] if begins is None else begins
    last = max(first, shown[-1] if ends is None else ends)
    longest = longest_gap(shown, first, last)
    assert 0 <= longest <= last - first
    inside = [first, *(time for time in shown if first < time < last), last]
    assert all(later - earlier <= longest for earlier, later in itertools.pairwise(inside))
