"""The native WebSocket protocol (docs/protocol.md)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from bench.dialects.base import Closed, Committed, Failed, Observation, SessionOptions, Shown, Stopped


class Native:
    """`/ws`: binary audio, JSON events with sample positions."""

    sample_rate = 16_000
    says_goodbye = True

    def __init__(self, options: SessionOptions) -> None:
        self._options = options

    def opening(self) -> Sequence[str]:
        """The options of the session."""
        start: dict[str, Any] = {"type": "start", "audio": {"encoding": "pcm_s16le", "sample_rate": 16_000}}
        if self._options.language:
            start["language"] = self._options.language
        return [json.dumps(start)]

    def audio(self, pcm: bytes) -> bytes:
        """Binary, as it is."""
        return pcm

    def closing(self) -> Sequence[str]:
        """`close`, answered by the last final and `closed`."""
        return ['{"type": "close"}']

    def read(self, frame: str | bytes) -> Sequence[Observation]:
        """Partials, finals and the end; options and warnings show nothing."""
        message = json.loads(frame)
        match message["type"]:
            case "partial":
                return [_shown(message)]
            case "speech_stopped":
                return [Stopped(str(message["utterance"]))]
            case "final":
                span = (message["start_sample"], message["end_sample"])
                return [Committed(str(message["utterance"]), message["text"], span)]
            case "error":
                return [Failed(f"{message['error']['code']}: {message['error']['message']}")]
            case "closed":
                return [Closed()]
        return []


def _shown(message: dict[str, Any]) -> Shown:
    return Shown(str(message["utterance"]), message["stable"], message["tentative"], message["at"])
