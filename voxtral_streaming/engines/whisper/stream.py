"""One utterance on its way through the built-in engine."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
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
    """A job: recognise what its stream holds when the job's turn comes, greedily or as a final."""

    kind: Kind
    stream: WhisperStream
    is_final: bool = False
    future: Future[Result] = field(default_factory=Future)

    @property
    def window(self) -> int:
        """Frames of the window that holds the audio."""
        return self.stream.window()


@dataclass(slots=True, eq=False)
class Completion:
    """A job: make a result final, unless it is, and find when its words were spoken, if that is wanted."""

    kind: Kind
    result: Result
    wants_words: bool
    future: Future[tuple[Result, list[Word]]] = field(default_factory=Future)

    @property
    def window(self) -> int:
        """Frames of the window that was encoded."""
        return self.result.encoded.window


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
        self._completion: Completion | None = None  # of the same
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
        """The whole text of all that was fed so far: what can be had at once; asked again, what will be final."""
        if not self._n_samples:
            return self._hypothesis
        self._n_heard = self._n_samples
        if self._whole is None:
            kind = Kind.PARTIAL if self._engine.is_busy else Kind.FLUSH  # most lulls end before the utterance does
            return self._agreed(await self._recognised(kind, is_final=False))
        return self._agreed((await self._completed(Kind.FLUSH))[0])

    async def finish(self) -> Hypothesis:
        """The final text of all that was fed, with its words."""
        if not self._n_samples:
            return Hypothesis()
        result, words = await self._completed(Kind.FINISH)
        decoded = result.decoded
        return Hypothesis("".join(decoded.words).strip(), "", self._placed(words), decoded.language)

    def close(self) -> None:
        """Give up what still waits."""
        self._is_closed = True
        self._grown.set()
        for job in (self._partial, self._whole, self._completion):
            if job is not None:
                job.future.cancel()
        self._engine.closed(self)

    async def _recognised(self, kind: Kind, *, is_final: bool) -> Result:
        """The result of all that was fed, asked for once."""
        if self._whole is None:
            self._whole = Recognition(kind, self, is_final)
            self._engine.submit(self._whole)
        self._whole.kind = min(self._whole.kind, kind)
        self._whole.is_final |= is_final and not self._whole.future.running()
        return await self._shared(self._whole.future)

    async def _completed(self, kind: Kind) -> tuple[Result, list[Word]]:
        """The final result of all that was fed, asked for once."""
        if self._completion is None:
            result = await self._recognised(kind, is_final=True)
            if len(result.request.samples) < self._n_samples:
                return result, []  # more was fed meanwhile: nothing to complete
            self._completion = Completion(kind, result, self._options.words)
            self._engine.submit(self._completion)
        self._completion.kind = min(self._completion.kind, kind)
        return await self._shared(self._completion.future)

    def _placed(self, words: Sequence[Word]) -> tuple[Word, ...]:
        """The words in seconds since the stream began, in order, none reaching beyond the utterance."""
        first, last = seconds(self._at), seconds(self._at + self._n_samples)
        placed = []
        for word in words:
            start = min(max(self._at_seconds(word.start), first), last)
            end = min(max(self._at_seconds(word.end), start), last)
            placed.append(Word(word.text, start, end, word.probability))
            first = start
        return tuple(placed)

    def _at_seconds(self, since_start: float) -> float:
        return round(seconds(self._at) + since_start, 3)

    async def _shared(self, future: Future[ResultT]) -> ResultT:
        """Await a future that outlives the one who awaits it."""
        return await asyncio.shield(asyncio.wrap_future(future))

    def _go_on(self) -> None:
        """The utterance was not over: what was to recognise the whole of it is a partial now."""
        for job in (self._whole, self._completion):
            if job is not None:
                job.kind = Kind.PARTIAL
        self._whole = self._completion = None

    def _agreed(self, result: Result) -> Hypothesis:
        stable, tentative = self._agreement.update(result.decoded.words, len(result.request.samples))
        self._hypothesis = Hypothesis("".join(stable).lstrip(), "".join(tentative), (), result.decoded.language)
        return self._hypothesis

    def window(self) -> int:
        """Frames of the window that holds what was fed so far."""
        return window_for(self._n_samples)

    def request(self, window: int) -> Request:
        """What to recognise now: everything fed so far."""
        options = self._options
        return Request(np.concatenate(self._blocks[:]), window, options.language, options.likely_language)
