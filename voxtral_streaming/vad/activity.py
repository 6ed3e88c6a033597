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
    """A lull: the utterance so far, `streaming.pause_ms` of silence included, ends at `at`.

    A hint to recognise all of it at once: no more of it comes unless speech resumes. Then `Speech` goes on
    where it ended, with the silence between.
    """

    at: int


@dataclass(frozen=True, slots=True)
class SpeechStopped:
    """The lull lasted `vad.min_silence_duration_ms`: the utterance, unless speech resumes, ends at `at`."""

    at: int


@dataclass(frozen=True, slots=True)
class SpeechResumed:
    """Speech had stopped and goes on; with its pre-roll it stands at `at`, behind silence that was emitted before."""

    at: int
    is_apart: bool  # after so much silence that it would be another utterance if anybody waited for its text


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The utterance is over; its last sample stands just before `at`.

    It comes without `SpeechStopped` where an utterance that grew too long is cut; the next one then starts
    at `at`, as soon as speech goes on.
    """

    at: int


Activity: TypeAlias = SpeechStarted | Speech | Pause | SpeechStopped | SpeechResumed | Endpoint


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
        """End the open utterance here, if there is one (the client asked for it).

        Speech that was too short so far to start an utterance makes one. An utterance that pauses ends at
        its `Pause`. Positions go on.
        """
