from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.truth import SpokenWord, Truth, hold_to_speech, speech_runs
from voxtral_streaming.audio.units import SAMPLE_RATE, Samples, samples_from_seconds


def _tone(duration: float, rms: float = 0.1) -> Samples:
    time = np.arange(samples_from_seconds(duration)) / SAMPLE_RATE
    return np.asarray(rms * np.sqrt(2) * np.sin(2 * np.pi * 200 * time), dtype=np.float32)


def _noise(duration: float, rms: float = 0.001) -> Samples:
    return np.random.default_rng(0).normal(0, rms, samples_from_seconds(duration)).astype(np.float32)


def test_loud_parts_between_pauses_are_speech() -> None:
    runs = speech_runs(np.concatenate([_noise(0.5), _tone(1.0), _noise(0.4), _tone(0.5), _noise(0.6)]))
    assert runs == [(8_000, 24_000), (30_400, 38_400)]


@pytest.mark.parametrize("gain", [0.01, 1.0, 5.0])
def test_the_level_of_the_recording_does_not_matter(gain: float) -> None:
    clip = np.concatenate([_noise(0.5), _tone(1.0), _noise(0.5)]) * np.float32(gain)
    assert speech_runs(clip) == [(8_000, 24_000)]


def test_gaps_and_clicks_are_too_short() -> None:
    gap = np.concatenate([_noise(0.5), _tone(0.5), _noise(0.1), _tone(0.5), _noise(0.5)])
    assert speech_runs(gap) == [(8_000, 25_600)]
    click = np.concatenate([_noise(0.5), _tone(0.5), _noise(0.5), _tone(0.01), _noise(0.5)])
    assert speech_runs(click) == [(8_000, 16_000)]


@pytest.mark.parametrize("duration", [0.0, 0.005, 1.0])
def test_digital_silence_is_no_speech(duration: float) -> None:
    assert speech_runs(np.zeros(samples_from_seconds(duration), dtype=np.float32)) == []


RUNS = [(100, 200), (400, 500)]


def test_words_are_held_to_the_speech() -> None:
    words = [SpokenWord("go", 0, 120), SpokenWord("forward", 120, 180), SpokenWord("ten", 190, 450)]
    assert hold_to_speech(words, RUNS) == Truth(
        runs=((100, 200), (400, 500)),
        words=(SpokenWord("go", 100, 120), SpokenWord("forward", 120, 200), SpokenWord("ten", 400, 500)),
    )


def test_a_run_without_a_word_is_no_speech() -> None:
    assert hold_to_speech([SpokenWord("go", 110, 190)], RUNS).runs == ((100, 200),)
    assert hold_to_speech([], RUNS) == Truth((), ())
    assert hold_to_speech([SpokenWord("you", 0, 50)], []) == Truth((), ())


@given(st.lists(st.integers(0, 600), max_size=12).map(sorted))
def test_held_words_stay_in_order_and_inside_speech(edges: list[int]) -> None:
    words = [SpokenWord("w", start, end) for start, end in itertools.pairwise(edges)]
    held = hold_to_speech(words, RUNS).words
    assert len(held) == len(words)
    assert all(any(start <= word.start <= word.end <= end for start, end in RUNS) for word in held)
    assert all(one.start <= other.start for one, other in itertools.pairwise(held))


def test_real_clips_end_where_a_forced_aligner_says(shared_speech: Path) -> None:
    """Ends of the last words by an HMM aligner (pocketsphinx 5.1.1), in seconds."""
    from bench.clips import Clip

    aligned = {
        "en_ast_basic-pbx-ivr-main": 25.06,
        "en_ast_demo-echotest": 21.72,
        "en_tts_00": 4.68,
        "en_cards_005": 3.26,
    }
    for name, end in aligned.items():
        found = speech_runs(Clip(shared_speech / f"{name}.wav").samples)[-1][1] / SAMPLE_RATE
        assert found == pytest.approx(end, abs=0.13), name
