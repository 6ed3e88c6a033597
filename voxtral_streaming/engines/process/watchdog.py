"""When a child is given up. Pure: it is told the time, and what the child did."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Policy:
    """How long a child may take for what, and what follows when it ends."""

    start_s: float = 600.0  # for loading the model
    beat_s: float = 1.0  # between two signs of life
    silence_s: float = 10.0  # without one: it is stopped, or a thread of it keeps the interpreter to itself
    stall_s: float = 30.0  # asked for whole texts, answering nobody and doing nothing
    slow_s: float = 300.0  # the same, while it computes
    max_bytes: int | None = None  # of resident memory
    delays_s: tuple[float, ...] = (0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0)  # before a new start, by failures in a row
    patience: int = 5  # failures in a row after which those who wait are told that there is no engine
    farewell_s: float = 5.0  # for ending when told to


IDLE = 0.1  # of a core: who uses less does not compute


@dataclass(frozen=True, slots=True)
class Vitals:
    """How a process is doing."""

    cpu_s: float  # of processor time since it began
    n_bytes: int  # of resident memory


class Watchdog:
    """Tells a hang from slow work: who answers somebody is slow, and who computes may be.

    Partials are not waited for: the engine chooses their pace, and without new audio none comes.
    """

    def __init__(self, policy: Policy, now: float) -> None:
        self._policy = policy
        self._looked = now
        self._heard = now  # of the child, the last time
        self._progressed = now  # a question was answered, or the first of several was asked
        self._n_awaited = 0  # whole texts
        self._cpu_s: float | None = None  # when it was looked at first since it progressed

    def hear(self, now: float) -> None:
        """The child sent something."""
        self._heard = now

    def ask(self, now: float) -> None:
        """It was asked for a whole text."""
        if not self._n_awaited:
            self.progress(now)
        self._n_awaited += 1

    def settle(self) -> None:
        """A whole text that it was asked for came, or is not wanted any more."""
        self._n_awaited -= 1

    def progress(self, now: float) -> None:
        """It answered somebody."""
        self._progressed, self._cpu_s = now, None

    def verdict(self, now: float, vitals: Vitals | None) -> str | None:
        """Why the child is to be ended, if it is; to be asked every `beat_s`."""
        policy = self._policy
        if now - self._looked > policy.silence_s / 2:  # it is this process that was stopped
            self.hear(now)
            self.progress(now)
        self._looked = now
        patience_s = policy.slow_s if self._computes(now, vitals) else policy.stall_s
        if now - self._heard > policy.silence_s:
            return f"it gave no sign of life for {policy.silence_s:g} s"
        if self._n_awaited and now - self._progressed > patience_s:
            return f"it was asked for {self._n_awaited} texts and answered nobody for {patience_s:g} s"
        if policy.max_bytes is not None and vitals is not None and vitals.n_bytes > policy.max_bytes:
            return f"it took {vitals.n_bytes / 1e6:.0f} MB of memory, and may take {policy.max_bytes / 1e6:.0f}"
        return None

    def _computes(self, now: float, vitals: Vitals | None) -> bool:
        """Whether it has used the processor since it answered somebody."""
        if vitals is None:
            return False
        if self._cpu_s is None:
            self._cpu_s = vitals.cpu_s
        return vitals.cpu_s - self._cpu_s > IDLE * (now - self._progressed)
