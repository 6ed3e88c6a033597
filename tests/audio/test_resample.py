from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxtral_streaming.audio.resample import MAX_RATE, MIN_RATE, Resampler
from voxtral_streaming.audio.units import SAMPLE_RATE, Samples


def resampled(rate: int, pieces: list[Samples]) -> Samples:
    resampler = Resampler(rate)
    return np.concatenate([*(resampler.feed(piece) for piece in pieces), resampler.finish()])


@settings(max_examples=100, deadline=None)
@given(
    rate=st.one_of(st.integers(MIN_RATE, MAX_RATE), st.sampled_from([8_000, 44_100, 48_000])),
    milliseconds=st.integers(100, 1_000),
    places=st.lists(st.floats(0, 1), max_size=10),
)
def test_any_rate_keeps_the_length_and_any_cut_gives_the_same(
    rate: int, milliseconds: int, places: list[float]
) -> None:
    n_samples = rate * milliseconds // 1000
    samples = np.random.default_rng(rate).uniform(-1, 1, n_samples).astype(np.float32)
    pieces = np.split(samples, sorted(int(place * n_samples) for place in places))
    whole = resampled(rate, [samples])
    assert len(whole) == pytest.approx(n_samples * SAMPLE_RATE / rate, rel=0.01)
    np.testing.assert_array_equal(resampled(rate, pieces), whole)


@pytest.mark.parametrize("rate", [4_000, 8_000, 22_050, 44_100, 48_000, 192_000])
def test_a_tone_keeps_its_pitch_its_level_and_its_time(rate: int) -> None:
    hertz = 440
    samples = (0.5 * np.sin(2 * np.pi * hertz * np.arange(rate) / rate)).astype(np.float32)
    truth = 0.5 * np.sin(2 * np.pi * hertz * np.arange(SAMPLE_RATE) / SAMPLE_RATE)
    inner = slice(1_600, -1_600)  # away from the edges of the tone
    np.testing.assert_allclose(resampled(rate, [samples])[inner], truth[inner], atol=1e-3)


def test_16_khz_passes_unchanged_and_at_once() -> None:
    samples = np.random.default_rng(0).uniform(-1, 1, 1000).astype(np.float32)
    np.testing.assert_array_equal(Resampler(SAMPLE_RATE).feed(samples), samples)


def test_the_output_stays_in_range() -> None:
    square = np.sign(np.sin(2 * np.pi * 500 * np.arange(48_000) / 48_000)).astype(np.float32)
    assert np.abs(resampled(48_000, [square])).max() <= 1


@pytest.mark.parametrize("rate", [1, MIN_RATE - 1, MAX_RATE + 1, -16_000])
def test_a_rate_that_no_recording_has_is_refused(rate: int) -> None:
    with pytest.raises(ValueError, match="rate"):
        Resampler(rate)
