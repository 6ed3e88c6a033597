"""What the clients of a soak saw, and what the server took meanwhile."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from voxtral_streaming.audio.units import SAMPLE_RATE

MAX_NOTES = 50  # of each kind that are kept in words


@dataclass
class Tally:
    """Counts over all clients. `lost`: samples that were not heard as they were sent, in words."""

    sessions: Counter[str] = field(default_factory=Counter)  # by how they ended: `closed`, or the code of an error
    uploads: Counter[str] = field(default_factory=Counter)  # by the code of the answer
    faults: Counter[str] = field(default_factory=Counter)  # that were caused, by name
    surprises: list[str] = field(default_factory=list)  # answers to faults that ought not to be
    lost: list[str] = field(default_factory=list)
    n_lost: int = 0
    n_finals: int = 0
    n_samples: int = 0  # that were sent live, and accounted for
    longest: int = 0  # samples of the longest session

    @property
    def hours(self) -> float:
        """Of audio that was sent live."""
        return self.n_samples / SAMPLE_RATE / 3600

    @property
    def availability(self) -> float:
        """The share of the sessions that ended in order."""
        return self.sessions["closed"] / max(1, self.sessions.total())

    def lose(self, what: list[str]) -> None:
        """Note what an audit found."""
        self.n_lost += len(what)
        self.lost += what[: MAX_NOTES - len(self.lost)]

    def wonder(self, what: str) -> None:
        """Note an answer that ought not to be."""
        if len(self.surprises) < MAX_NOTES:
            self.surprises.append(what)


@dataclass(frozen=True, slots=True)
class Reading:
    """What the server took at one moment; `rss_mb` without and `tree_mb` with its children, in megabytes."""

    at_s: float
    rss_mb: float
    tree_mb: float
    n_descriptors: int
    n_threads: int
    hours: float  # of audio that went through it so far
