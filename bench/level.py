"""One number of streams: play them all at once and measure."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import attrgetter

from bench.client import StreamLog, play
from bench.cost import metering
from bench.dialects import Dialect
from bench.latency import Measures, Placed, measure, place
from bench.record import Cost, Counts, Distribution, Latencies, Level, Slow
from bench.schedule import Schedule
from bench.screen import Utterance, utterances
from bench.target import Target
from bench.timeline import typical
from bench.words import WordErrors, compare, normalise

CONNECT_S = 1.0  # time to connect before the first sample
SLOWEST = 8  # late utterances that are named
STAGGER_S = 3.0  # the streams begin within so long


@dataclass(frozen=True, slots=True)
class Limits:
    """What a server must keep to hold a number of streams."""

    commit_p95: float = 1.0
    gap: float = 2.0

    def broken(self, latencies: Latencies) -> tuple[str, ...]:
        """The limits that were not kept, in words."""
        commit, gap = latencies.commit.percentile(95), latencies.gap.largest
        found = []
        if commit is None or commit > self.commit_p95:
            found.append(f"commit p95 {_seconds(commit)}, more than {self.commit_p95:g} s")
        if gap is None or gap > self.gap:
            found.append(f"{_seconds(gap)} without a partial, more than {self.gap:g} s")
        return tuple(found)


def _seconds(value: float | None) -> str:
    return "never" if value is None else f"{value:.2f} s"


async def run(
    target: Target, dialect: Callable[[], Dialect], schedules: Sequence[Schedule], block_ms: int, limits: Limits
) -> Level:
    """Play every schedule as a stream of its own, all together; streams begin one after the other."""
    logs, cost = await _play_all(target, dialect, schedules, block_ms)
    seen = [utterances(log.observations) for log in logs]
    placed = [place(*pair) for pair in zip(seen, schedules, strict=True)]
    measures = sum(map(measure, placed), Measures())
    latencies = _latencies(measures)
    failures = tuple(log.failure for log in logs if log.failure)
    errors = sum((_word_errors(*pair) for pair in zip(seen, schedules, strict=True)), WordErrors())
    return Level(
        streams=len(schedules),
        latencies=latencies,
        counts=_counts(measures, errors),
        cost=cost,
        failures=failures,
        broken_limits=(*failures, *limits.broken(latencies)),
        timeline=typical(zip(placed, schedules, strict=True)),
        slowest=_slowest(placed),
    )


async def _play_all(
    target: Target, dialect: Callable[[], Dialect], schedules: Sequence[Schedule], block_ms: int
) -> tuple[list[StreamLog], Cost]:
    async with metering(target.pid) as meter:
        first = asyncio.get_running_loop().time() + CONNECT_S
        starts = (first + index * STAGGER_S / len(schedules) for index in range(len(schedules)))
        plays = (
            play(target.url, dialect(), schedule, block_ms, start, key=target.key)
            for schedule, start in zip(schedules, starts, strict=True)
        )
        logs = await asyncio.gather(*plays)
        lateness = [late for log in logs for late in log.lateness]
        audio, speech = (sum(getattr(schedule, name) for schedule in schedules) for name in ("duration", "speech"))
        return logs, meter.cost(audio, speech, lateness)


def _slowest(placed: Sequence[Sequence[Placed]]) -> tuple[Slow, ...]:
    slow = [
        Slow(
            stream=stream,
            commit=one.utterance.states[-1][0] - one.place.ends,
            begins=one.place.begins,
            ends=one.place.ends,
            text=one.utterance.text,
        )
        for stream, found in enumerate(placed)
        for one in found
        if one.place and one.place.ends is not None
    ]
    return tuple(sorted(slow, key=attrgetter("commit"), reverse=True)[:SLOWEST])


def _latencies(measures: Measures) -> Latencies:
    return Latencies(**{name: Distribution.of(getattr(measures, name)) for name in Latencies.model_fields})


def _counts(measures: Measures, errors: WordErrors) -> Counts:
    return Counts(
        utterances=measures.utterances,
        cut=measures.cut,
        nowhere=measures.nowhere,
        misplaced=measures.misplaced,
        stable_words=measures.stable_words,
        broken_words=measures.broken_words,
        reference_words=errors.reference,
        substituted=errors.substituted,
        missing=errors.missing,
        inserted=errors.inserted,
        doubled=errors.doubled,
    )


def _word_errors(seen: Sequence[Utterance], schedule: Schedule) -> WordErrors:
    """Finals of the whole stream against all that is said in it; the language of its first clip normalises."""
    language = schedule.said[0][0]
    reference = " ".join(text for _, text in schedule.said)
    heard = " ".join(utterance.text for utterance in seen)
    return compare(normalise(reference, language), normalise(heard, language))
