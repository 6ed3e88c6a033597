"""Recordings to measure with: a folder with a manifest, or any files."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from faster_whisper import decode_audio

from voxtral_streaming.audio.units import SAMPLE_RATE, Samples

ROOT = Path(__file__).resolve().parents[1]
SHARED_SPEECH = ROOT.parent / "shared" / "speech"
SAMPLE = ROOT / "voxtral_streaming" / "server" / "page" / "sample.wav"


@dataclass(frozen=True)
class Clip:
    """One recording. `reference` is what is said in it, where that is known."""

    path: Path
    language: str | None = None
    reference: str | None = None
    kind: str = "real"

    @property
    def name(self) -> str:
        """The file's name without its ending."""
        return self.path.stem

    @cached_property
    def samples(self) -> Samples:
        """[n_samples], decoded by faster-whisper, so independently of this package."""
        decoded = decode_audio(str(self.path), sampling_rate=SAMPLE_RATE)
        return np.asarray(decoded, dtype=np.float32)

    @cached_property
    def digest(self) -> str:
        """A name for these very samples."""
        return hashlib.sha256(self.samples.tobytes()).hexdigest()


def read_manifest(folder: Path) -> list[Clip]:
    """The clips of `folder/manifest.tsv`: columns `file`, `reference`, `lang` and `kind`."""
    with (folder / "manifest.tsv").open(encoding="utf-8", newline="") as lines:
        return [
            Clip(folder / row["file"], row["lang"], row["reference"], row["kind"])
            for row in csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
        ]


def choose(clips: Iterable[Clip], languages: Sequence[str], kinds: Sequence[str]) -> list[Clip]:
    """Those in one of the languages and of one of the kinds."""
    return [clip for clip in clips if clip.language in languages and clip.kind in kinds]


def default_clips() -> list[Clip]:
    """The real English clips beside the checkout where they are, else the recording that the page offers to try."""
    if SHARED_SPEECH.is_dir():
        return choose(read_manifest(SHARED_SPEECH), ["en"], ["real"])
    return [Clip(SAMPLE, "en")]
