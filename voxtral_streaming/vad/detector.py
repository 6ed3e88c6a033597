"""What tells speech from everything else, frame by frame."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from voxtral_streaming.config import VadConfig
from voxtral_streaming.vad.energy import EVEN_ODDS, EnergyDetector
from voxtral_streaming.vad.frames import Frames, Probabilities
from voxtral_streaming.vad.silero import SileroDetector

HYSTERESIS = 0.15  # how far below its onset speech is still speech; Silero's own figure
LEAST_RELEASE = 0.01  # a release of 0 would never come: no probability is negative


class SpeechDetector(Protocol):
    """Judges the frames of one stream, in order; it may remember what it heard.

    Pure: the same frames give the same probabilities, however many are given at once.
    """

    def probabilities(self, frames: Frames) -> Probabilities:
        """How likely each of the next frames [n_frames, FRAME] is speech."""


def open_detector(vad: VadConfig) -> SpeechDetector:
    """The detector that is configured, for one stream.

    Raises `WeightsError` if the network's file is missing or altered.
    """
    if vad.detector == "energy":
        return EnergyDetector(vad.threshold)
    return SileroDetector(vad.silence_floor)


def open_hysteresis(vad: VadConfig) -> Hysteresis:
    """What turns the detector's probabilities into speech and silence, for one stream."""
    return Hysteresis(EVEN_ODDS if vad.detector == "energy" else vad.speech_probability)


class Hysteresis:
    """Speech begins at probability `onset` and lasts until one falls `HYSTERESIS` below it."""

    def __init__(self, onset: float) -> None:
        self._onset = onset
        self._release = max(onset - HYSTERESIS, min(onset, LEAST_RELEASE))
        self._is_speech = False

    def judge(self, probabilities: list[float]) -> Iterator[bool]:
        """Whether each of the next frames is speech."""
        for probability in probabilities:
            self._is_speech = probability >= (self._release if self._is_speech else self._onset)
            yield self._is_speech
