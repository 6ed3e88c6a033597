"""The table of the page: a line for each number of streams."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from bench.record import Distribution, Level, Record

HEAD = (
    "<thead><tr><th></th><th colspan='2'>First text</th><th colspan='2'>A word for good</th>"
    "<th colspan='2'>Whole text</th><th colspan='2'>Committed</th><th>Longest gap</th><th>Lag</th>"
    "<th>Word errors</th><th>CPU</th><th>Memory</th><th>Others</th><th></th></tr>"
    "<tr><th>Streams</th><th>p50</th><th>p95</th><th>p50</th><th>p90</th><th>p50</th><th>p90</th><th>p50</th>"
    "<th>p95</th><th>max</th><th>p50</th><th>%</th><th>s / s speech</th><th>MB peak</th><th>cores</th>"
    "<th>Limits</th></tr></thead>"
)


def results_table(records: Sequence[Record]) -> str:
    """All levels of all records; a record's name stands above its lines where there are several."""
    lines = []
    for record in records:
        if len(records) > 1:
            lines.append(f"<tr class='run'><th colspan='16'>{escape(record.settings.label)}</th></tr>")
        lines += [_line(level) for level in record.levels]
    return f"<table>{HEAD}<tbody>{''.join(lines)}</tbody></table>"


def _line(level: Level) -> str:
    seen, cost = level.latencies, level.cost
    cells = [
        str(level.streams),
        *_percentiles(seen.first_partial, 50, 95),
        *_percentiles(seen.word, 50, 90),
        *_percentiles(seen.text, 50, 90),
        *_percentiles(seen.commit, 50, 95),
        _number(seen.gap.largest),
        *_percentiles(seen.lag, 50),
        f"{level.counts.word_error_rate:.1%}".removesuffix("%"),
        _number(cost.cpu_per_speech_second),
        _number(cost.server_peak_mb, 0),
        _number(cost.other_cores),
    ]
    verdict = "; ".join(dict.fromkeys(level.broken_limits)) or "kept"
    return f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}<td>{escape(verdict)}</td></tr>"


def _percentiles(values: Distribution, *percents: float) -> list[str]:
    return [_number(values.percentile(percent)) for percent in percents]


def _number(value: float | None, digits: int = 2) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
