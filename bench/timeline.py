"""The picture of one utterance: what was spoken and what was shown, on one axis of time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import itemgetter

import numpy as np

from bench.latency import Placed
from bench.record import SpokenText, TimedText, Timeline
from bench.schedule import Schedule
from bench.screen import Utterance
from voxtral_streaming.audio.units import Samples, samples_from_ms, samples_from_seconds, seconds

COLUMN = samples_from_ms(20)
BEFORE_S, AFTER_S = 0.3, 1.5  # shown before the speech begins and after it ends
SHORTEST_S, LONGEST_S = 2.5, 9.0  # utterances that fit on a page


def typical(streams: Iterable[tuple[Sequence[Placed], Schedule]]) -> Timeline | None:
    """The utterance whose final came after the median time, among all that fit on a page."""
    fitting = [
        (one.utterance.states[-1][0] - one.place.ends, one.utterance, one.place.begins, one.place.ends, schedule)
        for found, schedule in streams
        for one in found
        if one.place and one.place.begins is not None and one.place.ends is not None
        if SHORTEST_S <= one.place.ends - one.place.begins <= LONGEST_S
    ]
    fitting.sort(key=itemgetter(0))
    return _draw(*fitting[len(fitting) // 2][1:]) if fitting else None


def _draw(utterance: Utterance, begins: float, ends: float, schedule: Schedule) -> Timeline:
    final_time = utterance.states[-1][0]
    start, stop = begins - BEFORE_S, max(ends, final_time) + AFTER_S
    first, last = samples_from_seconds(begins), samples_from_seconds(ends)

    def spoken(start: int, end: int, text: str = "") -> SpokenText:
        return SpokenText(start=seconds(start) - begins, end=seconds(end) - begins, text=text)

    return Timeline(
        envelope=_envelope(schedule.samples[max(0, samples_from_seconds(start)) : samples_from_seconds(stop)]),
        envelope_start=max(start, 0.0) - begins,
        speech=tuple(spoken(*run) for run in schedule.runs if first <= run[0] < last),
        words=tuple(spoken(word.start, word.end, word.text) for word in schedule.words if first <= word.start < last),
        partials=tuple(
            TimedText(time=screen.time - begins, stable=screen.stable, tentative=screen.tentative)
            for screen in utterance.screens
        ),
        stopped=None if utterance.stopped is None else utterance.stopped - begins,
        final=TimedText(time=final_time - begins, stable=utterance.text),
    )


def _envelope(samples: Samples) -> tuple[float, ...]:
    columns = samples[: len(samples) // COLUMN * COLUMN].reshape(-1, COLUMN)  # [n_columns, COLUMN]
    levels = np.sqrt((columns.astype(np.float64) ** 2).mean(axis=1))
    loudest = max(float(levels.max(initial=0.0)), 1e-9)
    return tuple(round(float(level) / loudest, 3) for level in levels)
