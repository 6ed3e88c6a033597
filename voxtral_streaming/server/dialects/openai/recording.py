"""OpenAI's transcription of recordings: what may be asked, and how it is answered."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Field

from voxtral_streaming.engines.base import Capabilities, StreamOptions
from voxtral_streaming.engines.options import check_options
from voxtral_streaming.errors import UnsupportedOption
from voxtral_streaming.formats import render
from voxtral_streaming.server.dialects.actions import Turns
from voxtral_streaming.server.dialects.openai.items import logprob_of
from voxtral_streaming.server.dialects.openai.models import check_model
from voxtral_streaming.server.errors import InvalidRequest
from voxtral_streaming.server.fields import Fields, Language, Prompt
from voxtral_streaming.transcript import Segment, Transcript, Word

LISTS = frozenset({"timestamp_granularities", "include", "keywords", "languages"})
"""The fields that may stand several times."""
WITH_WORDS = ("verbose_json", "srt", "vtt")  # formats that are made of words


class Asked(Fields):
    """What may be asked of a recording, by OpenAI's names."""

    model: Annotated[str, Field(max_length=128)] | None = None
    language: Language | None = None
    languages: list[Language] | None = Field(default=None, max_length=1)
    prompt: Prompt | None = None
    keywords: list[Annotated[str, Field(max_length=128)]] | None = None
    response_format: Literal["json", "text", "srt", "verbose_json", "vtt"] = "json"
    temperature: float = Field(default=0.0, ge=0, le=1)
    timestamp_granularities: list[Literal["word", "segment"]] | None = None
    include: list[Literal["logprobs"]] | None = None
    stream: bool = False


class Chunking(Fields):
    """`chunking_strategy`: how turns end."""

    type: Literal["auto", "server_vad"] = "auto"
    threshold: float | None = Field(default=None, gt=0, lt=1)
    prefix_padding_ms: int | None = Field(default=None, ge=0, le=5_000)
    silence_duration_ms: int | None = Field(default=None, ge=0, le=10_000)

    @property
    def turns(self) -> Turns:
        """The same for an endpointer."""
        return Turns(
            silence_ms=self.silence_duration_ms,
            speech_probability=self.threshold,
            pre_roll_ms=self.prefix_padding_ms,
        )


def options(asked: Asked, can: Capabilities) -> StreamOptions:
    """What is asked of recognition.

    Raises `ModelNotFound`, and `UnsupportedOption` or `InvalidRequest` for what cannot be had or does not fit together.
    """
    check_model(asked.model, can.model, "model")
    _check_fit(asked)
    if "word" in (asked.timestamp_granularities or ()) and can.timestamps != "word":
        param = "timestamp_granularities"
        raise UnsupportedOption(f"{param}: {can.name} does not measure the times of words", param=param)
    if asked.include and not can.has_words:
        raise UnsupportedOption(f"include: {can.name} has no probabilities of words", param="include")
    if asked.temperature:
        raise UnsupportedOption("temperature: decoding is not random here; only 0", param="temperature")
    names = ", ".join(asked.keywords or ())
    chosen = StreamOptions(
        language=asked.language or next(iter(asked.languages or ()), None),
        prompt=" ".join(part for part in (asked.prompt, names) if part) or None,
        partials=False,
        words=can.has_words and (bool(asked.include) or asked.response_format in WITH_WORDS),
    )
    check_options(chosen, can)
    return chosen


def _check_fit(asked: Asked) -> None:
    if asked.timestamp_granularities and asked.response_format != "verbose_json":
        raise InvalidRequest("timestamp_granularities: only with `verbose_json`", param="timestamp_granularities")
    if asked.include and asked.response_format != "json":
        raise InvalidRequest("include: only with the format `json`", param="include")
    if asked.stream and asked.response_format not in ("json", "text"):
        raise InvalidRequest("stream: only with the formats `json` and `text`", param="response_format")


def answer(transcript: Transcript, asked: Asked) -> str | dict[str, Any]:
    """The transcript in the format that was asked for."""
    match asked.response_format:
        case "json":
            return _brief(transcript, asked)
        case "verbose_json":
            return _verbose(transcript, asked.timestamp_granularities or ["segment"])
        case format_:
            return render(transcript, format_) + "\n"


def _brief(transcript: Transcript, asked: Asked) -> dict[str, Any]:
    words = [word for segment in transcript.segments for word in segment.words]
    logprobs = {"logprobs": [*map(logprob_of, words)]} if asked.include else {}
    return {"text": transcript.text, "languages": _languages(transcript.segments), **logprobs, **_usage(transcript)}


def _verbose(transcript: Transcript, granularities: Sequence[str]) -> dict[str, Any]:
    """With what OpenAI's own model tells of a segment; `tokens` and `no_speech_prob` are not told here and empty."""
    brief = {
        "task": "transcribe",
        "language": transcript.language or "",
        "duration": transcript.duration,
        "text": transcript.text,
    }
    words = [_word(word) for segment in transcript.segments for word in segment.words]
    return {
        **brief,
        **({"words": words} if "word" in granularities else {}),
        **({"segments": [_segment(one) for one in transcript.segments]} if "segment" in granularities else {}),
        **_usage(transcript),
    }


def _segment(segment: Segment) -> dict[str, Any]:
    text = segment.text.encode()
    logprobs = [logprob_of(word)["logprob"] for word in segment.words]
    return {
        "id": segment.id,
        "seek": 0,
        "start": segment.start,
        "end": segment.end,
        "text": f" {segment.text}",
        "tokens": [],
        "temperature": 0.0,
        "avg_logprob": sum(logprobs) / len(logprobs) if logprobs else 0.0,
        "compression_ratio": len(text) / len(zlib.compress(text)),
        "no_speech_prob": 0.0,
    }


def _word(word: Word) -> dict[str, Any]:
    return {"word": word.text, "start": word.start, "end": word.end}


def _usage(transcript: Transcript) -> dict[str, Any]:
    return {"usage": {"type": "duration", "seconds": transcript.duration}}


def _languages(segments: Sequence[Segment]) -> list[dict[str, str]]:
    return [{"code": code} for code in dict.fromkeys(segment.language for segment in segments) if code]


class Telling:
    """A transcript, told as its segments become final."""

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._segments: list[Segment] = []

    def segment(self, segment: Segment) -> dict[str, Any]:
        """The next segment."""
        lead = " " if self._segments else ""
        self._segments.append(segment)
        return {"type": "transcript.text.delta", "delta": lead + segment.text, **self._logprobs([segment])}

    def done(self) -> dict[str, Any]:
        """There are no more."""
        text = " ".join(segment.text for segment in self._segments)
        languages = _languages(self._segments)
        return {"type": "transcript.text.done", "text": text, "languages": languages, **self._logprobs(self._segments)}

    def _logprobs(self, segments: Sequence[Segment]) -> dict[str, Any]:
        words = [word for segment in segments for word in segment.words]
        return {"logprobs": [*map(logprob_of, words)]} if self._asked.include else {}
