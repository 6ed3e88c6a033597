"""One utterance on its way through the built-in engine."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from voxtral_streaming.audio.units import Samples, seconds
from voxtral_streaming.engines.agreement import LocalAgreement
from voxtral_streaming.engines.base import StreamOptions
from voxtral_streaming.engines.whisper.jobs import Completion, Recognition, always
from voxtral_streaming.engines.whisper.parts import (
    Parted,
    Sentence,
    begun,
    continued,
    lull,
    moved,
    n_standing,
    place,
    reach,
)
from voxtral_streaming.engines.whisper.passages import Passage, Passages
from voxtral_streaming.engines.whisper.recognition import Request, Result
from voxtral_streaming.engines.whisper.scheduler import RAREST, Kind
from voxtral_streaming.engines.whisper.windows import window_for
from voxtral_streaming.transcript import Hypothesis, Word

if TYPE_CHECKING:
    from voxtral_streaming.engines.whisper.engine import WhisperEngine

ResultT = TypeVar("ResultT")


class WhisperStream:
    """Implements `Stream`. Lives on the event loop; engine threads call only what passages and requests are made of.

    An utterance that grows long is parted (see parts.py): its first sentences stand, and the rest goes on alone.
    """

    def __init__(self, engine: WhisperEngine, options: StreamOptions, at: int) -> None:
        self._engine = engine
        self._options = options
        self._at = at
        self._blocks: list[Samples] = []
        self._n_samples = 0  # fed so far
        self._n_heard = 0  # fed when the newest hypothesis was begun
        self._n_flushed = 0  # fed when a flush was last asked for
        self._grown = asyncio.Event()
        self._is_closed = False
        self._agreement = LocalAgreement()
        self._hypothesis = Hypothesis()
        self._passages = Passages()
        self._drafts = engine.no_drafts()
        self._parted = Parted()
        self._parting: asyncio.Task[None] | None = None
        self._part_kind = self._kind(Kind.PARTIAL)  # nobody waits for it, but for the final
        self._part: Recognition | Completion | None = None  # what the parting waits for
        self._draft: Recognition | None = None  # brings the text of all that was fed, until more is
        self._whole: Recognition | None = None  # recognises the rest at once
        self._completion: Completion | None = None  # of the same
        self._ahead: asyncio.Task[tuple[Result, list[Word]]] | None = None  # asks for it before it is wanted
        self._is_whole_awaited = False  # by somebody who shows it
        self._partial: Recognition | None = None

    def feed(self, samples: Samples) -> None:
        """Take the next samples of the utterance."""
        if not len(samples):
            return
        self._blocks.append(samples)
        self._n_samples += len(samples)
        self._go_on()
        self._grown.set()
        if self._options.is_live and self._is_long:
            self._begin_parting()

    async def partial(self) -> Hypothesis:
        """The next hypothesis, once there is enough new audio for one."""
        if self._partial is None:
            await self._heard_more()
            self._partial = Recognition(self._kind(Kind.PARTIAL), self, self.newest)
            self._engine.submit(self._partial)
        result = await self._shared(self._partial.future)  # a lull may interrupt this: then it is asked for again
        self._partial = None
        return self._agreed(result)

    async def _heard_more(self) -> None:
        """Wait for enough new audio for a partial."""
        while self._n_new < self._interval:
            self._grown.clear()
            await self._grown.wait()
            if self._is_closed:
                raise asyncio.CancelledError

    @property
    def _interval(self) -> int:
        """New samples for a partial; of audio that comes ahead of its time there are soon enough."""
        return self._engine.partial_interval(is_first=not self._hypothesis.text) if self.is_spoken else RAREST

    @property
    def is_spoken(self) -> bool:
        """Whether somebody speaks now, and waits for its text."""
        return self._options.is_spoken

    def _kind(self, kind: Kind) -> Kind:
        """What a job is for; where nobody speaks now, it lets those go first who do."""
        return kind if self.is_spoken else Kind.RECORDED

    @property
    def _n_new(self) -> int:
        return self._n_samples - self._n_heard

    @property
    def waited(self) -> int:
        """Samples that were fed since the newest hypothesis was begun; twice as many without a text, missed most."""
        return self._n_new if self._hypothesis.text else 2 * self._n_new

    async def flush(self) -> Hypothesis:
        """The whole text of all that was fed so far: what can be had at once; asked again, what will be final."""
        if not self._n_samples:
            return self._hypothesis
        is_again, self._n_flushed = self._n_flushed == self._n_samples, self._n_samples
        self._passages.pause(self._n_samples)
        if (self._engine.is_busy or not self.is_spoken) and not is_again:
            return self._hypothesis  # most lulls end before the utterance does
        self._drop_partial()
        if not is_again and self._draft is None and self._whole is None:
            return self._agreed(await self._shared(self._drafted().future))
        self._is_whole_awaited = True
        try:
            return self._agreed((await self._completed(self._kind(Kind.FLUSH)))[0])
        finally:
            self._is_whole_awaited = False

    async def finish(self) -> Hypothesis:
        """The final text of all that was fed, with its words; if there are none, in no language that was guessed."""
        if not self._n_samples:
            return Hypothesis()
        self._drop_partial()
        kind = self._kind(Kind.FINISH)
        result, last = await self._completed(kind)
        while (is_lossy := self._loses(result)) or result.n_heard < result.request.passage.n_samples:
            if is_lossy:
                self._hear_alone()
            else:
                self._stand(result, last, len(last))
            result, last = await self._completed(kind)
        start = seconds(result.request.passage.start)
        words, timed = self._parted.followed_by(result.words, [moved(word, start) for word in last])
        placed = self._placed(timed) if self._options.words else ()
        language = result.decoded.language if words else self._options.language
        return Hypothesis("".join(words).strip(), "", placed, language)

    def _loses(self, result: Result) -> bool:
        """Whether the rest lost words behind the sentences before it."""
        passage = result.request.passage
        ends_early = passage.start < passage.known and result.n_heard < passage.n_samples
        return ends_early or self._parted.loses(passage.start, len(result.decoded.words))

    def _hear_alone(self) -> None:
        """Let no sentence be heard again: the rest is heard without them."""
        self._parted = replace(self._parted, sentences=())
        self._whole = self._completion = None

    def close(self) -> None:
        """Give up what still waits."""
        self._is_closed = True
        self._grown.set()
        for task in (self._parting, self._ahead):
            if task is not None:
                task.cancel()
        for job in (self._partial, self._part, self._draft, self._whole, self._completion):
            if job is not None:
                job.drop()
        # jobs and tasks know their stream: together they would keep megabytes until the garbage collector comes
        self._parting = self._ahead = None
        self._partial = self._part = self._draft = self._whole = self._completion = None
        self._engine.closed(self)

    def newest(self) -> Passage:
        """What a partial hears now."""
        return self._passages.next(self._n_samples)

    def rest(self) -> Passage:
        """All that was fed behind the parts that stand; if that is short, the last of their sentences too."""
        parted = self._parted
        start = parted.rest(self._n_samples)
        return Passage(start, self._n_samples, parted.words, known=parted.end)

    def request(self, passage: Passage) -> Request:
        """To recognise that much of the utterance, in the language that was found before."""
        options = self._options
        language = options.language or self._parted.language
        if language is None and passage.start:
            language = self._hypothesis.language
        n_fed, samples = self._n_samples, self._between(passage.start, passage.end)
        draft = self._drafts.behind(passage.start)
        return Request(samples, window_for(len(samples)), language, options.likely_language, passage, n_fed, draft)

    def _between(self, start: int, end: int) -> Samples:
        samples: Samples = np.concatenate(self._blocks[:])[start:end].copy()  # the rest need not stay
        return samples

    @property
    def _is_long(self) -> bool:
        """Whether there is enough behind the parts for another one."""
        return self._n_samples >= reach(self._parted.end)

    def _begin_parting(self) -> None:
        """Let whole sentences stand, from now on."""
        if self._parting is None:
            self._parting = asyncio.create_task(self._part_it())
            self._parting.add_done_callback(_retrieved)

    async def _part_it(self) -> None:
        """Let whole sentences stand, until what is behind them is short."""
        while self._is_long:
            start = self._parted.end
            end = start + lull(self._between(start, reach(start)))
            passage = Passage(start, end, self._parted.words)
            self._part = Recognition(self._part_kind, self, always(passage))
            self._engine.submit(self._part)
            result = await asyncio.wrap_future(self._part.future)
            self._part = Completion(self._part_kind, self, result, wants_words=True)
            self._engine.submit(self._part)
            result, words = await asyncio.wrap_future(self._part.future)
            n = n_standing(words, seconds(passage.n_samples))
            self._stand(result, words, n, begun(words, n))
        self._parting = None

    def _stand(self, result: Result, words: Sequence[Word], n: int, sentences: Sequence[int] = ()) -> None:
        """Let the first words of a result stand. Only `sentences`, told by their first words, may be heard again."""
        passage, decoded = result.request.passage, result.decoded
        n_words = len(decoded.words)
        if len(words) != n_words:
            n, sentences = n_words, ()
        end = passage.start + (place(words, n) if n < n_words else result.n_heard)
        starts = [passage.start + place(words, at) for at in sentences]
        timed = [moved(word, seconds(passage.start)) for word in words[:n]]
        joined, all_timed = self._parted.followed_by(decoded.words[:n], timed)
        again = tuple(Sentence(start, n_words - at) for start, at in zip(starts, sentences, strict=True))
        self._parted = Parted(joined, all_timed, end, self._parted.language or decoded.language, again)
        behind = [decoded.draft_behind(at) for at in (*sentences, n)]
        self._drafts.stand(dict(zip([*starts, end], behind, strict=True)), passage.start, passage.end)
        if passage.end > self._passages.start:  # partials have no need of whole sentences: they go on behind the lull
            self._passages.settle(continued(passage.before, decoded.words), passage.end)
        self._draft = self._whole = self._completion = None

    def _settle(self, result: Result) -> None:
        """Let partials go on behind a pause in what was heard."""
        passage, decoded, settled = result.request.passage, result.decoded, result.settled
        if settled is not None and passage.start == self._passages.start:
            n, at = settled.n_words, settled.at
            self._drafts.divide(at, decoded.draft_behind(n), passage.start)
            self._passages.settle(continued(passage.before, decoded.words[:n]), at)

    def _drop_partial(self) -> None:
        """What is asked for now hears all that the partial would."""
        if self._partial is not None:
            self._partial.drop()
            self._partial = None

    def _drafted(self) -> Recognition:
        """Ask for the text of what partials have not settled: all of the rest, where nothing is settled.

        Only where somebody speaks now, and the machine has time for it.
        """
        if self._passages.start == self.rest().start:
            self._draft = self._ask_whole(Kind.FLUSH)
        else:
            self._draft = Recognition(Kind.FLUSH, self, self.newest)
            self._engine.submit(self._draft)
        if self._engine.has_time_to_spare:
            self._ahead = asyncio.create_task(self._completed(Kind.FLUSH))
            self._ahead.add_done_callback(_retrieved)
        return self._draft

    async def _recognised(self, kind: Kind) -> Result:
        """The result of the rest, heard at once and asked for once."""
        await self._all_parted(kind)
        whole = self._whole or self._ask_whole(kind)
        whole.kind = min(whole.kind, kind)
        result = await self._shared(whole.future)
        passage = result.request.passage
        if passage == self.rest() and self._loses(result):
            self._hear_alone()
        if passage.end == self._n_samples and passage.start != self.rest().start:  # whoever saw the loss first
            return await self._recognised(kind)
        if result.decoded.is_suspect and self._is_long and not self._options.is_live:
            self._whole = None
            self._begin_parting()
            return await self._recognised(kind)
        return result

    def _ask_whole(self, kind: Kind) -> Recognition:
        self._whole = Recognition(kind, self, self.rest)
        self._engine.submit(self._whole)
        return self._whole

    async def _all_parted(self, kind: Kind) -> None:
        """Wait until all that is long enough for a part is one."""
        if self._parting is not None:
            self._part_kind = min(self._part_kind, kind)
            if self._part is not None:
                self._part.kind = self._part_kind
            await asyncio.shield(self._parting)

    async def _completed(self, kind: Kind) -> tuple[Result, list[Word]]:
        """The final result of the rest, asked for once; its words in seconds since that begins."""
        if self._completion is None:
            result = await self._recognised(kind)
            if result.request.passage != self.rest():
                return result, []  # more was fed meanwhile: nothing to complete
            if self._completion is None:  # nobody else has asked for it meanwhile
                self._completion = Completion(kind, self, result, self._options.words)
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
        answer = asyncio.wrap_future(future)
        answer.add_done_callback(_retrieved)
        return await asyncio.shield(answer)

    def _go_on(self) -> None:
        """The utterance was not over: what was to bring the whole of it is a partial now, and hears no more.

        What was asked for in case it was over, and nobody has come for yet, is in vain.
        """
        for job in (self._draft, self._whole):
            if job is not None:
                job.kind, job.heard = self._kind(Kind.PARTIAL), self.newest
        if self._ahead is not None:
            self._ahead.cancel()
        if self._whole is not None and self._whole is not self._draft and not self._is_whole_awaited:
            self._whole.drop()
        if self._completion is not None:
            self._completion.is_in_vain = True
        self._draft = self._whole = self._completion = self._ahead = None

    def _agreed(self, result: Result) -> Hypothesis:
        passage, decoded = result.request.passage, result.decoded
        self._n_heard = max(self._n_heard, result.request.n_fed)
        self._drafts.heard(passage.start, passage.end, decoded.draft)
        words = continued(passage.before, result.words)
        if not decoded.is_suspect:
            self._passages.heard(words, passage)
            self._settle(result)
        stable, tentative = self._agreement.update(words, passage.end)
        self._hypothesis = Hypothesis("".join(stable).lstrip(), "".join(tentative), (), decoded.language)
        return self._hypothesis


def _retrieved(answer: asyncio.Future[Any]) -> None:
    """Whoever still waits hears of its error; nobody has to."""
    if not answer.cancelled():
        answer.exception()
