"""The frame: the samples that a detector judges as a whole."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

FRAME = 512  # samples (32 ms): what Silero was trained on at 16 kHz

Frames: TypeAlias = NDArray[np.float32]
"""[n_frames, FRAME], consecutive frames of one stream."""

Probabilities: TypeAlias = NDArray[np.float32]
"""[n_frames], each in [0, 1]: how likely a frame is speech."""


def rms(frames: Frames) -> NDArray[np.float32]:
    """The level of each frame: [n_frames, FRAME] to [n_frames]."""
    power: NDArray[np.float32] = np.square(frames).mean(axis=1)
    return np.sqrt(power)
