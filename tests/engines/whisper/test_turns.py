"""Recordings wait for those who speak now, and what nobody waits for any more ends."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from voxtral_streaming.audio.units import Samples
from voxtral_streaming.engines.base import StreamOptions
from voxtral_streaming.engines.whisper.engine import WhisperEngine
from voxtral_streaming.engines.whisper.jobs import Completion, InVain, Recognition
from voxtral_streaming.engines.whisper.model import Whisper
from voxtral_streaming.engines.whisper.parts import LONGEST_PART
from voxtral_streaming.engines.whisper.scheduler import Kind
from voxtral_streaming.engines.whisper.stream import WhisperStream
from voxtral_streaming.transcript import Hypothesis

if TYPE_CHECKING:
    from tests.engines.whisper.conftest import Gate, Jobs

ENGLISH = StreamOptions(language="en")


@pytest.mark.parametrize("patient", [replace(ENGLISH, partials=False, is_live=False), replace(ENGLISH, is_ahead=True)])
async def test_final_of_a_speaker_overtakes_those_for_which_nobody_waits(
    engine: WhisperEngine, clips: list[Samples], monkeypatch: pytest.MonkeyPatch, patient: StreamOptions
) -> None:
    monkeypatch.setattr("voxtral_streaming.engines.whisper.engine.MAX_BATCH", 1)
    order: list[str] = []

    async def finish(name: str, options: StreamOptions) -> None:
        stream = engine.open(options, 0)
        stream.feed(clips[2])
        await stream.finish()
        stream.close()
        order.append(name)

    others = [asyncio.create_task(finish("patient", patient)) for _ in range(8)]
    await asyncio.sleep(0)  # all of them have asked
    await finish("spoken", ENGLISH)
    assert order.index("spoken") <= 4  # two workers had a turn under way, and may have had one more
    await asyncio.gather(*others)


async def test_what_comes_faster_than_it_is_spoken_waits_in_all_it_asks_and_says_the_same(
    engine: WhisperEngine, clips: list[Samples], asked: Jobs
) -> None:
    finals = list[Hypothesis]()
    for options in (ENGLISH, replace(ENGLISH, is_ahead=True)):
        asked.clear()
        stream = engine.open(options, 0)
        stream.feed(clips[1])
        assert (await stream.partial()).text
        for _ in range(2):
            await stream.flush()
        finals.append(await stream.finish())
        stream.close()
        assert ({job.kind for job in asked} == {Kind.RECORDED}) == options.is_ahead
    assert finals[0] == finals[1]


async def hung_up(stream: WhisperStream) -> None:
    """Who spoke has gone."""
    stream.close()


@pytest.mark.parametrize("leave", [hung_up, WhisperStream.flush])
async def test_a_partial_that_nobody_waits_for_any_more_ends_at_its_next_step(
    engine: WhisperEngine,
    clips: list[Samples],
    gate: Gate,
    asked: Jobs,
    leave: Callable[[WhisperStream], Coroutine[None, None, object]],
) -> None:
    complaints = list[dict[str, Any]]()
    asyncio.get_running_loop().set_exception_handler(lambda _, complaint: complaints.append(complaint))
    stream = engine.open(ENGLISH, 0)
    stream.feed(clips[2])
    waiting = asyncio.create_task(stream.partial())
    await asyncio.to_thread(gate.begun.acquire, timeout=10)
    waiting.cancel()
    leaving = asyncio.create_task(leave(stream))
    await asyncio.sleep(0)
    gate.opened.set()
    assert isinstance(await asyncio.to_thread(asked[0].future.exception, 10), InVain)
    await leaving
    stream.close()
    del waiting, leaving
    asked.clear()
    await asyncio.sleep(0)
    gc.collect()
    assert not complaints


async def test_what_would_be_final_is_not_heard_to_its_end_when_speech_goes_on(
    engine: WhisperEngine, clips: list[Samples], gate: Gate, asked: Jobs
) -> None:
    gate.opened.set()
    stream = engine.open(ENGLISH, 0)
    stream.feed(clips[1])
    settled = await stream.flush()  # a pause: what is shown next begins behind it, what is final does not
    gate.opened.clear()
    asked.clear()
    stream.feed(clips[2][:40_000])
    while gate.begun.acquire(blocking=False):
        pass
    flushed = asyncio.create_task(stream.flush())
    for _ in range(2):
        await asyncio.to_thread(gate.begun.acquire, timeout=10)
    stream.feed(clips[2][40_000:])
    gate.opened.set()
    assert len((await flushed).text) > len(settled.text)
    shown, whole = asked
    assert not shown.is_in_vain
    assert isinstance(await asyncio.to_thread(whole.future.exception, 10), InVain)
    assert (await stream.finish()).text
    stream.close()


async def test_a_text_is_not_made_final_when_speech_goes_on(
    engine: WhisperEngine, model: Whisper, clips: list[Samples], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model, "search", pytest.fail)
    stream = engine.open(ENGLISH, 0)
    stream.feed(clips[2])
    heard = Recognition(Kind.FLUSH, stream, stream.rest)
    engine.submit(heard)
    result = await asyncio.wrap_future(heard.future)
    doubtful = replace(result, decoded=replace(result.decoded, logprob=-9.0))
    completion = Completion(Kind.FLUSH, stream, doubtful, wants_words=True)
    completion.is_in_vain = True
    engine.submit(completion)
    answered, words = await asyncio.wrap_future(completion.future)
    assert answered is doubtful
    assert not words
    stream.close()


async def test_who_waits_for_a_part_first_gets_the_text_behind_it_though_speech_goes_on(
    engine: WhisperEngine, monologue: Samples, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(WhisperEngine, "is_busy", True)  # the first lull asks for nothing, the next for the whole
    stream = engine.open(ENGLISH, 0)
    stream.feed(monologue[: LONGEST_PART + 16_000])
    await stream.flush()
    flushed = asyncio.create_task(stream.flush())
    await asyncio.to_thread(gate.begun.acquire, timeout=10)
    gate.opened.set()
    while not flushed.done():
        stream.feed(np.zeros(160, np.float32))
        await asyncio.sleep(0.01)
    assert (await flushed).text
    stream.close()
