"""How many live sessions the loaded engine carries."""

from __future__ import annotations

import asyncio
import logging
import math
import wave
from contextlib import closing
from pathlib import Path
from time import monotonic

import anyio

from voxtral_streaming.audio.pcm import PcmDecoder
from voxtral_streaming.audio.units import SAMPLE_RATE, Samples
from voxtral_streaming.config import Config
from voxtral_streaming.engines.base import Engine, StreamOptions

SPEECH = Path(__file__).parent / "page" / "sample.wav"  # plain samples: nothing need be started to decode it
SENTENCE = round(7.1 * SAMPLE_RATE)  # samples: the first of it
N_RUNS = 2  # the better one counts: the first one warms the engine up
TIMEOUT_S = 1.5  # for all of them; an engine that needs longer gets the least
SHARE = 1 / 5  # of the engine's time that finals may take, if all sessions speak without a pause
MIN_SESSIONS = 4  # what a busy moment must not be mistaken for

logger = logging.getLogger(__name__)


async def max_sessions(config: Config, engine: Engine) -> int:
    """As many as are configured; or else as the engine says that it can take; or else as it has time for.

    Partials take half of an engine's time, and finals must not wait for each other. An engine that recognises
    speech 50 times faster than it is spoken takes ten sessions.
    """
    can = engine.capabilities
    if isinstance(config.server.max_sessions, int):
        return config.server.max_sessions
    if can.max_streams is not None:
        return can.max_streams
    workers = config.model.workers if can.name == "whisper" else 1
    speed = await _speed(engine, sentence(), workers)
    limit = max(MIN_SESSIONS, round(SHARE * speed))
    logger.info("speech is recognised %.0f times faster than it is spoken: %d live sessions", speed, limit)
    return limit


def sentence() -> Samples:
    """What an engine is measured by."""
    with wave.open(str(SPEECH)) as file:
        return PcmDecoder("pcm_s16le", SAMPLE_RATE, 1).feed(file.readframes(SENTENCE))


async def _speed(engine: Engine, speech: Samples, n_at_once: int) -> float:
    """Seconds of speech that get their finals in a second, so many utterances at a time."""
    fastest = math.inf
    with anyio.move_on_after(TIMEOUT_S):
        for _ in range(N_RUNS):
            began = monotonic()
            await asyncio.gather(*(_recognise(engine, speech) for _ in range(n_at_once)))
            fastest = min(fastest, monotonic() - began)
    return n_at_once * len(speech) / SAMPLE_RATE / fastest


async def _recognise(engine: Engine, speech: Samples) -> None:
    options = StreamOptions(language="en" if "en" in engine.capabilities.languages else None)
    with closing(engine.open(options, at=0)) as stream:
        stream.feed(speech)
        await stream.finish()
