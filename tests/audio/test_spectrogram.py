from __future__ import annotations

import numpy as np
import pytest

from voxtral_streaming.audio.spectrogram import FLOOR_DB, log_mel, mel_filters
from voxtral_streaming.audio.units import SAMPLE_RATE, Samples
from voxtral_streaming.config import SpectrogramConfig

CONFIG = SpectrogramConfig()


def tone(hertz: float, n_samples: int = SAMPLE_RATE) -> Samples:
    return np.sin(2 * np.pi * hertz * np.arange(n_samples) / SAMPLE_RATE).astype(np.float32)


def test_the_shape_follows_the_configuration() -> None:
    picture = log_mel(tone(440), CONFIG)
    assert picture.shape == (32, (SAMPLE_RATE - 256) // 80 + 1)
    assert picture.dtype == np.float32


@pytest.mark.parametrize("n_samples", [0, 255])
def test_less_than_a_window_gives_no_frames(n_samples: int) -> None:
    assert log_mel(np.zeros(n_samples, np.float32), CONFIG).shape == (32, 0)


def test_a_tone_lights_the_band_where_it_stands() -> None:
    filters = mel_filters(CONFIG.n_mels, CONFIG.n_fft)
    bins = np.fft.rfftfreq(CONFIG.n_fft, 1 / SAMPLE_RATE)
    for hertz in (500.0, 1_000.0, 3_000.0, 6_000.0):
        picture = log_mel(tone(hertz), CONFIG)
        band = int(picture.mean(axis=1).argmax())
        assert filters[band, np.abs(bins - hertz).argmin()] > 0
        assert picture[band].mean() == pytest.approx(0, abs=4)


def test_ten_times_less_is_twenty_decibels_down() -> None:
    loud, quiet = log_mel(tone(1_000), CONFIG), log_mel(tone(1_000) / np.float32(10), CONFIG)
    band = loud.mean(axis=1).argmax()
    np.testing.assert_allclose(loud[band] - quiet[band], 20, atol=0.01)


def test_silence_is_at_the_floor() -> None:
    assert (log_mel(np.zeros(SAMPLE_RATE, np.float32), CONFIG) == FLOOR_DB).all()


def test_a_frame_is_the_window_that_begins_at_its_hop() -> None:
    samples = np.random.default_rng(0).uniform(-1, 1, SAMPLE_RATE).astype(np.float32)
    picture = log_mel(samples, CONFIG)
    start = 7 * CONFIG.hop_length
    alone = log_mel(samples[start : start + CONFIG.win_length], CONFIG)
    np.testing.assert_allclose(picture[:, 7:8], alone, atol=1e-4)


def test_the_triangles_meet_at_their_centres() -> None:
    filters = mel_filters(8, 4096)
    inner = filters[:, (filters.argmax(axis=1)[0]) : (filters.argmax(axis=1)[-1])]
    np.testing.assert_allclose(inner.sum(axis=0), 1, atol=1e-9)
