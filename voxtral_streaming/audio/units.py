"""The units of audio inside the package: samples, and the clock that counts them."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from voxtral_streaming.audio.clock import (
    SAMPLE_RATE,
    SAMPLES_PER_MS,
    exact_div,
    milliseconds,
    samples_from_ms,
    samples_from_seconds,
    seconds,
)

__all__ = [
    "SAMPLES_PER_MS",
    "SAMPLE_RATE",
    "Samples",
    "exact_div",
    "milliseconds",
    "samples_from_ms",
    "samples_from_seconds",
    "seconds",
]

Samples: TypeAlias = NDArray[np.float32]
"""[n_samples], mono, `SAMPLE_RATE`, in [-1, 1]."""
