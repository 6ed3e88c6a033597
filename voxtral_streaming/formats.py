"""A transcript as text, JSON or captions, for files and for answers over HTTP."""

from __future__ import annotations

import html
import json
from dataclasses import asdict
from typing import Any, Literal, TypeAlias

from voxtral_streaming.captions import cues
from voxtral_streaming.transcript import Transcript

Format: TypeAlias = Literal["text", "json", "srt", "vtt", "verbose_json"]


def render(transcript: Transcript, format: Format) -> str:  # noqa: A002 - what clients call it
    """The transcript in a format, without a line break at its end."""
    match format:
        case "text":
            return transcript.text
        case "json":
            return _json(to_dict(transcript, verbose=False))
        case "verbose_json":
            return _json(to_dict(transcript))
        case "srt":
            return _srt(transcript)
        case "vtt":
            return _vtt(transcript)


def to_dict(transcript: Transcript, *, verbose: bool = True) -> dict[str, Any]:
    """What JSON has of a transcript: text, language and duration; `verbose`, also segments and their words."""
    brief = {"text": transcript.text, "language": transcript.language, "duration": transcript.duration}
    if not verbose:
        return brief
    return brief | {"segments": [asdict(segment) for segment in transcript.segments]}


def _json(value: dict[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _srt(transcript: Transcript) -> str:
    """SubRip: cues numbered from 1, a comma in front of the milliseconds."""
    return "\n\n".join(
        "\n".join([str(number), f"{_clock(cue.start_ms, ',')} --> {_clock(cue.end_ms, ',')}", *cue.lines])
        for number, cue in enumerate(cues(transcript), start=1)
    )


def _vtt(transcript: Transcript) -> str:
    """WebVTT (https://www.w3.org/TR/webvtt1/), whose text has markup: what looks like it is escaped."""
    blocks = (
        "\n".join([f"{_clock(cue.start_ms, '.')} --> {_clock(cue.end_ms, '.')}", *map(_escape, cue.lines)])
        for cue in cues(transcript)
    )
    return "\n\n".join(["WEBVTT", *blocks])


def _escape(line: str) -> str:
    return html.escape(line, quote=False)


def _clock(milliseconds: int, point: str) -> str:
    """`01:02:03,456`."""
    seconds, thousandths = divmod(milliseconds, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02}{point}{thousandths:03}"
