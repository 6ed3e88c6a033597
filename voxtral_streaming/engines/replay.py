"""Streams that survive their engine.

Each keeps the samples of its utterance, which are bounded by the longest utterance, and feeds them to the next
engine when the last one has ended: no sample is lost, none is heard twice, and since a final is a function of the
samples it is what it would have been. What was shown as stable stays.

An utterance may be what ends the engine. Those that were in it twice without the whole of their text being told
in between are suspects: each is tried alone before all others go on. The one with which the engine ends again, and
that nothing else was in before, is given up with `PoisonAudio`, and nobody else is. `MAX_ENDS` bounds it all.
"""

from __future__ import annotations

import asyncio
import logging
import re
from dataclasses import replace
from typing import Literal, Protocol, TypeAlias

from voxtral_streaming.audio.units import Samples
from voxtral_streaming.engines.agreement import covered
from voxtral_streaming.engines.base import Capabilities, Engine, Stream, StreamOptions, Supervised
from voxtral_streaming.engines.options import check_options
from voxtral_streaming.errors import EngineFailed, EngineLost, EngineUnavailable, PoisonAudio, VoxtralError
from voxtral_streaming.transcript import Hypothesis

SUSPECT = 2  # ends of the engine that make a suspect
MAX_ENDS = 8  # of the engine, during one utterance

Question: TypeAlias = Literal["partial", "flush", "finish"]
WORD = re.compile(r"\s*\S+")  # with the space before it

logger = logging.getLogger(__name__)


class Witness(Protocol):
    """Who hears of the end and the return of an engine, at that moment."""

    def lost(self) -> bool:
        """The engine has ended; its streams are of no use. Answers whether one of them was to blame, and not it."""

    def back(self) -> None:
        """The engine is there again."""

    def given_up(self, error: EngineUnavailable) -> None:
        """The engine is not expected back; it may come all the same."""


class MortalEngine(Engine, Supervised, Protocol):
    """An engine that may end, with `EngineLost` out of all of its streams, and comes back by itself."""

    @property
    def explanation(self) -> str:
        """Which engine it is, and why: a sentence."""

    def testify(self, witness: Witness) -> None:
        """Tell `witness` of the engine's end and return; to be called before `start`."""


class ReplayEngine:
    """Implements `Engine`, and `Witness` of the engine inside."""

    def __init__(self, inner: MortalEngine) -> None:
        self.inner = inner
        self._streams: set[ReplayStream] = set()
        self._is_open = True  # streams may be inside
        self.trouble: EngineUnavailable | None = None
        self._trials: asyncio.Task[None] | None = None
        self._on_trial: ReplayStream | None = None
        self._n_acquitted = 0  # by the engine as it is since it was last started
        inner.testify(self)

    @property
    def capabilities(self) -> Capabilities:
        """Those of the engine inside."""
        return self.inner.capabilities

    @property
    def is_there(self) -> bool:
        """Whether the engine inside is."""
        return self.inner.is_there

    @property
    def n_restarts(self) -> int:
        """How many times the engine inside was started again."""
        return self.inner.n_restarts

    @property
    def explanation(self) -> str:
        """Which engine is inside, and why; known once it is started."""
        return self.inner.explanation

    async def start(self) -> None:
        """Start the engine inside."""
        await self.inner.start()

    def open(self, options: StreamOptions, at: int) -> ReplayStream:
        """Open a stream; while the engine is away it waits. Raises `EngineUnavailable` when it stays away."""
        check_options(options, self.capabilities)
        if self.trouble is not None:
            raise self.trouble
        stream = ReplayStream(self, options, at)
        self._streams.add(stream)
        if self._is_open:
            stream.enter(self.inner)
        return stream

    def closed(self, stream: ReplayStream) -> None:
        """A stream was closed."""
        self._streams.discard(stream)

    async def close(self) -> None:
        """Give up open streams, and stop the engine inside."""
        for stream in list(self._streams):
            stream.close()
        if self._trials is not None:
            self._trials.cancel()
        await self.inner.close()

    def lost(self) -> bool:
        """Take the streams out, and give up the one that is to blame, if one is."""
        self._is_open = False
        inside = [stream for stream in self._streams if stream.leave()]
        if self._on_trial is not None and self._trials is not None:
            self._trials.cancel()
            inside, self._on_trial = [self._on_trial], None
        for stream in inside:
            stream.count_end()
        is_found = len(inside) == 1 and inside[0].is_suspect and not self._n_acquitted
        if is_found:
            logger.error("an utterance ends the engine again and again; it is given up")
            inside[0].fail(PoisonAudio("the engine ended at this utterance again and again"))
        return is_found

    def back(self) -> None:
        """Let the streams in again: all at once, but for suspects."""
        self.trouble = None
        self._n_acquitted = 0
        suspects = [stream for stream in self._streams if stream.is_suspect]
        if suspects:
            self._trials = asyncio.create_task(self._try(suspects))
        else:
            self._let_in()

    def given_up(self, error: EngineUnavailable) -> None:
        """Tell those who wait."""
        self.trouble = error
        for stream in list(self._streams):
            stream.fail(error)

    async def _try(self, suspects: list[ReplayStream]) -> None:
        for stream in sorted(suspects, key=lambda stream: -stream.n_ends):  # who was tried when it ended goes first
            self._on_trial = stream
            await stream.try_alone(self.inner)
            self._n_acquitted += 1
        self._on_trial = None
        self._n_acquitted = 0
        self._let_in()

    def _let_in(self) -> None:
        self._is_open = True
        for stream in self._streams:
            stream.enter(self.inner)


class ReplayStream:
    """Implements `Stream`. It is inside the engine, or it waits for its turn to be."""

    def __init__(self, engine: ReplayEngine, options: StreamOptions, at: int) -> None:
        self._engine = engine
        self._options = options
        self._at = at
        self._blocks: list[Samples] = []
        self._inner: Stream | None = None
        self._turn = asyncio.Event()  # it is inside, has failed or was closed
        self._error: EngineFailed | EngineUnavailable | None = None
        self._is_closed = False
        self._is_finishing = False
        self._stable = ""  # shown before the engine was lost
        self.n_ends = 0  # of the engine with this stream inside, since the last whole text
        self._n_all_ends = 0

    @property
    def is_suspect(self) -> bool:
        """Whether it may be what ends the engine."""
        return self.n_ends >= SUSPECT

    def feed(self, samples: Samples) -> None:
        """Keep samples, and pass them on."""
        if not len(samples):
            return
        self._blocks.append(samples)
        if self._inner is not None:
            self._inner.feed(samples)

    async def partial(self) -> Hypothesis:
        """The next hypothesis, behind the stable text that was shown."""
        return self._continued(await self._ask("partial"))

    async def flush(self) -> Hypothesis:
        """The whole text, behind the stable text that was shown."""
        return self._continued(await self._ask("flush"))

    async def finish(self) -> Hypothesis:
        """The final text."""
        self._is_finishing = True
        return await self._ask("finish")

    def close(self) -> None:
        """Give up what is awaited, and the samples."""
        self._is_closed = True
        self._blocks.clear()
        self._turn.set()
        if self._inner is not None:
            self._inner.close()
        self._engine.closed(self)

    def enter(self, engine: Engine) -> None:
        """Be inside, with all that was heard so far."""
        self._inner = self._opened(engine)
        self._turn.set()

    def leave(self) -> bool:
        """Be outside until the next turn; whether the stream was inside and had been fed."""
        was_inside = self._inner is not None and bool(self._blocks)
        self._inner = None
        if self._error is None and not self._is_closed:
            self._turn.clear()
        return was_inside

    def fail(self, error: EngineFailed | EngineUnavailable) -> None:
        """Whoever asks, now or later, hears the error."""
        self._error = error
        self._engine.closed(self)
        self._turn.set()

    def count_end(self) -> None:
        """The engine ended with this stream inside."""
        self.n_ends += 1
        self._n_all_ends += 1
        if self._n_all_ends >= MAX_ENDS:
            self.fail(EngineFailed(f"the engine ended {MAX_ENDS} times during this utterance"))

    async def try_alone(self, engine: Engine) -> None:
        """Ask for what is wanted, or for the whole text; whatever is answered, the stream is not to blame."""
        stream = self._opened(engine)
        try:
            await (stream.finish() if self._is_finishing else stream.flush())
        except VoxtralError as error:
            logger.warning("a suspect utterance failed: %s", error)  # whoever asks for it hears it
        finally:
            stream.close()
        self.n_ends = 0

    def _opened(self, engine: Engine) -> Stream:
        stream = engine.open(self._options, self._at)
        for block in self._blocks:
            stream.feed(block)
        return stream

    async def _ask(self, question: Question) -> Hypothesis:
        while True:
            await self._turn.wait()
            if self._is_closed:
                raise asyncio.CancelledError
            if self._error is not None:
                raise self._error
            if (inner := self._inner) is None:
                raise RuntimeError("a stream whose turn it is must be inside")
            try:
                questions = {"partial": inner.partial, "flush": inner.flush, "finish": inner.finish}
                answer = await questions[question]()
            except EngineLost:
                if self._inner is inner:
                    self.leave()
                continue
            if question != "partial":
                self.n_ends = 0
            return answer

    def _continued(self, hypothesis: Hypothesis) -> Hypothesis:
        hypothesis = continued(self._stable, hypothesis)
        self._stable = hypothesis.stable
        return hypothesis


def continued(shown: str, hypothesis: Hypothesis) -> Hypothesis:
    """A hypothesis that begins with the stable text that was `shown`, whatever it says of that part."""
    if hypothesis.stable.startswith(shown):
        return hypothesis
    text = hypothesis.stable + hypothesis.tentative
    if text.startswith(shown):
        return replace(hypothesis, stable=shown, tentative=text[len(shown) :])
    words = WORD.findall(text)
    rest = "".join(words[covered(WORD.findall(shown), words) :])
    is_apart = not rest or rest[0].isspace() or shown[-1].isspace()
    return replace(hypothesis, stable=shown, tentative=rest if is_apart else f" {rest}")
