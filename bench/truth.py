"""Where in a clip somebody speaks, and where each word is spoken; found without the server that is measured.

Speech is where the clean clip is loud: the level of 10 ms frames above the higher of 25 dB below the
clip's loud frames and 10 dB above its quiet ones. On 17 English clips the ends found so lie a median of
0.02 s before those of an HMM forced aligner (pocketsphinx 5.1.1), nine in ten between 0.12 s before and
0.02 s behind: latencies counted from them are a little too long rather than too short.

Words are located by Whisper's cross-attention over the whole clip (beam 5), then held to the speech: the
last word before a pause ends where the speech does. The ends of the 430 words lie a median of 0.05 s before
the aligner's (0.02 s behind to 0.22 s before for nine in ten), so that latencies of words, too, are too long.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from bench.clips import Clip
from voxtral_streaming.audio.units import Samples, samples_from_ms, samples_from_seconds

if TYPE_CHECKING:
    from faster_whisper import WhisperModel

VERSION = 1
"""Goes up when the same clip would be located differently; what older versions cached is dropped."""

FRAME = samples_from_ms(10)
BELOW_LOUD_DB = 25.0
ABOVE_QUIET_DB = 10.0
QUIETEST_DB = -75.0  # digital silence counts as a room so quiet
SHORTEST_PAUSE = samples_from_ms(200)  # a shorter gap is part of the speech
SHORTEST_SOUND = samples_from_ms(20)  # what is shorter is a click

Run: TypeAlias = tuple[int, int]
"""Uninterrupted speech: its first sample and the one after its last."""


@dataclass(frozen=True, slots=True)
class SpokenWord:
    """A word and the samples in which it is spoken."""

    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Truth:
    """The speech and the words of a clip, in samples since its beginning."""

    runs: tuple[Run, ...]
    words: tuple[SpokenWord, ...]


def speech_runs(samples: Samples) -> list[Run]:
    """The loud parts of a clean clip, in order."""
    runs: list[Run] = []
    for start, end in _islands(_loud(samples)):
        if runs and start - runs[-1][1] < SHORTEST_PAUSE:
            runs[-1] = (runs[-1][0], end)
        else:
            runs.append((start, end))
    return runs


def _islands(loud: NDArray[np.bool_]) -> list[Run]:
    """Loud frames without a break, clicks left out."""
    edges = np.flatnonzero(np.diff(loud.astype(np.int8), prepend=0, append=0)) * FRAME
    islands = zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)
    return [(start, end) for start, end in islands if end - start >= SHORTEST_SOUND]


def _loud(samples: Samples) -> NDArray[np.bool_]:
    whole = samples[: len(samples) // FRAME * FRAME].reshape(-1, FRAME)  # [n_frames, FRAME]
    if not len(whole):
        return np.zeros(0, dtype=bool)
    level = 10 * np.log10((whole.astype(np.float64) ** 2).mean(axis=1) + 1e-12)  # dBFS, [n_frames]
    loud, quiet = np.percentile(level, 95), max(float(np.percentile(level, 10)), QUIETEST_DB)
    if loud <= QUIETEST_DB:
        return np.zeros(len(level), dtype=bool)
    return np.asarray(level > max(loud - BELOW_LOUD_DB, min(quiet + ABOVE_QUIET_DB, loud - 3)))


def hold_to_speech(words: Sequence[SpokenWord], runs: Sequence[Run]) -> Truth:
    """Put each word into the run that it overlaps most, and drop runs in which nobody says a word."""
    spoken: dict[Run, list[SpokenWord]] = {}
    for word in words:
        run = max(runs, key=lambda run: min(run[1], word.end) - max(run[0], word.start), default=None)
        if run is not None:
            spoken.setdefault(run, []).append(word)
    held = [word for run in sorted(spoken) for word in _hold(spoken[run], run)]
    return Truth(tuple(sorted(spoken)), tuple(held))


def _hold(words: Sequence[SpokenWord], run: Run) -> list[SpokenWord]:
    held = []
    for index, word in enumerate(words):
        start = run[0] if index == 0 else min(max(word.start, run[0]), run[1])
        end = run[1] if index == len(words) - 1 else min(max(word.end, start), run[1])
        held.append(SpokenWord(word.text, start, end))
    return held


def locate(clip: Clip, model: WhisperModel) -> Truth:
    """Find the speech and the words of one clip."""
    segments, _ = model.transcribe(
        clip.samples, language=clip.language, beam_size=5, temperature=0.0, word_timestamps=True,
        condition_on_previous_text=False,
    )  # fmt: skip
    words = [
        SpokenWord(word.word.strip(), samples_from_seconds(float(word.start)), samples_from_seconds(float(word.end)))
        for segment in segments
        for word in segment.words or ()
    ]
    return hold_to_speech(words, speech_runs(clip.samples))


def locate_all(clips: Iterable[Clip], cache: Path, load: Callable[[], WhisperModel]) -> dict[Clip, Truth]:
    """Locate every clip, reading what is known from the file `cache` and writing what is new to it.

    `load` is called once, and only where something is new.
    """
    clips, known = list(clips), _read(cache)
    missing = [clip for clip in clips if _key(clip) not in known]
    if missing:
        model = load()
        known.update({_key(clip): locate(clip, model) for clip in missing})
        _write(cache, known)
    return {clip: known[_key(clip)] for clip in clips}


def _key(clip: Clip) -> str:
    return f"{clip.digest}:{clip.language}"


def _read(cache: Path) -> dict[str, Truth]:
    if not cache.is_file():
        return {}
    stored = json.loads(cache.read_text(encoding="utf-8"))
    if stored["version"] != VERSION:
        return {}
    return {digest: _truth(entry) for digest, entry in stored["clips"].items()}


def _truth(entry: dict[str, list[list[int]] | list[dict[str, str | int]]]) -> Truth:
    runs = tuple((int(start), int(end)) for start, end in entry["runs"])
    words = tuple(SpokenWord(**word) for word in entry["words"])  # type: ignore[arg-type]
    return Truth(runs, words)


def _write(cache: Path, known: dict[str, Truth]) -> None:
    cache.parent.mkdir(parents=True, exist_ok=True)
    entries = {digest: asdict(truth) for digest, truth in known.items()}
    cache.write_text(json.dumps({"version": VERSION, "clips": entries}, ensure_ascii=False), encoding="utf-8")
