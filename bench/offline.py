"""Recordings as fast as possible: this library against faster-whisper's batched pipeline, on the same weights.

    python -m bench.offline [--model whisper-base] [--repeats 3] [--orders 6] [--words]

Both run in this process, taking turns; the middle of the repeats counts. Models are loaded before the clock runs.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import statistics
import tempfile
import time
import wave
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from faster_whisper import BatchedInferencePipeline
from rich.console import Console
from rich.table import Table

from bench import whisper
from bench.clips import SHARED_SPEECH, Clip, choose, read_manifest
from bench.report.terminal import console
from bench.words import WordErrors, compare, normalise
from voxtral_streaming import Transcriber
from voxtral_streaming.audio.units import SAMPLE_RATE, samples_from_seconds, seconds
from voxtral_streaming.config import load_config
from voxtral_streaming.engines.base import StreamOptions

PAUSE_S = 1.0
PAUSES_S = (0.25, 0.6, 1.0, 1.6)  # as people make them: some end an utterance, some do not
LEVELS = (1.0, 0.3)
LONG_S = 600.0
BATCHES = (8, 16)
BEAMS = (5, 1)
OURS = "this library"


@dataclass
class Runs:
    """What one way of transcribing took and heard."""

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    errors: WordErrors = field(default_factory=WordErrors)

    @contextmanager
    def clock(self) -> Iterator[None]:
        """Time a run."""
        wall, cpu = time.perf_counter(), time.process_time()
        yield
        self.wall.append(time.perf_counter() - wall)
        self.cpu.append(time.process_time() - cpu)


Way = Callable[[Clip], Awaitable[str]]


def batched(model: str, batch: int, beam: int, words: bool) -> Way:
    """faster-whisper's batched pipeline, on every core."""
    pipeline = BatchedInferencePipeline(whisper.load(model, threads=os.cpu_count() or 1))

    async def transcribe(clip: Clip) -> str:
        segments, _ = pipeline.transcribe(
            str(clip.path), language=clip.language, batch_size=batch, beam_size=beam, word_timestamps=words
        )
        return " ".join(segment.text.strip() for segment in segments)

    return transcribe


def library(transcriber: Transcriber, words: bool) -> Way:
    """The library that is measured."""

    async def transcribe(clip: Clip) -> str:
        options = StreamOptions(language=clip.language, words=words)
        return (await transcriber.transcribe(clip.path, options=options)).text

    return transcribe


def long_recording(clips: Sequence[Clip], folder: Path, duration: float) -> Clip:
    """The clips one after the other with pauses between, over and over, as one file."""
    rounds = max(1, round(duration / sum(seconds(len(clip.samples)) + PAUSE_S for clip in clips)))
    return one_after_the_other(list(clips) * rounds, [PAUSE_S] * rounds * len(clips), 1.0, folder / "long.wav")


def shuffled_recordings(clips: Sequence[Clip], folder: Path, n: int) -> list[Clip]:
    """So many files of all clips, each in an order of its own, with pauses of several lengths, loud and quiet by turns.

    Always the same ones.
    """
    recordings = []
    for number in range(n):
        chance = random.Random(number // len(LEVELS))
        order = chance.sample(list(clips), len(clips))
        pauses = [chance.choice(PAUSES_S) for _ in order]
        level = LEVELS[number % len(LEVELS)]
        recordings.append(one_after_the_other(order, pauses, level, folder / f"{number}.wav"))
    return recordings


def one_after_the_other(clips: Sequence[Clip], pauses_s: Sequence[float], level: float, path: Path) -> Clip:
    """All clips as one file of that level, each with a pause behind it."""
    silences = [np.zeros(samples_from_seconds(pause), np.float32) for pause in pauses_s]
    parts = [part for clip, silence in zip(clips, silences, strict=True) for part in (clip.samples, silence)]
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, SAMPLE_RATE, 0, "NONE", ""))
        file.writeframes(np.round(np.concatenate(parts) * level * 32767).astype("<i2").tobytes())
    return Clip(path, clips[0].language, " ".join(clip.reference or "" for clip in clips))


async def race(ways: dict[str, Way], clips: Sequence[Clip], repeats: int) -> dict[str, Runs]:
    """Let all ways transcribe all clips in turn, `repeats` times."""
    runs = {name: Runs() for name in ways}
    for _ in range(repeats):
        for name, way in ways.items():
            with runs[name].clock():
                texts = [await way(clip) for clip in clips]
            runs[name].errors = sum(map(_errors, clips, texts), WordErrors())
    return runs


def _errors(clip: Clip, text: str) -> WordErrors:
    return compare(normalise(clip.reference or "", clip.language), normalise(text, clip.language))


def table(title: str, duration: float, runs: dict[str, Runs]) -> Table:
    """A line for each way; the ratio says how many times as long it takes as this library."""
    shown = Table(title=f"{title}: {duration:.0f} s of audio", title_justify="left")
    for heading in ("", "wall s", "times real time", "ratio", "CPU s", "word errors"):
        shown.add_column(heading, justify="right" if heading else "left")
    ours = statistics.median(runs[OURS].wall)
    for name, run in runs.items():
        wall = statistics.median(run.wall)
        found = f"{100 * run.errors.rate:.1f} % ({run.errors.errors}/{run.errors.reference})"
        cpu = f"{statistics.median(run.cpu):.1f}"
        shown.add_row(name, f"{wall:.2f}", f"{duration / wall:.1f}", f"{wall / ours:.2f}", cpu, found)
    return shown


async def measure(options: argparse.Namespace, out: Console) -> None:
    """Race over one long recording, over several of the same clips, and over the clips one by one."""
    clips = choose(read_manifest(options.clips), ["en", "fr", "es", "it"], ["real"])
    english = [clip for clip in clips if clip.language == "en"]
    async with Transcriber(load_config(None, {"VOXTRAL_MODEL__NAME": options.model})) as transcriber:
        ways = {OURS: library(transcriber, options.words)} | {
            f"batched pipeline, batch {batch}, beam {beam}": batched(options.model, batch, beam, options.words)
            for batch in BATCHES
            for beam in BEAMS
        }
        with tempfile.TemporaryDirectory() as folder:
            long = long_recording(english, Path(folder), options.long)
            shuffled = shuffled_recordings(english, Path(folder), options.orders)
            for title, chosen in (
                ("one long recording", [long]),
                ("recordings of all clips, shuffled", shuffled),
                ("clips one by one", clips),
            ):
                duration = sum(seconds(len(clip.samples)) for clip in chosen)
                out.print(table(title, duration, await race(ways, chosen, options.repeats)))


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        prog="bench.offline", description="Race against faster-whisper's batched pipeline."
    )
    parser.add_argument("--model", default="whisper-base")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--words", action="store_true", help="ask both for the times of words")
    parser.add_argument("--orders", type=int, default=6, help="recordings of all clips in other orders")
    parser.add_argument("--long", type=float, default=LONG_S, help="seconds of the long recording, about")
    parser.add_argument("--clips", type=Path, default=SHARED_SPEECH, help="folder with a manifest.tsv")
    asyncio.run(measure(parser.parse_args(), console()))


if __name__ == "__main__":
    main()
