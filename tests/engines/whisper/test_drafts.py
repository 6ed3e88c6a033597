"""What of an utterance's earlier texts is kept for the decoder to check."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from voxtral_streaming.audio.units import SAMPLE_RATE
from voxtral_streaming.engines.whisper.alignment import Attention
from voxtral_streaming.engines.whisper.drafts import N_TIMES, TIME_STEP, Drafts
from voxtral_streaming.engines.whisper.model import Decoded

FIRST_TIME = 1000


def at(seconds: float) -> int:
    """The token of a time."""
    return FIRST_TIME + round(seconds * SAMPLE_RATE / TIME_STEP)


def samples(seconds: float) -> int:
    return round(seconds * SAMPLE_RATE)


@pytest.fixture
def drafts() -> Drafts:
    return Drafts(FIRST_TIME)


def test_nothing_was_heard_to_begin_with(drafts: Drafts) -> None:
    assert drafts.behind(0) == ()


def test_what_was_heard_comes_again(drafts: Drafts) -> None:
    text = (at(0), 1, 2, at(1.5), at(1.6), 3, at(2))
    drafts.heard(samples(4), samples(6), text)
    assert drafts.behind(samples(4)) == text


def test_what_is_heard_replaces_what_was_heard_from_there(drafts: Drafts) -> None:
    drafts.heard(0, samples(4), [at(0), 1])
    drafts.heard(samples(5), samples(7), [at(0), 5])
    drafts.heard(0, samples(5), [at(0), 2, 3, at(4)])
    assert drafts.behind(0) == (at(0), 2, 3, at(4), at(5), 5)


def test_pieces_follow_each_other_with_their_times_moved(drafts: Drafts) -> None:
    drafts.heard(samples(7), samples(8), [at(0.1), 6, at(0.9)])  # in whatever order they were heard
    drafts.heard(0, samples(3.5), [at(0), 1, 2, at(3)])
    drafts.heard(samples(4), samples(7), [at(0), 3, 4, at(2)])
    assert drafts.behind(0) == (at(0), 1, 2, at(3), at(4), 3, 4, at(6), at(7.1), 6, at(7.9))


def test_what_is_heard_replaces_what_began_within_it(drafts: Drafts) -> None:
    drafts.heard(samples(3), samples(6), [at(0), 3, at(2.5)])
    drafts.heard(samples(6), samples(8), [at(0), 4, at(2)])
    drafts.heard(0, samples(6), [at(0), 1, at(3), at(3), 2, at(6)])
    assert drafts.behind(0) == (at(0), 1, at(3), at(3), 2, at(6), at(6), 4, at(8))


def test_what_is_heard_replaces_the_end_of_what_began_before(drafts: Drafts) -> None:
    drafts.heard(0, samples(7), [at(0), 1, at(3.2), at(3.2), 2, at(6)])
    drafts.heard(samples(3.4), samples(8), [at(0), 3, at(4)])
    assert drafts.behind(0) == (at(0), 1, at(3.2), at(3.4), 3, at(7.4))
    drafts.heard(samples(5), samples(8), [at(0), 4, at(3)])  # within a sentence: it stays whole
    assert drafts.behind(0) == (at(0), 1, at(3.2), at(3.4), 3, at(7.4), at(5), 4, at(8))


def test_only_what_begins_behind_is_taken(drafts: Drafts) -> None:
    drafts.heard(0, samples(4), [at(0), 1, at(3)])
    drafts.heard(samples(4), samples(6), [at(0), 2, at(1)])
    assert drafts.behind(1) == (at(4), 2, at(5))
    assert drafts.behind(samples(3)) == (at(1), 2, at(2))
    assert drafts.behind(samples(4) + 1) == ()


def test_asking_changes_nothing(drafts: Drafts) -> None:
    drafts.heard(samples(2), samples(4), [at(0), 1, at(1)])
    assert drafts.behind(0) == drafts.behind(0)
    assert drafts.behind(samples(2)) == (at(0), 1, at(1))


def test_what_stands_is_dropped_and_the_rest_begins_there(drafts: Drafts) -> None:
    drafts.heard(0, samples(6), [at(0), 1, 2, 3, 4, at(6)])
    drafts.heard(samples(3), samples(6), [at(0), 3, 4, at(3)])
    drafts.heard(samples(6), samples(8), [at(0.2), 5, at(1)])
    drafts.stand({samples(2): [3, 4, at(6)]}, 0, samples(6))
    assert drafts.behind(samples(2)) == (3, 4, at(4), at(4.2), 5, at(5))
    assert drafts.behind(0) == (3, 4, at(6), at(6.2), 5, at(7))


def test_what_stands_may_be_heard_again_from_several_places(drafts: Drafts) -> None:
    drafts.heard(0, samples(9), [at(0), 1, 2, at(3), at(3), 3, at(6), at(6), 4])
    drafts.stand({0: [at(0), 1, 2, at(3), at(3), 3, at(6), at(6), 4], samples(3): [at(3), 3, at(6), at(6), 4]}, 0, 9)
    assert drafts.behind(0) == (at(0), 1, 2, at(3), at(3), 3, at(6), at(6), 4)
    assert drafts.behind(samples(3)) == (at(0), 3, at(3), at(3), 4)
    assert drafts.behind(samples(4)) == ()


def test_all_may_stand(drafts: Drafts) -> None:
    drafts.heard(0, samples(6), [at(0), 1, at(5)])
    drafts.stand({samples(6): ()}, 0, samples(6))
    assert drafts.behind(0) == ()


def test_no_time_comes_before_the_first(drafts: Drafts) -> None:
    drafts.stand({samples(5): [at(4.9), 1, at(5.5)]}, 0, samples(6))
    assert drafts.behind(samples(5)) == (at(0), 1, at(0.5))


def test_no_time_is_later_than_a_window_has(drafts: Drafts) -> None:
    drafts.heard(samples(25), samples(30), [at(4.9), 1, at(5), 2, at(5.1), 3, at(29)])
    last = FIRST_TIME + N_TIMES - 1
    assert last == at(30)
    assert drafts.behind(0) == (at(29.9), 1, last, 2, last, 3, last)


def test_what_was_decoded_last_is_divided(drafts: Drafts) -> None:
    drafts.heard(0, samples(2), [at(0), 1, at(2)])
    drafts.heard(samples(2), samples(9), [at(0), 2, 3, at(4), at(5), 4, at(7)])
    drafts.divide(samples(6.5), [at(5), 4, at(7)], samples(2))
    assert drafts.behind(samples(6.5)) == (at(0.5), 4, at(2.5))
    assert drafts.behind(0) == (at(0), 1, at(2), at(2), 2, 3, at(6), at(7), 4, at(9))
    drafts.heard(samples(6.5), samples(10), [at(0), 5, at(3)])
    assert drafts.behind(samples(2)) == (at(0), 2, 3, at(4), at(4.5), 5, at(7.5))


def test_what_stands_may_stand_again(drafts: Drafts) -> None:
    drafts.stand({samples(2): [3, 4, at(6)]}, 0, samples(6))
    drafts.stand({samples(3): [4, at(4)]}, samples(2), samples(6))
    assert drafts.behind(0) == (4, at(6))
    assert drafts.behind(samples(3)) == (4, at(3))


def test_positions_between_two_times_are_rounded(drafts: Drafts) -> None:
    drafts.heard(TIME_STEP + 9, samples(3), [at(0), 1])
    assert drafts.behind(0) == (FIRST_TIME + 1, 1)


def decoded(words: Sequence[Sequence[int]], draft: Sequence[int]) -> Decoded:
    """Words of so many tokens."""
    tokens = tuple(token for word in words for token in word)
    texts = tuple(f" {'.'.join(map(str, word))}" for word in words)
    return Decoded(tokens, texts, tuple(len(word) for word in words), tuple(draft), 0, "en", -0.1, False)


THREE = decoded([[7], [7, 8], [9]], [at(0), 7, 7, 8, at(1), at(1.2), 9, at(2)])


@pytest.mark.parametrize(
    ("n_words", "rest"),
    [
        (0, THREE.draft),
        (1, (7, 8, at(1), at(1.2), 9, at(2))),
        (2, (at(1), at(1.2), 9, at(2))),
        (3, (at(2),)),
    ],
)
def test_all_tokens_behind_the_first_words(n_words: int, rest: tuple[int, ...]) -> None:
    assert THREE.draft_behind(n_words) == rest


def test_nothing_lies_behind_a_text_without_a_last_time() -> None:
    assert decoded([[7], [8]], [at(0), 7, 8]).draft_behind(2) == ()
    assert decoded([], []).draft_behind(0) == ()


def test_what_is_cut_keeps_whole_words_and_all_that_was_decoded() -> None:
    cut = THREE.cut(2)
    assert cut == Decoded((7, 7, 8), (" 7", " 7.8"), (1, 2), THREE.draft, 0, "en", -0.1, False)
    assert cut.draft_behind(2) == THREE.draft_behind(2)
    assert THREE.cut(3) == THREE
    assert not THREE.cut(0).words
    assert not THREE.cut(0).tokens


def test_what_is_cut_keeps_where_its_own_words_were_heard() -> None:
    weights = np.arange(20, dtype=np.float32).reshape(1, 5, 4)  # a row to each token, and to the end
    cut = replace(THREE, attention=Attention(weights, (0.1, 0.2, 0.3, 0.4))).cut(2)
    assert cut.attention is not None
    assert np.array_equal(cut.attention.weights, weights[:, :4])
    assert cut.attention.probabilities == (0.1, 0.2, 0.3)
