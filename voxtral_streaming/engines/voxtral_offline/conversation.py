"""A recording that is asked about: a stream whose text is the model's answer."""

from __future__ import annotations

import asyncio

from voxtral_streaming.audio.units import Samples
from voxtral_streaming.engines.base import StreamOptions
from voxtral_streaming.engines.voxtral_offline.recording import Host, Recording
from voxtral_streaming.engines.voxtral_offline.worker import Answer, Request
from voxtral_streaming.errors import UnsupportedOption
from voxtral_streaming.transcript import Hypothesis


class Conversation:
    """Implements `Stream`. The whole recording is fed before anything is asked.

    `partial` answers what was said so far, once there is more of it, and the whole answer when it is over.
    """

    def __init__(self, host: Host, options: StreamOptions) -> None:
        """Raises `UnsupportedOption` where the audio does not stand once in the conversation."""
        if [part for turn in options.conversation for part in turn.parts].count(None) != 1:
            raise UnsupportedOption("messages: exactly one recording can be asked about", param="messages")
        self._host = host
        self._options = options
        self._recording = Recording(host)
        self._request: Request | None = None
        self._said = asyncio.Event()  # more, or everything
        self._n_shown = 0  # tokens
        self._answer: asyncio.Task[Answer] | None = None

    def feed(self, samples: Samples) -> None:
        """Take the next samples; they are copied."""
        self._recording.feed(samples)

    async def partial(self) -> Hypothesis:
        """What was said so far, once there is more of it."""
        answer = self._asked()
        while not answer.done() and len(self._so_far()) <= self._n_shown:
            self._said.clear()
            await self._said.wait()
        if answer.done():
            return await self.finish()
        said = tuple(self._so_far())
        self._n_shown = len(said)
        return Hypothesis(self._recording.text(said, is_whole=False))

    async def flush(self) -> Hypothesis:
        """The whole answer."""
        return await self.finish()

    async def finish(self) -> Hypothesis:
        """The whole answer."""
        answer = await asyncio.shield(self._asked())
        return Hypothesis(self._recording.text(answer.tokens), is_cut=answer.is_cut)

    def close(self) -> None:
        """Give up the answer."""
        if self._answer is not None:
            self._answer.cancel()
        self._host.closed(self)

    def _asked(self) -> asyncio.Task[Answer]:
        if self._answer is None:
            self._answer = asyncio.create_task(self._ask())
            self._answer.add_done_callback(lambda _: self._said.set())
        return self._answer

    async def _ask(self) -> Answer:
        tokenizer, turns = self._host.checkpoint.tokenizer, self._options.conversation
        return await self._recording.ask(
            lambda n: tokenizer.conversation(turns, n), self._options.most_tokens, self._began
        )

    def _began(self, request: Request) -> None:
        loop = asyncio.get_running_loop()

        def on_token() -> None:
            loop.call_soon_threadsafe(self._said.set)

        self._request, request.on_token = request, on_token

    def _so_far(self) -> list[int]:
        return self._request.said if self._request else []
