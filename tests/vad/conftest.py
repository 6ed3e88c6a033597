"""What the tests of the detector share: sounds drawn as text, and the activities that they give as text."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from voxtral_streaming.audio.units import SAMPLE_RATE, Samples
from voxtral_streaming.config import StreamingConfig, VadConfig
from voxtral_streaming.vad import open_endpointer
from voxtral_streaming.vad.activity import (
    Activity,
    Endpoint,
    Endpointer,
    Pause,
    Speech,
    SpeechResumed,
    SpeechStarted,
    SpeechStopped,
)
from voxtral_streaming.vad.frames import FRAME

THRESHOLD = 0.01
LEVELS = {".": 0.0, "-": 0.008, "o": 0.015, "#": 0.1}  # silence, what only prolongs speech, faint and clear speech
FORMANTS = [(730, 1090, 2440), (270, 2290, 3010), (300, 870, 2240), (530, 1840, 2480), (570, 840, 2410)]  # Hz
DURATIONS = {
    "min_voice_duration_ms": 128,
    "min_silence_duration_ms": 224,
    "pre_roll_ms": 64,
    "pause_ms": 96,
    "endpoint_silence_ms": 512,
    "recording_silence_ms": 1024,
}
NAMES = {SpeechStarted: "start", Pause: "pause", SpeechStopped: "stop", SpeechResumed: "resume", Endpoint: "end"}

Open = Callable[..., Endpointer]
Sound = Callable[[str], Samples]
Tell = Callable[[Iterable[Activity]], str]


@pytest.fixture(scope="session")
def sound() -> Sound:
    """Samples of a drawing, a frame a sign; signs at random, so that a sample out of place shows."""

    def draw(drawing: str) -> Samples:
        levels = np.repeat([LEVELS[sign] for sign in drawing], FRAME)
        signs = np.random.default_rng(0).choice([-1.0, 1.0], len(levels))
        samples: Samples = (levels * signs).astype(np.float32)
        return samples

    return draw


@pytest.fixture(scope="session")
def syllables() -> Callable[[int], Samples]:
    """So many syllables of nobody in particular: a breath of noise, then a vowel; always the same."""

    def speak(n_syllables: int) -> Samples:
        rng = np.random.default_rng(1)
        spoken = np.concatenate([_syllable(rng) for _ in range(n_syllables)])
        samples: Samples = (0.3 * spoken / np.abs(spoken).max()).astype(np.float32)
        return samples

    return speak


def _syllable(rng: np.random.Generator) -> NDArray[np.float64]:
    seconds = np.arange(0, rng.uniform(0.1, 0.2), 1 / SAMPLE_RATE)
    pitch = rng.uniform(100, 140)
    harmonics = pitch * np.arange(1, int(4000 / pitch))
    formants, widths = np.array(FORMANTS[rng.integers(len(FORMANTS))]), np.array([60, 90, 150])
    gains = (1 / (1 + ((harmonics[:, None] - formants) / widths) ** 2)).sum(axis=1) / np.sqrt(harmonics)
    phase = np.cumsum(1 + 0.03 * np.sin(2 * np.pi * 3 * seconds)) / SAMPLE_RATE
    vowel = gains @ np.sin(2 * np.pi * harmonics[:, None] * phase)
    fade = np.minimum(1, np.minimum(seconds, seconds[::-1]) / 0.03)
    return np.concatenate([rng.normal(size=SAMPLE_RATE // 20) * 0.01, vowel * fade, np.zeros(SAMPLE_RATE // 20)])


@pytest.fixture(scope="session")
def open_energy() -> Open:
    """An endpointer whose verdicts are known: 4 frames start, 3 pause, 7 stop, 16 end, 2 roll before.

    Of a recording 32 end, unless it is long.
    """

    def open_it(
        *, engine_limit_s: float = 28.0, detect_turns: bool = True, is_live: bool = True, **settings: float
    ) -> Endpointer:
        every = {**DURATIONS, "threshold": THRESHOLD, "detector": "energy", "max_utterance_s": 28.0, **settings}
        vad = {name: value for name, value in every.items() if name in VadConfig.model_fields}
        streaming = {name: value for name, value in every.items() if name in StreamingConfig.model_fields}
        assert len(vad) + len(streaming) == len(every)
        sections = VadConfig.model_validate(vad), StreamingConfig.model_validate(streaming)
        return open_endpointer(*sections, engine_limit_s, detect_turns=detect_turns, is_live=is_live)

    return open_it


@pytest.fixture(scope="session")
def open_silero() -> Open:
    """An endpointer as configured by default."""

    def open_it(*, engine_limit_s: float = 28.0) -> Endpointer:
        return open_endpointer(VadConfig(threshold=THRESHOLD), StreamingConfig(), engine_limit_s)

    return open_it


@pytest.fixture(scope="session")
def tell() -> Tell:
    """Activities as text, positions in frames: `start@0 0-7 pause@7 stop@7 end@7`."""
    return lambda activities: " ".join(_words(activities))


def _name(activity: Activity) -> str:
    return "apart" if isinstance(activity, SpeechResumed) and activity.is_apart else NAMES[type(activity)]


def _words(activities: Iterable[Activity]) -> Iterator[str]:
    for is_speech, group in groupby(activities, lambda activity: isinstance(activity, Speech)):
        found = list(group)
        if is_speech:
            speech = [activity for activity in found if isinstance(activity, Speech)]
            yield f"{_frames(speech[0].at)}-{_frames(speech[-1].at + len(speech[-1].samples))}"
        else:
            yield from (f"{_name(activity)}@{_frames(activity.at)}" for activity in found)


def _frames(position: int) -> str:
    return f"{position / FRAME:g}"


@pytest.fixture(scope="session")
def check_laws() -> Callable[[Sequence[Activity], Samples, float], None]:
    """Fails unless activities that end with a flush keep every law, given the samples and the limit in seconds."""
    return _check_laws


def _check_laws(activities: Sequence[Activity], samples: Samples, limit_s: float) -> None:
    start: int | None = None
    end = 0  # of what was emitted
    last: Activity | None = None
    for activity in activities:
        assert activity.at >= end if isinstance(activity, SpeechStarted) else activity.at == end
        if isinstance(activity, SpeechStarted):
            assert start is None
            start = end = activity.at
        elif isinstance(activity, Speech):
            assert start is not None
            assert len(activity.samples) > 0
            assert np.array_equal(activity.samples, samples[end : end + len(activity.samples)])
            end += len(activity.samples)
        elif isinstance(activity, Pause):
            assert start is not None
            assert isinstance(last, Speech)
        elif isinstance(activity, SpeechStopped):
            assert start is not None
            assert isinstance(last, Speech | Pause)
        elif isinstance(activity, SpeechResumed):
            assert start is not None
            assert isinstance(last, Speech | SpeechStopped)
        else:
            assert start is not None
            assert not isinstance(last, SpeechStarted)
            assert 0 < end - start <= limit_s * SAMPLE_RATE
            start = None
        last = activity
    assert start is None
    assert end <= len(samples)


@pytest.fixture(scope="session")
def recordings() -> Path:
    """The folder of the shared recordings."""
    folder = Path(__file__).parents[3] / "shared" / "speech"
    if not folder.is_dir():
        pytest.skip("the shared recordings are not here")
    return folder
