"""What Mistral's clients are told, live and of recordings, as messages that have a `type`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

from voxtral_streaming.server.dialects.deltas import RunningText
from voxtral_streaming.transcript import Final, Partial, Segment, Transcript, Word

Message: TypeAlias = dict[str, Any]
Granularity: TypeAlias = Literal["segment", "word"]
"""What has a time of its own: utterances or words."""


class Telling:
    """The transcript of one session, told as it comes."""

    def __init__(self, model: str, granularity: Granularity | None = "segment") -> None:
        """`model`: the name of the model that runs. `granularity`: of what is told with its times; None: of nothing."""
        self._model = model
        self._granularity = granularity
        self._text = RunningText()
        self._segments: list[Segment] = []
        self._language: str | None = None  # the last that the client was told

    def partial(self, partial: Partial) -> list[Message]:
        """What of an unfinished utterance will stay."""
        return _delta(self._text.grow(partial.stable))

    def final(self, final: Final) -> list[Message]:
        """The rest of the text, and its pieces with their times."""
        messages = _delta(self._text.settle(final.text))
        if not final.text:
            return messages
        if final.language is not None and final.language != self._language:
            self._language = final.language
            messages.insert(0, {"type": "transcription.language", "audio_language": final.language})
        segment = Segment.of(final, len(self._segments))
        self._segments.append(segment)
        pieces = _pieces(segment, self._granularity)
        return [*messages, *({**piece, "type": "transcription.segment"} for piece in pieces)]

    def done(self, duration: float) -> Message:
        """Everything again; `duration` is that of the audio in seconds."""
        whole = Transcript.of(self._segments, duration)
        return {"type": "transcription.done", **transcription(whole, self._model, self._granularity)}


def transcription(transcript: Transcript, model: str, granularity: Granularity | None) -> Message:
    """A transcript. Tokens are not counted here, the seconds of audio are."""
    return {
        "model": model,
        "text": transcript.text,
        "language": transcript.language,
        "segments": [piece for segment in transcript.segments for piece in _pieces(segment, granularity)],
        "usage": {
            "prompt_tokens": 0,
            "completion_tokens": 0,
            "total_tokens": 0,
            "prompt_audio_seconds": round(transcript.duration),
        },
    }


def _pieces(segment: Segment, granularity: Granularity | None) -> list[Message]:
    """What `segments` holds of a segment: itself, or its words, or nothing."""
    parts: dict[Granularity | None, Sequence[Segment | Word]] = {"segment": [segment], "word": segment.words}
    return [
        {"type": "transcription_segment", "text": part.text, "start": part.start, "end": part.end, "speaker_id": None}
        for part in parts.get(granularity, ())
    ]


def _delta(text: str) -> list[Message]:
    return [{"type": "transcription.text.delta", "text": text}] if text else []
