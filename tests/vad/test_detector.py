from __future__ import annotations

import pytest

from voxtral_streaming.config import VadConfig
from voxtral_streaming.vad.detector import Hysteresis, open_detector, open_hysteresis
from voxtral_streaming.vad.energy import EnergyDetector
from voxtral_streaming.vad.silero import SileroDetector


def test_the_configuration_names_the_detector() -> None:
    assert isinstance(open_detector(VadConfig(threshold=0.01)), SileroDetector)
    assert isinstance(open_detector(VadConfig(threshold=0.01, detector="energy")), EnergyDetector)


def test_speech_begins_at_the_onset_and_ends_below_the_release() -> None:
    probabilities = [0.4, 0.49, 0.5, 0.4, 0.35, 0.34, 0.4, 0.5]
    assert list(Hysteresis(0.5).judge(probabilities)) == [False, False, True, True, True, False, False, True]


def test_what_was_is_remembered() -> None:
    hysteresis = Hysteresis(0.5)
    assert list(hysteresis.judge([0.6])) == [True]
    assert list(hysteresis.judge([0.4])) == [True]


@pytest.mark.parametrize("onset", [0.001, 0.1, 0.15])
def test_speech_ends_however_low_the_onset(onset: float) -> None:
    assert list(Hysteresis(onset).judge([onset, 0.0])) == [True, False]


def test_the_energy_detector_has_an_onset_of_its_own() -> None:
    hysteresis = open_hysteresis(VadConfig(threshold=0.01, detector="energy", speech_probability=0.9))
    assert list(hysteresis.judge([0.5])) == [True]
