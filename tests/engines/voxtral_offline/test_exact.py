"""The tokens of transformers' greedy search, to the last one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from voxtral_streaming.audio.units import SAMPLE_RATE, Samples


def noise(duration_s: float, seed: int = 0) -> Samples:
    """Bursts of noise at changing levels."""
    random = np.random.default_rng(seed)
    samples = random.standard_normal(round(duration_s * SAMPLE_RATE), np.float32) / np.float32(10)
    levels = np.repeat(random.uniform(0, 1, len(samples) // 4000 + 1), 4000)[: len(samples)]
    noisy: Samples = samples * levels.astype(np.float32)
    return noisy


@pytest.mark.parametrize(
    ("duration_s", "language"), [(0.1, "en"), (5.0, None), (29.99, "fr"), (30.1, "pt"), (95.0, "hi")]
)
def test_random_weights_at_every_length(
    official: Path, transcribe: Any, oracle: Any, duration_s: float, language: str | None
) -> None:
    samples = noise(duration_s)
    expected = oracle(official, samples, language)
    assert transcribe(official, samples, language) == expected
    assert len(set(expected)) > 5


@pytest.mark.parametrize("language", ["de", None])
def test_half_the_bits(official: Path, transcribe: Any, oracle: Any, language: str | None) -> None:
    samples = noise(12.0)
    expected = oracle(official, samples, language, torch.bfloat16)
    assert transcribe(official, samples, language, torch.bfloat16) == expected
    assert len(set(expected)) > 5


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_trained_weights_hear_the_words(
    tiny: Path, opened: Any, transcribe: Any, oracle: Any, clip: Samples, words: str, dtype: torch.dtype
) -> None:
    expected = oracle(tiny, clip, "en", dtype)
    assert transcribe(tiny, clip, "en", dtype) == expected
    assert opened(tiny).tokenizer.decode(expected) == words


@pytest.mark.parametrize(("seconds", "language"), [(0.1, None), (1.0, "fr"), (8.1, "en"), (21.8, None), (95.0, "en")])
def test_trained_weights_at_every_length(
    tiny: Path, transcribe: Any, oracle: Any, clip: Samples, seconds: float, language: str | None
) -> None:
    samples = np.tile(clip, 14)[: round(seconds * SAMPLE_RATE)]
    assert transcribe(tiny, samples, language) == oracle(tiny, samples, language)
