"""Raw PCM of any layout to `Samples`: a client's live audio, and what the decoder makes of a file."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from voxtral_streaming.audio.g711 import a_law_table, mu_law_table
from voxtral_streaming.audio.resample import Resampler
from voxtral_streaming.audio.units import Samples
from voxtral_streaming.errors import UnsupportedMedia

Encoding: TypeAlias = Literal["pcm_s16le", "pcm_s32le", "pcm_f16le", "pcm_f32le", "pcm_mulaw", "pcm_alaw"]
DTYPES: dict[Encoding, np.dtype[Any]] = {  # of linear samples
    "pcm_s16le": np.dtype("<i2"),
    "pcm_s32le": np.dtype("<i4"),
    "pcm_f16le": np.dtype("<f2"),
    "pcm_f32le": np.dtype("<f4"),
}
TABLES: dict[Encoding, NDArray[np.int16]] = {"pcm_mulaw": mu_law_table(), "pcm_alaw": a_law_table()}  # of codes
CODE = np.dtype("u1")
MAX_CHANNELS = 8


def mix(values: NDArray[Any]) -> tuple[Samples, int]:
    """Values [n_frames, n_channels] of any sample type to mono [n_frames], and how many were replaced.

    Integers are scaled by their full range. Of floats, NaN and infinity become 0 and the rest is clipped
    to [-1, 1]. Channels are averaged.
    """
    if values.dtype.kind == "f":
        scaled, n_replaced = _sanitize(values)
    else:
        scaled, n_replaced = _scale(values), 0
    return (scaled[:, 0] if scaled.shape[1] == 1 else scaled.mean(axis=1)), n_replaced


def _scale(values: NDArray[Any]) -> NDArray[np.float32]:
    full_scale = 2.0 ** (8 * values.dtype.itemsize - 1)
    middle = full_scale if values.dtype.kind == "u" else 0.0
    return ((values - middle) / full_scale).astype(np.float32)


def _sanitize(values: NDArray[Any]) -> tuple[NDArray[np.float32], int]:
    n_replaced = values.size - int(np.count_nonzero(np.abs(values) <= 1))  # NaN compares false
    if n_replaced:
        values = np.clip(np.where(np.isfinite(values), values, 0), -1, 1)
    return values.astype(np.float32, copy=False), n_replaced


class PcmDecoder:
    """Interleaved PCM bytes in, `Samples` out; any cutting of the bytes gives the same samples.

    Opened, fed, finished. `received_frames` counts the frames (one sample of every channel) that came in,
    `sanitized` the values that were replaced.
    """

    def __init__(self, encoding: Encoding, sample_rate: int, channels: int) -> None:
        if encoding not in DTYPES and encoding not in TABLES:
            names = ", ".join([*DTYPES, *TABLES])
            raise UnsupportedMedia(f"encoding {encoding!r} is not one of {names}", param="encoding")
        if not 1 <= channels <= MAX_CHANNELS:
            raise UnsupportedMedia(f"{channels} channels are not 1 to {MAX_CHANNELS}", param="channels")
        try:
            self._resampler = Resampler(sample_rate)
        except ValueError as error:
            raise UnsupportedMedia(str(error), param="sample_rate") from error
        self._table = TABLES.get(encoding)
        self._dtype = DTYPES.get(encoding, CODE)
        self._channels = channels
        self._carried = b""
        self.received_frames = 0
        self.sanitized = 0

    def feed(self, data: bytes) -> Samples:
        """Take the next bytes, cut anywhere, even inside a sample; give what is ready."""
        data = self._carried + data
        n_frames = len(data) // (self._dtype.itemsize * self._channels)
        whole = n_frames * self._dtype.itemsize * self._channels
        self._carried = data[whole:]
        values = np.frombuffer(data[:whole], self._dtype).reshape(n_frames, self._channels)
        mono, n_replaced = mix(values if self._table is None else self._table[values])
        self.received_frames += n_frames
        self.sanitized += n_replaced
        return self._resampler.feed(mono)

    def finish(self) -> Samples:
        """End the stream; give what the resampler held back. A frame that was cut short is dropped."""
        self._carried = b""
        return self._resampler.finish()
