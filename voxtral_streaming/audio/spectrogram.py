"""The cheap picture of sound for people. It never feeds a model: models have their own, fixed front end."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from voxtral_streaming.audio.units import SAMPLE_RATE, Samples
from voxtral_streaming.config import SpectrogramConfig

FLOOR_DB = -100.0
LINEAR_HZ_PER_MEL = 200 / 3  # the mel scale of Slaney's Auditory Toolbox (1998): linear up to 1000 Hz, …
LINEAR_TOP_HZ = 1000.0
LINEAR_TOP_MEL = LINEAR_TOP_HZ / LINEAR_HZ_PER_MEL
LOG_STEP = np.log(6.4) / 27  # … then 27 steps for a factor of 6.4


def log_mel(samples: Samples, config: SpectrogramConfig) -> NDArray[np.float32]:
    """Levels of samples [n_samples] in mel bands [n_mels, n_frames], in dB, at least `FLOOR_DB`.

    A full-scale sine at the centre of a band reads about 0 dB. Frame i is the window whose first sample is
    i * hop_length; what does not fill a last window is left out. Bands narrower than the transform's
    resolution (many bands of a short transform) stay at the floor.
    """
    power = _power(samples, config)  # [n_frames, n_bins]
    bands = power @ mel_filters(config.n_mels, config.n_fft).T  # [n_frames, n_mels]
    decibels = 10 * np.log10(np.maximum(bands, 10 ** (FLOOR_DB / 10)))
    return np.ascontiguousarray(decibels.T, dtype=np.float32)


def _power(samples: Samples, config: SpectrogramConfig) -> NDArray[np.float64]:
    """The power of each bin [n_frames, n_fft // 2 + 1]; 1 where a full-scale sine stands."""
    if len(samples) < config.win_length:
        return np.zeros((0, config.n_fft // 2 + 1))
    window = np.hanning(config.win_length + 1)[:-1]  # periodic
    frames = sliding_window_view(samples, config.win_length)[:: config.hop_length]  # [n_frames, win_length]
    spectrum = np.fft.rfft(frames * window, config.n_fft)
    power: NDArray[np.float64] = np.square(np.abs(spectrum) * (2 / window.sum()))
    return power


@lru_cache(maxsize=8)
def mel_filters(n_mels: int, n_fft: int) -> NDArray[np.float64]:
    """Triangles [n_mels, n_fft // 2 + 1] of height 1, evenly spaced in mel from 0 Hz to the highest bin."""
    bins = np.fft.rfftfreq(n_fft, 1 / SAMPLE_RATE)  # [n_bins], hertz
    edges = _mel_to_hz(np.linspace(0, _hz_to_mel(SAMPLE_RATE / 2), n_mels + 2))  # [n_mels + 2], hertz
    low, centre, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    rising, falling = (bins - low) / (centre - low), (high - bins) / (high - centre)
    filters: NDArray[np.float64] = np.maximum(0, np.minimum(rising, falling))
    return filters


def _hz_to_mel(hz: float) -> float:
    if hz < LINEAR_TOP_HZ:
        return hz / LINEAR_HZ_PER_MEL
    return float(LINEAR_TOP_MEL + np.log(hz / LINEAR_TOP_HZ) / LOG_STEP)


def _mel_to_hz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    logarithmic = LINEAR_TOP_HZ * np.exp(LOG_STEP * (np.maximum(mel, LINEAR_TOP_MEL) - LINEAR_TOP_MEL))
    return np.where(mel < LINEAR_TOP_MEL, mel * LINEAR_HZ_PER_MEL, logarithmic)
