"""Any rate to 16 kHz, as a stream."""

from __future__ import annotations

import numpy as np
import soxr

from voxtral_streaming.audio.units import SAMPLE_RATE, Samples

MIN_RATE = 4_000  # hertz; below it there is no speech, and 1 Hz makes 16 000 samples out of one
MAX_RATE = 768_000


class Resampler:
    """A stream at one rate in, the same at 16 kHz out; any cutting of the input gives the same output.

    Opened, fed, finished. The filter (soxr, linear phase, 20 bits) holds back 12 ms at 48 kHz and up to
    140 ms at odd rates until it is finished; at 16 kHz nothing is held back, the samples pass unchanged.
    """

    def __init__(self, rate: int) -> None:
        """Take audio at `rate` hertz; ValueError outside `MIN_RATE` to `MAX_RATE`."""
        if not MIN_RATE <= rate <= MAX_RATE:
            raise ValueError(f"a rate of {rate} Hz is outside {MIN_RATE} to {MAX_RATE} Hz")
        self.rate = rate
        self._filter = None if rate == SAMPLE_RATE else soxr.ResampleStream(rate, SAMPLE_RATE, 1, dtype="float32")

    def feed(self, samples: Samples) -> Samples:
        """Take the next samples [n_samples] at `rate`; give what is ready."""
        return samples if self._filter is None else self._resample(self._filter, samples)

    def finish(self) -> Samples:
        """End the stream; give what was held back."""
        rest = np.zeros(0, np.float32)
        return rest if self._filter is None else self._resample(self._filter, rest, last=True)

    @staticmethod
    def _resample(filter_: soxr.ResampleStream, samples: Samples, *, last: bool = False) -> Samples:
        resampled: Samples = filter_.resample_chunk(samples, last=last)
        return np.clip(resampled, -1, 1)  # a filter overshoots at edges
