"""Behind the detector a row is taken by speech alone, unless a session detects no turns."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from voxtral_streaming.audio.units import SAMPLE_RATE, Samples
from voxtral_streaming.config import Config
from voxtral_streaming.engines.base import StreamOptions
from voxtral_streaming.engines.voxtral.engine import VoxtralRealtimeEngine
from voxtral_streaming.engines.voxtral.facts import SAMPLES_PER_TOKEN
from voxtral_streaming.recognise import Flush, recognise
from voxtral_streaming.transcriber import Transcriber
from voxtral_streaming.transcript import Final
from voxtral_streaming.vad import open_endpointer


@pytest.fixture
def config(tiny: Path) -> Config:
    return Config.model_validate(
        {
            "model": {"name": str(tiny), "device": "cpu", "torch_dtype": "float32"},
            "audio": {"sample_rate": SAMPLE_RATE},
            "vad": {"threshold": 0.01, "detector": "energy"},
            "streaming": {"max_utterance_s": 28},
        }
    )


async def test_silence_spends_no_step(
    config: Config, clip: Samples, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the speech and after its final no token is computed, however long it is silent."""
    engine, silence = VoxtralRealtimeEngine(config.model, config.streaming), np.zeros(10 * SAMPLE_RATE, np.float32)
    counted, told, final = [0], list[int](), asyncio.Event()

    async def audio() -> AsyncIterator[Samples]:
        yield silence
        told.append(counted[0])
        yield np.concatenate((clip, silence[:SAMPLE_RATE]))
        await final.wait()
        told.append(counted[0])
        yield silence

    async with Transcriber(config, engine=engine) as transcriber:
        assert engine._worker is not None
        step = engine._worker._stepper.step

        def counting(windows: Any, counts: list[int], first_row: int = 0) -> Any:
            counted[0] += sum(counts)
            return step(windows, counts, first_row)

        monkeypatch.setattr(engine._worker._stepper, "step", counting)
        async with aclosing(transcriber.stream(audio())) as events:
            async for event in events:
                if isinstance(event, Final):
                    assert event.text == words
                    final.set()
        worker = engine._worker
    before, after = told
    assert before == 0
    assert after == counted[0] > len(clip) // SAMPLES_PER_TOKEN
    assert worker.seated == []


async def test_without_turn_detection_a_stream_hears_the_pauses_too(config: Config, clip: Samples, words: str) -> None:
    """Two seconds of silence between two clips: one utterance, one stream, a step for every 80 ms."""
    engine, pause = VoxtralRealtimeEngine(config.model, config.streaming), np.zeros(2 * SAMPLE_RATE, np.float32)

    async def audio() -> AsyncIterator[Samples | Flush]:
        yield np.concatenate((clip, pause, clip[: 4 * SAMPLE_RATE]))
        yield Flush()

    endpointer = open_endpointer(config.vad, config.streaming, 28.0, detect_turns=False)
    await engine.start()
    heard = recognise(audio(), endpointer, engine, StreamOptions(), max_backlog=60 * SAMPLE_RATE)
    finals = [event async for event in heard if isinstance(event, Final)]
    await engine.close()
    (final,) = finals
    assert final.text.startswith(f"{words} hello world")
    assert final.words[10].start - final.words[9].end > 2.0
