"""vLLM's `/v1/realtime`: one utterance a session, deltas without positions."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from typing import Any

from bench.dialects.base import Closed, Committed, Failed, Observation, SessionOptions, Shown


class Vllm:
    """Base64 audio at 16 kHz; a first commit starts generation and a last one ends it. No language can be named."""

    sample_rate = 16_000
    says_goodbye = True

    def __init__(self, options: SessionOptions) -> None:
        self._model = options.model
        self._text = ""
        self._utterance = 0

    def opening(self) -> Sequence[str]:
        """The model, then the commit that starts generation."""
        return [
            json.dumps({"type": "session.update", "model": self._model}),
            json.dumps({"type": "input_audio_buffer.commit"}),
        ]

    def audio(self, pcm: bytes) -> str:
        """`input_audio_buffer.append`."""
        return json.dumps({"type": "input_audio_buffer.append", "audio": base64.b64encode(pcm).decode()})

    def closing(self) -> Sequence[str]:
        """The commit that ends generation."""
        return [json.dumps({"type": "input_audio_buffer.commit", "final": True})]

    def read(self, frame: str | bytes) -> Sequence[Observation]:
        """Deltas with text, the end, errors."""
        message: dict[str, Any] = json.loads(frame)
        match message["type"]:
            case "transcription.delta" if message["delta"]:
                self._text += message["delta"]
                return [Shown(str(self._utterance), self._text, "")]
            case "transcription.done":
                return [self._commit(message["text"]), Closed()]
            case "error":
                return [Failed(f"{message['code']}: {message['error']}")]
        return []

    def _commit(self, text: str) -> Committed:
        committed = Committed(str(self._utterance), text)
        self._text, self._utterance = "", self._utterance + 1
        return committed
