"""Recordings wait for those who speak now."""

from __future__ import annotations

import asyncio

import pytest

from voxtral_streaming.audio.units import Samples
from voxtral_streaming.engines.base import StreamOptions
from voxtral_streaming.engines.whisper.engine import WhisperEngine


async def test_final_of_a_speaker_overtakes_those_of_a_recording(
    engine: WhisperEngine, clips: list[Samples], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("voxtral_streaming.engines.whisper.engine.MAX_BATCH", 1)
    order: list[str] = []

    async def finish(name: str, options: StreamOptions) -> None:
        stream = engine.open(options, 0)
        stream.feed(clips[2])
        await stream.finish()
        stream.close()
        order.append(name)

    recorded = StreamOptions(language="en", partials=False, is_live=False)
    recordings = [asyncio.create_task(finish("recorded", recorded)) for _ in range(8)]
    await asyncio.sleep(0)  # all of them have asked
    await finish("live", StreamOptions(language="en"))
    assert order.index("live") <= 4  # two workers had a turn under way, and may have had one more
    await asyncio.gather(*recordings)
