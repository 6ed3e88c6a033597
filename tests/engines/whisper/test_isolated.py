"""The built-in engine in a process of its own, killed in the middle of a sentence."""

from __future__ import annotations

import os
import signal
from itertools import pairwise

from voxtral_streaming.audio.units import SAMPLE_RATE, Samples
from voxtral_streaming.config import load_config
from voxtral_streaming.engines.base import StreamOptions
from voxtral_streaming.engines.isolated import open_isolated
from voxtral_streaming.engines.process.engine import ProcessEngine
from voxtral_streaming.engines.whisper.engine import WhisperEngine

ENGLISH = StreamOptions(language="en")


async def test_a_final_is_the_same_after_the_engine_was_killed(engine: WhisperEngine, clips: list[Samples]) -> None:
    undisturbed = engine.open(ENGLISH, 16_000)
    undisturbed.feed(clips[0])
    isolated = open_isolated(load_config(None, {"VOXTRAL_MODEL__DEVICE": "cpu"}))
    await isolated.start()
    assert isolated.capabilities == engine.capabilities
    assert isolated.explanation == "whisper, as the model is built in, with whisper-base on cpu (asked for)"

    stream = isolated.open(ENGLISH, 16_000)
    shown = []
    for start in range(0, len(clips[0]), SAMPLE_RATE):
        stream.feed(clips[0][start : start + SAMPLE_RATE])
        shown.append((await stream.flush()).stable)
        if start == 3 * SAMPLE_RATE:
            assert isinstance(isolated.inner, ProcessEngine)
            os.kill(isolated.inner.pid, signal.SIGKILL)
    assert await stream.finish() == await undisturbed.finish()
    assert isolated.n_restarts == 1
    assert all(later.startswith(earlier) for earlier, later in pairwise(shown))
    assert "had then" in shown[3]
    stream.close()
    await isolated.close()
