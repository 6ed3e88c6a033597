"""Measure the latency of live transcription: real speech over the WebSocket, at the pace at which it was spoken.

    python scripts/benchmark_latency.py                            starts a server, measures it, stops it
    python scripts/benchmark_latency.py --streams 8 --json out.json
    python scripts/benchmark_latency.py --url ws://127.0.0.1:8000/ws --audio talk.wav

Or measure what a machine makes of Voxtral Realtime without its weights, which do not change the time:

    python scripts/benchmark_latency.py --engine voxtral_realtime --weights random --size 4b --streams 64

More streams at once, pages with pictures and other servers: `python -m bench.load --help`.
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
    from bench.output import a_file
    from bench.record import Distribution, Level
    from bench.report.terminal import console
    from bench.target import ServerStartError
    from bench.throughput import ThroughputError, real_time_factor
    from bench.truth import locate_all
    from voxtral_streaming.errors import EngineUnavailable
except ModuleNotFoundError as missing:
    sys.exit(f"{missing}; the measuring tools need: pip install -e '.[bench]'")

PERCENTILES = (50, 90, 99)
BLOCK_MS = 40
MOST_RANDOM = 16  # streams with random weights, unless asked otherwise
EXIT_CANNOT = 2
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
    options.add_argument("--streams", type=int, help="streams at once (1)")
    options.add_argument("--seconds", type=float, default=60.0, help="audio of each stream (longer with few streams)")
    options.add_argument("--audio", type=Path, nargs="+", metavar="FILE", help="recordings of clean speech to play")
    options.add_argument("--json", type=a_file, metavar="FILE", help="also write everything here")
    random = options.add_argument_group("without a server", "the time of a step, from 1 to `--streams` streams (16)")
    random.add_argument("--weights", choices=["trained", "random"], default="trained", help="random: no download")
    random.add_argument("--size", choices=["tiny", "400m", "4b"], default="4b", help="of the random weights")
    random.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, …")
    random.add_argument("--dtype", choices=["bfloat16", "float16", "float32"], default="bfloat16", help="arithmetic")
    random.add_argument("--no-compile", action="store_true", help="the plain step, also on a GPU")
    return options


async def measure(options: argparse.Namespace, clips: Sequence[Clip]) -> tuple[Level, float | None]:
    """The latencies at real-time pace, and the real-time factor of one stream without it, unless streams failed."""
    truths = locate_all(clips, TRUTH_CACHE, whisper.load)
    n_streams = options.streams or 1
    schedules = plan(clips, truths, n_streams, options.seconds, seed=1)
    dialect = partial(DIALECTS["native"], SessionOptions(options.language))
    with target(options, n_streams) as server:
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


def measure_machine(options: argparse.Namespace) -> int:
    """The time of a step with random weights; 2 where it cannot be measured here."""
    if options.engine not in ("auto", "voxtral_realtime"):
        return _refuse(f"random weights are for voxtral_realtime, not for {options.engine}")
    try:
        from bench import random_weights
    except ModuleNotFoundError as missing:
        return _refuse(f"{missing}; Voxtral Realtime needs: pip install -e '.[voxtral]'")
    is_compiled, most = not options.no_compile, options.streams or MOST_RANDOM
    try:
        task = random_weights.Task(options.size, options.device, options.dtype, is_compiled, most)
        figures = random_weights.measure(task)
    except EngineUnavailable as error:
        return _refuse(str(error))
    random_weights.show(console(), figures)
    if options.json:
        _write(options.json, figures)
    return 0


def _refuse(reason: str) -> int:
    print(reason, file=sys.stderr)
    return EXIT_CANNOT


def _write(file: Path, figures: dict[str, Any]) -> None:
    record = {**figures, "command": sys.argv, "machine": describe().model_dump()}
    file.write_text(json.dumps(record, indent=1, ensure_ascii=False), encoding="utf-8")


def main() -> int:
    """Measure, print, write; 1 where a stream failed, 2 where random weights cannot be measured here."""
    options = parser().parse_args()
    if options.weights == "random":
        return measure_machine(options)
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
        _write(options.json, {**figures, "run": level.model_dump()})
    return 1 if level.failures else 0


if __name__ == "__main__":
    sys.exit(main())
