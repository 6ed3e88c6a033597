"""The detector on real recordings, where they are at hand, and on speech that is made here."""

from __future__ import annotations

import wave
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import pytest

from voxtral_streaming.audio.units import SAMPLE_RATE, SAMPLES_PER_MS, Samples
from voxtral_streaming.vad.activity import (
    Activity,
    Endpoint,
    Endpointer,
    Speech,
    SpeechStarted,
    SpeechStopped,
)
from voxtral_streaming.vad.frames import FRAME, rms

Open = Callable[..., Endpointer]
Tell = Callable[[Iterable[Activity]], str]
Check = Callable[[Sequence[Activity], Samples, float], None]

SPOKEN = ["en_alsa_Front_Center", "en_cards_001", "en_cards_005", "en_librivox_0870", "en_librivox_0890",
          "en_librivox_0930", "en_ps_goforward", "en_syn_counting", "en_tts_00", "en_ast_vm-options",
          "en_two_cities", "fr_ast_vm-options", "es_syn_conteo", "ja_syn_pangrama", "pl_syn_pangrama"]  # fmt: skip
UNSPOKEN = ["ns_clicks", "ns_hum50", "ns_music_chords", "ns_silence10", "ns_white_-30dBFS"]
NOISES = ["white10dB", "white5dB", "white0dB", "brown5dB", "babble5dB"]


def load(folder: Path, name: str) -> Samples:
    with wave.open(str(folder / f"{name}.wav")) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (SAMPLE_RATE, 1, 2)
        samples: Samples = np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.float32) / np.float32(
            32768
        )
        return samples


def listen(endpointer: Endpointer, samples: Samples, length: int | None = None) -> list[Activity]:
    """What the samples bring, fed in blocks of `length` or at once."""
    pieces = [samples[start : start + length] for start in range(0, len(samples), length)] if length else [samples]
    return [*(activity for piece in pieces for activity in endpointer.feed(piece)), *endpointer.flush()]


def positions(activities: Iterable[Activity], kind: type[SpeechStarted | Endpoint]) -> list[int]:
    return [activity.at for activity in activities if isinstance(activity, kind)]


@pytest.mark.parametrize("name", SPOKEN)
def test_utterances_cover_the_words(name: str, recordings: Path, open_silero: Open, check_laws: Check) -> None:
    samples = load(recordings, name)
    activities = listen(open_silero(), samples)
    check_laws(activities, samples, 28.0)
    energy = np.square(samples, dtype=np.float64)
    kept = sum(
        float(np.square(activity.samples, dtype=np.float64).sum())
        for activity in activities
        if isinstance(activity, Speech)
    )
    assert kept / energy.sum() > 0.995


@pytest.mark.parametrize("name", UNSPOKEN)
def test_nothing_spoken_starts_nothing(name: str, recordings: Path, open_silero: Open) -> None:
    assert listen(open_silero(), load(recordings, name)) == []


@pytest.mark.parametrize("noise", NOISES)
def test_noise_moves_starts_and_ends_little(noise: str, recordings: Path, open_silero: Open) -> None:
    clean, noisy = (load(recordings, name) for name in ("en_librivox_0870", f"en_librivox_0870__{noise}"))
    expected, heard = listen(open_silero(), clean), listen(open_silero(), noisy)
    for kind in (SpeechStarted, Endpoint):
        moved = np.subtract(positions(heard, kind), positions(expected, kind))
        assert np.abs(moved).max() <= 200 * SAMPLES_PER_MS


@pytest.mark.parametrize("length", [160, 1024, 16_001])
def test_blocks_change_nothing(length: int, recordings: Path, open_silero: Open, tell: Tell) -> None:
    samples = load(recordings, "en_ast_vm-options")
    assert tell(listen(open_silero(), samples, length)) == tell(listen(open_silero(), samples))


@pytest.mark.parametrize("limit_s", [5.0, 6.0, 8.0, 10.0])
def test_long_speech_is_cut_where_it_is_quiet(
    limit_s: float, recordings: Path, open_silero: Open, check_laws: Check
) -> None:
    clips = ["en_two_cities", "en_ast_priv-callee-options", "en_ast_basic-pbx-ivr-main", "en_ast_demo-echotest"]
    samples = np.concatenate([load(recordings, name) for name in clips])
    activities = listen(open_silero(engine_limit_s=limit_s), samples)
    check_laws(activities, samples, limit_s)
    is_cut = [not isinstance(before, SpeechStopped) for before in [None, *activities[:-1]]]
    cuts = [at.at for at, cut in zip(activities, is_cut, strict=True) if cut and isinstance(at, Endpoint)]
    assert len(cuts) >= 5
    assert np.mean([level_db(samples, cut) < speech_level_db(samples) - 10 for cut in cuts]) > 0.75


def level_db(samples: Samples, position: int) -> float:
    """The level of the 96 ms around a position."""
    around = samples[position - 3 * FRAME // 2 : position + 3 * FRAME // 2].reshape(-1, FRAME)
    return float(20 * np.log10(rms(around).mean() + 1e-6))


def speech_level_db(samples: Samples) -> float:
    """The level of what is clearly speech."""
    levels = rms(samples[: len(samples) // FRAME * FRAME].reshape(-1, FRAME))
    return float(20 * np.log10(np.percentile(levels, 75)))


def test_made_speech_is_heard_and_cut(
    syllables: Callable[[int], Samples], open_silero: Open, check_laws: Check
) -> None:
    pause = np.zeros(SAMPLE_RATE, np.float32)
    samples = np.concatenate([pause, syllables(10), pause, syllables(20), pause])
    activities = listen(open_silero(engine_limit_s=3.0), samples)
    check_laws(activities, samples, 3.0)
    assert len(positions(activities, Endpoint)) >= 3
