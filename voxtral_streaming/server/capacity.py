"""How many live sessions the loaded engine carries."""

from __future__ import annotations

import asyncio
import logging
from contextlib import ExitStack
from pathlib import Path
from time import monotonic

import numpy as np

from voxtral_streaming.audio.decode import open_path
from voxtral_streaming.audio.source import SourcePolicy
from voxtral_streaming.audio.units import SAMPLE_RATE, Samples
from voxtral_streaming.config import Config
from voxtral_streaming.engines.base import Engine, StreamOptions

SPEECH = Path(__file__).parent / "page" / "sample.flac"
SENTENCE = round(7.1 * SAMPLE_RATE)  # samples: the first of it
N_SENTENCES = 4  # at once, so that an engine that decodes streams together can show it
TIMEOUT_S = 1.5  # what was not recognised by then does not count
SHARE = 0.1  # of the engine's time that finals may take, if all sessions speak without a pause
MIN_SESSIONS = 4  # what a busy moment must not be mistaken for

logger = logging.getLogger(__name__)


async def max_sessions(config: Config, engine: Engine) -> int:
    """As many as are configured; or else as the engine says that it can take; or else as it has time for.

    Partials may take half of an engine's time, and finals must not wait for each other. Two cores with `whisper-base`
    recognise speech some 80 times faster than it is spoken, which gives eight sessions; sixteen are more than they
    carry (docs/performance.md).
    """
    if isinstance(config.server.max_sessions, int):
        return config.server.max_sessions
    if engine.capabilities.max_streams is not None:
        return engine.capabilities.max_streams
    speed = await _speed(engine, await _sentence(config))
    limit = max(MIN_SESSIONS, round(SHARE * speed))
    logger.info("the engine recognises speech %.0f times faster than it is spoken: %d live sessions", speed, limit)
    return limit


async def _sentence(config: Config) -> Samples:
    async with open_path(str(SPEECH), SourcePolicy.trusted(config.audio)) as audio:
        return np.concatenate([block async for block in audio])[:SENTENCE]


async def _speed(engine: Engine, sentence: Samples) -> float:
    """Seconds of speech that get their finals in a second."""
    options = StreamOptions(language="en" if "en" in engine.capabilities.languages else None)
    with ExitStack() as stack:
        began, streams = monotonic(), [engine.open(options, at=0) for _ in range(N_SENTENCES)]
        for stream in streams:
            stack.callback(stream.close)
            stream.feed(sentence)
        done, late = await asyncio.wait([asyncio.create_task(one.finish()) for one in streams], timeout=TIMEOUT_S)
        took = monotonic() - began
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
    for task in done:
        task.result()
    return len(done) * len(sentence) / SAMPLE_RATE / took
