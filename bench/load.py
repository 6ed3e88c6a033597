"""The load generator: more and more streams of real speech at real-time pace, until a limit breaks.

    python -m bench.load                                   starts this project's server and measures it
    python -m bench.load --url ws://HOST:PORT/PATH --dialect openai --label "another server"

Writes a JSON record and a page beside it.
"""

from __future__ import annotations

import argparse
import asyncio
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timezone
from functools import partial
from pathlib import Path

from bench import whisper
from bench.clips import ROOT, SHARED_SPEECH, Clip, choose, read_manifest
from bench.dialects import DIALECTS, SessionOptions
from bench.level import Limits, run
from bench.machine import describe
from bench.output import a_file
from bench.record import Level, Record, Settings
from bench.report.page import render
from bench.report.terminal import show
from bench.schedule import Schedule, build
from bench.target import Target, running, started
from bench.truth import Truth, locate_all

LEVELS = (1, 2, 4, 8, 12, 16, 20, 24, 32, 48, 64)
FEWEST_FULL = 4  # with fewer streams each plays longer, so that there is as much to count as with four
BUILD = ROOT / "build" / "bench"
TRUTH_CACHE = BUILD / "truth.json"


def parser() -> argparse.ArgumentParser:
    """The command line."""
    options = argparse.ArgumentParser(prog="bench.load", description="Measure a server with more and more streams.")
    options.add_argument("--url", help="WebSocket of a server that runs already; left out: start this project's")
    options.add_argument("--dialect", choices=sorted(DIALECTS), default="native", help="what the server speaks")
    options.add_argument("--pid", type=int, help="the server's process, if it is here and not found by its port")
    options.add_argument("--key", help="sent as a bearer token")
    options.add_argument("--label", default="voxtral-streaming", help="the name of this run on the page")
    options.add_argument("--engine", default="whisper", help="engine of the server that is started")
    options.add_argument("--model", default="whisper-base", help="model of the server that is started, or to ask for")
    options.add_argument("--language", help="language to ask for; left out: the server detects it")
    options.add_argument("--streams", type=int, nargs="+", default=LEVELS, help="numbers of streams, in order")
    options.add_argument("--seconds", type=float, default=60.0, help="audio of each stream (longer with few streams)")
    options.add_argument("--block-ms", type=int, default=40, help="audio in each message")
    options.add_argument("--commit-p95", type=float, default=1.0, help="limit in seconds")
    options.add_argument("--gap", type=float, default=2.0, help="limit in seconds for the longest gap between partials")
    options.add_argument("--all", action="store_true", help="go on when a limit breaks")
    options.add_argument("--clips", type=Path, default=SHARED_SPEECH, help="folder with a manifest.tsv")
    options.add_argument("--languages", nargs="+", default=["en"], help="clips to play: languages")
    options.add_argument("--kinds", nargs="+", default=["real"], help="clips to play: kinds (clean ones only)")
    options.add_argument("--seed", type=int, default=1, help="decides the order of the clips and the pauses")
    options.add_argument(
        "--output", type=a_file, default=BUILD / "load.json", help="the record; the page lies beside it"
    )
    return options


def main() -> None:
    """Measure, print, write."""
    options = parser().parse_args()
    clips = choose(read_manifest(options.clips), options.languages, options.kinds)
    truths = locate_all(clips, TRUTH_CACHE, whisper.load)
    with target(options, max(options.streams)) as server:
        levels = asyncio.run(climb(options, server, clips, truths))
    record = Record(started=now(), machine=describe(), settings=settings(options, clips), levels=tuple(levels))
    record.write(options.output)
    options.output.with_suffix(".html").write_text(render([record]), encoding="utf-8")
    print(f"wrote {options.output} and {options.output.with_suffix('.html')}")


@contextmanager
def target(options: argparse.Namespace, most_streams: int) -> Iterator[Target]:
    """The server that the command line names, or one started for it."""
    if options.url:
        yield running(options.url, options.pid, options.key)
        return
    overrides = {
        "VOXTRAL_MODEL__ENGINE": options.engine,
        "VOXTRAL_MODEL__NAME": options.model,
        "VOXTRAL_SERVER__MAX_SESSIONS": str(most_streams + 1),
    }
    with started(overrides) as server:
        yield server


async def climb(
    options: argparse.Namespace, server: Target, clips: Sequence[Clip], truths: Mapping[Clip, Truth]
) -> list[Level]:
    """Measure one number of streams after the other; stop behind the first that breaks a limit, unless told not to."""
    dialect = partial(DIALECTS[options.dialect], SessionOptions(options.language, options.model))
    limits = Limits(options.commit_p95, options.gap)
    levels: list[Level] = []
    for streams in options.streams:
        schedules = plan(clips, truths, streams, options.seconds, options.seed)
        levels.append(await run(server, dialect, schedules, options.block_ms, limits))
        show(levels[-1])
        if levels[-1].broken_limits and not options.all:
            break
    return levels


def plan(
    clips: Sequence[Clip], truths: Mapping[Clip, Truth], streams: int, duration: float, seed: int
) -> list[Schedule]:
    """A schedule of its own for each stream."""
    duration *= max(1.0, FEWEST_FULL / streams)
    return [build(clips, truths, duration, seed=1000 * seed + stream) for stream in range(streams)]


def settings(options: argparse.Namespace, clips: Sequence[Clip]) -> Settings:
    """How the run was made, for the record."""
    return Settings(
        label=options.label,
        command=shlex.join(["python", "-m", "bench.load", *sys.argv[1:]]),
        dialect=options.dialect,
        engine="" if options.url else options.engine,
        model=options.model,
        language=options.language,
        clips=tuple(clip.name for clip in clips),
        seconds=options.seconds,
        block_ms=options.block_ms,
        seed=options.seed,
        commit_p95=options.commit_p95,
        gap=options.gap,
    )


def now() -> str:
    """The time, ISO 8601, UTC."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


if __name__ == "__main__":
    main()
