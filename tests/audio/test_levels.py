from __future__ import annotations

import numpy as np
import pytest

from voxtral_streaming.audio.levels import FLOOR_DBFS, level


def test_a_full_scale_sine_peaks_at_zero_and_has_an_rms_of_minus_three() -> None:
    loud = level(np.sin(2 * np.pi * 100 * np.arange(16_000) / 16_000).astype(np.float32))
    assert loud.peak_dbfs == pytest.approx(0, abs=0.01)
    assert loud.rms_dbfs == pytest.approx(-3.01, abs=0.01)


def test_a_hundredth_is_forty_decibels_down() -> None:
    assert level(np.full(100, -0.01, np.float32)).rms_dbfs == pytest.approx(-40, abs=0.01)


@pytest.mark.parametrize("n_samples", [0, 100])
def test_silence_and_nothing_are_at_the_floor(n_samples: int) -> None:
    quiet = level(np.zeros(n_samples, np.float32))
    assert quiet.rms_dbfs == quiet.peak_dbfs == FLOOR_DBFS
