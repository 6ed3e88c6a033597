from __future__ import annotations

import numpy as np
import pytest

from voxtral_streaming.vad.energy import EnergyDetector
from voxtral_streaming.vad.frames import FRAME


def probability(level: float, threshold: float) -> float:
    frames = np.full((1, FRAME), level, np.float32)
    return float(EnergyDetector(threshold).probabilities(frames)[0])


def test_the_odds_are_even_at_the_threshold() -> None:
    assert probability(0.01, 0.01) == pytest.approx(0.5)


def test_louder_is_likelier() -> None:
    levels = [0.0, 0.001, 0.005, 0.01, 0.02, 0.5, 1.0]
    found = [probability(level, 0.01) for level in levels]
    assert found == sorted(found)
    assert found[0] < 1e-6
    assert found[-1] > 0.999


def test_2_7_decibels_below_the_threshold_speech_ends() -> None:
    assert probability(0.01 * 10 ** (-2.69 / 20), 0.01) == pytest.approx(0.35, abs=0.001)


def test_a_threshold_of_zero_calls_everything_speech() -> None:
    assert probability(0.0, 0.0) == 0.5
