"""Whether memory stays flat: hours of speech on each stream, sent as fast as the server takes it.

    python -m bench.soak [--streams 1] [--hours 1]

Starts this project's server, and prints its memory while the audio goes by.
"""

from __future__ import annotations

import argparse
import asyncio
import bisect
import sys
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from bench import whisper
from bench.client import StreamLog, play
from bench.clips import default_clips
from bench.cost import ProcessTree
from bench.dialects import DIALECTS, SessionOptions
from bench.dialects.base import Committed
from bench.load import TRUTH_CACHE
from bench.schedule import Schedule, build
from bench.target import Target, started
from bench.truth import locate_all
from voxtral_streaming.audio.units import seconds

PART_S = 600.0  # of speech without a repetition
BLOCK_MS = 100
SAMPLING_S = 1.0
MARKS = (0.1, 0.25, 0.5, 0.75, 1.0)  # shares of the audio at which memory is told; before the first the server warms up


async def soak(target: Target, schedules: Sequence[Schedule]) -> tuple[list[StreamLog], list[tuple[float, float]]]:
    """What the streams saw, and (seconds, megabytes) of the server meanwhile."""
    if target.pid is None:
        raise ValueError("the server's process is not known")
    tree, readings = ProcessTree(target.pid), []
    begun = asyncio.get_running_loop().time()
    dialects = (DIALECTS["native"](SessionOptions("en")) for _ in schedules)
    plays = (
        play(target.url, dialect, schedule, BLOCK_MS, begun, paced=False)
        for dialect, schedule in zip(dialects, schedules, strict=True)
    )
    streams = asyncio.gather(*plays)
    while not streams.done():
        readings.append((asyncio.get_running_loop().time() - begun, tree.rss_mb()))
        await asyncio.wait({streams}, timeout=SAMPLING_S)
    return await streams, readings


def memory_at(log: StreamLog, readings: Sequence[tuple[float, float]], duration: float) -> list[float]:
    """Megabytes when the finals had come to each of `MARKS` of the stream's audio."""
    finals = [(seen.span[1], time) for time, seen in log.observations if isinstance(seen, Committed) and seen.span]
    ends, times = [seconds(end) / duration for end, _ in finals], [time for time, _ in readings]
    found = []
    for mark in MARKS:
        reached = finals[min(bisect.bisect_left(ends, mark), len(finals) - 1)][1]
        found.append(readings[max(0, bisect.bisect_right(times, reached) - 1)][1])
    return found


def main() -> int:
    """Print the memory; 1 where a stream failed."""
    parser = argparse.ArgumentParser(prog="bench.soak", description="Hours of speech, as fast as the server takes it.")
    parser.add_argument("--streams", type=int, default=1)
    parser.add_argument("--hours", type=float, default=1.0, help="audio of each stream")
    parser.add_argument("--model", default="whisper-base")
    options = parser.parse_args()
    clips = default_clips()
    truths = locate_all(clips, TRUTH_CACHE, whisper.load)
    parts = [build(clips, truths, PART_S, seed) for seed in range(options.streams)]
    rounds = max(1, round(3600 * options.hours / parts[0].duration))
    schedules = [replace(part, samples=np.tile(part.samples, rounds)) for part in parts]
    with started({"VOXTRAL_MODEL__NAME": options.model}) as target:
        logs, readings = asyncio.run(soak(target, schedules))
    failures = [log.failure for log in logs if log.failure]
    for failure in failures:
        print(f"a stream failed: {failure}", file=sys.stderr)
    if failures:
        return 1
    print(f"{schedules[0].duration / 3600:.2f} hours on each of {len(logs)} streams in {readings[-1][0]:.0f} s")
    for mark, megabytes in zip(MARKS, memory_at(logs[0], readings, schedules[0].duration), strict=True):
        print(f"{mark:>4.0%} of the audio: {megabytes:.0f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
