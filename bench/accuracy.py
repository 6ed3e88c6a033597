"""Word error rates by language and kind of recording: the same weights run plainly, and through this project.

    python -m bench.accuracy [--model whisper-base] [--detect] [--json FILE]

Plain means faster-whisper over the whole recording with its own defaults, but without context from the text
before; "file" is the library given the file; "streamed" is the WebSocket given the samples, block by block.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.table import Table

from bench import whisper
from bench.client import play
from bench.clips import SHARED_SPEECH, Clip, read_manifest
from bench.dialects import DIALECTS, SessionOptions
from bench.dialects.base import Committed
from bench.output import a_file
from bench.report.terminal import console
from bench.schedule import TAIL_S, Schedule
from bench.target import Target, started
from bench.words import WordErrors, compare, normalise
from voxtral_streaming import Transcriber
from voxtral_streaming.audio.units import samples_from_seconds
from voxtral_streaming.config import load_config
from voxtral_streaming.engines.base import StreamOptions

BLOCK_MS = 40


@dataclass(frozen=True, slots=True)
class Group:
    """A line of the table."""

    title: str
    languages: frozenset[str]
    kinds: frozenset[str]

    def choose(self, clips: Sequence[Clip]) -> list[Clip]:
        """The clips of this line."""
        return [clip for clip in clips if clip.language in self.languages and clip.kind in self.kinds]


def _group(title: str, languages: str, *kinds: str) -> Group:
    return Group(title, frozenset(languages.split()), frozenset(kinds))


GROUPS = (
    _group("English, real", "en", "real"),
    _group("English, synthetic", "en", "synthetic"),
    _group("English, with long pauses", "en", "concat"),
    _group("English, noisy", "en", "noisy"),
    _group("English, one clip in many formats", "en", "format"),
    _group("French, real", "fr", "real"),
    _group("Spanish, real", "es", "real"),
    _group("Italian, real", "it", "real"),
    _group("French, Spanish, Italian, real", "fr es it", "real"),
    _group("fr, es, pt, pl, synthetic", "fr es pt pl", "synthetic"),
    _group("Japanese, synthetic (characters)", "ja", "synthetic"),
    _group("No speech (words heard)", "ns", "nonspeech"),
)


def plainly(clips: Sequence[Clip], model: str, beam: int, languages: Mapping[Clip, str | None]) -> dict[Clip, str]:
    """What faster-whisper hears."""
    recogniser = whisper.load(model)
    heard = {}
    for clip in clips:
        segments, _ = recogniser.transcribe(
            clip.samples, language=languages[clip], beam_size=beam, condition_on_previous_text=False
        )
        heard[clip] = " ".join(segment.text.strip() for segment in segments)
    return heard


async def from_files(clips: Sequence[Clip], model: str, languages: Mapping[Clip, str | None]) -> dict[Clip, str]:
    """What the library hears in the files."""
    async with Transcriber(load_config(None, {"VOXTRAL_MODEL__NAME": model})) as transcriber:
        return {
            clip: (await transcriber.transcribe(clip.path, options=StreamOptions(language=languages[clip]))).text
            for clip in clips
        }


async def streamed(clips: Sequence[Clip], target: Target, languages: Mapping[Clip, str | None]) -> dict[Clip, str]:
    """What the server hears when the samples are sent in blocks, as fast as it takes them."""
    return {clip: await _stream(clip, target, languages[clip]) for clip in clips}


async def _stream(clip: Clip, target: Target, language: str | None) -> str:
    tail = np.zeros(samples_from_seconds(TAIL_S), dtype=np.float32)
    schedule = Schedule(np.concatenate([clip.samples, tail]), (), (), ())
    now = asyncio.get_running_loop().time()
    log = await play(target.url, DIALECTS["native"](SessionOptions(language)), schedule, BLOCK_MS, now, paced=False)
    if log.failure:
        raise RuntimeError(f"{clip.name}: {log.failure}")
    return " ".join(seen.text for _, seen in log.observations if isinstance(seen, Committed))


def errors(clips: Sequence[Clip], heard: Mapping[Clip, str]) -> WordErrors:
    """The word errors over some clips; of one without speech, every word is an error."""
    return sum((_errors(clip, heard[clip]) for clip in clips), WordErrors())


def _errors(clip: Clip, text: str) -> WordErrors:
    reference = "" if clip.kind == "nonspeech" else clip.reference or ""
    return compare(normalise(reference, clip.language), normalise(text, clip.language))


def table(clips: Sequence[Clip], heard: Mapping[str, Mapping[Clip, str]]) -> Table:
    """A line for each group, a column for each way of hearing: per cent, and errors of words."""
    shown = Table("word error rate, % (errors/words)", "clips")
    for method in heard:
        shown.add_column(method, justify="right")
    for group in GROUPS:
        chosen = group.choose(clips)
        if chosen:
            cells = (_cell(errors(chosen, texts)) for texts in heard.values())
            shown.add_row(group.title, str(len(chosen)), *cells)
    return shown


def _cell(found: WordErrors) -> str:
    if not found.reference:
        return f"{found.inserted} words"
    return f"{100 * found.rate:.1f} ({found.errors}/{found.reference})"


def measure(clips: Sequence[Clip], model: str, detect: bool) -> dict[str, dict[Clip, str]]:
    """Hear all clips in every way."""
    languages = {clip: None if detect or clip.language == "ns" else clip.language for clip in clips}
    with started({"VOXTRAL_MODEL__NAME": model}) as target:
        live = asyncio.run(streamed(clips, target, languages))
    return {
        "plain, beam 5": plainly(clips, model, 5, languages),
        "plain, beam 1": plainly(clips, model, 1, languages),
        "file": asyncio.run(from_files(clips, model, languages)),
        "streamed": live,
    }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="bench.accuracy", description="Word error rates by language and kind.")
    parser.add_argument("--model", default="whisper-base")
    parser.add_argument("--detect", action="store_true", help="do not say which language is spoken")
    parser.add_argument("--clips", type=Path, default=SHARED_SPEECH, help="folder with a manifest.tsv")
    parser.add_argument("--json", type=a_file, metavar="FILE", help="write every text here")
    options = parser.parse_args()
    clips = read_manifest(options.clips)
    heard = measure(clips, options.model, options.detect)
    console().print(table(clips, heard))
    if options.json:
        texts = {method: {clip.name: text for clip, text in found.items()} for method, found in heard.items()}
        options.json.write_text(json.dumps(texts, indent=1, ensure_ascii=False), encoding="utf-8")


if __name__ == "__main__":
    main()
