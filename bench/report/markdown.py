"""The table of a run for docs/performance.md."""

from __future__ import annotations

from collections.abc import Sequence

from bench.record import Level, Record

COLUMNS = (
    "streams", "first text p50 / p95", "word for good p50 / p90", "whole text p50 / p90", "committed p50 / p95",
    "longest gap", "word errors", "CPU s per s of speech", "memory", "others",
)  # fmt: skip


def results_table(records: Sequence[Record]) -> str:
    """Every level of every record, each record under its label and its command."""
    return "\n\n".join(f"{_heading(record)}\n\n{_table(record)}" for record in records)


def _heading(record: Record) -> str:
    machine, settings = record.machine, record.settings
    place = f"{machine.cpu}, {machine.cores} cores, {machine.memory_gb:g} GB, Python {machine.python}"
    return f"**{settings.label}**, {record.started[:10]}, {place}, commit {machine.commit}: `{settings.command}`"


def _table(record: Record) -> str:
    rule = "|".join(["", *("---:" for _ in COLUMNS), ""])
    rows = (_row(level) for level in record.levels)
    return "\n".join(["| " + " | ".join(COLUMNS) + " |", rule, *rows])


def _row(level: Level) -> str:
    seen, cost = level.latencies, level.cost
    cells = (
        f"{level.streams}{'' if not level.broken_limits else ' (past its limits)'}",
        *(
            f"{_seconds(values.percentile(50))} / {_seconds(values.percentile(slow))}"
            for values, slow in ((seen.first_partial, 95), (seen.word, 90), (seen.text, 90), (seen.commit, 95))
        ),
        _seconds(seen.gap.largest),
        f"{level.counts.word_error_rate:.1%}",
        "-" if cost.cpu_per_speech_second is None else f"{cost.cpu_per_speech_second:.3f}",
        "-" if cost.server_peak_mb is None else f"{cost.server_peak_mb:.0f} MB",
        "-" if cost.other_cores is None else f"{cost.other_cores:.2f} cores",
    )
    return "| " + " | ".join(cells) + " |"


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f} s"
