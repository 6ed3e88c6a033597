"""How much of what a client sent was received, so that it knows what to send again when its connection is lost."""

from __future__ import annotations

from collections.abc import Iterable

from voxtral_streaming.audio.pcm import CODE, DTYPES
from voxtral_streaming.server.dialects.actions import Acknowledge, Action, Audio, AudioFormat, KeepAlive
from voxtral_streaming.server.limits import ACK_EVERY_S


class Tally:
    """Counts bytes of audio, and messages that ask for something else."""

    def __init__(self) -> None:
        self.n_bytes = 0
        self.n_messages = 0
        self._every: int | None = None  # bytes; None: nobody wants to know
        self._n_told = 0

    def acknowledge_every(self, audio: AudioFormat) -> None:
        """From now on the client is to be told, now and then."""
        second = audio.sample_rate * audio.channels * DTYPES.get(audio.encoding, CODE).itemsize
        self._every = round(second * ACK_EVERY_S)

    def take(self, actions: Iterable[Action]) -> None:
        """A frame was received that asks for these."""
        for action in actions:
            if isinstance(action, Audio):
                self.n_bytes += len(action.data)
            elif not isinstance(action, KeepAlive | Acknowledge):
                self.n_messages += 1

    def is_due(self) -> bool:
        """Whether the client should be told; asking resets the answer."""
        if self._every is None or self.n_bytes - self._n_told < self._every:
            return False
        self._n_told = self.n_bytes
        return True
