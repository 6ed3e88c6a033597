"""Where commands write what they heard."""

from __future__ import annotations

import errno
import os
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePath

from typer import BadParameter

from voxtral_streaming.cli.sources import AUDIO_SUFFIXES, Recording
from voxtral_streaming.formats import Format

SUFFIXES: dict[Format, str] = {
    "text": ".txt",
    "json": ".json",
    "verbose_json": ".json",
    "srt": ".srt",
    "vtt": ".vtt",
}
CAPTIONS = ("srt", "vtt")  # those of two recordings, one behind the other, are good for neither


def targets(
    recordings: Sequence[Recording], form: Format, output: str | None, *, are_several: bool
) -> list[Path | None]:
    """The file for the transcript of each recording; None is standard output.

    `are_several`: more than one recording was named, or a folder of them, and so `output` is a folder. Raises
    `BadParameter` where a transcript would overwrite another one or a recording.
    """
    if output is None:
        if form in CAPTIONS and len(recordings) > 1:
            raise _refused(f"{form} of several recordings needs a folder")
        return [None for _ in recordings]
    path = Path(output)
    if not (are_several or path.is_dir() or output.endswith(os.sep)):
        places = [path]
    elif path.exists() and not path.is_dir():
        raise _refused(f"{path} is a file; several transcripts need a folder")
    else:
        places = [path / name for name in _names([one.name for one in recordings], SUFFIXES[form])]
    _check(recordings, places)
    return list(places)


def check_standard_output() -> None:
    """Raises `OSError` where it is closed (`>&-`): before any work is done, whose result would be lost."""
    if sys.__stdout__ is None:
        raise OSError(errno.EBADF, "standard output is closed")


def write(content: str, target: Path | None) -> None:
    """Write a transcript, making the folder where it is missing."""
    content = content.rstrip("\n") + "\n"
    if target is None:
        sys.stdout.write(content)
        sys.stdout.flush()
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(content, encoding="utf-8")


def _names(recordings: Sequence[PurePath], suffix: str) -> list[PurePath]:
    """`talk.srt` for `talk.mp3`, as players look for it; `talk.mp3.srt` where there is a `talk.wav` too."""
    long = [name.with_name(name.name + suffix) for name in recordings]
    short = [
        name.with_suffix(suffix) if name.suffix.lower() in AUDIO_SUFFIXES else longer
        for name, longer in zip(recordings, long, strict=True)
    ]
    counts = Counter(short)
    return [one if counts[one] == 1 else longer for one, longer in zip(short, long, strict=True)]


def _check(recordings: Sequence[Recording], places: Sequence[Path]) -> None:
    twice = [str(place) for place, count in Counter(places).items() if count > 1]
    if twice:
        raise _refused(f"several transcripts would be written to {twice[0]}")
    sources = {os.path.realpath(recording.source) for recording in recordings}
    for place in places:
        if os.path.realpath(place) in sources:
            raise _refused(f"{place} is a recording")


def _refused(message: str) -> BadParameter:
    return BadParameter(message, param_hint="--output")
