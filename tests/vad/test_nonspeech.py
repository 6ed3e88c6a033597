"""What is not speech starts nothing, at any level."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from voxtral_streaming.audio.units import SAMPLE_RATE
from voxtral_streaming.vad.activity import Endpointer

Sounds = NDArray[np.float64]

N_SAMPLES = 12 * SAMPLE_RATE
SECONDS = np.arange(N_SAMPLES) / SAMPLE_RATE


def white() -> Sounds:
    return np.random.default_rng(3).normal(size=N_SAMPLES)


def shaped(power: float) -> Sounds:
    """Noise whose amplitude falls with the frequency to the `power`."""
    frequencies = np.maximum(np.fft.rfftfreq(N_SAMPLES, 1 / SAMPLE_RATE), 20)
    noise: Sounds = np.fft.irfft(np.fft.rfft(white()) / frequencies**power, N_SAMPLES)
    return noise


def tone(frequency: float, n_partials: int = 1) -> Sounds:
    partials = [np.sin(2 * np.pi * frequency * n * SECONDS) / n for n in range(1, n_partials + 1)]
    tones: Sounds = np.sum(partials, axis=0)
    return tones


def decay(period_s: float, decay_s: float) -> Sounds:
    """An envelope of strokes."""
    envelope: Sounds = np.exp(-(SECONDS % period_s) / decay_s)
    return envelope


def chords() -> Sounds:
    roots = np.array([220.0, 174.6, 261.6, 196.0])[SECONDS.astype(int) % 4]
    partials = [np.sin(2 * np.pi * roots * ratio * n * SECONDS) / n for ratio in (1, 1.25, 1.5) for n in (1, 2, 3)]
    struck: Sounds = np.sum(partials, axis=0) * decay(1, 0.5)
    return struck


SOUNDS: dict[str, Callable[[], Sounds]] = {
    "silence": lambda: np.zeros(N_SAMPLES),
    "white noise": white,
    "pink noise": lambda: shaped(0.5),
    "brown noise": lambda: shaped(1),
    "noise that breathes": lambda: shaped(0.5) * (1 + np.sin(2 * np.pi * 4 * SECONDS)),
    "hum": lambda: tone(50, 12),
    "whistle": lambda: tone(1000),
    "clicks": lambda: white() * decay(0.45, 0.002),
    "claps": lambda: white() * decay(0.6, 0.03),
    "knocks": lambda: tone(90, 3) * decay(0.5, 0.05),
    "typing": lambda: white() * decay(0.17, 0.012),
    "chords": chords,
    "siren": lambda: np.sin(2 * np.pi * 700 * SECONDS + 600 * np.sin(np.pi * SECONDS)),
    "telephone": lambda: (tone(440) + tone(480)) * (SECONDS % 3 < 1),
}


@pytest.mark.parametrize("level_dbfs", [-50, -30, -15])
@pytest.mark.parametrize("name", SOUNDS)
def test_it_starts_nothing(name: str, level_dbfs: float, open_silero: Callable[..., Endpointer]) -> None:
    sounds = SOUNDS[name]()
    level = max(float(np.sqrt(np.mean(np.square(sounds)))), 1e-9)
    samples = np.clip(sounds / level * 10 ** (level_dbfs / 20), -1, 1).astype(np.float32)
    endpointer = open_silero()
    assert [*endpointer.feed(samples), *endpointer.flush()] == []


def test_a_dull_offset_is_silence(open_silero: Callable[..., Endpointer]) -> None:
    endpointer = open_silero()
    assert [*endpointer.feed(np.full(N_SAMPLES, 0.2, np.float32)), *endpointer.flush()] == []
