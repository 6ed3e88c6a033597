"""What a detector says of a stream of samples. `at` is a sample position since the stream began."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, TypeAlias

from voxtral_streaming.audio.units import Samples


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    """An utterance begins; its first sample, pre-roll included, stands at `at`."""

    at: int


@dataclass(frozen=True, slots=True, eq=False)
class Speech:
    """The next samples of the utterance, the first of them at `at`; contiguous within it."""

    at: int
    samples: Samples


@dataclass(frozen=True, slots=True)
class Pause:
    """A lull: the speech so far seems to end at `at`. A hint to recognise all of it at once.

    Speech may resume with more `Speech`; the silence between is then part of it.
    """

    at: int


@dataclass(frozen=True, slots=True)
class SpeechStopped:
    """The lull lasted `vad.min_silence_duration_ms`: the speech stopped at `at`."""

    at: int


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The utterance is over; its last sample stands just before `at`."""

    at: int


Activity: TypeAlias = SpeechStarted | Speech | Pause | SpeechStopped | Endpoint


class Endpointer(Protocol):
    """Cuts a stream of samples into utterances.

    Pure: the same samples give the same activities, however they are cut into blocks (`Speech`
    may be cut differently, its samples are the same).
    """

    @property
    def position(self) -> int:
        """How many samples were fed."""

    def feed(self, samples: Samples) -> list[Activity]:
        """Take the next samples [n_samples]; answer what they brought."""

    def flush(self) -> list[Activity]:
        """End the open utterance here, if there is one (the client asked for it)."""
