"""The heart, with an endpointer that is told what to hear and an engine that repeats what it heard."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np
import pytest

from voxtral_streaming.audio.units import SAMPLE_RATE, Samples
from voxtral_streaming.engines.base import Capabilities, StreamOptions
from voxtral_streaming.errors import CorruptAudio, EngineFailed, UnsupportedOption
from voxtral_streaming.recognise import Audio, Clear, Flush, Tick, recognise
from voxtral_streaming.transcript import (
    Answer,
    Cleared,
    Event,
    Final,
    Flushed,
    Heard,
    Hypothesis,
    Partial,
    SpeechStarted,
    SpeechStopped,
)
from voxtral_streaming.vad import activity
from voxtral_streaming.vad.activity import Activity


class ScriptedEndpointer:
    """Hears speech in positive samples, a lull in -1, an endpoint in 0."""

    def __init__(self) -> None:
        self.position = 0
        self._is_open = False

    def feed(self, samples: Samples) -> list[Activity]:
        return [happening for value in samples for happening in self._hear(float(value))]

    def _hear(self, value: float) -> Iterator[Activity]:
        at, self.position = self.position, self.position + 1
        if value > 0:
            if not self._is_open:
                yield activity.SpeechStarted(at)
            self._is_open = True
            yield activity.Speech(at, np.array([value], np.float32))
        elif self._is_open and value < 0:
            yield activity.Pause(at)
            yield activity.SpeechStopped(at)
        elif self._is_open:
            yield from self.flush()

    def flush(self) -> list[Activity]:
        was_open, self._is_open = self._is_open, False
        return [activity.Endpoint(self.position)] if was_open else []


CAPABILITIES = Capabilities("echo", "echo", True, "none", ("en",), detects_language=True)


@dataclass
class EchoEngine:
    """Its text is the digits that it was fed."""

    finishes: Callable[[str], None] = lambda text: None
    permits: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(1000))
    opened: list[StreamOptions] = field(default_factory=list)
    n_finishing: int = 0
    most_finishing: int = 0
    streams: list[EchoStream] = field(default_factory=list)
    capabilities: Capabilities = CAPABILITIES

    async def start(self) -> None: ...

    async def close(self) -> None: ...

    def open(self, options: StreamOptions, at: int) -> EchoStream:
        self.opened.append(options)
        self.streams.append(EchoStream(self))
        return self.streams[-1]


@dataclass
class EchoStream:
    engine: EchoEngine
    digits: str = ""
    told: str = ""
    fed: asyncio.Event = field(default_factory=asyncio.Event)
    is_closed: bool = False

    def feed(self, samples: Samples) -> None:
        assert not self.is_closed
        self.fed.set()
        self.digits += "".join(str(round(float(value))) for value in samples)

    async def partial(self) -> Hypothesis:
        await self.fed.wait()
        self.fed.clear()
        self.told = self.digits
        return Hypothesis(self.told[:-1], self.told[-1:])

    async def flush(self) -> Hypothesis:
        return Hypothesis(self.digits)

    async def finish(self) -> Hypothesis:
        engine = self.engine
        engine.n_finishing += 1
        engine.most_finishing = max(engine.most_finishing, engine.n_finishing)
        async with engine.permits:
            await asyncio.sleep(0)
        engine.n_finishing -= 1
        engine.finishes(self.digits)
        return Hypothesis(self.digits, language="en")

    def close(self) -> None:
        self.is_closed = True


async def blocks(
    *parts: list[int] | Flush | Clear | Tick, pause: float = 0.0
) -> AsyncIterator[Samples | Flush | Clear | Tick]:
    for part in parts:
        yield np.array(part, np.float32) if isinstance(part, list) else part
        await asyncio.sleep(pause)


async def events(
    audio: Audio, engine: EchoEngine, options: StreamOptions | None = None, backlog: int = 10
) -> list[Event]:
    stream = recognise(audio, ScriptedEndpointer(), engine, options or StreamOptions(), max_backlog=backlog)
    async with aclosing(stream):
        return [event async for event in stream]


async def collect(stream: AsyncIterator[Event], told: list[Event]) -> None:
    async for event in stream:
        told.append(event)


def finals(told: list[Event]) -> list[Final]:
    return [event for event in told if isinstance(event, Final)]


async def test_utterances_come_in_order_each_with_its_positions() -> None:
    told = await events(blocks([0, 1, 2], [3, 0, 0, 4], [5, 0]), EchoEngine())
    assert finals(told) == [Final(0, 1, 4, "123", (), "en"), Final(1, 6, 8, "45", (), "en")]
    numbers = [event.utterance for event in told if not isinstance(event, Answer)]
    assert numbers == sorted(numbers)
    assert isinstance(told[0], SpeechStarted)
    assert told[0].at == 1


async def test_the_end_of_the_audio_ends_the_last_utterance() -> None:
    assert [final.text for final in finals(await events(blocks([1, 2]), EchoEngine()))] == ["12"]


async def test_an_utterance_that_comes_faster_than_it_is_spoken_lets_others_go_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("voxtral_streaming.pace.AHEAD_S", 0)
    monkeypatch.setattr("voxtral_streaming.pace.MOST_S", 3 / SAMPLE_RATE)
    now = iter([0.0, 10.0, 20.0, 20.0, 30.0])
    monkeypatch.setattr("voxtral_streaming.recognise.monotonic", lambda: next(now))
    engine = EchoEngine()
    told = await events(blocks([1, 0], [2, 0], [3, 0], [4, 0]), engine)
    assert [options.is_ahead for options in engine.opened] == [False, False, True, False]
    assert [final.text for final in finals(told)] == ["1", "2", "3", "4"]


async def test_silence_tells_nothing() -> None:
    assert await events(blocks([0, 0, 0]), EchoEngine()) == []


async def test_a_flush_ends_the_utterance_where_it_stands() -> None:
    told = await events(blocks([1, 2], Flush(), [3]), EchoEngine())
    assert [final.text for final in finals(told)] == ["12", "3"]
    assert [type(event) for event in told if isinstance(event, Final | Flushed)] == [Final, Flushed, Final]


@pytest.mark.parametrize("pause", [0.0, 0.01])
async def test_what_is_cleared_gets_no_final_and_is_not_recognised(pause: float) -> None:
    engine = EchoEngine()
    told = await events(blocks([1, 2], Clear(), [3], Clear(), Clear(), [4, 0], [5, 0], pause=pause), engine)
    assert [final.text for final in finals(told)] == ["4", "5"]
    assert [type(event) for event in told if isinstance(event, Final | Cleared)] == [Cleared] * 3 + [Final] * 2
    assert all(stream.is_closed for stream in engine.streams)


@pytest.mark.parametrize("pause", [0.0, 0.01])
async def test_a_tick_is_answered_in_its_turn(pause: float) -> None:
    tick = Tick()
    told = await events(blocks([0], tick, [1, 2], tick, [0, 0], tick, [3], pause=pause), EchoEngine())
    told = [event for event in told if isinstance(event, SpeechStarted | Final | Heard)]
    assert [type(event) for event in told] == [Heard, SpeechStarted, Final, Heard, Heard, SpeechStarted, Final]
    assert [event.at for event in told if isinstance(event, Heard)] == [1, 3, 5]


async def test_a_clear_leaves_alone_what_was_over() -> None:
    told = await events(blocks([1, 2, 0], Clear(), [3], Flush(), Clear()), EchoEngine())
    assert [final.text for final in finals(told)] == ["12", "3"]


async def test_an_engine_that_failed_before_the_clear_is_heard_of() -> None:
    class Failing(EchoEngine):
        def open(self, options: StreamOptions, at: int) -> EchoStream:
            return FailingStream(self)

    class FailingStream(EchoStream):
        async def partial(self) -> Hypothesis:
            raise EngineFailed("out of order")

    with pytest.raises(EngineFailed):
        await events(blocks([1, 2], Clear(), pause=0.01), Failing())


async def test_speech_that_resumes_after_a_lull_goes_on_in_the_same_utterance() -> None:
    told = await events(blocks([1, 2, -1], [3, 0], pause=0.01), EchoEngine())
    assert [final.text for final in finals(told)] == ["123"]
    assert SpeechStopped(0, 2) in told
    assert Partial(0, 2, "12", "") in told  # the whole text, at the lull


async def test_partials_are_told_while_the_utterance_lasts() -> None:
    told = await events(blocks([1], [2], [3], [0], pause=0.01), EchoEngine())
    shown = [event.stable + event.tentative for event in told if isinstance(event, Partial)]
    assert shown[0] == "1"
    assert all(later.startswith(earlier) for earlier, later in pairwise(shown))


async def test_without_partials_only_finals_are_told() -> None:
    told = await events(blocks([1], [2], [0], pause=0.01), EchoEngine(), StreamOptions(partials=False))
    assert not any(isinstance(event, Partial) for event in told)


@pytest.mark.parametrize(
    ("language", "capabilities"), [("en", CAPABILITIES), (None, replace(CAPABILITIES, tells_language=False))]
)
async def test_utterances_within_the_backlog_are_recognised_at_the_same_time(
    language: str | None, capabilities: Capabilities
) -> None:
    """Nobody waits for a language that is known, or that the engine never tells."""
    engine = EchoEngine(permits=asyncio.Semaphore(0), capabilities=capabilities)

    def permit(n: int) -> None:
        for _ in range(n):
            engine.permits.release()

    asyncio.get_running_loop().call_later(0.05, permit, 20)
    told = await events(blocks(*[[1, 2, 0]] * 20), engine, StreamOptions(language=language), backlog=10)
    assert len(finals(told)) == 20
    assert engine.most_finishing == 6  # 2 samples each; one more than fits, then the audio waits


async def test_the_first_language_found_is_expected_of_the_rest() -> None:
    engine = EchoEngine()
    await events(blocks([1, 0, 2, 0, 3, 0]), engine)
    assert [options.likely_language for options in engine.opened] == [None, "en", "en"]


async def test_a_failing_engine_is_heard_of_and_everything_is_closed() -> None:
    def fail(text: str) -> None:
        raise EngineFailed("out of order")

    engine = EchoEngine(finishes=fail)
    with pytest.raises(EngineFailed):
        await events(blocks([1, 0, 2]), engine)
    assert all(stream.is_closed for stream in engine.streams)


async def test_an_error_of_the_audio_comes_after_what_was_heard_before_it() -> None:
    async def broken() -> AsyncIterator[Samples | Flush]:
        yield np.array([1, 2], np.float32)
        raise CorruptAudio("cut off")

    told: list[Event] = []
    stream = recognise(broken(), ScriptedEndpointer(), EchoEngine(), StreamOptions(), max_backlog=10)
    with pytest.raises(CorruptAudio):
        await collect(stream, told)
    assert [final.text for final in finals(told)] == ["12"]


async def test_whoever_stops_listening_stops_everything() -> None:
    engine = EchoEngine()
    stream = recognise(blocks([1], [2], pause=10), ScriptedEndpointer(), engine, StreamOptions(), max_backlog=10)
    async with aclosing(stream):
        async for _ in stream:
            break
    assert all(stream.is_closed for stream in engine.streams)
    assert len(asyncio.all_tasks()) == 1


async def test_an_engine_that_refuses_the_options_is_heard_of() -> None:
    class Refusing(EchoEngine):
        def open(self, options: StreamOptions, at: int) -> EchoStream:
            raise UnsupportedOption("no such language", param="language")

    with pytest.raises(UnsupportedOption):
        await events(blocks([1, 2]), Refusing())
