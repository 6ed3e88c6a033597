"""One utterance on its way through the built-in engine."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from voxtral_streaming.audio.units import Samples, seconds
from voxtral_streaming.engines.base import StreamOptions
from voxtral_streaming.engines.whisper.agreement import LocalAgreement
from voxtral_streaming.engines.whisper.recognition import Request, Result
from voxtral_streaming.engines.whisper.scheduler import Kind
from voxtral_streaming.engines.whisper.windows import window_for
from voxtral_streaming.transcript import Hypothesis, Word

if TYPE_CHECKING:
    from voxtral_streaming.engines.whisper.engine import WhisperEngine

ResultT = TypeVar("ResultT")


@dataclass(slots=True, eq=False)
class Recognition:
    """A job: recognise what its stream holds when the job's turn comes."""

    kind: Kind
    stream: WhisperStream
    future: Future[Result] = field(default_factory=Future)

    def request(self, window: int) -> Request:
        """The audio to recognise."""
        return self.stream.request(window, is_whole=self.kind < Kind.PARTIAL)


@dataclass(slots=True, eq=False)
class Alignment:
    """A job: find when the words of a result were spoken."""

    kind: Kind
    result: Result
    future: Future[list[Word]] = field(default_factory=Future)


class WhisperStream:
    """Implements `Stream`. Lives on the event loop; only `window` and `request` are called by engine threads."""

    def __init__(self, engine: WhisperEngine, options: StreamOptions, at: int) -> None:
        self._engine = engine
        self._options = options
        self._at = at
        self._blocks: list[Samples] = []
        self._n_samples = 0  # fed so far
        self._n_heard = 0  # fed when the last hypothesis was asked for
        self._grown = asyncio.Event()
        self._is_closed = False
        self._agreement = LocalAgreement()
        self._hypothesis = Hypothesis()
        self._whole: Recognition | None = None  # recognises all that was fed, until more is
        self._alignment: Alignment | None = None
        self._partial: Recognition | None = None

    def feed(self, samples: Samples) -> None:
        """Take the next samples of the utterance."""
        if not len(samples):
            return
        self._blocks.append(samples)
        self._n_samples += len(samples)
        self._go_on()
        self._grown.set()

    async def partial(self) -> Hypothesis:
        """The next hypothesis, once there is enough new audio for one."""
        while self._n_samples - self._n_heard < self._engine.partial_interval():
            self._grown.clear()
            await self._grown.wait()
            if self._is_closed:
                raise asyncio.CancelledError
        self._n_heard = self._n_samples
        self._partial = Recognition(Kind.PARTIAL, self)
        self._engine.submit(self._partial)
        return self._agreed(await asyncio.wrap_future(self._partial.future))

    async def flush(self) -> Hypothesis:
        """The whole text of all that was fed so far, now."""
        if not self._n_samples:
            return self._hypothesis
        self._n_heard = self._n_samples
        return self._agreed(await self._recognise_whole(Kind.FLUSH))

    async def finish(self) -> Hypothesis:
        """The final text of all that was fed, with its words."""
        if not self._n_samples:
            return Hypothesis()
        decoded = (await self._recognise_whole(Kind.FINISH)).decoded
        words = await self._align() if self._options.words else ()
        return Hypothesis("".join(decoded.words).strip(), "", words, decoded.language)

    def close(self) -> None:
        """Give up what still waits."""
        self._is_closed = True
        self._grown.set()
        for job in (self._partial, self._whole, self._alignment):
            if job is not None:
                job.future.cancel()
        self._engine.closed(self)

    async def _recognise_whole(self, kind: Kind) -> Result:
        if self._whole is None:
            self._whole = Recognition(kind, self)
            self._engine.submit(self._whole)
        self._whole.kind = min(self._whole.kind, kind)
        result = await self._shared(self._whole.future)
        if self._options.words and self._alignment is None:
            self._alignment = Alignment(Kind.ALIGN, result)
            self._engine.submit(self._alignment)
        return result

    async def _align(self) -> tuple[Word, ...]:
        """The words in seconds since the stream began, in order, none reaching beyond the utterance."""
        assert self._alignment is not None  # made with the whole text
        self._alignment.kind = Kind.FINISH
        first, last = seconds(self._at), seconds(self._at + self._n_samples)
        words = []
        for word in await self._shared(self._alignment.future):
            start = min(max(self._at_seconds(word.start), first), last)
            end = min(max(self._at_seconds(word.end), start), last)
            words.append(Word(word.text, start, end, word.probability))
            first = start
        return tuple(words)

    def _at_seconds(self, since_start: float) -> float:
        return round(seconds(self._at) + since_start, 3)

    async def _shared(self, future: Future[ResultT]) -> ResultT:
        """Await a future that outlives the one who awaits it."""
        return await asyncio.shield(asyncio.wrap_future(future))

    def _go_on(self) -> None:
        """The utterance was not over: what was to recognise the whole of it is a partial now."""
        if self._whole is not None:
            self._whole.kind = Kind.PARTIAL
        if self._alignment is not None:
            self._alignment.future.cancel()
        self._whole = self._alignment = None

    def _agreed(self, result: Result) -> Hypothesis:
        stable, tentative = self._agreement.update(result.decoded.words)
        self._hypothesis = Hypothesis("".join(stable).lstrip(), "".join(tentative), (), result.decoded.language)
        return self._hypothesis

    def window(self) -> int:
        """Frames of the window that holds what was fed so far."""
        return window_for(self._n_samples)

    def request(self, window: int, *, is_whole: bool) -> Request:
        """What to recognise now: everything fed so far."""
        samples = np.concatenate(self._blocks[:])
        options = self._options
        return Request(samples, window, options.language, options.likely_language, is_whole)
