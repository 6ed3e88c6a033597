"""What a transcript looks like in each format."""

from __future__ import annotations

import html
import io
import json
import re
from dataclasses import replace
from itertools import pairwise
from typing import Literal

import av
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from voxtral_streaming.captions import Cue, cues
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


@example("0" * 43)
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


letters = st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=1, max_size=12)
words = st.lists(letters | st.sampled_from(["-->", "<v", "&amp;", "WEBVTT", "NOTE", "7", "{y}"]), max_size=30)


@st.composite
def transcripts(draw: st.DrawFn) -> Transcript:
    """Segments that follow each other, within ten days, with words of any length and without."""
    edges = sorted(draw(st.lists(st.integers(0, 10**9).map(lambda ms: ms / 1000), max_size=6)))
    segments: list[Segment] = []
    for start, end in pairwise(edges):
        texts = draw(words)
        timed = [Word(text, start + (end - start) * n / len(texts), end, 1.0) for n, text in enumerate(texts)]
        segments.append(Segment(len(segments), start, end, " ".join(texts), tuple(draw(st.sampled_from([timed, []])))))
    return Transcript(" ".join(segment.text for segment in segments), tuple(segments), None, 10.0**6)


def read_by_ffmpeg(captions: str, format_: str) -> list[Cue]:
    """The cues as FFmpeg finds them, whose code most players use."""
    with av.open(io.BytesIO(captions.encode()), format=format_) as container:
        found = [(packet.pts, packet.duration, bytes(packet).decode()) for packet in container.demux() if packet.size]
    return [
        Cue(start, start + (length or 0), tuple(text.split("\n"))) for start, length, text in found if start is not None
    ]


@given(transcripts())
def test_players_find_the_cues_of_srt(transcript: Transcript) -> None:
    assert read_by_ffmpeg(render(transcript, "srt"), "srt") == cues(transcript)


@given(transcripts())
def test_players_find_the_cues_of_vtt(transcript: Transcript) -> None:
    found = read_by_ffmpeg(render(transcript, "vtt"), "webvtt")
    assert [replace(cue, lines=tuple(map(html.unescape, cue.lines))) for cue in found] == cues(transcript)
