"""Live captions on standard output: for a person, for a pipe, for a program."""

from __future__ import annotations

import json
import sys
from types import TracebackType
from typing import Protocol

from rich.console import Console
from rich.live import Live
from rich.text import Text

from voxtral_streaming.server.dialects.native import event_message
from voxtral_streaming.transcript import Answer, Event, Final, Partial


class Captions(Protocol):
    """Shows events; a context in which the terminal may be changed."""

    def __enter__(self) -> Captions: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...

    def show(self, event: Event) -> None:
        """Take the next event."""


def open_captions(*, as_json: bool) -> Captions:
    """Finals that scroll above a line that is rewritten on a terminal; lines of text, or of JSON, elsewhere."""
    if as_json:
        return JsonLines()
    return TerminalCaptions() if sys.stdout.isatty() else Lines()


class Lines:
    """A final a line."""

    def __enter__(self) -> Lines:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        sys.stdout.flush()

    def show(self, event: Event) -> None:
        """Print finals."""
        if isinstance(event, Final) and event.text:
            self._print(event.text)

    def _print(self, line: str) -> None:
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()


class JsonLines(Lines):
    """A message of the WebSocket a line, without its `seq`: `{"type": "final", "utterance": 0, …}`."""

    def show(self, event: Event) -> None:
        """Print the event."""
        if not isinstance(event, Answer):
            self._print(json.dumps(event_message(event), ensure_ascii=False))


class TerminalCaptions:
    """Finals scroll; below them stands the open utterance, what may still change in grey."""

    def __init__(self) -> None:
        self._live = Live(Text(), console=Console(), auto_refresh=False, transient=True)

    def __enter__(self) -> TerminalCaptions:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._live.stop()

    def show(self, event: Event) -> None:
        """Print finals, rewrite partials."""
        match event:
            case Partial():
                stable = event.stable.lstrip()
                tentative = event.tentative if stable else event.tentative.lstrip()
                self._live.update(Text.assemble(stable, (tentative, "bright_black")), refresh=True)
            case Final():
                self._live.update(Text(), refresh=True)
                if event.text:
                    self._live.console.print(Text(event.text))
            case _:
                pass
