"""How loud samples are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from voxtral_streaming.audio.units import Samples

FLOOR_DBFS = -120.0  # what is called silence; below the noise of 16 bits (-98 dBFS)


@dataclass(frozen=True, slots=True)
class Level:
    """Levels in decibels relative to full scale (a sample of 1.0), at least `FLOOR_DBFS`."""

    rms_dbfs: float
    peak_dbfs: float


def level(samples: Samples) -> Level:
    """The level of samples [n_samples]; a full-scale sine has an RMS of -3 dBFS. No samples: the floor."""
    if not len(samples):
        return Level(FLOOR_DBFS, FLOOR_DBFS)
    rms = float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))
    return Level(to_dbfs(rms), to_dbfs(float(np.abs(samples).max())))


def to_dbfs(amplitude: float) -> float:
    """An amplitude, 1.0 at full scale, in decibels."""
    return max(20.0 * float(np.log10(max(amplitude, 1e-30))), FLOOR_DBFS)
