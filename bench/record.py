"""The record of a run: everything that was measured and on what, as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Machine(_Entry):
    """What the run ran on."""

    cpu: str
    cores: int
    memory_gb: float
    system: str
    python: str
    packages: dict[str, str]
    commit: str | None  # "+changes" behind it: the working tree differed


class Distribution(_Entry):
    """Values in seconds, ascending."""

    values: tuple[float, ...] = ()

    @classmethod
    def of(cls, values: Sequence[float]) -> Distribution:
        """Sort and round to milliseconds."""
        return cls(values=tuple(round(value, 3) for value in sorted(values)))

    def percentile(self, percent: float) -> float | None:
        """Linear between neighbours; `None` of nothing."""
        return float(np.percentile(self.values, percent)) if self.values else None

    @property
    def largest(self) -> float | None:
        """The largest value."""
        return self.values[-1] if self.values else None


class Latencies(_Entry):
    """Seconds; see docs/performance.md for what each is counted from."""

    first_partial: Distribution
    word: Distribution
    text: Distribution
    commit: Distribution
    gap: Distribution
    lag: Distribution


class Counts(_Entry):
    """Utterances and words over all streams."""

    utterances: int
    cut: int  # ended inside speech: their end of speech cannot be timed
    nowhere: int  # text where nobody spoke
    misplaced: int  # words left out of the latency: on screen before they were spoken
    stable_words: int
    broken_words: int
    reference_words: int
    substituted: int
    missing: int
    inserted: int
    doubled: int

    @property
    def word_error_rate(self) -> float:
        """Errors per reference word."""
        errors = self.substituted + self.missing + self.inserted
        return errors / self.reference_words if self.reference_words else 0.0


class Cost(_Entry):
    """What the run took. CPU in seconds; `None` where the server's processes cannot be seen."""

    audio_s: float
    speech_s: float
    wall_s: float
    server_cpu_s: float | None
    server_peak_mb: float | None
    server_end_mb: float | None
    client_cpu_s: float
    other_cpu_s: float | None  # of everything else on the machine meanwhile
    send_late_p99_s: float
    send_late_max_s: float

    @property
    def cpu_per_speech_second(self) -> float | None:
        """Server CPU seconds for each second of speech."""
        return None if self.server_cpu_s is None else self.server_cpu_s / self.speech_s

    @property
    def other_cores(self) -> float | None:
        """How many cores everything else on the machine kept busy."""
        return None if self.other_cpu_s is None else self.other_cpu_s / self.wall_s

    @property
    def cpu_per_audio_second(self) -> float | None:
        """Server CPU seconds for each second of audio."""
        return None if self.server_cpu_s is None else self.server_cpu_s / self.audio_s


class TimedText(_Entry):
    """A text that appeared at `time`."""

    time: float
    stable: str
    tentative: str = ""


class SpokenText(_Entry):
    """Something spoken from `start` to `end`."""

    start: float
    end: float
    text: str = ""


class Timeline(_Entry):
    """One utterance from its first sound to its final; seconds since its speech began."""

    envelope: tuple[float, ...]  # level of 20 ms each, 0 to 1, from `envelope_start` on
    envelope_start: float
    speech: tuple[SpokenText, ...]
    words: tuple[SpokenText, ...]
    partials: tuple[TimedText, ...]
    stopped: float | None
    final: TimedText


class Slow(_Entry):
    """An utterance whose final came late."""

    stream: int
    commit: float  # seconds behind the last sound
    begins: float | None  # of its speech in the stream, seconds
    ends: float
    text: str


class Level(_Entry):
    """One number of streams."""

    streams: int
    latencies: Latencies
    counts: Counts
    cost: Cost
    failures: tuple[str, ...]
    broken_limits: tuple[str, ...]
    timeline: Timeline | None
    slowest: tuple[Slow, ...] = ()  # the latest final first


class Settings(_Entry):
    """How the run was made."""

    label: str
    command: str
    dialect: str
    engine: str
    model: str
    language: str | None
    clips: tuple[str, ...]
    seconds: float
    block_ms: int
    seed: int
    commit_p95: float  # limits in seconds
    gap: float


class Record(_Entry):
    """A whole run."""

    started: str  # ISO 8601, UTC
    machine: Machine
    settings: Settings
    levels: tuple[Level, ...]

    def write(self, path: Path) -> None:
        """Write as JSON."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.model_dump_json(indent=1), encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> Record:
        """Read what `write` wrote; raises pydantic's `ValidationError`."""
        return cls.model_validate_json(path.read_text(encoding="utf-8"))
