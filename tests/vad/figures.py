"""Prints the figures of docs/detector.md: `python tests/vad/figures.py FOLDER`, a folder of WAV files of speech.

Only files of 16 kHz, one channel and 16 bits are taken, none with `__` in its name (these are noisy copies), and
of each the first 19 seconds.
"""

from __future__ import annotations

import sys
import time
import wave
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from voxtral_streaming.audio.units import SAMPLE_RATE, SAMPLES_PER_MS, Samples
from voxtral_streaming.config import StreamingConfig, VadConfig
from voxtral_streaming.vad import open_endpointer
from voxtral_streaming.vad.activity import Endpoint, Speech, SpeechStarted
from voxtral_streaming.vad.frames import FRAME
from voxtral_streaming.vad.silero import SileroDetector

LONGEST_S = 19  # no longer, so that no utterance is cut at the limit
AROUND = np.zeros(24_320, np.float32)  # 1.52 s of silence before and after each clip
NOISE = np.random.default_rng(7)

Noise = Callable[[int], NDArray[np.float64]]


def main(folder: Path) -> None:
    clips = [np.concatenate([AROUND, clip, AROUND]) for clip in read(folder)]
    for line in (*agreement(clips), "", *costs(np.resize(np.concatenate(clips), 60 * SAMPLE_RATE))):
        sys.stdout.write(f"{line}\n")


def read(folder: Path) -> Iterator[Samples]:
    for path in sorted(folder.glob("*.wav")):
        if "__" in path.name or path.name.startswith("ns_"):
            continue
        with wave.open(str(path)) as file:
            if (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (SAMPLE_RATE, 1, 2):
                data = file.readframes(LONGEST_S * SAMPLE_RATE)
                yield np.frombuffer(data, "<i2").astype(np.float32) / np.float32(32768)


def white(n_samples: int) -> NDArray[np.float64]:
    return NOISE.normal(size=n_samples)


def brown(n_samples: int) -> NDArray[np.float64]:
    spectrum = np.fft.rfft(NOISE.normal(size=n_samples))
    frequencies = np.fft.rfftfreq(n_samples, 1 / SAMPLE_RATE)
    shaped: NDArray[np.float64] = np.fft.irfft(spectrum / np.maximum(frequencies, 20), n_samples)
    return shaped


def chords(n_samples: int) -> NDArray[np.float64]:
    seconds = np.arange(n_samples) / SAMPLE_RATE
    roots = np.array([220.0, 174.6, 261.6, 196.0])[seconds.astype(int) % 4]
    partials = [np.sin(2 * np.pi * roots * ratio * h * seconds) / h for ratio in (1, 1.25, 1.5) for h in (1, 2, 3)]
    tones: NDArray[np.float64] = np.sum(partials, axis=0) * np.exp(-2 * (seconds % 1))
    return tones


def quieter(decibels: float) -> Callable[[Samples], Samples]:
    """As a microphone with 16 bits would hear it from further away."""
    return lambda clip: (np.round(clip * 10 ** (-decibels / 20) * 32768) / 32768).astype(np.float32)


def noisy(noise: Noise, snr_decibels: float) -> Callable[[Samples], Samples]:
    """With noise from the first sample to the last, so many decibels below the speech."""

    def add(clip: Samples) -> Samples:
        added = noise(len(clip))
        speech = clip[len(AROUND) : -len(AROUND)]
        gain = rms(speech) / rms(added) * 10 ** (-snr_decibels / 20)
        return np.clip(clip + gain * added, -1, 1).astype(np.float32)

    return add


def rms(samples: NDArray[np.floating]) -> float:
    return float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))


CONDITIONS: dict[str, Callable[[Samples], Samples]] = {
    "clean": quieter(0),
    "20 dB quieter": quieter(20),
    "30 dB quieter": quieter(30),
    "40 dB quieter": quieter(40),
    "white 10 dB": noisy(white, 10),
    "white 5 dB": noisy(white, 5),
    "white 0 dB": noisy(white, 0),
    "brown 5 dB": noisy(brown, 5),
    "chords 5 dB": noisy(chords, 5),
}


def agreement(clips: list[Samples]) -> Iterator[str]:
    truths = [Heard(clip, "silero") for clip in clips]
    yield f"{len(clips)} clips, {sum(map(len, clips)) / SAMPLE_RATE:.0f} s; against silero on the clean clips:"
    yield "| | detector | starts off, ms | ends off, ms | speech missed | silence taken for speech |"
    yield "|---|---|---|---|---|---|"
    for condition, change in CONDITIONS.items():
        changed = [change(clip) for clip in clips]
        for detector in ("silero", "energy"):
            yield f"| {condition} | {detector} | {compare(truths, [Heard(clip, detector) for clip in changed])} |"


class Heard:
    """What an endpointer emitted of a clip: where it first started, where it ended, and all between."""

    def __init__(self, clip: Samples, detector: str) -> None:
        vad = VadConfig.model_validate({"threshold": 0.01, "detector": detector})
        endpointer = open_endpointer(vad, StreamingConfig(max_utterance_s=28.0), 28.0)
        activities = [*endpointer.feed(clip), *endpointer.flush()]
        self.start = next((activity.at for activity in activities if isinstance(activity, SpeechStarted)), None)
        self.end = max((activity.at for activity in activities if isinstance(activity, Endpoint)), default=None)
        self.is_emitted = np.zeros(len(clip), bool)
        for activity in activities:
            if isinstance(activity, Speech):
                self.is_emitted[activity.at : activity.at + len(activity.samples)] = True


def compare(truths: list[Heard], found: list[Heard]) -> str:
    starts = [abs(a.start - b.start) for a, b in zip(truths, found, strict=True) if a.start and b.start is not None]
    ends = [abs(a.end - b.end) for a, b in zip(truths, found, strict=True) if a.end and b.end is not None]
    truth, emitted = (np.concatenate([heard.is_emitted for heard in side]) for side in (truths, found))
    missed, taken = np.mean(~emitted[truth]), np.mean(emitted[~truth])
    return f"{spread(starts)} | {spread(ends)} | {missed:.1%} | {taken:.1%}"


def spread(distances: list[int]) -> str:
    return " / ".join(f"{np.percentile(distances, q) / SAMPLES_PER_MS:.0f}" for q in (50, 90)) if distances else "none"


def costs(minute: Samples) -> Iterator[str]:
    frames = minute.reshape(-1, FRAME)[:1856]
    yield "| frames in one call | silero, CPU ms per frame |"
    yield "|---|---|"
    for n in (1, 2, 4, 8, 16, 32, 1856):
        yield f"| {n} | {best(partial(judge, frames, n)) / len(frames):.4f} |"
    yield ""
    yield "| samples in a block | silero, CPU ms per second of audio | energy |"
    yield "|---|---|---|"
    for length in (320, 1600, 16_000, 960_000):
        silero, energy = (best(partial(listen, minute, length, name)) / 60 for name in ("silero", "energy"))
        yield f"| {length} | {silero:.2f} | {energy:.2f} |"


def judge(frames: NDArray[np.float32], n: int) -> None:
    detector = SileroDetector(0.0)
    for start in range(0, len(frames), n):
        detector.probabilities(frames[start : start + n])


def listen(samples: Samples, length: int, detector: str) -> None:
    vad = VadConfig.model_validate({"threshold": 0.01, "detector": detector})
    endpointer = open_endpointer(vad, StreamingConfig(), 14.0)
    for start in range(0, len(samples), length):
        endpointer.feed(samples[start : start + length])


def best(work: Callable[[], None]) -> float:
    """CPU milliseconds of the quickest of five runs."""
    taken = []
    for _ in range(5):
        start = time.process_time()
        work()
        taken.append(1000 * (time.process_time() - start))
    return min(taken)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
