"""What one stream plays: clips one after the other, pauses between them, and what is true of the whole."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bench.clips import Clip
from bench.truth import Run, SpokenWord, Truth
from voxtral_streaming.audio.units import Samples, samples_from_seconds, seconds

LEAD_IN_S = (0.5, 1.5)
PAUSE_S = (1.0, 2.5)
TAIL_S = 2.0  # silence at the end, longer than any endpoint
ROOM_RMS = 0.001  # -60 dBFS of white noise in the pauses: a quiet room, no digital silence


@dataclass(frozen=True)
class Schedule:
    """A stream's audio with its truth, in samples since the stream began."""

    samples: Samples  # [n_samples]
    runs: tuple[Run, ...]
    words: tuple[SpokenWord, ...]
    said: tuple[tuple[str | None, str], ...]  # (language, reference) of each clip, in order

    @property
    def duration(self) -> float:
        """Seconds of audio."""
        return seconds(len(self.samples))

    @property
    def speech(self) -> float:
        """Seconds of speech."""
        return seconds(sum(end - start for start, end in self.runs))


def build(clips: Sequence[Clip], truths: Mapping[Clip, Truth], duration: float, seed: int) -> Schedule:
    """Play the clips in an order of the seed, over and over, until `duration` seconds are full; one at least."""
    chance = random.Random(seed)
    pieces: list[Samples] = [_room(chance.uniform(*LEAD_IN_S), seed)]
    played: list[tuple[int, Clip]] = []
    position = len(pieces[0])
    order: list[Clip] = []
    while not played or seconds(position) < duration:
        order = order or chance.sample(list(clips), len(clips))
        clip, pause = order.pop(), _room(chance.uniform(*PAUSE_S), chance.randrange(2**32))
        played.append((position, clip))
        pieces += [clip.samples, pause]
        position += len(clip.samples) + len(pause)
    pieces.append(_room(TAIL_S, seed))
    return _with_truth(np.concatenate(pieces), played, truths)


def _room(duration: float, seed: int) -> Samples:
    noise = np.random.default_rng(seed).standard_normal(samples_from_seconds(duration), dtype=np.float32)
    return np.asarray(noise * np.float32(ROOM_RMS))


def _with_truth(samples: Samples, played: Sequence[tuple[int, Clip]], truths: Mapping[Clip, Truth]) -> Schedule:
    runs = tuple((at + start, at + end) for at, clip in played for start, end in truths[clip].runs)
    words = tuple(
        SpokenWord(word.text, at + word.start, at + word.end) for at, clip in played for word in truths[clip].words
    )
    said = tuple((clip.language, clip.reference or _heard(truths[clip])) for _, clip in played)
    return Schedule(samples, runs, words, said)


def _heard(truth: Truth) -> str:
    return " ".join(word.text for word in truth.words)
