"""What a dialect translates to: what a reader of captions sees."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias


@dataclass(frozen=True, slots=True)
class SessionOptions:
    """What is asked of every session of a run."""

    language: str | None = None
    model: str = ""


@dataclass(frozen=True, slots=True)
class Shown:
    """The text of an unfinished utterance on screen, heard up to sample `at` (16 kHz) where the server says so."""

    utterance: str
    stable: str
    tentative: str
    at: int | None = None


@dataclass(frozen=True, slots=True)
class Stopped:
    """The server noticed that the speech of an utterance stopped."""

    utterance: str


@dataclass(frozen=True, slots=True)
class Committed:
    """The final text of an utterance, and the samples (16 kHz) that it covers where the server says so."""

    utterance: str
    text: str
    span: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    """The server reported an error."""

    message: str


@dataclass(frozen=True, slots=True)
class Closed:
    """The server has said all that it had to say."""


Observation: TypeAlias = Shown | Stopped | Committed | Failed | Closed


class Dialect(Protocol):
    """One session with a server, seen from the client."""

    @property
    def sample_rate(self) -> int:
        """Rate of the pcm_s16le that `audio` takes."""

    @property
    def says_goodbye(self) -> bool:
        """Whether the server answers `closing` with everything that is left and `Closed`."""

    def opening(self) -> Sequence[str]:
        """What is sent before any audio."""

    def audio(self, pcm: bytes) -> str | bytes:
        """The frame that carries a block of audio."""

    def closing(self) -> Sequence[str]:
        """What is sent when there is no more audio."""

    def read(self, frame: str | bytes) -> Sequence[Observation]:
        """What a frame of the server shows."""
