from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bench.clips import Clip, choose
from bench.schedule import ROOM_RMS, TAIL_S, build
from bench.truth import SpokenWord, Truth
from voxtral_streaming.audio.units import SAMPLE_RATE


def _clip(name: str, value: float, duration: int) -> Clip:
    clip = Clip(Path(f"{name}.wav"), "en", f"reference of {name}")
    clip.__dict__["samples"] = np.full(duration * SAMPLE_RATE, value, dtype=np.float32)
    return clip


CLIPS = [_clip("one", 0.25, 1), _clip("two", 0.5, 2)]
TRUTHS = {clip: Truth(((1_600, 8_000),), (SpokenWord(clip.name, 1_600, 8_000),)) for clip in CLIPS}


def test_truth_moves_with_the_clips() -> None:
    schedule = build(CLIPS, TRUTHS, duration=20, seed=1)
    assert len(schedule.runs) == len(schedule.words) == len(schedule.said) >= 4
    for word, (start, end) in zip(schedule.words, schedule.runs, strict=True):
        expected = 0.25 if word.text == "one" else 0.5
        assert (schedule.samples[start:end] == expected).all()
        assert schedule.samples[start - 1_601] < 0.1


def test_it_is_full_and_ends_in_silence() -> None:
    schedule = build(CLIPS, TRUTHS, duration=20, seed=1)
    assert 20 + TAIL_S <= schedule.duration <= 27
    tail = schedule.samples[-int(TAIL_S * SAMPLE_RATE) :]
    assert np.sqrt(np.mean(tail**2)) == pytest.approx(ROOM_RMS, rel=0.05)
    assert schedule.speech == pytest.approx(0.4 * len(schedule.runs))


def test_the_seed_decides() -> None:
    first, same, other = (build(CLIPS, TRUTHS, duration=20, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(first.samples, same.samples)
    assert len(first.samples) != len(other.samples)


def test_each_clip_is_played_before_any_is_played_again() -> None:
    said = [text for _, text in build(CLIPS, TRUTHS, duration=30, seed=3).said]
    for start in range(0, len(said) - 1, 2):
        assert set(said[start : start + 2]) == {"reference of one", "reference of two"}


def test_one_clip_at_least() -> None:
    assert len(build(CLIPS, TRUTHS, duration=0, seed=1).said) == 1


def test_without_a_reference_what_is_heard_offline_stands_for_it() -> None:
    clip = Clip(Path("other.wav"))
    clip.__dict__["samples"] = CLIPS[0].samples
    truth = Truth(((0, 8_000),), (SpokenWord("Go", 0, 4_000), SpokenWord("on.", 4_000, 8_000)))
    assert build([clip], {clip: truth}, duration=0, seed=1).said == ((None, "Go on."),)


def test_clips_are_chosen_by_language_and_kind() -> None:
    clips = [*CLIPS, Clip(Path("x.wav"), "fr"), Clip(Path("y.wav"), "en", kind="noisy")]
    assert choose(clips, ["en"], ["real"]) == CLIPS
