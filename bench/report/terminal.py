"""A level of streams in the terminal."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from bench.record import Distribution, Level

PERCENTILES = (50, 90, 95, 99)
WIDTH = 150


def console() -> Console:
    """Where tables are printed: as wide as the terminal, and wide enough for them where there is none."""
    found = Console()
    return found if found.is_terminal else Console(width=WIDTH)


def show(level: Level) -> None:
    """Print the latencies, the cost and the counts of a level."""
    out = console()
    out.print(latency_table(level))
    for line in summary(level):
        out.print(line, highlight=False, soft_wrap=True)


def latency_table(level: Level) -> Table:
    """Percentiles of every latency, in seconds."""
    table = Table(title=f"{level.streams} stream{'s' if level.streams > 1 else ''}", title_justify="left")
    for name in ("seconds", "n", *(f"p{percent}" for percent in PERCENTILES), "max"):
        table.add_column(name, justify="left" if name == "seconds" else "right", no_wrap=True)
    for name, label in LATENCIES.items():
        table.add_row(label, *_cells(getattr(level.latencies, name)))
    return table


LATENCIES = {
    "first_partial": "speech begins → first text",
    "word": "word spoken → on screen for good",
    "text": "speech ends → whole text on screen",
    "commit": "speech ends → final",
    "gap": "longest gap between partials",
    "lag": "partial lag",
}


def _cells(values: Distribution) -> list[str]:
    numbers = [*(values.percentile(percent) for percent in PERCENTILES), values.largest]
    return [str(len(values.values)), *("-" if value is None else f"{value:.2f}" for value in numbers)]


def summary(level: Level) -> list[str]:
    """Cost, accuracy and verdict, a line each."""
    cost, counts = level.cost, level.counts
    lines = [
        f"{counts.utterances} utterances ({counts.cut} cut inside speech, {counts.nowhere} where nobody spoke); "
        f"word error rate {counts.word_error_rate:.1%} of {counts.reference_words} words "
        f"({counts.missing} missing, {counts.doubled} doubled); "
        f"{counts.broken_words} of {counts.stable_words} stable words not kept",
        f"{cost.speech_s:.0f} s of speech in {cost.audio_s:.0f} s of audio; blocks sent late by "
        f"{1000 * cost.send_late_p99_s:.0f} ms (p99), {1000 * cost.send_late_max_s:.0f} ms (max); "
        f"client {cost.client_cpu_s:.1f} CPU s",
    ]
    if cost.server_cpu_s is not None:
        lines.append(
            f"server {cost.server_cpu_s:.1f} CPU s: {cost.cpu_per_speech_second:.3f} per second of speech, "
            f"{cost.cpu_per_audio_second:.3f} per second of audio; {cost.server_peak_mb:.0f} MB at most, "
            f"{cost.server_end_mb:.0f} MB at the end; everything else on the machine {cost.other_cpu_s:.1f} CPU s"
        )
    return [*lines, "limits kept" if not level.broken_limits else "limits broken: " + "; ".join(level.broken_limits)]
