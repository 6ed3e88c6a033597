"""The pictures of numbers: what changes with the streams, and how latencies are distributed."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.record import Latencies, Level, Record
from bench.report.svg import Scale, element, line, path, picture, text, ticks

WIDTH, HEIGHT = 360.0, 230.0
LEFT, RIGHT, TOP, BOTTOM = 40.0, 30.0, 12.0, 34.0


@dataclass(frozen=True, slots=True)
class Curve:
    """What a chart draws of every level; `high` is the second, dashed curve above it, with its name."""

    title: str
    unit: str
    value: Callable[[Level], float | None]
    name: str = ""
    high: Callable[[Level], float | None] | None = None
    high_name: str = ""


@dataclass(frozen=True, slots=True)
class Kind:
    """A latency: its name in the record, on the page, and the colour it keeps."""

    key: str
    title: str
    colour: str

    def percentile(self, percent: float) -> Callable[[Level], float | None]:
        """Reads a percentile of this latency from a level."""
        return lambda level: getattr(level.latencies, self.key).percentile(percent)


KINDS = (
    Kind("first_partial", "First text", "a"),
    Kind("word", "A word for good", "b"),
    Kind("text", "Whole text", "c"),
    Kind("commit", "Committed", "d"),
)

CURVES = (
    *(Curve(kind.title, "s", kind.percentile(50), "p50", kind.percentile(95), "p95") for kind in KINDS),
    Curve("Server CPU", "CPU s per second of speech", lambda level: level.cost.cpu_per_speech_second),
    Curve("Server memory, peak", "MB", lambda level: level.cost.server_peak_mb),
)


def streams_chart(curve: Curve, records: Sequence[Record], limit: float | None = None) -> str:
    """One quantity against the number of streams, a colour for each record."""
    levels = sorted({level.streams for record in records for level in record.levels})
    highest = max((value for record in records for value in _values(curve, record)), default=0.0)
    marks = ticks(max(highest, limit or 0.0))
    x = Scale(math.log2(levels[0]), math.log2(max(levels[-1], levels[0] + 1)), LEFT, WIDTH - RIGHT)
    y = Scale(0.0, marks[-1], HEIGHT - BOTTOM, TOP)
    parts = [*_rows(marks, y), *_columns(levels, x)]
    if limit is not None:
        parts.append(line(LEFT, y(limit), WIDTH - RIGHT, y(limit), class_="limit"))
    for index, record in enumerate(records):
        parts += _curves(curve, record, x, y, f"series-{index % 4}", named=len(records) == 1)
    return picture(WIDTH, HEIGHT, f"{curve.title} against the number of streams", parts)


def _values(curve: Curve, record: Record) -> list[float]:
    reads = [curve.value] if curve.high is None else [curve.value, curve.high]
    return [value for level in record.levels for read in reads if (value := read(level)) is not None]


def _rows(marks: Sequence[float], y: Scale) -> list[str]:
    lines = [line(LEFT, y(mark), WIDTH - RIGHT, y(mark), class_="grid" if mark else "base") for mark in marks]
    return lines + [text(LEFT - 7, y(mark) + 4, f"{mark:g}", class_="tick", text_anchor="end") for mark in marks]


def _columns(levels: Sequence[int], x: Scale) -> list[str]:
    below = HEIGHT - BOTTOM + 16
    return [text(x(math.log2(level)), below, str(level), class_="tick", text_anchor="middle") for level in levels]


def _curves(curve: Curve, record: Record, x: Scale, y: Scale, colour: str, *, named: bool) -> list[str]:
    parts = []
    for read, name, style, beside in (
        (curve.high, curve.high_name, "high", 1),
        (curve.value, curve.name, "middle", 11),
    ):
        if read is None:
            continue
        known = [(level, value) for level in record.levels if (value := read(level)) is not None]
        points = [(x(math.log2(level.streams)), y(value)) for level, value in known]
        if not points:
            continue
        parts.append(path(points, class_=f"curve {style} {colour}"))
        parts += [_dot(point, level, colour) for point, (level, _) in zip(points, known, strict=True)]
        if named:
            parts.append(text(points[-1][0] + 7, points[-1][1] + beside, name, class_=colour))
    return parts


def _dot(point: tuple[float, float], level: Level, colour: str) -> str:
    kept = "broken" if level.broken_limits else "kept"
    return element("circle", cx=point[0], cy=point[1], r=2.6, class_=f"dot {kept} {colour}")


def distribution_chart(latencies: Latencies) -> str:
    """For each latency, the share of cases in which it was at most so long."""
    tails = [value for kind in KINDS if (value := getattr(latencies, kind.key).percentile(99)) is not None]
    marks = ticks(max(tails, default=1.0))
    x = Scale(0.0, marks[-1], LEFT, WIDTH - RIGHT)
    y = Scale(0.0, 1.0, HEIGHT - BOTTOM, TOP)
    parts = [line(LEFT, y(share), WIDTH - RIGHT, y(share), class_="grid" if share else "base") for share in QUARTERS]
    parts += [text(LEFT - 7, y(share) + 4, f"{share:.0%}", class_="tick", text_anchor="end") for share in QUARTERS]
    parts += [text(x(mark), y(0) + 16, f"{mark:g}", class_="tick", text_anchor="middle") for mark in marks]
    for kind in KINDS:
        values = getattr(latencies, kind.key).values
        if values:
            parts.append(path(_steps(values, x, y), class_=f"curve middle kind-{kind.colour}"))
    return picture(WIDTH, HEIGHT, "Distribution of the latencies", parts)


QUARTERS = (0.0, 0.25, 0.5, 0.75, 0.9, 1.0)


def _steps(values: Sequence[float], x: Scale, y: Scale) -> list[tuple[float, float]]:
    points = [(x(values[0]), y(0.0))]
    for index, value in enumerate(values):
        points += [(x(value), points[-1][1]), (x(value), y((index + 1) / len(values)))]
    return points
