"""The network itself, on sounds that are made here."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxtral_streaming.audio.units import SAMPLE_RATE, Samples
from voxtral_streaming.errors import WeightsError
from voxtral_streaming.vad.frames import FRAME, Probabilities
from voxtral_streaming.vad.silero import QUIET, SileroDetector, find, network, read

FLOOR = 0.0005


def judge(samples: Samples, floor: float = FLOOR, cuts: list[int] | None = None) -> Probabilities:
    """The probabilities of the samples' frames, given at once or cut after these frames."""
    detector = SileroDetector(floor)
    frames = samples[: len(samples) // FRAME * FRAME].reshape(-1, FRAME)
    return np.concatenate([detector.probabilities(part) for part in np.split(frames, cuts or [])])


def silence(n_frames: int) -> Samples:
    return np.zeros(n_frames * FRAME, np.float32)


def test_syllables_are_speech_and_silence_is_not(syllables: Callable[[int], Samples]) -> None:
    speech = syllables(8)
    assert np.mean(judge(speech) >= 0.5) > 0.7
    assert judge(silence(100)).max() < 0.1


def test_the_level_of_speech_matters_little(syllables: Callable[[int], Samples]) -> None:
    loud = judge(syllables(8)) >= 0.5
    quiet = judge(syllables(8) * np.float32(0.1)) >= 0.5
    assert np.mean(loud == quiet) > 0.8


@given(cuts=st.lists(st.integers(0, 200), max_size=12).map(sorted))
@settings(max_examples=25, deadline=None)
def test_cutting_changes_not_a_bit(syllables: Callable[[int], Samples], cuts: list[int]) -> None:
    samples = np.concatenate([syllables(6), silence(QUIET + 20), syllables(5)])
    assert np.array_equal(judge(samples, cuts=cuts), judge(samples))


def test_streams_do_not_hear_each_other(syllables: Callable[[int], Samples]) -> None:
    frames = syllables(8)[: 40 * FRAME].reshape(-1, FRAME)
    alone = SileroDetector(FLOOR).probabilities(frames)
    one, other = SileroDetector(FLOOR), SileroDetector(FLOOR)
    beside = []
    for frame in frames:
        beside.append(one.probabilities(frame[None])[0])
        other.probabilities(frame[None, ::-1])
    assert np.array_equal(alone, beside)


def test_short_quiet_is_asked_and_long_quiet_is_not() -> None:
    probabilities = judge(silence(QUIET + 10))
    assert (probabilities[:QUIET] > 0).all()
    assert (probabilities[QUIET:] == 0).all()


def test_a_floor_of_zero_always_asks() -> None:
    assert (judge(silence(QUIET + 10), floor=0.0) > 0).all()


def test_minutes_of_noise_make_no_onset_late(syllables: Callable[[int], Samples]) -> None:
    speech = syllables(8)
    noise = np.random.default_rng(0).normal(scale=0.01, size=120 * SAMPLE_RATE).astype(np.float32)
    noisy = noise[: len(speech)] + speech
    late = np.argmax(judge(np.concatenate([noise, noisy]))[len(noise) // FRAME :] >= 0.5)
    assert late <= np.argmax(judge(noisy) >= 0.5) + 2


def test_one_network_serves_all() -> None:
    assert network() is network()


def test_its_package_is_not_imported() -> None:
    program = (
        "import sys; from voxtral_streaming.vad.silero import SileroDetector; SileroDetector(0.0);"
        "assert 'faster_whisper' not in sys.modules"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True)


def test_a_missing_package_is_named() -> None:
    with pytest.raises(WeightsError, match="no_such_package"):
        find("no_such_package")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"silero\.onnx cannot be read"):
        read(tmp_path / "silero.onnx")


def test_an_altered_file_is_refused(tmp_path: Path) -> None:
    altered = tmp_path / "silero.onnx"
    altered.write_bytes(read(find())[:-1] + b"!")
    with pytest.raises(WeightsError, match="is not the file"):
        read(altered)
