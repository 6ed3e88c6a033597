"""When a child is given up. Pure: it is told the time, and what the child did."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Policy:
    """How long a child may take for what, and what follows when it ends."""

    start_s: float = 600.0  # for loading the model
    beat_s: float = 1.0  # between two signs of life
    silence_s: float = 10.0  # without one: it is stopped, or a thread of it keeps the interpreter to itself
    stall_s: float = 30.0  # asked for whole texts and answering nobody: it hangs, it is not slow
    max_bytes: int | None = None  # of resident memory
    delays_s: tuple[float, ...] = (0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0)  # before a new start, by failures in a row
    patience: int = 5  # failures in a row after which those who wait are told that there is no engine
    farewell_s: float = 5.0  # for ending when told to


class Watchdog:
    """Tells a hang from slow work: who answers somebody is slow, who answers nobody hangs.

    Partials are not waited for: the engine chooses their pace, and without new audio none comes.
    """

    def __init__(self, policy: Policy, now: float) -> None:
        self._policy = policy
        self._looked = now
        self._heard = now  # of the child, the last time
        self._progressed = now  # a question was answered, or the first of several was asked
        self._n_awaited = 0  # whole texts

    def hear(self, now: float) -> None:
        """The child sent something."""
        self._heard = now

    def ask(self, now: float) -> None:
        """It was asked for a whole text."""
        if not self._n_awaited:
            self._progressed = now
        self._n_awaited += 1

    def settle(self) -> None:
        """A whole text that it was asked for came, or is not wanted any more."""
        self._n_awaited -= 1

    def progress(self, now: float) -> None:
        """It answered somebody."""
        self._progressed = now

    def verdict(self, now: float, n_bytes: int | None) -> str | None:
        """Why the child is to be ended, if it is; `n_bytes` is its resident memory. To be asked every `beat_s`."""
        policy = self._policy
        if now - self._looked > policy.silence_s / 2:  # it is this process that was stopped
            self._heard = self._progressed = now
        self._looked = now
        if now - self._heard > policy.silence_s:
            return f"it gave no sign of life for {policy.silence_s:g} s"
        if self._n_awaited and now - self._progressed > policy.stall_s:
            return f"it was asked for {self._n_awaited} texts and answered nobody for {policy.stall_s:g} s"
        if policy.max_bytes is not None and n_bytes is not None and n_bytes > policy.max_bytes:
            return f"it took {n_bytes / 1e6:.0f} MB of memory, and may take {policy.max_bytes / 1e6:.0f}"
        return None
