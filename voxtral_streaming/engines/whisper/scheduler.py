"""Which work an engine thread does next. Pure: no threads, no clock, no model.

Whole utterances go first, oldest first, and no worker is too busy for them: between two steps of its work it does what
ranks higher, if no other worker is free for that. So under load partials become rarer while finals stay on time. Of
partials, that goes first whose stream has waited longest, whenever it was asked for. The few that have waited too long
wait no longer for those who seem to be silent; where they are many, the machine cannot carry all that is asked of it,
and partials are what it drops. A job's samples are taken when it is run and not when it is asked for: it hears the
newest.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from operator import ne
from typing import Generic, Protocol, TypeVar

from voxtral_streaming.audio.units import samples_from_seconds

PARTIAL_SHARE = 0.5  # of the time of all workers that partials may have
RAREST = samples_from_seconds(1.2)  # new samples after which a stream asks for a partial, on any machine
FIRST_SHARE = 0.4  # of the new samples between two partials: after so many a stream without a text asks for one
TOO_LONG = samples_from_seconds(2.0)  # for a stream to wait for one
FEW = 2  # streams that have waited too long: of more, none goes before a whole text


class Kind(IntEnum):
    """What a job is for; a smaller value goes first."""

    FINISH = 0  # an endpoint waits for it
    FLUSH = 1  # the speech seems to be over
    PARTIAL = 2  # the utterance goes on
    RECORDED = 3  # of a recording, or of audio that comes faster than it is spoken: nobody speaks now


class Job(Protocol):
    """What the scheduler knows of a job."""

    kind: Kind

    @property
    def waited(self) -> int:
        """Samples that its stream was fed since it last had a hypothesis."""


JobT = TypeVar("JobT", bound=Job)


def rank(job: Job) -> Kind:
    """The kind that a job ranks as once it is run: a partial that has waited too long is as urgent as the next one."""
    return Kind.FLUSH if job.kind is Kind.PARTIAL and job.waited >= TOO_LONG else job.kind


class Scheduler(Generic[JobT]):
    """The jobs that wait, in the order of asking."""

    def __init__(self) -> None:
        self._jobs: list[JobT] = []

    def add(self, job: JobT) -> None:
        """Let a job wait for its turn."""
        self._jobs.append(job)

    def drop(self, is_given_up: Callable[[JobT], bool]) -> None:
        """Forget the jobs that nobody waits for any more."""
        self._jobs = [job for job in self._jobs if not is_given_up(job)]

    def take(
        self, most: Callable[[JobT], int], fits: Callable[[JobT, JobT], bool], before: int = len(Kind)
    ) -> list[JobT]:
        """The next jobs to run together: the first in rank, then those that fit beside it, `most(first)` in all.

        Neither partials nor recordings keep company with a whole text, which would wait for them. Only kinds that
        rank before `before` count.
        """
        asked = [(kind, job) for kind, job in zip(self._ranks(), self._jobs, strict=True) if kind < before]
        ranked = [job for _, job in sorted(asked, key=_turn)]  # stable: then the order of asking
        batch = [
            job for n, job in enumerate(ranked) if n == 0 or (_ranks_with(ranked[0], job) and fits(ranked[0], job))
        ]
        batch = batch[: most(batch[0])] if batch else []
        chosen = {id(job) for job in batch}
        self._jobs = [job for job in self._jobs if id(job) not in chosen]
        return batch

    def _ranks(self) -> list[Kind]:
        """What the jobs rank as while they wait: those that have waited too long go first only if they are few."""
        kinds, ranks = [job.kind for job in self._jobs], [rank(job) for job in self._jobs]
        return ranks if sum(map(ne, kinds, ranks)) <= FEW else kinds


def _turn(ranked: tuple[Kind, Job]) -> tuple[Kind, int]:
    kind, job = ranked
    return kind, -job.waited if kind is Kind.PARTIAL else 0


def _ranks_with(first: Job, other: Job) -> bool:
    return first.kind == other.kind or max(first.kind, other.kind) < Kind.PARTIAL


def partial_interval(shortest: int, n_streams: int, cost_s: float, n_workers: int, *, is_first: bool = False) -> int:
    """New samples between two partials of a stream, so that partials take their share of the workers' time and no more.

    `shortest` is the interval of an idle machine in samples, `cost_s` what a partial costs a worker in seconds. Where
    even `RAREST` is too often, the queue makes them rarer still, alike for all. The first text of an utterance is asked
    for sooner: it is what a reader waits for.
    """
    interval = min(RAREST, samples_from_seconds(n_streams * cost_s / (PARTIAL_SHARE * n_workers)))
    return max(shortest, round(FIRST_SHARE * interval) if is_first else interval)
