"""`voxtral transcribe`."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from typer import BadParameter

from voxtral_streaming.audio.source import SourcePolicy
from voxtral_streaming.cli.failures import EXIT_FAILED, complain
from voxtral_streaming.cli.output import check_standard_output, targets, write
from voxtral_streaming.cli.sources import STANDARD_INPUT, Recording, is_folder, recordings_of
from voxtral_streaming.config import AudioConfig, Config, LoggingConfig
from voxtral_streaming.engines.base import StreamOptions
from voxtral_streaming.engines.options import check_options
from voxtral_streaming.errors import AudioError, EngineFailed
from voxtral_streaming.formats import Format, render
from voxtral_streaming.logs import set_up_logging
from voxtral_streaming.transcriber import Transcriber

LONG_S = 30.0  # a recording worth a progress bar


def run(config: Config, sources: Sequence[str], form: Format, options: StreamOptions, output: str | None) -> int:
    """Transcribe every source; one that fails is told of and does not stop the others. Returns the exit code."""
    set_up_logging(LoggingConfig(level="warning", file=None))
    found = {source: recordings_of(source) for source in sources}
    recordings = list(dict.fromkeys(one for below in found.values() for one in below))
    are_several = len(sources) > 1 or any(map(is_folder, sources))
    work = dict(zip(recordings, targets(recordings, form, output, are_several=are_several), strict=True))
    if None in work.values():
        check_standard_output()
    empty = [source for source, below in found.items() if not below]
    for source in empty:
        complain(f"{source}: there are no recordings below this folder")
    piped = _piped(config.audio) if STANDARD_INPUT in found else b""
    n_failed = asyncio.run(_transcribe_all(config, work, piped, form, options)) if work else 0
    return EXIT_FAILED if empty or n_failed else 0


def _piped(audio: AudioConfig) -> bytes:
    """All of standard input, or one byte more than is taken of it. Read before anything else is going on."""
    if sys.stdin.isatty():
        raise BadParameter("standard input is a terminal; pipe a recording in", param_hint="-")
    return sys.stdin.buffer.read(SourcePolicy.trusted(audio).max_bytes + 1)


async def _transcribe_all(
    config: Config, work: dict[Recording, Path | None], piped: bytes, form: Format, options: StreamOptions
) -> int:
    """How many failed."""
    n_failed = 0
    async with Transcriber(config) as transcriber:
        check_options(transcriber.options(options), transcriber.engine.capabilities)
        for recording, target in work.items():
            content = piped if recording.source == STANDARD_INPUT else recording.source
            try:
                with _progress(recording.name.name) as on_progress:
                    transcript = await transcriber.transcribe(content, options=options, on_progress=on_progress)
            except (AudioError, EngineFailed) as error:
                n_failed += 1
                name = "" if recording.source in error.message else f"{recording}: "
                complain(f"{name}{error.message}", error)
            else:
                write(render(transcript, form), target)
    return n_failed


@contextmanager
def _progress(name: str) -> Iterator[Callable[[float, float | None], None]]:
    """A bar on standard error for a long recording, where that is a terminal."""
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(name, visible=False, total=None)

        def on_progress(done: float, total: float | None) -> None:
            progress.update(task, completed=done, total=total, visible=(total or done) > LONG_S)

        yield on_progress
