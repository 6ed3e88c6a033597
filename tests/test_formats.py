"""What a transcript looks like in each format."""

from __future__ import annotations

import html
import json
import re
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxtral_streaming.formats import render, to_dict
from voxtral_streaming.transcript import Segment, Transcript, Word

SEGMENTS = (
    Segment(0, 0.3, 1.9, "Fish & chips,", (Word("Fish", 0.3, 0.8, 0.9), Word("& chips,", 0.8, 1.9, 0.98)), "en"),
    Segment(1, 3725.0, 3727.5, "là-bas --> <here>", (), "fr"),
)
TRANSCRIPT = Transcript("Fish & chips, là-bas --> <here>", SEGMENTS, "en", 3728.0)
SILENCE = Transcript("", (), None, 2.0)

SRT = """\
1
00:00:00,300 --> 00:00:01,900
Fish & chips,

2
01:02:05,000 --> 01:02:07,500
là-bas --> <here>"""

VTT = """\
WEBVTT

00:00:00.300 --> 00:00:01.900
Fish &amp; chips,

01:02:05.000 --> 01:02:07.500
là-bas --&gt; &lt;here&gt;"""

BRIEF = {"text": "Fish & chips, là-bas --> <here>", "language": "en", "duration": 3728.0}
VERBOSE = {
    **BRIEF,
    "segments": [
        {
            "id": 0,
            "start": 0.3,
            "end": 1.9,
            "text": "Fish & chips,",
            "words": [
                {"text": "Fish", "start": 0.3, "end": 0.8, "probability": 0.9},
                {"text": "& chips,", "start": 0.8, "end": 1.9, "probability": 0.98},
            ],
            "language": "en",
        },
        {"id": 1, "start": 3725.0, "end": 3727.5, "text": "là-bas --> <here>", "words": [], "language": "fr"},
    ],
}


def test_text() -> None:
    assert render(TRANSCRIPT, "text") == TRANSCRIPT.text


def test_json() -> None:
    assert json.loads(render(TRANSCRIPT, "json")) == BRIEF == to_dict(TRANSCRIPT, verbose=False)
    assert "là-bas" in render(TRANSCRIPT, "json")


def test_verbose_json() -> None:
    assert json.loads(render(TRANSCRIPT, "verbose_json")) == VERBOSE


def test_srt() -> None:
    assert render(TRANSCRIPT, "srt") == SRT


def test_vtt() -> None:
    assert render(TRANSCRIPT, "vtt") == VTT


@pytest.mark.parametrize(("format_", "expected"), [("text", ""), ("srt", ""), ("vtt", "WEBVTT")])
def test_silence(format_: Literal["text", "srt", "vtt"], expected: str) -> None:
    assert render(SILENCE, format_) == expected


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=200))
def test_no_text_can_break_out_of_a_vtt_cue(text: str) -> None:
    segment = Segment(0, 0.0, 30.0, text, (), None)
    header, *cues = render(Transcript(text, (segment,), None, 30.0), "vtt").split("\n\n")
    assert header == "WEBVTT"
    assert len(cues) == bool(text.strip())
    for cue in cues:
        timing, *lines = cue.split("\n")
        assert timing == "00:00:00.000 --> 00:00:30.000"
        assert not re.search(r"[<>]", "".join(lines))
        assert "".join(html.unescape("".join(lines)).split()) == "".join(text.split())
