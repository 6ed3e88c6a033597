"""Measure the latency of live transcription: real speech over the WebSocket, at the pace at which it was spoken.

    python scripts/benchmark_latency.py                            starts a server, measures it, stops it
    python scripts/benchmark_latency.py --streams 8 --json out.json
    python scripts/benchmark_latency.py --url ws://127.0.0.1:8000/ws --audio talk.wav

More streams at once, pages with pictures and
other servers: `python -m bench.load --help`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # bench/ is not installed, it lies beside this folder

try:
    from rich.console import Console
    from rich.table import Table

    from bench import whisper
    from bench.clips import Clip, default_clips
    from bench.dialects import DIALECTS, SessionOptions
    from bench.level import Limits, run
    from bench.load import TRUTH_CACHE, plan, target
    from bench.machine import describe
    from bench.record import Distribution, Level
    from bench.report.terminal import console
    from bench.target import ServerStartError
    from bench.throughput import ThroughputError, real_time_factor
    from bench.truth import locate_all
except ModuleNotFoundError as missing:
    sys.exit(f"{missing}; the measuring tools need: pip install -e '.[bench]'")

PERCENTILES = (50, 90, 99)
BLOCK_MS = 40
LATENCIES = {
    "time_to_first_partial": ("speech begins → first partial", "first_partial"),
    "partial_lag": ("partial lag (age of what it has heard)", "lag"),
    "word_on_screen_for_good": ("word spoken → on screen for good", "word"),
    "end_of_speech_to_text": ("end of speech → whole text", "text"),
    "end_of_speech_to_final": ("end of speech → final", "commit"),
}


def parser() -> argparse.ArgumentParser:
    """The command line."""
    options = argparse.ArgumentParser(description="Measure the latency of live transcription over the WebSocket.")
    options.add_argument("--url", help="WebSocket (`/ws`) of a server that runs already; left out: one is started")
    options.add_argument("--pid", type=int, help="the server's process, if it is here and not found by its port")
    options.add_argument("--key", help="API key of the server")
    options.add_argument("--engine", default="auto", help="engine of the server that is started")
    options.add_argument("--model", default="whisper-base", help="model of the server that is started")
    options.add_argument("--language", help="language of the speech; left out: the server detects it")
    options.add_argument("--streams", type=int, default=1, help="streams at once")
    options.add_argument("--seconds", type=float, default=60.0, help="audio of each stream (longer with few streams)")
    options.add_argument("--audio", type=Path, nargs="+", metavar="FILE", help="recordings of clean speech to play")
    options.add_argument("--json", type=Path, metavar="FILE", help="also write everything here")
    return options


async def measure(options: argparse.Namespace, clips: Sequence[Clip]) -> tuple[Level, float | None]:
    """The latencies at real-time pace, and the real-time factor of one stream without it, unless streams failed."""
    truths = locate_all(clips, TRUTH_CACHE, whisper.load)
    schedules = plan(clips, truths, options.streams, options.seconds, seed=1)
    dialect = partial(DIALECTS["native"], SessionOptions(options.language))
    with target(options, options.streams) as server:
        level = await run(server, dialect, schedules, BLOCK_MS, Limits())
        if level.failures:
            return level, None
        return level, await real_time_factor(server, dialect, schedules[0], BLOCK_MS)


def report(level: Level, factor: float | None) -> dict[str, Any]:
    """What was measured, by name; latencies in seconds."""
    cost, counts = level.cost, level.counts
    return {
        "streams": level.streams,
        **{name: _percentiles(getattr(level.latencies, key)) for name, (_, key) in LATENCIES.items()},
        "real_time_factor": None if factor is None else round(factor, 4),
        "cpu_seconds_per_second_of_audio": cost.cpu_per_audio_second,
        "cpu_seconds_per_second_of_speech": cost.cpu_per_speech_second,
        "peak_memory_mb": cost.server_peak_mb,
        "word_error_rate": round(counts.word_error_rate, 4),
        "utterances": counts.utterances,
        "failures": list(level.failures),
    }


def _percentiles(values: Distribution) -> dict[str, float | None]:
    seen = {f"p{percent}": values.percentile(percent) for percent in PERCENTILES}
    return {name: None if value is None else round(value, 3) for name, value in seen.items()} | {
        "n": len(values.values)
    }


def show(out: Console, figures: dict[str, Any]) -> None:
    """Print the figures as tables."""
    table = Table("seconds", *(f"p{percent}" for percent in PERCENTILES), "n")
    for name, (label, _) in LATENCIES.items():
        seen = figures[name]
        table.add_row(label, *(_number(seen[f"p{percent}"]) for percent in PERCENTILES), str(seen["n"]))
    out.print(table)
    for label, value in (
        ("streams", str(figures["streams"])),
        ("real-time factor, one stream, unpaced", _number(figures["real_time_factor"], 3)),
        ("server CPU seconds per second of audio", _number(figures["cpu_seconds_per_second_of_audio"], 3)),
        ("server CPU seconds per second of speech", _number(figures["cpu_seconds_per_second_of_speech"], 3)),
        ("server memory at most, MB", _number(figures["peak_memory_mb"], 0)),
        ("word error rate of the finals, %", _number(100 * figures["word_error_rate"], 1)),
    ):
        out.print(f"{label:<42} {value}", highlight=False)


def _number(value: float | None, digits: int = 2) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def main() -> int:
    """Measure, print, write; 1 where a stream failed."""
    options = parser().parse_args()
    clips = [Clip(path, options.language) for path in options.audio] if options.audio else default_clips()
    try:
        level, factor = asyncio.run(measure(options, clips))
    except (ServerStartError, ThroughputError) as error:
        sys.exit(str(error))
    figures = report(level, factor)
    show(console(), figures)
    for failure in level.failures:
        print(f"a stream failed: {failure}", file=sys.stderr)
    if options.json:
        record = {**figures, "command": sys.argv, "machine": describe().model_dump(), "run": level.model_dump()}
        options.json.write_text(json.dumps(record, indent=1, ensure_ascii=False), encoding="utf-8")
    return 1 if level.failures else 0


if __name__ == "__main__":
    sys.exit(main())
