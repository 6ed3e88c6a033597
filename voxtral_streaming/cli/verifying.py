"""`voxtral verify`."""

from __future__ import annotations

import asyncio

import numpy as np
import typer

from voxtral_streaming.audio.decode import open_audio
from voxtral_streaming.audio.source import SourcePolicy
from voxtral_streaming.audio.units import SAMPLE_RATE, Samples
from voxtral_streaming.cli.failures import EXIT_FAILED
from voxtral_streaming.config import Config
from voxtral_streaming.engines import verify

HUM_S = 6


def run(config: Config, clip: str | None) -> int:
    """Print how the engine and transformers compare on a recording, or else a hum; 1 where they differ."""
    if clip is None:
        typer.echo("voxtral: compared on a hum, for want of a recording; one of speech proves more", err=True)
    samples = hum() if clip is None else asyncio.run(_samples(config, clip))
    is_equal, report = verify(config.model, samples)
    typer.echo(report)
    return 0 if is_equal else EXIT_FAILED


def hum() -> Samples:
    """A voice without words, [n_samples]: gliding harmonics that swell four times a second, and a little noise."""
    times = np.arange(HUM_S * SAMPLE_RATE) / SAMPLE_RATE
    phase = 2 * np.pi * np.cumsum(140 + 40 * np.sin(times)) / SAMPLE_RATE  # [n_samples], of a pitch around 140 Hz
    tones = sum(np.sin(number * phase) / number for number in range(1, 20))
    noise = np.random.default_rng(0).standard_normal(len(times))
    samples: Samples = (0.1 * tones * np.sin(4 * np.pi * times) ** 2 + 0.003 * noise).astype(np.float32)
    return samples


async def _samples(config: Config, clip: str) -> Samples:
    """The whole recording: [n_samples]."""
    async with open_audio(clip, SourcePolicy.trusted(config.audio)) as audio:
        return np.concatenate([np.zeros(0, np.float32), *[block async for block in audio]])
