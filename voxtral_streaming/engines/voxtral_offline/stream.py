"""One utterance on its way through the engine."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable

from voxtral_streaming.audio.units import Samples
from voxtral_streaming.engines.agreement import LocalAgreement
from voxtral_streaming.engines.base import StreamOptions
from voxtral_streaming.engines.voxtral_offline.plan import most_tokens
from voxtral_streaming.engines.voxtral_offline.recording import Host, Recording
from voxtral_streaming.engines.voxtral_offline.worker import Answer, Kind, Request
from voxtral_streaming.transcript import Hypothesis

WORD = re.compile(r"\S+")


class VoxtralStream:
    """Implements `Stream`. Every hypothesis hears all of the utterance anew, with the last one as its draft."""

    def __init__(self, host: Host, options: StreamOptions) -> None:
        self._host = host
        self._language, self._is_spoken = options.language, options.is_spoken
        self._recording = Recording(host)
        self._agreement = LocalAgreement()
        self._n_heard = 0  # samples, when the last hypothesis was asked for
        self._grown = asyncio.Event()
        self._is_closed = False
        self._asked: set[asyncio.Task[Answer]] = set()
        self._whole: asyncio.Task[Answer] | None = None  # of all that was fed, until more is
        self._urgency = self._kind(Kind.FLUSH)  # of that
        self._request: Request | None = None  # the same, once it was made

    def feed(self, samples: Samples) -> None:
        """Take the next samples; they are copied."""
        if not len(samples):
            return
        self._recording.feed(samples)
        if self._request is not None:
            self._request.kind = self._kind(Kind.PARTIAL)  # the utterance was not over
        self._whole, self._request, self._urgency = None, None, self._kind(Kind.FLUSH)
        self._grown.set()

    async def partial(self) -> Hypothesis:
        """The next hypothesis, once there is enough new audio for one."""
        while self._recording.n_samples - self._n_heard < self._host.partial_interval:
            self._grown.clear()
            await self._grown.wait()
            if self._is_closed:
                raise asyncio.CancelledError
        self._n_heard = heard = self._recording.n_samples
        return self._agreed(await self._ask(self._kind(Kind.PARTIAL), lambda _: None), heard)

    async def flush(self) -> Hypothesis:
        """The whole text of all that was fed."""
        self._n_heard = heard = self._recording.n_samples
        return self._agreed(await self._of_all(Kind.FLUSH), heard) if heard else Hypothesis()

    async def finish(self) -> Hypothesis:
        """The final text: what greedy decoding says of all the audio."""
        if not self._recording.n_samples:
            return Hypothesis()
        answer = await self._of_all(Kind.FINISH)
        return Hypothesis(self._recording.text(answer.tokens), language=self._language)

    def close(self) -> None:
        """Give up what still waits."""
        self._is_closed = True
        self._grown.set()
        for task in self._asked:
            task.cancel()
        self._host.closed(self)

    def _kind(self, kind: Kind) -> Kind:
        """What a request is for; where nobody speaks now, it lets those go first who do."""
        return kind if self._is_spoken else Kind.RECORDED

    async def _of_all(self, urgency: Kind) -> Answer:
        """The answer about all that was fed, asked for once; whoever gives up waiting does not stop it."""
        self._urgency = min(self._urgency, self._kind(urgency))
        if self._whole is None:
            self._whole = asyncio.create_task(self._ask(self._urgency, self._began))
            self._asked.add(self._whole)
            self._whole.add_done_callback(self._asked.discard)
        elif self._request is not None:
            self._request.kind = self._urgency
        return await asyncio.shield(self._whole)

    def _began(self, request: Request) -> None:
        if asyncio.current_task() is self._whole:
            self._request, request.kind = request, self._urgency
        else:
            request.kind = self._kind(Kind.PARTIAL)  # more was fed meanwhile

    async def _ask(self, kind: Kind, begin: Callable[[Request], None]) -> Answer:
        tokenizer, language = self._host.checkpoint.tokenizer, self._language
        most = most_tokens(self._recording.n_samples)
        return await self._recording.ask(lambda n: tokenizer.transcription(n, language), most, begin, kind)

    def _agreed(self, answer: Answer, heard: int) -> Hypothesis:
        words = WORD.findall(self._recording.text(answer.tokens))
        stable, tentative = self._agreement.update([f" {word}" for word in words], heard)
        return Hypothesis("".join(stable), "".join(tentative))
