"""Sounds of which no two moments are alike, and the proof that all of them were heard, once.

The accounting engine's finals name what it heard, range by range, with checksums. So every burst of sound that was
sent must lie within one final, and every range must have the checksum of the very samples that stand there.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from voxtral_streaming.audio.units import SAMPLE_RATE, Samples
from voxtral_streaming.client import Closed

FULL_SCALE = 32_768  # of 16-bit samples
BURST_S, SILENCE_S = (0.4, 2.5), (0.8, 1.6)  # at least, at most; the silence ends an utterance


@dataclass(frozen=True)
class Speech:
    """A loop of sound that is played over and over. `bursts`: first position, and the one after the last."""

    pcm: NDArray[np.int16]  # [n_samples] of one round
    bursts: tuple[tuple[int, int], ...]

    @cached_property
    def _twice(self) -> Samples:
        return (np.concatenate([self.pcm, self.pcm]) / FULL_SCALE).astype(np.float32)

    @classmethod
    def of(cls, seed: int, n_bursts: int) -> Speech:
        """Noise in bursts, with silence before, between and behind."""
        chance, parts, bursts, at = np.random.default_rng(seed), [], [], 0
        for _ in range(n_bursts):
            silence = np.zeros(round(chance.uniform(*SILENCE_S) * SAMPLE_RATE), np.int16)
            burst = chance.integers(-9830, 9830, round(chance.uniform(*BURST_S) * SAMPLE_RATE), np.int16)
            parts += [silence, burst]
            bursts.append((at + len(silence), at + len(silence) + len(burst)))
            at += len(silence) + len(burst)
        parts.append(np.zeros(SAMPLE_RATE, np.int16))
        return cls(np.concatenate(parts), tuple(bursts))

    def __len__(self) -> int:
        return len(self.pcm)

    def samples(self, start: int, n_samples: int) -> Samples:
        """What a decoder makes of the samples from any position on, at most a round of them."""
        start %= len(self)
        return self._twice[start : start + n_samples]

    def burst(self, number: int) -> tuple[int, int]:
        """The burst of that number, counted through all rounds."""
        n_rounds, index = divmod(number, len(self.bursts))
        start, end = self.bursts[index]
        return start + n_rounds * len(self), end + n_rounds * len(self)


@dataclass
class Audit:
    """Finals compared with what was sent, as they come. `faults`: what is wrong, in words."""

    speech: Speech
    faults: list[str] = field(default_factory=list)
    n_bursts: int = 0  # that were heard, in order
    heard_to: int = 0  # position after the last final

    def take(self, text: str) -> None:
        """The text of the next final."""
        start = at = int(text.partition("+")[0])
        if start < self.heard_to:
            self.faults.append(f"samples from {start} to {self.heard_to} were heard twice")
        for part in text.split():
            at = self._take_range(part, at)
        self.heard_to = max(self.heard_to, at)
        self._count_bursts(start, at)

    def finish(self, n_sent: int) -> None:
        """There is no more: every burst of what was sent must have been heard."""
        start, end = self.speech.burst(self.n_bursts)
        if end <= n_sent:
            self.faults.append(f"the burst from {start} to {end} was not heard")

    def check_counts(self, n_sent: int, closed: Closed | None) -> None:
        """Compare the server's own counts with what was sent."""
        if closed is None or (closed.received_samples, closed.consumed_samples, closed.dropped_samples) != (
            n_sent,
            n_sent,
            0,
        ):
            self.faults.append(f"{n_sent} samples were sent, and the server says {closed}")

    def _take_range(self, text: str, at: int) -> int:
        """One range of a final, which must begin `at`; the position after it."""
        place, _, checksum = text.partition(":")
        start, n_samples = map(int, place.split("+"))
        if start != at:
            self.faults.append(f"a range begins at {start}, not at {at}")
        if zlib.crc32(self.speech.samples(start, n_samples).tobytes()) != int(checksum, 16):
            self.faults.append(f"{n_samples} samples from {start} on are not those that were sent")
        return start + n_samples

    def _count_bursts(self, start: int, end: int) -> None:
        while (burst := self.speech.burst(self.n_bursts))[0] < end:
            if not start <= burst[0] < burst[1] <= end:
                self.faults.append(f"the burst from {burst[0]} to {burst[1]} is not whole in a final")
            self.n_bursts += 1
