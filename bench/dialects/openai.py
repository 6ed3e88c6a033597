"""OpenAI's Realtime protocol, transcription session with server-side turns."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from typing import Any

from bench.dialects.base import Committed, Failed, Observation, SessionOptions, Shown, Stopped

_TRANSCRIPTION = "conversation.item.input_audio_transcription"


class OpenAI:
    """`/v1/realtime?intent=transcription`: base64 audio at 24 kHz; deltas are appended, so all shown text is stable.

    The protocol has no "that was all": the client ends the session when it has heard enough.
    """

    sample_rate = 24_000
    says_goodbye = False

    def __init__(self, options: SessionOptions) -> None:
        self._options = options
        self._texts: dict[str, str] = {}

    def opening(self) -> Sequence[str]:
        """The options of the session: the server's own turn detection with its defaults."""
        transcription = {"model": self._options.model}
        if self._options.language:
            transcription["language"] = self._options.language
        audio = {
            "format": {"type": "audio/pcm", "rate": self.sample_rate},
            "transcription": transcription,
            "turn_detection": {"type": "server_vad"},
        }
        session = {"type": "transcription", "audio": {"input": audio}}
        return [json.dumps({"type": "session.update", "session": session})]

    def audio(self, pcm: bytes) -> str:
        """`input_audio_buffer.append`."""
        return json.dumps({"type": "input_audio_buffer.append", "audio": base64.b64encode(pcm).decode()})

    def closing(self) -> Sequence[str]:
        """Nothing: the silence at the end of the audio ends the last turn."""
        return []

    def read(self, frame: str | bytes) -> Sequence[Observation]:
        """Deltas, completed items and errors."""
        message: dict[str, Any] = json.loads(frame)
        kind = message["type"]
        if kind == f"{_TRANSCRIPTION}.delta":
            return [self._append(message["item_id"], message["delta"])]
        if kind == f"{_TRANSCRIPTION}.completed":
            return [Committed(message["item_id"], message["transcript"])]
        if kind == "input_audio_buffer.speech_stopped":
            return [Stopped(message["item_id"])]
        if kind in ("error", f"{_TRANSCRIPTION}.failed"):
            return [Failed(str(message["error"]["message"]))]
        return []

    def _append(self, item: str, delta: str) -> Shown:
        self._texts[item] = self._texts.get(item, "") + delta
        return Shown(item, self._texts[item], "")
