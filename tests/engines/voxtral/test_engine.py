from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest
import torch

from voxtral_streaming.audio.units import SAMPLE_RATE, Samples
from voxtral_streaming.config import ModelConfig, StreamingConfig
from voxtral_streaming.engines.base import StreamOptions
from voxtral_streaming.engines.voxtral.engine import RealtimeStream, VoxtralRealtimeEngine
from voxtral_streaming.errors import EngineFailed, EngineUnavailable, UnsupportedOption, WeightsError
from voxtral_streaming.transcript import Hypothesis

Open: TypeAlias = Callable[..., AbstractAsyncContextManager[VoxtralRealtimeEngine]]

BLOCK = 1600


@pytest.fixture
def make(tiny: Path) -> Callable[..., VoxtralRealtimeEngine]:
    def make(**options: Any) -> VoxtralRealtimeEngine:
        defaults: dict[str, Any] = {
            "name": str(tiny),
            "device": "cpu",
            "torch_dtype": "float32",
            "use_torch_compile": False,
        }
        return VoxtralRealtimeEngine(ModelConfig(**(defaults | options)), StreamingConfig())

    return make


@pytest.fixture
def running(make: Callable[..., VoxtralRealtimeEngine]) -> Open:
    """An engine on the tiny model, started and closed."""

    @asynccontextmanager
    async def run(**options: Any) -> AsyncIterator[VoxtralRealtimeEngine]:
        engine = make(**options)
        await engine.start()
        try:
            yield engine
        finally:
            await engine.close()

    return run


async def finals(engine: VoxtralRealtimeEngine, blocks: list[Samples], **options: Any) -> str:
    stream = engine.open(StreamOptions(**options), at=0)
    for block in blocks:
        stream.feed(block)
        await asyncio.sleep(0)
    hypothesis = await stream.finish()
    stream.close()
    assert hypothesis.tentative == ""
    return hypothesis.text


async def test_a_recording_comes_out_exact_at_any_block_size(running: Open, clip: Samples, words: str) -> None:
    async with running() as engine:
        for size in (len(clip), 8000, 777):
            blocks = [clip[start : start + size] for start in range(0, len(clip), size)]
            assert await finals(engine, blocks) == words


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("int8", [False, True])
async def test_every_arithmetic_hears_the_words(
    running: Open, clip: Samples, words: str, dtype: str, int8: bool
) -> None:
    async with running(torch_dtype=dtype, voxtral_int8=int8) as engine:
        assert await finals(engine, [clip]) == words


async def test_sessions_choose_their_delay(running: Open, clip: Samples, words: str) -> None:
    async with running() as engine:
        delays = (240, 480, 960)
        texts = await asyncio.gather(*(finals(engine, [clip], delay_ms=delay) for delay in delays))
        assert texts == [words] * 3


@pytest.mark.parametrize("delay_ms", [240, 480, 960])
async def test_words_are_placed_where_they_were_spoken(
    running: Open, clip: Samples, words: str, spoken: list[tuple[float, float]], delay_ms: int
) -> None:
    """Ends within a step of 80 ms; beginnings, which are estimated, within 250 ms. Here the stream is 5 s old."""
    later = 5.0
    async with running() as engine:
        stream = engine.open(StreamOptions(delay_ms=delay_ms), at=round(later * SAMPLE_RATE))
        stream.feed(clip)
        final = await stream.finish()
        stream.close()
    assert [word.text for word in final.words] == words.split()
    for word, (start, end) in zip(final.words, spoken, strict=True):
        assert abs(word.end - later - end) <= 0.08
        assert abs(word.start - later - start) <= 0.25
        assert 0.9 < word.probability <= 1
    moments = [moment for word in final.words for moment in (word.start, word.end)]
    assert moments == sorted(moments)


async def test_words_do_not_depend_on_blocks_and_flushes_and_may_be_left_out(running: Open, clip: Samples) -> None:
    async with running() as engine:
        whole, cut, without = (engine.open(StreamOptions(words=words), at=0) for words in (True, True, False))
        whole.feed(clip)
        without.feed(clip)
        for start in range(0, len(clip), 11_111):
            cut.feed(clip[start : start + 11_111])
            await cut.flush()
        expected = await whole.finish()
        assert await cut.finish() == expected
        assert await without.finish() == Hypothesis(expected.stable)


async def test_partials_only_grow_and_come_before_the_end(running: Open, clip: Samples, words: str) -> None:
    async with running() as engine:
        stream, shown = engine.open(StreamOptions(), at=0), [""]
        stream.feed(clip)
        while len(shown[-1]) < len(" hello world one two three stop please"):
            hypothesis = await stream.partial()
            assert hypothesis.tentative == ""
            assert hypothesis.stable.startswith(shown[-1])
            assert hypothesis.stable != shown[-1]
            shown.append(hypothesis.stable)
        assert len(shown) > 3
        assert (await stream.finish()).text == words
        stream.close()


async def test_a_flush_tells_all_and_the_stream_goes_on(running: Open, clip: Samples, words: str) -> None:
    """Half a second after `three` the last word has not come out by itself; a flush brings it."""
    middle = 56_000
    async with running() as engine:
        stream = engine.open(StreamOptions(), at=0)
        stream.feed(clip[:middle])
        flushed = await stream.flush()
        assert flushed.text == "hello world one two three"
        assert flushed.tentative
        assert (await stream.flush()) == flushed
        stream.feed(clip[middle:])
        assert (await stream.finish()).text == words
        stream.close()


async def test_a_finish_after_a_flush_costs_no_step(
    running: Open, clip: Samples, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running() as engine:
        stream = engine.open(StreamOptions(), at=0)
        stream.feed(clip)
        flushed = await stream.flush()
        monkeypatch.setattr(engine._worker, "_step", lambda: None)
        final = await stream.finish()
        assert (final.stable, final.tentative) == (flushed.stable + flushed.tentative, "")
        assert " ".join(word.text for word in final.words) == final.text
        stream.close()


async def test_what_is_given_up_loses_no_audio(running: Open, clip: Samples, words: str) -> None:
    chance = random.Random(3)
    async with running() as engine:
        stream = engine.open(StreamOptions(), at=0)
        for start in range(0, len(clip), BLOCK):
            stream.feed(clip[start : start + BLOCK])
            asked = asyncio.ensure_future(chance.choice((stream.partial, stream.flush))())
            await asyncio.sleep(chance.choice((0, 0.002, 0.01)))
            asked.cancel()
            await asyncio.gather(asked, return_exceptions=True)
        assert (await stream.finish()).text == words
        stream.close()


async def test_more_streams_than_rows_wait_for_one(running: Open, clip: Samples, words: str) -> None:
    async with running(max_memory_per_gpu="4MB") as engine:
        assert engine._sizes.n_rows == 3
        blocks = np.array_split(clip, 9)
        assert await asyncio.gather(*(finals(engine, blocks) for _ in range(8))) == [words] * 8


async def test_closed_streams_make_room(running: Open, clip: Samples, words: str) -> None:
    async with running(max_memory_per_gpu="4MB") as engine:
        abandoned = [engine.open(StreamOptions(), at=0) for _ in range(5)]
        for stream in abandoned:
            stream.feed(clip)
        asked = asyncio.ensure_future(abandoned[4].finish())
        await asyncio.sleep(0.05)
        for stream in abandoned:
            stream.close()
            stream.close()
        with pytest.raises(asyncio.CancelledError):
            await asked
        assert await finals(engine, [clip]) == words


async def test_a_stream_without_audio_has_no_text(running: Open) -> None:
    async with running() as engine:
        assert await finals(engine, []) == ""


async def test_running_out_of_memory_shrinks_the_step_and_kills_nobody(
    running: Open, clip: Samples, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running() as engine:
        worker = engine._worker
        assert worker is not None
        plain = worker._stepper.advance

        def small(mel: Any, *others: Any) -> Any:
            if mel.shape[0] > 2:
                raise torch.OutOfMemoryError("no room for so many")
            return plain(mel, *others)

        monkeypatch.setattr(worker._stepper, "advance", small)
        assert await asyncio.gather(*(finals(engine, [clip]) for _ in range(7))) == [words] * 7
        assert worker.largest <= 2


async def test_a_failure_reaches_whoever_waits_and_whoever_comes(
    running: Open, clip: Samples, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running() as engine:
        assert engine._worker is not None

        def fail(*_: Any) -> Any:
            raise RuntimeError("the device is gone")

        monkeypatch.setattr(engine._worker._stepper, "advance", fail)
        for _ in range(2):
            with pytest.raises(EngineFailed, match="the device is gone"):
                await finals(engine, [clip])


async def test_capabilities_say_what_is_true(running: Open) -> None:
    async with running() as engine:
        known = engine.capabilities
        assert (known.name, known.timestamps, known.detects_language) == ("voxtral_realtime", "segment", True)
        assert known.delay_ms == (*range(80, 1201, 80), 2400)
        for options in (StreamOptions(language="xx"), StreamOptions(prompt="names"), StreamOptions(delay_ms=100)):
            with pytest.raises(UnsupportedOption):
                engine.open(options, at=0)


async def test_what_does_not_fit_is_refused_before_it_is_loaded(
    make: Callable[..., VoxtralRealtimeEngine], tmp_path: Path
) -> None:
    with pytest.raises(EngineUnavailable, match="max_memory_per_gpu"):
        await make(max_memory_per_gpu="2MB").start()
    with pytest.raises(EngineUnavailable, match="cuda:99"):
        await make(device="cuda:99").start()
    (tmp_path / "params.json").write_text("{}")
    with pytest.raises(WeightsError, match="consolidated"):
        await make(name=str(tmp_path)).start()
    with pytest.raises(EngineUnavailable, match="use_cache"):
        await make(use_cache=False).start()
    with pytest.raises(EngineFailed, match="not been started"):
        make().open(StreamOptions(), at=0)


def test_a_stream_has_the_shape_of_the_protocol(make: Callable[..., VoxtralRealtimeEngine]) -> None:
    """For the type checker."""
    from voxtral_streaming.engines.base import Engine, Stream

    engine: Engine = make()
    stream: type[Stream] = RealtimeStream
    assert engine
    assert stream
