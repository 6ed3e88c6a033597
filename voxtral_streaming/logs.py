"""The log: standard error and a rotating file, which never stops the server.

Nothing private is logged to begin with: no transcript, key or URL query. The libraries around are
not so careful, hence the guard: their own loggers start at `warning`, those of the web server at
`info`, for below that they write headers and messages, and what still looks like a query, a
password in a URL or an `Authorization` header is cut out of every line.
"""

from __future__ import annotations

import logging
import re
import sys
from contextlib import suppress
from io import TextIOWrapper
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any

from voxtral_streaming.config import LoggingConfig

_CONTROL = {code: f"\\x{code:02x}" for code in [*range(0x20), *range(0x7F, 0xA0)]}
_SECRETS = (
    (re.compile(r"(?<=//)[^\s/@\"']+@"), "***@"),  # //user:password@host
    (re.compile(r"(?<=[\w/.:\]-])\?[^\s\"'<>]+"), "?***"),  # /path?query
    (re.compile(r"\b(authorization|cookie|sec-websocket-protocol)([\"']?\s*[:=,]).*", re.IGNORECASE), r"\1\2 ***"),
    (re.compile(r"\b(bearer)\s+\S{16,}", re.IGNORECASE), r"\1 ***"),
)


def set_up_logging(config: LoggingConfig) -> None:
    """Send the log of this process to standard error and to the file of the configuration.

    Replaces what was set up before. Run uvicorn with `log_config=None`, or it adds its own.
    """
    handlers: list[logging.Handler] = [logging.StreamHandler()]
    if config.file is not None:
        handlers.append(LogFile(config.file, max_bytes=config.max_bytes, backups=config.backups))
    for handler in handlers:
        handler.setFormatter(LineFormatter())
    logging.basicConfig(level=logging.WARNING, handlers=handlers, force=True)
    level = getattr(logging, config.level.upper())
    logging.getLogger("voxtral_streaming").setLevel(level)
    logging.getLogger("uvicorn").setLevel(max(level, logging.INFO))


class LineFormatter(logging.Formatter):
    """One line for each record, without control characters and secrets; a traceback follows it."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%S%z")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        """The line itself, control characters written out: nobody can forge a second one."""
        return super().formatMessage(record).translate(_CONTROL)

    def formatException(self, ei: Any) -> str:  # noqa: N802
        """The traceback, indented."""
        lines = super().formatException(ei).splitlines()
        return "\n".join(f"  {line.translate(_CONTROL)}" for line in lines)

    def format(self, record: logging.LogRecord) -> str:
        """The whole text of a record, without what looks secret."""
        text = super().format(record)
        for pattern, replacement in _SECRETS:
            text = pattern.sub(replacement, text)
        return text


class LogFile(RotatingFileHandler):
    """A rotating file that is opened with the first record, its folder made where it is missing.

    Where it cannot be written (read-only, disk full), standard error is told once, and every
    record tries again.
    """

    def __init__(self, path: Path, *, max_bytes: int, backups: int) -> None:
        super().__init__(path, maxBytes=max_bytes, backupCount=backups, encoding="utf-8", errors="replace", delay=True)
        self._warned = False

    def _open(self) -> TextIOWrapper:
        Path(self.baseFilename).parent.mkdir(parents=True, exist_ok=True)
        return super()._open()

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        """Called inside the `except` of a record that could not be written."""
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            super().handleError(record)
            return
        self._give_up_stream()
        if not self._warned:
            self._warned = True
            print(f"warning: the log file cannot be written: {error}", file=sys.stderr)  # noqa: T201

    def _give_up_stream(self) -> None:
        """Close the stream with what it still holds, so that it cannot grow; the next record opens it anew."""
        stream, self.stream = self.stream, None
        if stream is not None:
            with suppress(OSError):
                stream.close()
