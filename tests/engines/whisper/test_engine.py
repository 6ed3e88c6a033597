"""Streams of the built-in engine on real speech."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from threadpoolctl import threadpool_info

from voxtral_streaming.audio.units import SAMPLE_RATE, Samples, seconds
from voxtral_streaming.config import ModelConfig, StreamingConfig
from voxtral_streaming.engines.agreement import normalise
from voxtral_streaming.engines.base import StreamOptions
from voxtral_streaming.engines.whisper import engine as whisper_engine
from voxtral_streaming.engines.whisper.engine import WhisperEngine
from voxtral_streaming.engines.whisper.jobs import Completion, Recognition
from voxtral_streaming.engines.whisper.model import Decoded, Encoded, Whisper
from voxtral_streaming.engines.whisper.parts import LONGEST_PART, ends_sentence
from voxtral_streaming.engines.whisper.recognition import Request, Result, recognise_batch
from voxtral_streaming.engines.whisper.scheduler import Kind
from voxtral_streaming.engines.whisper.texts import Breath
from voxtral_streaming.errors import EngineFailed, UnsupportedOption
from voxtral_streaming.transcript import Hypothesis

if TYPE_CHECKING:
    from tests.engines.whisper.conftest import Gate, Jobs

ENGLISH = StreamOptions(language="en")
RECORDED = StreamOptions(language="en", is_live=False)


async def finished(engine: WhisperEngine, samples: Samples, block: int, at: int = 0) -> Hypothesis:
    """The final of samples fed in blocks, with partials and flushes asked for on the way."""
    stream = engine.open(ENGLISH, at)
    for start in range(0, len(samples), block):
        stream.feed(samples[start : start + block])
        with suppress(asyncio.TimeoutError):  # under load an engine may have nothing new to say yet
            await asyncio.wait_for(stream.partial(), 0.1)
    await stream.flush()
    final = await stream.finish()
    stream.close()
    return final


async def test_blocks_and_company_do_not_change_a_final(engine: WhisperEngine, clips: list[Samples]) -> None:
    alone = [await finished(engine, clip, len(clip)) for clip in clips]
    together = await asyncio.gather(*(finished(engine, clip, 12_345 + n) for n, clip in enumerate(clips * 2)))
    assert together == alone * 2


async def test_partials_grow_into_the_sentence(engine: WhisperEngine, clips: list[Samples]) -> None:
    stream, stable = engine.open(ENGLISH, 0), ""
    for start in range(0, len(clips[0]) - SAMPLE_RATE, SAMPLE_RATE):
        stream.feed(clips[0][start : start + SAMPLE_RATE])
        hypothesis = await stream.partial()
        assert hypothesis.stable.startswith(stable)
        stable = hypothesis.stable
    assert "had then leisure" in stable
    stream.close()


async def test_a_final_whose_audio_was_flushed_twice_is_free(
    engine: WhisperEngine, clips: list[Samples], monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = engine.open(ENGLISH, 0)
    stream.feed(clips[2])
    await stream.flush()
    flushed = await stream.flush()
    monkeypatch.setattr(engine, "submit", pytest.fail)
    assert (await stream.finish()).text == flushed.text


async def test_partials_go_on_behind_a_pause(engine: WhisperEngine, clips: list[Samples]) -> None:
    """Of what was recognised up to a pause only the text is kept; the final hears everything."""
    stream = engine.open(ENGLISH, 0)
    stream.feed(clips[1])
    settled = (await stream.flush()).text
    stream.feed(clips[2])
    heard = stream.newest()
    assert (heard.start, heard.end) == (len(clips[1]), len(clips[1]) + len(clips[2]))
    partial = await stream.partial()
    assert partial.text.startswith(settled)
    assert "amiable himself" in partial.text
    final = await stream.finish()
    stream.close()
    assert final == await finished(engine, np.concatenate(clips[1:3]), 20_000)


async def test_partials_go_on_behind_a_pause_that_nobody_heard_up_to(
    engine: WhisperEngine, clips: list[Samples], asked: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With many streams a lull is not recognised on its own; a partial of what is behind it settles what was before."""
    monkeypatch.setattr(WhisperEngine, "is_busy", True)
    stream = engine.open(ENGLISH, 0)
    stream.feed(clips[1])
    await stream.flush()
    assert not asked
    stream.feed(clips[2])
    assert stream.newest().start == 0
    partial = await stream.partial()
    assert stream.newest().start == len(clips[1])
    alone = await finished(engine, clips[1], len(clips[1]))
    before = [normalise(word.text) for word in alone.words]
    assert [normalise(word) for word in stream.newest().before] == before
    stream.feed(clips[2][: 2 * SAMPLE_RATE])
    later = await stream.partial()
    assert [normalise(word) for word in later.text.split()[: len(alone.words)]] == before
    assert later.stable.startswith(partial.stable)
    stream.close()


@pytest.mark.parametrize(("language", "told"), [(None, None), ("en", "en")])
async def test_where_nothing_is_said_no_language_is_guessed(
    engine: WhisperEngine, language: str | None, told: str | None
) -> None:
    stream = engine.open(StreamOptions(language), 0)
    stream.feed(np.random.default_rng(0).normal(0, 0.03, SAMPLE_RATE).astype(np.float32))
    assert await stream.finish() == Hypothesis(language=told)
    stream.close()


async def test_until_there_is_a_text_it_is_asked_for_sooner(
    engine: WhisperEngine, clips: list[Samples], monkeypatch: pytest.MonkeyPatch
) -> None:
    intervals = {True: SAMPLE_RATE, False: 2 * SAMPLE_RATE}
    monkeypatch.setattr(engine, "partial_interval", lambda *, is_first=False: intervals[is_first])
    stream = engine.open(ENGLISH, 0)
    for _ in range(2):  # nothing is heard in silence
        stream.feed(np.zeros(SAMPLE_RATE, np.float32))
        assert not (await asyncio.wait_for(stream.partial(), 10)).text
    stream.feed(clips[2][: 2 * SAMPLE_RATE])
    assert (await stream.partial()).text
    stream.feed(clips[2][2 * SAMPLE_RATE : 3 * SAMPLE_RATE])
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(stream.partial(), 0.1)
    stream.close()


async def test_a_long_utterance_is_parted_where_sentences_end(engine: WhisperEngine, monologue: Samples) -> None:
    stream = engine.open(ENGLISH, SAMPLE_RATE)
    stream.feed(monologue)
    final = await stream.finish()
    assert 0 < stream.rest().n_samples < LONGEST_PART
    assert ends_sentence(stream.rest().before[-1])
    stream.close()
    assert final.text.count("power to do for them") == final.text.count("amiable himself") == 2
    assert final.text.split() == [word.text for word in final.words]
    times = [time for word in final.words for time in (word.start, word.end)]
    assert times == sorted(times)
    assert 1 <= times[0] < 2 < seconds(len(monologue)) < times[-1] <= seconds(len(monologue)) + 1


async def heard_behind_the_parts(
    engine: WhisperEngine, samples: Samples, *, is_flushed: bool = False
) -> tuple[Hypothesis, float]:
    """The final, and where that begins, in seconds, which was heard once the utterance was over."""
    stream = engine.open(ENGLISH, 0)
    stream.feed(samples)
    if is_flushed:
        await stream.flush()  # what may be final is asked for, beside what is shown
    final = await stream.finish()
    start_s = seconds(stream.rest().start)
    stream.close()
    return final, start_s


async def test_a_short_rest_is_heard_with_the_sentences_before_it(engine: WhisperEngine, monologue: Samples) -> None:
    samples = monologue[: 22 * SAMPLE_RATE]
    final, start_s = await heard_behind_the_parts(engine, samples)
    assert start_s == pytest.approx(7.5, abs=0.3)  # where the second one begins; it stands up to 16.5 s
    assert final.text.count("leisure to consider") == 2
    assert final.text.count("ill-disposed") == final.text.count("amiable himself") == 1
    assert [word.text for word in final.words] == final.text.split()
    times = [time for word in final.words for time in (word.start, word.end)]
    assert times == sorted(times)
    assert [word.start for word in final.words if word.text == "John"] == pytest.approx([0.6, 16.9], abs=0.3)


@pytest.mark.parametrize("is_flushed", [False, True])
async def test_a_rest_that_loses_words_behind_them_is_heard_alone(
    engine: WhisperEngine, model: Whisper, monologue: Samples, monkeypatch: pytest.MonkeyPatch, is_flushed: bool
) -> None:
    samples = monologue[: 22 * SAMPLE_RATE]
    whole, first_s = await heard_behind_the_parts(engine, samples)
    decode = model.decode

    def hasty(batch: Sequence[Encoded], *rest: Any) -> list[Decoded]:
        [encoded], [one] = batch, decode(batch, *rest)
        is_again = encoded.n_samples == len(samples) - round(first_s * SAMPLE_RATE)
        return [replace(one.cut(4), logprob=0.0) if is_again else one]

    monkeypatch.setattr(model, "decode", hasty)
    final, start_s = await heard_behind_the_parts(engine, samples, is_flushed=is_flushed)
    assert start_s == pytest.approx(16.5, abs=0.3)
    assert list(map(normalise, final.text.split())) == list(map(normalise, whole.text.split()))
    assert [word.text for word in final.words] == final.text.split()


async def test_neither_blocks_nor_partials_change_where_it_is_parted(engine: WhisperEngine, monologue: Samples) -> None:
    whole = await finished(engine, monologue, len(monologue))
    assert await finished(engine, monologue, 40_000) == whole
    assert await finished(engine, monologue, 131_071) == whole


async def test_a_parted_utterance_keeps_its_stable_text(engine: WhisperEngine, monologue: Samples) -> None:
    stream, shown = engine.open(ENGLISH, 0), ""
    for start in range(0, len(monologue), 2 * SAMPLE_RATE):
        stream.feed(monologue[start : start + 2 * SAMPLE_RATE])
        with suppress(asyncio.TimeoutError):  # under load an engine may want more audio for the next one
            hypothesis = await asyncio.wait_for(stream.partial(), 2)
            assert hypothesis.stable.startswith(shown)
            shown = hypothesis.stable
    flushed = await stream.flush()
    stream.close()
    assert flushed.stable.startswith(shown)
    assert flushed.text.count("leisure to consider") == 2


async def recorded(engine: WhisperEngine, samples: Samples) -> tuple[Hypothesis, int]:
    """The final of a recording, and the sample at which what was heard last begins."""
    stream = engine.open(RECORDED, 0)
    stream.feed(samples)
    final = await stream.finish()
    start = stream.rest().start
    stream.close()
    return final, start


async def test_what_is_recorded_is_heard_whole(engine: WhisperEngine, monologue: Samples) -> None:
    final, start = await recorded(engine, monologue[: 25 * SAMPLE_RATE])
    assert start == 0
    assert final.text.count("leisure to consider") == 2
    assert "amiable himself" in final.text


async def test_what_is_recorded_is_parted_where_the_whole_is_suspect(
    engine: WhisperEngine, model: Whisper, monologue: Samples, monkeypatch: pytest.MonkeyPatch
) -> None:
    decode = model.decode

    def doubting(batch: Sequence[Encoded], *rest: Any) -> list[Decoded]:
        found = zip(batch, decode(batch, *rest), strict=True)
        return [replace(one, is_suspect=encoded.n_samples > LONGEST_PART) for encoded, one in found]

    monkeypatch.setattr(model, "decode", doubting)
    final, start = await recorded(engine, monologue[: 25 * SAMPLE_RATE])
    assert 0 < start < 25 * SAMPLE_RATE
    assert final.text.count("leisure to consider") == 2
    assert "amiable himself" in final.text


@pytest.mark.parametrize("options", [ENGLISH, RECORDED])
@pytest.mark.parametrize("words", [True, False])
async def test_what_lies_behind_a_text_that_ends_early_is_heard_too(
    engine: WhisperEngine,
    model: Whisper,
    clips: list[Samples],
    monkeypatch: pytest.MonkeyPatch,
    options: StreamOptions,
    words: bool,
) -> None:
    decode, heard = model.decode, list[int]()

    def hasty(batch: Sequence[Encoded], *rest: Any) -> list[Decoded]:
        heard.extend(encoded.n_samples for encoded in batch)
        found = zip(batch, decode(batch, *rest), strict=True)
        return [
            replace(one.cut(22), until=len(clips[0])) if encoded.n_samples > len(clips[0]) else one
            for encoded, one in found
        ]

    monkeypatch.setattr(model, "decode", hasty)
    stream = engine.open(replace(options, words=words), 0)
    stream.feed(np.concatenate(clips[:2]))
    final = await stream.finish()
    stream.close()
    assert heard == [len(clips[0]) + len(clips[1]), len(clips[1])]
    assert "power to do for them. Unless to be rather" in final.text
    assert [word.text for word in final.words] == (final.text.split() if words else [])


async def test_words_behind_texts_that_end_early_stand_where_they_were_spoken(
    engine: WhisperEngine, model: Whisper, clips: list[Samples], monkeypatch: pytest.MonkeyPatch
) -> None:
    decode, lengths = model.decode, list(map(len, clips[:3]))
    hasty = {sum(lengths): (22, lengths[0]), sum(lengths[1:]): (12, lengths[1])}  # words, and how far they go

    def decoded(batch: Sequence[Encoded], *rest: Any) -> list[Decoded]:
        [encoded], [one] = batch, decode(batch, *rest)
        n_words, until = hasty.get(encoded.n_samples, (len(one.words), one.until))
        return [replace(one.cut(n_words), until=until, logprob=0.0)]

    monkeypatch.setattr(model, "decode", decoded)
    stream = engine.open(RECORDED, 0)
    stream.feed(np.concatenate(clips[:3]))
    words = (await stream.finish()).words
    stream.close()
    places = [0, 22, 34, len(words)]
    for clip, (first, last) in enumerate(pairwise(places)):
        start = seconds(sum(lengths[:clip]))
        assert all(start <= word.start <= start + seconds(lengths[clip]) for word in words[first:last])


async def test_who_waits_for_a_part_that_fails_hears_of_it(
    engine: WhisperEngine, monologue: Samples, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = engine.open(ENGLISH, 0)
    monkeypatch.setattr(stream, "request", lambda *_: 1 / 0)
    stream.feed(monologue)
    with pytest.raises(EngineFailed):
        await stream.finish()
    stream.close()


async def test_a_stream_that_is_closed_while_it_is_parted_lets_go(engine: WhisperEngine, monologue: Samples) -> None:
    stream = engine.open(ENGLISH, 0)
    stream.feed(monologue)
    finishing = asyncio.create_task(stream.finish())
    await asyncio.sleep(0.05)
    stream.close()
    with pytest.raises(asyncio.CancelledError):
        await finishing


async def test_who_has_the_engine_to_himself_waits_for_no_second_lull(
    engine: WhisperEngine, clips: list[Samples], asked: Jobs
) -> None:
    """What may be final is recognised beside the text that is shown first."""
    stream = engine.open(ENGLISH, 0)
    stream.feed(clips[1])
    await stream.flush()  # a pause: what was said so far is settled
    stream.feed(clips[2])
    await stream.flush()
    asked.clear()
    await stream.finish()
    stream.close()
    assert all(isinstance(job, Completion) for job in asked)


async def test_words_stand_where_the_utterance_stands(engine: WhisperEngine, clips: list[Samples]) -> None:
    early, late = await finished(engine, clips[2], 16_000), await finished(engine, clips[2], 16_000, at=160_000)
    assert [word.start + 10 for word in early.words] == pytest.approx([word.start for word in late.words], abs=1e-3)
    assert late.words[-1].end <= seconds(160_000 + len(clips[2]))


async def test_speech_that_overtakes_a_flush_gets_its_answer_all_the_same(
    engine: WhisperEngine, clips: list[Samples]
) -> None:
    stream = engine.open(ENGLISH, 0)
    stream.feed(clips[0][:40_000])
    flush = asyncio.create_task(stream.flush())
    await asyncio.sleep(0)
    stream.feed(clips[0][40_000:])
    assert (await flush).text
    assert "power to do for them" in (await stream.finish()).text


async def test_speech_that_overtakes_what_would_be_final_is_in_the_final(
    engine: WhisperEngine, clips: list[Samples]
) -> None:
    stream = engine.open(ENGLISH, 0)
    stream.feed(clips[0][:40_000])
    draft = asyncio.create_task(stream.flush())
    await asyncio.sleep(0)
    final = asyncio.create_task(stream.flush())  # waits for the draft
    await asyncio.sleep(0.03)  # the draft is being decoded
    stream.feed(clips[0][40_000:])
    assert (await draft).text
    assert (await final).text
    assert "power to do for them" in (await stream.finish()).text


async def test_an_empty_stream_has_no_text(engine: WhisperEngine) -> None:
    stream = engine.open(StreamOptions(), 0)
    stream.feed(np.zeros(0, np.float32))
    assert await stream.flush() == await stream.finish() == Hypothesis()


async def test_closing_gives_up_what_is_awaited(engine: WhisperEngine, clips: list[Samples]) -> None:
    stream = engine.open(ENGLISH, 0)
    waiting = asyncio.create_task(stream.partial())
    await asyncio.sleep(0)
    stream.close()
    stream.close()
    with pytest.raises(asyncio.CancelledError):
        await waiting


@pytest.mark.parametrize(
    ("options", "param"),
    [
        (StreamOptions(language="xx"), "language"),
        (StreamOptions(prompt="Dashwood"), "prompt"),
        (StreamOptions(delay_ms=480), "delay_ms"),
    ],
)
async def test_what_the_engine_cannot_do_is_refused_by_name(
    engine: WhisperEngine, options: StreamOptions, param: str
) -> None:
    with pytest.raises(UnsupportedOption) as refused:
        engine.open(options, 0)
    assert refused.value.param == param


async def test_a_failing_recognition_is_heard_of_and_the_next_one_works(
    engine: WhisperEngine, clips: list[Samples], monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = engine.open(ENGLISH, 0)
    stream.feed(clips[2])
    with monkeypatch.context() as broken:
        broken.setattr(stream, "request", lambda *_, **__: 1 / 0)
        with pytest.raises(EngineFailed, match="division by zero"):
            await stream.finish()
    assert "amiable himself" in (await finished(engine, clips[2], 16_000)).text


async def test_an_engine_that_was_closed_can_be_started_again(model: Whisper, clips: list[Samples]) -> None:
    engine = WhisperEngine(ModelConfig(name="whisper-base", device="cpu"), StreamingConfig(), load=lambda config: model)
    for _ in range(2):
        await engine.start()
        assert "amiable himself" in (await finished(engine, clips[2], 16_000)).text
        await engine.close()


async def test_numpy_has_one_thread_while_the_engine_works(model: Whisper) -> None:
    def blas_threads() -> list[int]:
        return [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]

    engine = WhisperEngine(ModelConfig(name="whisper-base", device="cpu"), StreamingConfig(), load=lambda config: model)
    before = blas_threads()
    await engine.start()
    assert set(blas_threads()) == {1}
    await engine.close()
    assert blas_threads() == before


async def test_an_engine_without_work_gives_its_memory_back(model: Whisper, monkeypatch: pytest.MonkeyPatch) -> None:
    given = threading.Event()
    monkeypatch.setattr(whisper_engine, "QUIET_S", 0.01)
    monkeypatch.setattr(whisper_engine, "give_back", given.set)
    engine = WhisperEngine(ModelConfig(name="whisper-base", device="cpu"), StreamingConfig(), load=lambda config: model)
    await engine.start()
    given.clear()  # once was for the loading
    assert await asyncio.to_thread(given.wait, 10)
    await engine.close()


async def test_an_engine_that_always_works_gives_memory_back_between(
    engine: WhisperEngine, clips: list[Samples], monkeypatch: pytest.MonkeyPatch
) -> None:
    given = threading.Event()
    monkeypatch.setattr(whisper_engine, "BUSY_S", 0.0)
    monkeypatch.setattr(whisper_engine, "give_back", given.set)
    assert (await finished(engine, clips[2], 16_000)).text
    assert await asyncio.to_thread(given.wait, 10)


async def test_a_closed_stream_leaves_no_garbage(engine: WhisperEngine, clips: list[Samples]) -> None:
    """It holds megabytes, and the garbage collector of a process with many objects comes late."""
    gc.disable()
    try:
        stream = engine.open(ENGLISH, 0)
        stream.feed(clips[2])
        await stream.partial()
        await stream.flush()
        await stream.finish()
        stream.close()
        left = weakref.ref(stream)
        del stream
        for _ in range(500):  # until the engine's threads have let go of their last jobs
            if left() is None:
                break
            await asyncio.sleep(0.01)
        assert left() is None
    finally:
        gc.enable()


async def test_a_partial_that_a_lull_interrupts_is_shown_by_the_next_one(
    engine: WhisperEngine, clips: list[Samples], monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = engine.open(ENGLISH, 0)
    stream.feed(clips[0][:40_000])
    interrupted = asyncio.create_task(stream.partial())
    await asyncio.sleep(0.01)
    interrupted.cancel()
    monkeypatch.setattr(engine, "submit", pytest.fail)
    assert (await stream.partial()).text
    stream.close()


async def test_under_load_a_short_lull_brings_nothing_new(
    engine: WhisperEngine, clips: list[Samples], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(WhisperEngine, "is_busy", True)
    stream = engine.open(ENGLISH, 0)
    stream.feed(clips[2])
    assert not (await stream.flush()).text
    flushed = await stream.flush()
    final = await stream.finish()
    stream.close()
    assert flushed.text == final.text != ""


@pytest.mark.parametrize(("gains", "expected"), [(True, [1, 1, 1, 2]), (False, [1] * 5)])
async def test_only_texts_of_different_streams_keep_company_and_only_where_that_is_a_gain(
    engine: WhisperEngine,
    model: Whisper,
    clips: list[Samples],
    monkeypatch: pytest.MonkeyPatch,
    gate: Gate,
    gains: bool,
    expected: list[int],
) -> None:
    """What a reader waits for is not decoded together with the whole of the same utterance, which comes later."""
    monkeypatch.setattr(model, "gains_by_company", gains)
    streams = [engine.open(ENGLISH, 0) for _ in range(2)]
    for stream in streams:
        stream.feed(clips[2])
    jobs = [Recognition(Kind.FLUSH, stream, stream.rest) for stream in [streams[0]] * 4 + [streams[1]]]
    for n, job in enumerate(jobs):
        engine.submit(job)
        if n < 2:  # both threads have their hands full before the others come
            await asyncio.to_thread(gate.begun.acquire, timeout=10)
    gate.opened.set()
    results = await asyncio.gather(*(asyncio.wrap_future(job.future) for job in jobs))
    for stream in streams:
        stream.close()
    assert sorted(gate.batches) == expected
    assert len({result.decoded.words for result in results}) == 1


async def test_a_final_goes_before_a_partial_that_the_only_thread_is_at(
    model: Whisper, clips: list[Samples], gate: Gate
) -> None:
    order = list[Kind]()
    config = ModelConfig(name="whisper-base", device="cpu", workers=1)
    engine = WhisperEngine(config, StreamingConfig(), load=lambda config: model)
    await engine.start()
    jobs = []
    for kind in (Kind.PARTIAL, Kind.FINISH):
        stream = engine.open(ENGLISH, 0)
        stream.feed(clips[2])
        job = Recognition(kind, stream, stream.rest)
        job.future.add_done_callback(lambda _, job=job: order.append(job.kind))  # type: ignore[misc]
        engine.submit(job)
        jobs.append(job)
        if kind is Kind.PARTIAL:
            await asyncio.to_thread(gate.begun.acquire, timeout=10)
    gate.opened.set()
    results = await asyncio.gather(*(asyncio.wrap_future(job.future) for job in jobs))
    await engine.close()
    assert order == [Kind.FINISH, Kind.PARTIAL]
    assert results[0].decoded == results[1].decoded


async def test_recordings_leave_a_thread_to_who_speaks_now(
    engine: WhisperEngine, clips: list[Samples], monkeypatch: pytest.MonkeyPatch
) -> None:
    n_at_work, most, freed = 0, 0, threading.Event()

    def held(model: Whisper, requests: Sequence[Request], breathe: Breath) -> list[Result]:
        nonlocal n_at_work, most
        n_at_work += 1
        most = max(most, n_at_work)
        freed.wait(10)
        n_at_work -= 1
        return recognise_batch(model, requests, breathe)

    live = engine.open(ENGLISH, 0)
    recordings = [engine.open(RECORDED, 0) for _ in range(2)]
    for stream in recordings:
        stream.feed(clips[2])
    monkeypatch.setattr(whisper_engine, "MAX_BATCH", 1)
    monkeypatch.setattr(whisper_engine, "recognise_batch", held)
    finals = [asyncio.create_task(stream.finish()) for stream in recordings]
    await asyncio.sleep(0.2)
    assert most == 1
    live.close()
    for _ in range(500):  # until the other thread has come
        if most > 1:
            break
        await asyncio.sleep(0.01)
    assert most == 2
    freed.set()
    texts = [final.text for final in await asyncio.gather(*finals)]
    assert texts[0] == texts[1] != ""
    for stream in recordings:
        stream.close()


async def test_recordings_do_not_make_partials_rare(engine: WhisperEngine) -> None:
    live = engine.open(ENGLISH, 0)
    alone = engine.partial_interval()
    recordings = [engine.open(RECORDED, 0) for _ in range(30)]
    assert engine.partial_interval() == alone
    for stream in [live, *recordings]:
        stream.close()
