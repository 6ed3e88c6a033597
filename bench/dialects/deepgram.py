"""Deepgram's live `/v1/listen`: binary audio, interim and final results in seconds."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from bench.dialects.base import Closed, Committed, Failed, Observation, SessionOptions, Shown, Stopped
from voxtral_streaming.audio.units import samples_from_seconds


class Deepgram:
    """The options stand in the URL: `?encoding=linear16&sample_rate=16000&interim_results=true&language=en`.

    An interim result may be rewritten, so all of its text is tentative. Finals of one utterance come one by one until
    `speech_final`; each counts as an utterance here.
    """

    sample_rate = 16_000
    says_goodbye = True

    def __init__(self, options: SessionOptions) -> None:
        self._n_finals = 0

    def opening(self) -> Sequence[str]:
        """Nothing: the URL says it all."""
        return []

    def audio(self, pcm: bytes) -> bytes:
        """Binary, as it is."""
        return pcm

    def closing(self) -> Sequence[str]:
        """`CloseStream`, answered by the last results and `Metadata`."""
        return ['{"type": "CloseStream"}']

    def read(self, frame: str | bytes) -> Sequence[Observation]:
        """Results, the end, errors."""
        message: dict[str, Any] = json.loads(frame)
        match message["type"]:
            case "Results":
                return self._result(message)
            case "Metadata":
                return [Closed()]
            case "Error":
                return [Failed(f"{message['variant']}: {message['description']}")]
        return []

    def _result(self, message: dict[str, Any]) -> Sequence[Observation]:
        text, name = message["channel"]["alternatives"][0]["transcript"], str(self._n_finals)
        start = samples_from_seconds(message["start"])
        end = samples_from_seconds(message["start"] + message["duration"])
        if not message["is_final"]:
            return [Shown(name, "", text, end)] if text else []
        self._n_finals += 1
        stopped = [Stopped(name)] if message["speech_final"] else []
        return [*stopped, Committed(name, text, (start, end))] if text else []
