"""Samples as the bytes that are sent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxtral_streaming.audio.pcm import CODE, DTYPES, Encoding

FULL_SCALE = 32_768  # of 16-bit samples


@dataclass(frozen=True, slots=True)
class Source:
    """The audio that is sent."""

    encoding: Encoding
    sample_rate: int
    channels: int
    is_live: bool

    @property
    def frame_bytes(self) -> int:
        """A sample of every channel."""
        return DTYPES.get(self.encoding, CODE).itemsize * self.channels


def encode(samples: NDArray[Any], encoding: Encoding, channels: int = 1) -> bytes:
    """Samples [n_frames] or [n_frames, n_channels] as interleaved linear PCM: floats in [-1, 1], or 16-bit integers.

    NaN and infinity become 0, and what is outside [-1, 1] is clipped.
    """
    if encoding not in DTYPES:
        raise ValueError(f"samples are encoded as {', '.join(DTYPES)}; send {encoding} as bytes")
    if samples.ndim > 1 and samples.shape[1:] != (channels,):
        raise ValueError(f"samples of the shape {samples.shape} are not [n_frames, {channels}]")
    if samples.dtype == np.int16:
        samples = samples / FULL_SCALE
    elif samples.dtype.kind != "f":
        raise TypeError(f"samples are floats or 16-bit integers, not {samples.dtype}")
    samples = np.clip(np.where(np.isfinite(samples), samples, 0), -1, 1)
    dtype = DTYPES[encoding]
    if dtype.kind == "i":
        full_scale = 2.0 ** (8 * dtype.itemsize - 1)
        samples = np.minimum(np.round(samples.astype(np.float64) * full_scale), full_scale - 1)
    return samples.astype(dtype).tobytes()
