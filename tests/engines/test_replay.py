"""Streams that survive their engine, with an engine that ends when it is told to."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxtral_streaming.audio.units import Samples
from voxtral_streaming.engines.base import Capabilities, StreamOptions
from voxtral_streaming.engines.replay import MAX_ENDS, ReplayEngine, ReplayStream, Witness, continued
from voxtral_streaming.errors import EngineFailed, EngineLost, EngineUnavailable, PoisonAudio
from voxtral_streaming.transcript import Hypothesis


@dataclass
class MortalStream:
    """Its text is the digits that it was fed; it answers when it may."""

    engine: FragileEngine
    digits: str = ""
    is_closed: bool = False

    def feed(self, samples: Samples) -> None:
        assert self.engine.is_there
        assert not self.is_closed
        self.digits += "".join(str(round(float(value))) for value in samples)

    async def partial(self) -> Hypothesis:
        return await self.flush()

    async def flush(self) -> Hypothesis:
        await self.engine.answer(self)
        return Hypothesis(self.digits[:-1], self.digits[-1:])

    async def finish(self) -> Hypothesis:
        await self.engine.answer(self)
        return Hypothesis(self.digits)

    def close(self) -> None:
        self.is_closed = True


@dataclass
class FragileEngine:
    """Ends by `die`, or when it is asked about a deadly digit; comes back by `rise`, or by itself."""

    deadly: str = "none"
    rises: bool = True
    capabilities: Capabilities = field(
        default_factory=lambda: Capabilities("fragile", "fragile", True, "none", ("en",), detects_language=True)
    )
    explanation: str = "as asked for"
    n_restarts: int = 0
    trouble: EngineUnavailable | None = None
    is_there: bool = True
    answers: asyncio.Event = field(default_factory=asyncio.Event)
    died: asyncio.Event = field(default_factory=asyncio.Event)
    streams: list[MortalStream] = field(default_factory=list)

    def testify(self, witness: Witness) -> None:
        self.witness = witness
        self.answers.set()

    async def start(self) -> None: ...

    async def close(self) -> None: ...

    def open(self, options: StreamOptions, at: int) -> MortalStream:
        assert self.is_there
        self.streams.append(MortalStream(self))
        return self.streams[-1]

    async def answer(self, stream: MortalStream) -> None:
        died, generation = self.died, self.n_restarts
        await asyncio.sleep(0)
        if self.deadly in stream.digits and not died.is_set():
            self.die()
        waiting = [asyncio.create_task(event.wait()) for event in (self.answers, died)]
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for task in waiting:
            task.cancel()
        if died.is_set() or generation != self.n_restarts:
            raise EngineLost("it died")

    def die(self) -> None:
        died, self.died = self.died, asyncio.Event()
        self.is_there = False
        self.witness.lost()
        died.set()
        if self.rises:
            asyncio.get_running_loop().call_later(0.005, self.rise)

    def rise(self) -> None:
        self.is_there = True
        self.n_restarts += 1
        self.witness.back()


def fed(engine: ReplayEngine, *digits: int) -> ReplayStream:
    stream = engine.open(StreamOptions(), 0)
    for digit in digits:
        stream.feed(np.array([digit], np.float32))
    return stream


async def test_what_was_fed_is_fed_again_and_what_follows_behind_it() -> None:
    fragile = FragileEngine(rises=False)
    stream = fed(ReplayEngine(fragile), 1, 2)
    fragile.die()
    stream.feed(np.array([3], np.float32))
    final = asyncio.create_task(stream.finish())
    await asyncio.sleep(0)
    fragile.rise()
    assert (await final).text == "123"
    assert [one.digits for one in fragile.streams] == ["12", "123"]


async def test_what_was_asked_is_asked_again() -> None:
    fragile = FragileEngine()
    stream = fed(ReplayEngine(fragile), 1, 2)
    fragile.answers.clear()
    waiting = asyncio.create_task(stream.flush())
    await asyncio.sleep(0.01)
    fragile.die()
    fragile.answers.set()
    assert await waiting == Hypothesis("1", "2")


async def test_who_gave_up_or_closed_while_the_engine_was_away_is_not_fed_again() -> None:
    fragile = FragileEngine(rises=False)
    engine = ReplayEngine(fragile)
    stream = fed(engine, 1, 2)
    fragile.die()
    waiting = asyncio.create_task(stream.flush())
    await asyncio.sleep(0)
    stream.close()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    fragile.rise()
    assert len(fragile.streams) == 1


async def test_the_deadly_one_is_found_among_the_innocent() -> None:
    fragile = FragileEngine(deadly="7")
    engine = ReplayEngine(fragile)
    streams = [fed(engine, digit, digit) for digit in range(10)]
    answers = await asyncio.gather(*(stream.finish() for stream in streams), return_exceptions=True)
    assert isinstance(answers.pop(7), PoisonAudio)
    assert [answer.text for answer in answers if isinstance(answer, Hypothesis)] == [c * 2 for c in "012345689"]
    assert fragile.n_restarts in (3, 4)


async def test_of_two_deadly_ones_both_are_found() -> None:
    fragile = FragileEngine(deadly="77")
    engine = ReplayEngine(fragile)
    streams = [fed(engine, digit, 7) for digit in (7, 1, 7, 2)]
    answers = await asyncio.gather(*(stream.flush() for stream in streams), return_exceptions=True)
    assert [type(answer) for answer in answers] == [PoisonAudio, Hypothesis, PoisonAudio, Hypothesis]


async def test_ends_with_whole_texts_in_between_make_no_suspect() -> None:
    fragile = FragileEngine()
    stream = fed(ReplayEngine(fragile), 1)
    for _ in range(MAX_ENDS - 1):
        fragile.die()
        await asyncio.sleep(0.01)
        assert (await stream.flush()).text == "1"
    fragile.die()
    with pytest.raises(EngineFailed, match="8 times during this utterance"):
        await stream.flush()


async def test_those_who_wait_are_told_that_there_is_no_engine() -> None:
    fragile = FragileEngine(rises=False)
    engine = ReplayEngine(fragile)
    waiting = asyncio.create_task(fed(engine, 1).finish())
    await asyncio.sleep(0)
    fragile.die()
    engine.given_up(EngineUnavailable("it stays away"))
    with pytest.raises(EngineUnavailable):
        await waiting
    with pytest.raises(EngineUnavailable):
        engine.open(StreamOptions(), 0)
    fragile.rise()
    assert (await fed(engine, 2).finish()).text == "2"


class TestContinued:
    def test_what_continues_the_stable_text_is_as_it_is(self) -> None:
        assert continued("And Mr.", Hypothesis("And Mr. John", " had")) == Hypothesis("And Mr. John", " had")
        assert continued("", Hypothesis("", "And")) == Hypothesis("", "And")

    def test_what_repeats_it_is_shown_behind_it(self) -> None:
        assert continued("And Mr.", Hypothesis("And", " Mr. John had")) == Hypothesis("And Mr.", " John had")
        assert continued("And Mr.", Hypothesis("", "And")) == Hypothesis("And Mr.", "")

    def test_what_says_it_otherwise_is_not_shown_twice(self) -> None:
        hypothesis = continued("And Mr. Jon Dashwood", Hypothesis("", "and Mr John Dashwood had then"))
        assert hypothesis == Hypothesis("And Mr. Jon Dashwood", " had then")

    def test_what_says_something_else_is_set_apart(self) -> None:
        assert continued("And", Hypothesis("", "Leisure to consider")).text == "And to consider"

    @given(st.text("ab .", max_size=12), st.text("ab .", max_size=12), st.text("ab .", max_size=12))
    @settings(deadline=None)
    def test_stable_text_never_shrinks(self, shown: str, stable: str, tentative: str) -> None:
        assert continued(shown, Hypothesis(stable, tentative)).stable.startswith(shown)
