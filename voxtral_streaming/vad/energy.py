"""The detector that knows only the level: for tiny machines in quiet rooms."""

from __future__ import annotations

import numpy as np

from voxtral_streaming.vad.frames import Frames, Probabilities, rms

EVEN_ODDS = 0.5  # the probability at the threshold
FAINT = np.float32(1e-12)  # a power (-120 dBFS) beside which none is zero


class EnergyDetector:
    """Judges a frame by its RMS: the odds of speech are the square of its ratio to `threshold`.

    At the threshold they are even, 2.7 dB below it the probability is 0.35.
    """

    def __init__(self, threshold: float) -> None:
        self._power = np.float32(threshold) ** 2 + FAINT

    def probabilities(self, frames: Frames) -> Probabilities:
        """How likely each of the next frames [n_frames, FRAME] is speech."""
        power = np.square(rms(frames)) + FAINT
        probabilities: Probabilities = power / (power + self._power)
        return probabilities
