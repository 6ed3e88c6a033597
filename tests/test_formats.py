from __future__ import annotations

import json
import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxtral_streaming.formats import LINE_LENGTH, MAX_LINES, cues, render, to_dict
from voxtral_streaming.transcript import Segment, Transcript, Word

SAID = (Word("Fish", 0.5, 0.9, 0.9), Word("&", 0.9, 1.0, 0.8), Word("chips.", 1.0, 3723.25, 0.7))
TRANSCRIPT = Transcript("Fish & chips.", (Segment(0, 0.5, 3723.25, "Fish & chips.", (), "en"),), "en", 3724.0)


@st.composite
def transcripts(draw: st.DrawFn) -> Transcript:
    """Words of ordinary lengths, one after the other, in segments."""
    clock, segments = 0.0, []
    for number in range(draw(st.integers(0, 4))):
        words = []
        for text in draw(st.lists(st.from_regex(r"[a-z&<]{1,12}[.,]?", fullmatch=True), min_size=1, max_size=40)):
            start = clock + draw(st.floats(0, 0.5))
            clock = start + draw(st.floats(0.05, 0.8))
            words.append(Word(text, start, clock, 0.9))
        text = " ".join(word.text for word in words)
        segments.append(Segment(number, words[0].start, clock, text, tuple(words), "en"))
    return Transcript(" ".join(segment.text for segment in segments), tuple(segments), "en", clock)


def test_srt() -> None:
    assert render(TRANSCRIPT, "srt") == "1\n00:00:00,500 --> 01:02:03,250\nFish & chips.\n\n"


def test_vtt_escapes_what_means_something_to_it() -> None:
    assert render(TRANSCRIPT, "vtt") == "WEBVTT\n\n00:00:00.500 --> 01:02:03.250\nFish &amp; chips.\n\n"


def test_text_and_json() -> None:
    assert render(TRANSCRIPT, "text") == "Fish & chips."
    assert json.loads(render(TRANSCRIPT, "json")) == {"text": "Fish & chips.", "language": "en", "duration": 3724.0}


def test_verbose_json_has_the_segments_and_their_words() -> None:
    transcript = Transcript("Fish & chips.", (Segment(0, 0.5, 3723.25, "Fish & chips.", SAID, "en"),), "en", 3724.0)
    [segment] = json.loads(render(transcript, "verbose_json"))["segments"]
    assert segment["words"][0] == {"text": "Fish", "start": 0.5, "end": 0.9, "probability": 0.9}
    assert to_dict(transcript)["language"] == "en"


@pytest.mark.parametrize("form", ["srt", "vtt", "text"])
def test_nothing_said_is_nothing_written(form: str) -> None:
    silence = Transcript("", (), None, 10.0)
    assert render(silence, form).replace("WEBVTT", "").strip() == ""  # type: ignore[arg-type]


def test_a_short_caption_stays_for_a_second() -> None:
    word = Word("Yes.", 2.0, 2.2, 1.0)
    [cue] = cues(Transcript("Yes.", (Segment(0, 2.0, 2.2, "Yes.", (word,), "en"),), "en", 5.0))
    assert (cue.start, cue.end) == (2.0, 3.0)


@given(transcripts())
def test_captions_hold_every_word_in_order_and_never_overlap(transcript: Transcript) -> None:
    found = cues(transcript)
    assert " ".join(cue.text for cue in found).split() == transcript.text.split()
    assert all(cue.start <= cue.end for cue in found)
    assert all(first.end <= second.start for first, second in pairwise(found))


@given(transcripts())
def test_captions_fit_the_screen(transcript: Transcript) -> None:
    for cue in cues(transcript):
        lines = cue.text.split("\n")
        assert len(lines) <= MAX_LINES
        assert all(len(line) <= LINE_LENGTH for line in lines)
        assert cue.end - cue.start <= 7.0 + 1e-9


@given(transcripts())
def test_every_srt_time_is_well_formed(transcript: Transcript) -> None:
    times = re.findall(r"^(\S+) --> (\S+)$", render(transcript, "srt"), re.MULTILINE)
    assert len(times) == len(cues(transcript))
    assert all(re.fullmatch(r"\d\d:[0-5]\d:[0-5]\d,\d{3}", time) for pair in times for time in pair)
