"""The items of a transcription session: a turn each, with what its clients hear of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeAlias

from voxtral_streaming.audio.units import milliseconds, seconds
from voxtral_streaming.errors import VoxtralError
from voxtral_streaming.server.dialects.deltas import RunningText
from voxtral_streaming.server.dialects.openai.errors import shape_of
from voxtral_streaming.transcript import Final, Word

TRANSCRIPTION = "conversation.item.input_audio_transcription"

Event: TypeAlias = dict[str, Any]
"""What the server says, without its `event_id`."""


class Item:
    """One turn: its text grows with partials and finals, and is completed once."""

    def __init__(self, id_: str) -> None:
        self.id = id_
        self._running = RunningText()
        self._finals: list[Final] = []

    @property
    def has_text(self) -> bool:
        """Whether any of it is final."""
        return any(final.text for final in self._finals)

    @property
    def seconds(self) -> float:
        """Of its utterances."""
        return seconds(sum(final.end_sample - final.start_sample for final in self._finals))

    def started(self, at: int) -> Event:
        """Somebody began to speak at sample `at`."""
        return {"type": "input_audio_buffer.speech_started", "item_id": self.id, "audio_start_ms": milliseconds(at)}

    def stopped(self, at: int) -> Event:
        """Nobody speaks any more, since sample `at`."""
        return {"type": "input_audio_buffer.speech_stopped", "item_id": self.id, "audio_end_ms": milliseconds(at)}

    def grow(self, stable: str) -> list[Event]:
        """What became stable."""
        return self._delta(self._running.grow(stable))

    def settle(self, final: Final) -> list[Event]:
        """The rest of an utterance."""
        self._finals.append(final)
        return self._delta(self._running.settle(final.text))

    def _delta(self, text: str) -> list[Event]:
        return [self._told("delta", delta=text)] if text else []

    def completed(self, *, logprobs: bool) -> Event:
        """The whole text of the turn, and how long it was."""
        spoken = [final for final in self._finals if final.text]
        event = self._told("completed", transcript=" ".join(final.text for final in spoken))
        event["usage"] = {"type": "duration", "seconds": self.seconds}
        event["languages"] = [{"code": code} for code in dict.fromkeys(final.language for final in spoken) if code]
        event["logprobs"] = [logprob_of(word) for final in spoken for word in final.words] if logprobs else None
        return event

    def failed(self, error: VoxtralError) -> Event:
        """There is no text."""
        return self._told("failed", error=shape_of(error))

    def _told(self, kind: str, **fields: Any) -> Event:
        return {"type": f"{TRANSCRIPTION}.{kind}", "item_id": self.id, "content_index": 0, **fields}


def committed(item_id: str, previous: str | None, *, is_flat: bool) -> Sequence[Event]:
    """The turn is over; its text follows."""
    content = [{"type": "input_audio", "transcript": None}]
    item = {"id": item_id, "object": "realtime.item", "type": "message", "role": "user", "content": content}
    kinds = ("created",) if is_flat else ("added", "done")
    return [
        {"type": "input_audio_buffer.committed", "item_id": item_id, "previous_item_id": previous},
        *(
            {
                "type": f"conversation.item.{kind}",
                "previous_item_id": previous,
                "item": {**item, "status": "in_progress" if kind == "added" else "completed"},
            }
            for kind in kinds
        ),
    ]


def logprob_of(word: Word) -> Event:
    """A word stands where OpenAI has a token, for the engines tell probabilities of words."""
    text = f" {word.text}"
    logprob = math.log(max(word.probability, math.ulp(0.0)))
    return {"token": text, "logprob": logprob, "bytes": list(text.encode())}
