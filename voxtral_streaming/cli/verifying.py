"""`voxtral verify`."""

from __future__ import annotations

import asyncio

import numpy as np
import typer

from voxtral_streaming.audio.decode import open_audio
from voxtral_streaming.audio.source import SourcePolicy
from voxtral_streaming.audio.units import Samples
from voxtral_streaming.cli.failures import EXIT_FAILED
from voxtral_streaming.config import Config
from voxtral_streaming.engines.voxtral.opening import verify_realtime


def run(config: Config, clip: str) -> int:
    """Print how the engine and transformers compare on a recording; 1 where they differ."""
    is_equal, report = verify_realtime(config.model, asyncio.run(_samples(config, clip)))
    typer.echo(report)
    return 0 if is_equal else EXIT_FAILED


async def _samples(config: Config, clip: str) -> Samples:
    """The whole recording: [n_samples]."""
    async with open_audio(clip, SourcePolicy.trusted(config.audio)) as audio:
        return np.concatenate([np.zeros(0, np.float32), *[block async for block in audio]])
