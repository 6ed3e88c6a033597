"""`voxtral transcribe`."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from voxtral_streaming.cli.failures import complain
from voxtral_streaming.config import Config
from voxtral_streaming.engines.base import StreamOptions
from voxtral_streaming.errors import AudioError
from voxtral_streaming.formats import Format, render
from voxtral_streaming.transcriber import Transcriber

AUDIO_SUFFIXES = (
    *(".aac", ".aif", ".aiff", ".au", ".flac", ".m4a", ".m4b", ".mka", ".mkv"),
    *(".mov", ".mp3", ".mp4", ".oga", ".ogg", ".opus", ".wav", ".webm"),
)
OUTPUT_SUFFIXES: dict[Format, str] = {
    "text": ".txt",
    "json": ".json",
    "verbose_json": ".json",
    "srt": ".srt",
    "vtt": ".vtt",
}
STANDARD_INPUT = "-"
LONG_S = 30.0  # a recording worth a progress bar


def run(config: Config, sources: Sequence[str], form: Format, options: StreamOptions, output: Path | None) -> int:
    """Transcribe every source; one that fails is told of and does not stop the others. Returns the exit code."""
    found = [one for source in sources for one in _expanded(source)]
    if not found:
        complain("there are no recordings in what was named")
        return 1
    return asyncio.run(_transcribe_all(config, found, form, options, _Output(output, form, len(found))))


def _expanded(source: str) -> list[str]:
    """The source, or the recordings below it where it is a folder."""
    folder = Path(source)
    if source == STANDARD_INPUT or not folder.is_dir():
        return [source]
    return [str(path) for path in sorted(folder.rglob("*")) if path.suffix.lower() in AUDIO_SUFFIXES and path.is_file()]


async def _transcribe_all(
    config: Config, sources: Sequence[str], form: Format, options: StreamOptions, output: _Output
) -> int:
    n_failed = 0
    async with Transcriber(config) as transcriber:
        for source in sources:
            try:
                with _progress(source) as on_progress:
                    content = sys.stdin.buffer.read() if source == STANDARD_INPUT else source
                    transcript = await transcriber.transcribe(content, options=options, on_progress=on_progress)
                output.write(source, render(transcript, form))
            except AudioError as error:
                n_failed += 1
                complain(f"{source}: {error.message}")
    return 1 if n_failed else 0


class _Output:
    """Where transcripts go: standard output, one file, or a folder with a file for each source."""

    def __init__(self, path: Path | None, form: Format, n_sources: int) -> None:
        self._path = path
        self._form = form
        self._is_folder = path is not None and (path.is_dir() or n_sources > 1)

    def write(self, source: str, content: str) -> None:
        if self._path is None:
            sys.stdout.write(content.rstrip("\n") + "\n")
            sys.stdout.flush()
            return
        target = self._path / self._name(source) if self._is_folder else self._path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(content.rstrip("\n") + "\n", encoding="utf-8")

    def _name(self, source: str) -> str:
        name = Path(source.partition("?")[0]).name if source != STANDARD_INPUT else "stdin"
        return name + OUTPUT_SUFFIXES[self._form]


@contextmanager
def _progress(source: str) -> Iterator[Callable[[float, float | None], None]]:
    """A bar on standard error for long recordings, where that is a terminal."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(source, visible=False, total=None)

        def on_progress(done: float, total: float | None) -> None:
            progress.update(task, completed=done, total=total, visible=(total or done) > LONG_S)

        yield on_progress
