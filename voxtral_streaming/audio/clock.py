"""The one clock inside the package: the integer count of samples at `SAMPLE_RATE` since the stream began.

Facts first, the rest derived with exact divisions. Seconds exist only at the edge.
"""

from __future__ import annotations


def exact_div(numerator: int, denominator: int) -> int:
    """An integer division that must come out even."""
    quotient, remainder = divmod(numerator, denominator)
    if remainder:
        raise ValueError(f"{numerator} is not a multiple of {denominator}")
    return quotient


SAMPLE_RATE = 16_000  # samples per second: what every model of this package is trained on
SAMPLES_PER_MS = exact_div(SAMPLE_RATE, 1000)


def seconds(n_samples: int) -> float:
    """Samples to seconds."""
    return n_samples / SAMPLE_RATE


def milliseconds(n_samples: int) -> int:
    """Samples to whole milliseconds that have passed."""
    return n_samples // SAMPLES_PER_MS


def samples_from_ms(duration_ms: int) -> int:
    """Milliseconds to samples."""
    return duration_ms * SAMPLES_PER_MS


def samples_from_seconds(value: float) -> int:
    """Seconds to the nearest sample."""
    return round(value * SAMPLE_RATE)
