"""Captions can be read: two lines, not too long, not too short, one after the other, and every word is there."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxtral_streaming.captions import MAX_COLUMNS, MAX_LINES, MAX_MS, MIN_MS, Cue, cues
from voxtral_streaming.transcript import Segment, Transcript, Word

SPOKEN = "It was the age of wisdom, it was the age of foolishness. It was the epoch of belief."


def spoken(texts: Sequence[str], *, start: float = 0.0, pace: float = 0.3, joint: str = " ") -> Segment:
    """A segment whose words follow each other at an even pace, in seconds."""
    words = [Word(text, start + i * pace, start + (i + 1) * pace, 1.0) for i, text in enumerate(texts)]
    return Segment(0, start, start + len(texts) * pace, joint.join(texts), tuple(words))


def transcript(*segments: Segment) -> Transcript:
    return Transcript(" ".join(one.text for one in segments), segments, "en", segments[-1].end if segments else 0.0)


def cut(*segments: Segment) -> list[Cue]:
    return cues(transcript(*segments))


def columns(line: str) -> int:
    """As wide as a terminal would show it, for the characters of these tests."""
    return sum(2 if "\u3000" <= character <= "\u9fff" or "\uac00" <= character <= "\ud7af" else 1 for character in line)


def characters(texts: Sequence[str]) -> str:
    return "".join("".join(texts).split())


durations = st.floats(0.0, 12.0, allow_nan=False)
letters = st.text(st.sampled_from("abcdefghi.,?'&<日本語。"), min_size=1, max_size=60)


@st.composite
def transcripts(draw: st.DrawFn) -> Transcript:
    """Words of any length, with any pauses between them, in segments that follow each other."""
    segments, now = [], 0.0
    for number in range(draw(st.integers(0, 4))):
        spans = draw(st.lists(st.tuples(letters, durations, durations), max_size=25))
        edges = list(accumulate((step for _, pause, length in spans for step in (pause, length)), initial=now))
        words = [Word(text, edges[2 * i + 1], edges[2 * i + 2], 1.0) for i, (text, _, _) in enumerate(spans)]
        joint = draw(st.sampled_from([" ", ""]))
        segments.append(Segment(number, now, edges[-1], joint.join(word.text for word in words), tuple(words)))
        now = edges[-1]
    return transcript(*segments)


@given(transcripts())
def test_every_cue_is_within_bounds(transcript: Transcript) -> None:
    for cue in cues(transcript):
        assert 1 <= len(cue.lines) <= MAX_LINES
        assert 0 < cue.end_ms - cue.start_ms <= MAX_MS
        for line in cue.lines:
            assert line == line.strip() != ""
            assert columns(line) <= MAX_COLUMNS


@given(transcripts())
def test_cues_never_overlap_and_are_short_only_for_want_of_room(transcript: Transcript) -> None:
    shown = cues(transcript)
    for cue, following in pairwise(shown):
        assert cue.start_ms < cue.end_ms <= following.start_ms
        assert cue.end_ms - cue.start_ms >= MIN_MS or cue.end_ms == following.start_ms
    if shown:
        assert shown[-1].end_ms - shown[-1].start_ms >= MIN_MS


@given(transcripts())
def test_nothing_said_is_lost_or_said_twice(transcript: Transcript) -> None:
    lines = [line for cue in cues(transcript) for line in cue.lines]
    assert characters(lines) == characters([segment.text for segment in transcript.segments])


def test_a_cue_is_shown_from_its_first_word_to_its_last() -> None:
    first, second = cut(spoken(SPOKEN.split(), start=2.0))
    assert (first.start_ms, first.end_ms) == (2000, 5600)
    assert (second.start_ms, second.end_ms) == (5600, 7400)


def test_sentences_are_kept_whole_and_lines_end_at_commas() -> None:
    assert [cue.lines for cue in cut(spoken(SPOKEN.split()))] == [
        ("It was the age of wisdom,", "it was the age of foolishness."),
        ("It was the epoch of belief.",),
    ]


def test_short_sentences_share_a_cue() -> None:
    assert [cue.lines for cue in cut(spoken(["Yes.", "No.", "It", "depends."]))] == [("Yes. No. It depends.",)]


def test_a_title_stays_with_its_name() -> None:
    said = "And Mr. John Dashwood had then leisure to consider"
    assert [cue.lines for cue in cut(spoken(said.split()))] == [
        ("And Mr. John Dashwood had", "then leisure to consider"),
    ]


def test_no_word_is_left_alone() -> None:
    shown = cut(spoken(["word"] * 18))
    assert [len(" ".join(cue.lines).split()) for cue in shown] == [9, 9]
    assert all(abs(len(cue.lines[0]) - len(cue.lines[1])) <= len("word ") for cue in shown)


def test_a_pause_is_a_place_to_cut() -> None:
    before, after = spoken(["one"] * 12), spoken(["two"] * 12, start=4.5)
    words = before.words + after.words
    segment = Segment(0, 0.0, words[-1].end, " ".join(word.text for word in words), words)
    assert [set(" ".join(cue.lines).split()) for cue in cut(segment)] == [{"one"}, {"two"}]


def test_words_of_a_language_without_spaces_stay_together() -> None:
    segment = spoken(["いろは", "にほへと", "、", "ちりぬる", "を"], joint="")
    assert [cue.lines for cue in cut(segment)] == [("いろはにほへと、ちりぬるを",)]


def test_full_width_marks_end_sentences_too() -> None:
    segment = spoken(["はい" * 5, "はい\N{FULLWIDTH EXCLAMATION MARK}", *["いいえ" * 3] * 3], joint="")
    assert cut(segment)[0].lines[-1].endswith("\N{FULLWIDTH EXCLAMATION MARK}")


def test_a_word_wider_than_a_line_is_broken() -> None:
    (cue,) = cut(spoken(["x" * 60], pace=2.0))
    assert "".join(cue.lines) == "x" * 60
    assert len(cue.lines) == 2


def test_one_cue_for_a_segment_without_words() -> None:
    text = " ".join(["It was the best of times."] * 8)
    (cue,) = cut(Segment(0, 1.0, 21.0, text))
    assert (cue.start_ms, cue.end_ms) == (1000, 21000)
    assert " ".join(cue.lines) == text
    assert max(map(len, cue.lines)) <= MAX_COLUMNS


@pytest.mark.parametrize("text", ["", " \n "])
def test_no_cue_where_nothing_was_said(text: str) -> None:
    assert cut(Segment(0, 0.0, 1.0, text)) == []
    assert cut(Segment(0, 0.0, 1.0, text, (Word(text, 0.0, 1.0, 0.5),))) == []


def test_words_that_are_not_those_of_the_text_are_shown_as_they_are() -> None:
    segment = Segment(0, 0.0, 1.0, "Something else", (Word("three", 0.0, 0.5, 1.0), Word("words", 0.5, 1.0, 1.0)))
    assert [cue.lines for cue in cut(segment)] == [("three words",)]


def test_words_may_be_nested_in_odd_white_space() -> None:
    segment = Segment(0, 0.0, 1.0, "  one\n\ttwo ", (Word("one", 0.0, 0.5, 1.0), Word(" two", 0.5, 1.0, 1.0)))
    assert [cue.lines for cue in cut(segment)] == [("one two",)]
