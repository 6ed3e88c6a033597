"""Where a long utterance is parted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from voxtral_streaming.audio.units import SAMPLE_RATE, samples_from_ms
from voxtral_streaming.engines.whisper.parts import (
    LONGEST_PART,
    LULL,
    SHORT_REST,
    Parted,
    Sentence,
    begun,
    continued,
    ends_sentence,
    lull,
    n_standing,
    place,
    reach,
)
from voxtral_streaming.transcript import Word


def spoken(text: str, pace: float = 1.0, gaps: dict[int, float] | None = None) -> list[Word]:
    """A word each `pace` seconds, without gaps but for those that are given, before the word of a number."""
    words, at = [], 0.0
    for n, word in enumerate(text.split()):
        at += (gaps or {}).get(n, 0.0)
        words.append(Word(word, at, at + pace, 1.0))
        at += pace
    return words


@pytest.mark.parametrize(
    ("start_s", "heard_to_s"),
    [
        (0.0, 14.5),
        (7.5, 22.0),
        (7.6, 22.0),  # an utterance so long may be ended at any gap: little is left to do then
        (16.0, 22.0),
        (16.1, 30.6),  # too little behind it for a part
        (23.0, 37.5),
    ],
)
def test_a_part_ends_before_the_utterance_may_be_ended_anywhere(start_s: float, heard_to_s: float) -> None:
    assert reach(round(start_s * SAMPLE_RATE)) == round(heard_to_s * SAMPLE_RATE)


@pytest.mark.parametrize("quiet_s", [10.6, 12.0, 14.4])
def test_a_part_ends_in_the_quietest_place_near_its_end(quiet_s: float) -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, LONGEST_PART).astype(np.float32)
    noise[2 * SAMPLE_RATE : 3 * SAMPLE_RATE] = 0  # silence, too far from the end
    middle = round(quiet_s * SAMPLE_RATE)
    noise[middle - LULL // 2 : middle + LULL // 2] *= 0.1
    assert abs(lull(noise) - middle) <= samples_from_ms(20)


def test_silence_and_what_is_shorter_than_the_search_have_a_lull_too() -> None:
    assert LULL // 2 <= lull(np.zeros(SAMPLE_RATE, np.float32)) < SAMPLE_RATE


@pytest.mark.parametrize(
    ("text", "gaps", "standing"),
    [
        ("a b c d. e f. g h i j k", None, 6),  # the last sentence that is whole
        ("a b c d. e f g h i j k.", None, 4),  # what ends with the part may go on
        ("a b. c d, e f g, h i j k", None, 7),  # too short for a part: a clause near the end
        ("a b c d, e f g h i j k", None, 6),  # a clause too far from the end, and no gap: anywhere near it
        ("a b c d e f g h i j k", {7: 0.2, 9: 0.4}, 9),
        ("a b c Mr. e f g h i j k", {8: 0.2}, 8),
        ("a b", None, 2),
        ("", None, 0),
    ],
)
def test_whole_sentences_stand(text: str, gaps: dict[int, float] | None, standing: int) -> None:
    words = spoken(text, gaps=gaps)
    assert n_standing(words, words[-1].end + 0.1 if words else 14.0) == standing


def test_sentences_begin_behind_those_that_end() -> None:
    words = spoken("a b. c Mr. d? e f. g")
    assert begun(words, 6) == [0, 2, 5]
    assert begun(words, 2) == [0]
    assert begun(words, 0) == []


def test_words_are_parted_in_the_middle_of_the_gap_between_them() -> None:
    words = spoken("a b", gaps={1: 0.5})
    assert place(words, 1) == round(1.25 * SAMPLE_RATE)
    assert place(words, 0) == 0


PARTED = Parted(
    (" a", " b.", " c", " d.", " e."),
    tuple(spoken("a b. c d. e.")),
    10 * SAMPLE_RATE,
    "en",
    (Sentence(2 * SAMPLE_RATE, 7), Sentence(4 * SAMPLE_RATE, 5), Sentence(8 * SAMPLE_RATE, 3)),
)


@pytest.mark.parametrize(
    ("n_samples", "start_s"),
    [
        (10 * SAMPLE_RATE, 2),
        (2 * SAMPLE_RATE + LONGEST_PART, 2),
        (2 * SAMPLE_RATE + LONGEST_PART + 1, 4),
        (10 * SAMPLE_RATE + SHORT_REST - 1, 4),
        (10 * SAMPLE_RATE + SHORT_REST, 10),  # long enough to be heard alone
    ],
)
def test_a_short_rest_is_heard_behind_as_many_sentences_as_there_is_room_for(n_samples: int, start_s: int) -> None:
    assert PARTED.rest(n_samples) == start_s * SAMPLE_RATE
    assert replace(PARTED, sentences=()).rest(n_samples) == PARTED.end


def test_where_the_utterance_was_ended_as_it_grew_long_the_rest_is_heard_alone() -> None:
    parted = replace(PARTED, end=20 * SAMPLE_RATE, sentences=(Sentence(15 * SAMPLE_RATE, 9),))
    assert parted.rest(24 * SAMPLE_RATE - 1) == 15 * SAMPLE_RATE
    assert parted.rest(24 * SAMPLE_RATE) == parted.end


def test_who_hears_clearly_fewer_words_than_before_has_lost_some() -> None:
    assert PARTED.loses(2 * SAMPLE_RATE, 5)
    assert not PARTED.loses(2 * SAMPLE_RATE, 6)  # two words may be one, another time
    assert not PARTED.loses(PARTED.end, 0)  # nothing was heard from there on


@pytest.mark.parametrize("word", ["go.", "go?", "go!", 'go."', "go…", "行く。", "क्या।", "4.", "Stop.", "it."])
def test_sentences_end(word: str) -> None:
    assert ends_sentence(word)


@pytest.mark.parametrize("word", ["go", "go,", "Mr.", "Dr.", "J.", ".", "«"])
def test_not_every_full_stop_ends_a_sentence(word: str) -> None:
    assert not ends_sentence(word)


@pytest.mark.parametrize(
    ("settled", "following", "together"),
    [
        ((" consider", " how."), (" much",), (" consider", " how", " much")),
        ((" so", " it", " goes."), (" Then",), (" so", " it", " goes.", " Then")),
        ((" is", " it?"), (" much",), (" is", " it?", " much")),
        ((" how.",), (), (" how.",)),
        ((), (" much",), (" much",)),
        ((" time", " to"), (" To", " go"), (" time", " to", " go")),
        ((" time", " to"), (" to,",), (" time", " to")),
        ((" No.",), (" No,", " never"), (" No.", " No,", " never")),
        ((" press", " 5"), (" 5",), (" press", " 5", " 5")),
    ],
)
def test_what_is_parted_goes_together(
    settled: tuple[str, ...], following: tuple[str, ...], together: tuple[str, ...]
) -> None:
    assert continued(settled, following) == together
    first, second = (spoken("".join(words)) for words in (settled, following))
    words, timed = Parted(settled, tuple(first)).followed_by(following, second)
    assert words == together
    assert [word.text for word in timed] == [word.strip() for word in together]


def test_where_no_spaces_are_written_words_are_doubled() -> None:
    assert continued(("看",), ("看", "书")) == ("看", "看", "书")
