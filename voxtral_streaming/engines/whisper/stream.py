"""One utterance on its way through the built-in engine."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from voxtral_streaming.audio.units import Samples, seconds
from voxtral_streaming.engines.agreement import LocalAgreement
from voxtral_streaming.engines.base import StreamOptions
from voxtral_streaming.engines.whisper.passages import Passages
from voxtral_streaming.engines.whisper.recognition import Request, Result
from voxtral_streaming.engines.whisper.scheduler import Kind
from voxtral_streaming.engines.whisper.windows import memory_for, window_for
from voxtral_streaming.transcript import Hypothesis, Word

if TYPE_CHECKING:
    from voxtral_streaming.engines.whisper.engine import WhisperEngine

ResultT = TypeVar("ResultT")


@dataclass(slots=True, eq=False)
class Recognition:
    """A job: recognise what its stream holds when the job's turn comes."""

    kind: Kind
    stream: WhisperStream
    is_whole: bool = False  # hear everything, and not only what partials hear
    future: Future[Result] = field(default_factory=Future)

    @property
    def memory(self) -> int:
        """Frames of the decoder's memory of the audio."""
        start, end = self.stream.span(self.is_whole)
        return memory_for(window_for(end - start))

    def request(self, memory: int) -> Request:
        """What to recognise now, beside others with that memory, in which all but a whole utterance are decoded."""
        start, end = self.stream.span(self.is_whole)
        window = window_for(end - start)
        own = memory_for(window)
        return self.stream.request(start, end, window, own if self.is_whole else max(own, memory))


@dataclass(slots=True, eq=False)
class Completion:
    """A job: make a result final, and find when its words were spoken, if that is wanted."""

    kind: Kind
    result: Result
    wants_words: bool
    future: Future[tuple[Result, list[Word]]] = field(default_factory=Future)


class WhisperStream:
    """Implements `Stream`. Lives on the event loop; only `span` and `request` are called by engine threads."""

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
        self._passages = Passages()
        self._draft: Recognition | None = None  # brings the text of all that was fed, until more is
        self._whole: Recognition | None = None  # recognises all of it at once
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
        self._passages.pause(self._n_samples)
        if self._draft is None and self._whole is None:
            return self._agreed(await self._shared(self._drafted().future))
        return self._agreed((await self._completed(Kind.FLUSH))[0])

    async def finish(self) -> Hypothesis:
        """The final text of all that was fed, with its words."""
        if not self._n_samples:
            return Hypothesis()
        result, words = await self._completed(Kind.FINISH if self._options.is_live else Kind.RECORDED)
        decoded = result.decoded
        return Hypothesis("".join(decoded.words).strip(), "", self._placed(words), decoded.language)

    def close(self) -> None:
        """Give up what still waits."""
        self._is_closed = True
        self._grown.set()
        for job in (self._partial, self._draft, self._whole, self._completion):
            if job is not None:
                job.future.cancel()
        self._engine.closed(self)

    def _drafted(self) -> Recognition:
        """Ask for the text of what partials have not settled: the whole, where nothing is settled."""
        kind = Kind.PARTIAL if self._engine.is_busy else Kind.FLUSH  # most lulls end before the utterance does
        self._draft = Recognition(kind, self, is_whole=not self._passages.start)
        if self._draft.is_whole:
            self._whole = self._draft
        self._engine.submit(self._draft)
        return self._draft

    async def _recognised(self, kind: Kind) -> Result:
        """The result of all that was fed, heard at once and asked for once."""
        if self._whole is None:
            self._whole = Recognition(kind, self, is_whole=True)
            self._engine.submit(self._whole)
        self._whole.kind = min(self._whole.kind, kind)
        return await self._shared(self._whole.future)

    async def _completed(self, kind: Kind) -> tuple[Result, list[Word]]:
        """The final result of all that was fed, asked for once."""
        if self._completion is None:
            result = await self._recognised(kind)
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
        """The utterance was not over: what was to bring the whole of it is a partial now."""
        for job in (self._draft, self._whole, self._completion):
            if job is not None:
                job.kind = Kind.PARTIAL
        self._draft = self._whole = self._completion = None

    def _agreed(self, result: Result) -> Hypothesis:
        request, decoded = result.request, result.decoded
        words = self._passages.continued(decoded.words) if request.start else decoded.words
        if not decoded.is_suspect:
            self._passages.settle(words, request.end)
        stable, tentative = self._agreement.update(words, request.end)
        self._hypothesis = Hypothesis("".join(stable).lstrip(), "".join(tentative), (), decoded.language)
        return self._hypothesis

    def span(self, is_whole: bool) -> tuple[int, int]:
        """From where to where to hear now, in samples of the utterance."""
        return (0, self._n_samples) if is_whole else self._passages.next(self._n_samples)

    def request(self, start: int, end: int, window: int, memory: int) -> Request:
        """To recognise that much of the utterance, in the language that was found before."""
        options = self._options
        language = options.language or (self._hypothesis.language if start else None)
        samples = np.concatenate(self._blocks[:])[start:end]
        return Request(samples, window, memory, language, options.likely_language, start)
