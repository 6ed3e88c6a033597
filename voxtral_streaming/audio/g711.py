"""The companding of the telephone, ITU-T G.711: 8 bits a sample, finer where it is quiet."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MU_BIAS = 0x84  # added before the segment is found, so that every segment starts at a power of two
A_INVERSION = 0x55  # every other bit is inverted on the line


def mu_law_table() -> NDArray[np.int16]:
    """The 16-bit sample of every µ-law code [256]."""
    codes = ~np.arange(256, dtype=np.uint8)
    segment, step = (codes >> 4) & 7, (codes & 15).astype(np.int32)
    magnitude = (((step << 3) + MU_BIAS) << segment) - MU_BIAS
    return np.where(codes & 0x80, -magnitude, magnitude).astype(np.int16)


def a_law_table() -> NDArray[np.int16]:
    """The 16-bit sample of every A-law code [256]; the lowest two segments have the same step."""
    codes = np.arange(256, dtype=np.uint8) ^ A_INVERSION
    segment, step = ((codes >> 4) & 7).astype(np.int32), (codes & 15).astype(np.int32)
    middle = (step << 4) + 8  # of the interval that a code stands for
    magnitude = np.where(segment == 0, middle, (middle + 0x100) << np.maximum(segment - 1, 0))
    return np.where(codes & 0x80, magnitude, -magnitude).astype(np.int16)
