"""What `voxtral transcribe` is asked to transcribe."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePath
from urllib.parse import urlsplit

STANDARD_INPUT = "-"
AUDIO_SUFFIXES = frozenset(
    {".aac", ".aif", ".aiff", ".au", ".flac", ".m4a", ".m4b", ".mka", ".mkv"}
    | {".mov", ".mp3", ".mp4", ".oga", ".ogg", ".opus", ".wav", ".webm"}
)
SHOWN = 40  # characters of a `data:` URI in a message


@dataclass(frozen=True, slots=True)
class Recording:
    """One recording: a file, a URL, a `data:` URI, or `-`."""

    source: str
    name: PurePath  # of its transcript below the folder of all transcripts, with the recording's own suffix

    def __str__(self) -> str:
        return f"{self.source[:SHOWN]}…" if self.source[:5].lower() == "data:" else self.source


def recordings_of(source: str) -> list[Recording]:
    """The recording that `source` is, or those below it, in order, where it is a folder; hidden ones are left out."""
    folder = Path(source)
    if source == STANDARD_INPUT or not is_folder(source):
        return [Recording(source, PurePath(_name(source)))]
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in AUDIO_SUFFIXES and path.is_file())
    names = [(path, path.relative_to(folder)) for path in found]
    return [Recording(str(path), name) for path, name in names if not any(part[0] == "." for part in name.parts)]


def is_folder(source: str) -> bool:
    """Whether recordings are to be looked for below `source`; false for what no file system takes as a name."""
    try:
        return Path(source).is_dir()
    except (OSError, ValueError):
        return False


def _name(source: str) -> str:
    """The last part of a path or of a URL's path."""
    scheme = source.partition(":")[0].lower()
    if source == STANDARD_INPUT or scheme == "data":
        return "audio"
    path = urlsplit(source).path if scheme in ("http", "https", "file") else source
    return PurePath(path).name or "audio"
