from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest

from voxtral_streaming.audio.units import Samples
from voxtral_streaming.config import ModelConfig, StreamingConfig
from voxtral_streaming.engines.base import StreamOptions, Turn
from voxtral_streaming.engines.voxtral_offline.engine import VoxtralEngine
from voxtral_streaming.engines.voxtral_offline.worker import Kind, Request
from voxtral_streaming.errors import AudioTooLong, EngineFailed, EngineUnavailable, UnsupportedOption

Open: TypeAlias = Callable[..., AbstractAsyncContextManager[VoxtralEngine]]
QUESTION = "Which word is last?"


@pytest.fixture
def make(tiny: Path) -> Callable[..., VoxtralEngine]:
    def make(**options: Any) -> VoxtralEngine:
        defaults: dict[str, Any] = {"name": str(tiny), "device": "cpu", "torch_dtype": "float32"}
        return VoxtralEngine(ModelConfig(**(defaults | options)), StreamingConfig())

    return make


@pytest.fixture
def running(make: Callable[..., VoxtralEngine]) -> Open:
    """An engine on the tiny model, started and closed."""

    @asynccontextmanager
    async def run(**options: Any) -> AsyncIterator[VoxtralEngine]:
        engine = make(**options)
        await engine.start()
        try:
            yield engine
        finally:
            await engine.close()

    return run


async def final(engine: VoxtralEngine, blocks: list[Samples], **options: Any) -> str:
    stream = engine.open(StreamOptions(**options), at=0)
    for block in blocks:
        stream.feed(block)
        await asyncio.sleep(0)
    hypothesis = await stream.finish()
    stream.close()
    assert hypothesis.tentative == ""
    return hypothesis.text


def cut(samples: Samples, size: int) -> list[Samples]:
    return [samples[start : start + size] for start in range(0, len(samples), size)]


async def test_a_recording_comes_out_exact_at_any_block_size(running: Open, clip: Samples, words: str) -> None:
    async with running() as engine:
        for size in (len(clip), 8000, 777):
            assert await final(engine, cut(clip, size)) == words


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("int8", [False, True])
async def test_every_arithmetic_hears_the_words(
    running: Open, clip: Samples, words: str, dtype: str, int8: bool
) -> None:
    async with running(torch_dtype=dtype, voxtral_int8=int8) as engine:
        assert await final(engine, [clip], language="en") == words


async def test_a_final_depends_on_the_samples_alone(running: Open, clip: Samples, words: str) -> None:
    """Whatever was asked in between, and whatever others do."""
    chance = random.Random(0)

    async def restless(engine: VoxtralEngine) -> str:
        stream = engine.open(StreamOptions(), at=0)
        for block in cut(clip, 4000):
            stream.feed(block)
            if chance.random() < 0.4:
                asked = asyncio.ensure_future(chance.choice((stream.partial, stream.flush))())
                await asyncio.wait({asked}, timeout=chance.choice((0, 0.01, 0.1)))
                asked.cancel()
                await asyncio.gather(asked, return_exceptions=True)
        text = (await stream.finish()).text
        stream.close()
        return text

    async with running() as engine:
        assert await asyncio.gather(*(restless(engine) for _ in range(5))) == [words] * 5


async def test_stable_text_only_grows(running: Open, clip: Samples, words: str) -> None:
    async with running() as engine:
        stream, stable = engine.open(StreamOptions(), at=0), [""]
        *blocks, last = cut(clip, 4800)
        for block in blocks:
            stream.feed(block)
            hypothesis = await stream.partial()
            assert hypothesis.stable.startswith(stable[-1])
            stable.append(hypothesis.stable)
        assert len(set(stable)) > 4
        assert words.startswith(stable[-1].strip())
        stream.feed(last)
        assert (await stream.flush()).text == words
        stream.close()


@pytest.mark.parametrize(("is_ahead", "kind"), [(False, Kind.FINISH), (True, Kind.RECORDED)])
async def test_a_finish_after_a_flush_costs_nothing_and_what_comes_ahead_of_its_time_waits(
    running: Open, clip: Samples, words: str, monkeypatch: pytest.MonkeyPatch, is_ahead: bool, kind: Kind
) -> None:
    async with running() as engine:
        asked, submit = list[Request](), engine.submit

        def counted(request: Request) -> None:
            asked.append(request)
            submit(request)

        monkeypatch.setattr(engine, "submit", counted)
        stream = engine.open(StreamOptions(is_ahead=is_ahead), at=0)
        stream.feed(clip)
        assert (await stream.flush()).text == words
        assert (await stream.finish()).text == words
        assert [request.kind for request in asked] == [kind]
        stream.close()


async def test_speech_that_goes_on_during_a_flush_loses_nothing(running: Open, clip: Samples, words: str) -> None:
    async with running() as engine:
        stream = engine.open(StreamOptions(), at=0)
        stream.feed(clip[:48_000])
        flushed = asyncio.ensure_future(stream.flush())
        await asyncio.sleep(0)
        stream.feed(clip[48_000:])
        assert words.startswith((await flushed).text)
        assert (await stream.finish()).text == words
        stream.close()


async def test_nothing_was_said_where_nothing_was_fed(running: Open) -> None:
    async with running() as engine:
        stream = engine.open(StreamOptions(), at=0)
        assert (await stream.flush()).text == (await stream.finish()).text == ""
        stream.close()


async def test_closing_cancels_what_is_awaited(running: Open, clip: Samples) -> None:
    async with running() as engine:
        stream = engine.open(StreamOptions(), at=0)
        waiting = asyncio.ensure_future(stream.partial())
        await asyncio.sleep(0)
        stream.close()
        with pytest.raises(asyncio.CancelledError):
            await waiting


async def test_a_recording_can_be_asked_about(running: Open, clip: Samples) -> None:
    async with running() as engine:
        turns = (Turn("user", (None, QUESTION)),)
        assert await final(engine, [clip], conversation=turns) == "zero"
        stream = engine.open(StreamOptions(conversation=turns), at=0)
        stream.feed(clip)
        shown = [(await stream.partial()).text]
        while (text := (await stream.partial()).text) != shown[-1]:
            shown.append(text)
        assert shown[-1] == "zero"
        assert all(after.startswith(before) for before, after in pairwise(shown))
        stream.close()


async def test_answers_end_where_they_are_told_to(running: Open, clip: Samples) -> None:
    async with running() as engine:
        turns = (Turn("user", (None, QUESTION)),)
        whole = await final(engine, [clip], conversation=turns)
        first = await final(engine, [clip], conversation=turns, most_tokens=1)
        assert whole.startswith(first)
        assert first != whole


async def test_what_cannot_be_done_is_refused(running: Open, make: Any, clip: Samples) -> None:
    async with running() as engine:
        for options, param in (
            (StreamOptions(language="xx"), "language"),
            (StreamOptions(prompt="Voxtral"), "prompt"),
            (StreamOptions(delay_ms=480), "delay_ms"),
            (StreamOptions(conversation=(Turn("user", ("hello",)),)), "messages"),
        ):
            with pytest.raises(UnsupportedOption) as caught:
                engine.open(options, at=0)
            assert caught.value.param == param
        stream = engine.open(StreamOptions(conversation=(Turn("user", (None, QUESTION)),)), at=0)
        stream.feed(np.zeros(round(engine.capabilities.converses_s + 60) * 16_000, np.float32))
        with pytest.raises(AudioTooLong):
            await stream.finish()
        stream.close()
    with pytest.raises(EngineUnavailable, match="use_cache"):
        await make(use_cache=False).start()
    with pytest.raises(EngineFailed):
        make().open(StreamOptions(), at=0)
