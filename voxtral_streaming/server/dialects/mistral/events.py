"""What Mistral's clients are told, live and of recordings, as messages that have a `type`."""

from __future__ import annotations

from typing import Any

from voxtral_streaming.server.dialects.deltas import RunningText
from voxtral_streaming.transcript import Final, Partial, Segment, Transcript

Message = dict[str, Any]


class Telling:
    """The transcript of one session, told as it comes."""

    def __init__(self, model: str) -> None:
        """`model`: the name of the model that runs."""
        self._model = model
        self._text = RunningText()
        self._segments: list[Segment] = []
        self._language: str | None = None  # the last that the client was told

    def partial(self, partial: Partial) -> list[Message]:
        """What of an unfinished utterance will stay."""
        return _delta(self._text.grow(partial.stable))

    def final(self, final: Final) -> list[Message]:
        """The rest of the text, and the utterance as a segment."""
        messages = _delta(self._text.settle(final.text))
        if not final.text:
            return messages
        if final.language is not None and final.language != self._language:
            self._language = final.language
            messages.insert(0, {"type": "transcription.language", "audio_language": final.language})
        segment = Segment.of(final, len(self._segments))
        self._segments.append(segment)
        return [*messages, {**piece(segment.text, segment.start, segment.end), "type": "transcription.segment"}]

    def done(self, duration: float) -> Message:
        """Everything again; `duration` is that of the audio in seconds."""
        whole = Transcript.of(self._segments, duration)
        pieces = [piece(segment.text, segment.start, segment.end) for segment in whole.segments]
        return {"type": "transcription.done", **transcription(whole, self._model, pieces)}


def transcription(transcript: Transcript, model: str, pieces: list[Message]) -> Message:
    """A transcript. Tokens are not counted here, the seconds of audio are."""
    return {
        "model": model,
        "text": transcript.text,
        "language": transcript.language,
        "segments": pieces,
        "usage": {
            "prompt_tokens": 0,
            "completion_tokens": 0,
            "total_tokens": 0,
            "prompt_audio_seconds": round(transcript.duration),
        },
    }


def piece(text: str, start: float, end: float) -> Message:
    """A part of the text and where it stands, in seconds."""
    return {"type": "transcription_segment", "text": text, "start": start, "end": end, "speaker_id": None}


def _delta(text: str) -> list[Message]:
    return [{"type": "transcription.text.delta", "text": text}] if text else []
