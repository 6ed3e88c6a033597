"""The audio of one stream, and what the model is asked about it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

from voxtral_streaming.audio.units import Samples
from voxtral_streaming.engines.base import Stream
from voxtral_streaming.engines.voxtral_offline.checkpoint import Checkpoint
from voxtral_streaming.engines.voxtral_offline.mel import log_mel
from voxtral_streaming.engines.voxtral_offline.worker import Answer, Kind, Request
from voxtral_streaming.errors import AudioTooLong


class Host(Protocol):
    """What a stream needs of its engine."""

    @property
    def checkpoint(self) -> Checkpoint:
        """The model that runs."""

    @property
    def context(self) -> int:
        """Tokens of a prompt and its answer together, at most."""

    @property
    def partial_interval(self) -> int:
        """Samples of new audio between two partials, at least."""

    def submit(self, request: Request) -> None:
        """Have a request answered; its future answers."""

    def closed(self, stream: Stream) -> None:
        """A stream was closed."""


class Recording:
    """Holds what was fed. Every question is about all of it; what was said last is the draft of the next answer."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._blocks: list[Samples] = []
        self._draft: tuple[int, ...] = ()
        self.n_samples = 0

    def feed(self, samples: Samples) -> None:
        """Take the next samples; they are copied."""
        self._blocks.append(samples.copy())
        self.n_samples += len(samples)

    async def ask(
        self,
        prompt: Callable[[int], list[int]],
        most: int | None,
        begin: Callable[[Request], None],
        kind: Kind = Kind.FINISH,
    ) -> Answer:
        """The greedy answer to a prompt about all that was fed; giving up waiting gives up the answer.

        `prompt` is told how many tokens the audio becomes; `most`: tokens of the answer, None: as many as there is
        room for. `begin` is called with the request before anybody works on it. The features are computed by another
        thread than the engine's, so that long recordings hold nobody up. Raises `AudioTooLong`.
        """
        samples = self._joined()
        tokens = prompt(self._host.checkpoint.facts.n_audio_tokens(len(samples)))
        room = self._host.context - len(tokens)
        if room < 1:
            raise AudioTooLong(f"prompt and audio are {len(tokens)} tokens; there is room for {self._host.context}")
        mel = await asyncio.to_thread(log_mel, samples, self._host.checkpoint.facts)
        request = Request(kind, tokens, mel, min(most or room, room), self._draft)
        begin(request)
        self._host.submit(request)
        try:
            return await asyncio.wrap_future(request.answer)
        finally:
            self._draft = tuple(request.said) or self._draft

    def _joined(self) -> Samples:
        if len(self._blocks) != 1:
            self._blocks = [np.concatenate([np.zeros(0, np.float32), *self._blocks])]
        return self._blocks[0]

    def text(self, tokens: Sequence[int], *, is_whole: bool = True) -> str:
        """What tokens spell; where more will come, without a character that is not complete."""
        return self._host.checkpoint.tokenizer.decode(tokens, is_whole=is_whole).strip()
