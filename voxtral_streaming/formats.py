"""A transcript as text, JSON or captions."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import zip_longest
from typing import Any, Literal, get_args

from voxtral_streaming.transcript import Segment, Transcript, Word

Format = Literal["text", "json", "srt", "vtt", "verbose_json"]
FORMATS: tuple[Format, ...] = get_args(Format)
# What subtitle guidelines agree on: two lines of 42 characters, at most seven seconds, at least one.
LINE_LENGTH, MAX_LINES, MAX_CUE_S, MIN_CUE_S = 42, 2, 7.0, 1.0


@dataclass(frozen=True, slots=True)
class Cue:
    """A caption; `start` and `end` in seconds."""

    start: float
    end: float
    text: str


def render(transcript: Transcript, form: Format) -> str:
    """The transcript in a format, without a final line break for `text`, with one for captions."""
    match form:
        case "text":
            return transcript.text
        case "srt":
            return "".join(_srt(number, cue) for number, cue in enumerate(cues(transcript), start=1))
        case "vtt":
            return "WEBVTT\n\n" + "".join(map(_vtt, cues(transcript)))
        case _:
            return json.dumps(to_dict(transcript, form), ensure_ascii=False)


def to_dict(transcript: Transcript, form: Format = "verbose_json") -> dict[str, Any]:
    """What `json` and `verbose_json` hold."""
    whole = asdict(transcript)
    return whole if form == "verbose_json" else {key: whole[key] for key in ("text", "language", "duration")}


def cues(transcript: Transcript) -> list[Cue]:
    """Captions that fit the guidelines and never overlap; a segment without word times is one caption."""
    found = [cue for segment in transcript.segments for cue in _segment_cues(segment)]
    return [_lasting(cue, following) for cue, following in zip_longest(found, (cue.start for cue in found[1:]))]


def _segment_cues(segment: Segment) -> Iterator[Cue]:
    if not segment.words:
        yield Cue(segment.start, segment.end, _lines(segment.text))
        return
    for words in _split(segment.words):
        yield Cue(words[0].start, words[-1].end, _lines(_joined(words)))


def _split(words: Sequence[Word]) -> Iterator[Sequence[Word]]:
    """The words of each caption: as many as fit."""
    start = 0
    for n in range(1, len(words) + 1):
        if n == len(words) or not _fits(words[start : n + 1]):
            yield words[start:n]
            start = n


def _fits(words: Sequence[Word]) -> bool:
    return words[-1].end - words[0].start <= MAX_CUE_S and len(textwrap.wrap(_joined(words), LINE_LENGTH)) <= MAX_LINES


def _joined(words: Sequence[Word]) -> str:
    return " ".join(word.text for word in words)


def _lines(text: str) -> str:
    return "\n".join(textwrap.wrap(text, LINE_LENGTH))


def _lasting(cue: Cue, following: float | None) -> Cue:
    """The cue on screen for at least a second, if the next one allows it, and never into it."""
    end = max(cue.end, cue.start + MIN_CUE_S)
    return Cue(cue.start, end if following is None else max(cue.start, min(end, following)), cue.text)


def _srt(number: int, cue: Cue) -> str:
    return f"{number}\n{_clock(cue.start, ',')} --> {_clock(cue.end, ',')}\n{cue.text}\n\n"


def _vtt(cue: Cue) -> str:
    text = cue.text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return f"{_clock(cue.start, '.')} --> {_clock(cue.end, '.')}\n{text}\n\n"


def _clock(value: float, point: str) -> str:
    """Seconds as `00:00:00,000`."""
    minutes, milliseconds = divmod(round(value * 1000), 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{milliseconds // 1000:02}{point}{milliseconds % 1000:03}"
