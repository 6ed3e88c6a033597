"""What the endpoints of one application share."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

from voxtral_streaming.config import Config
from voxtral_streaming.engines.base import Supervised
from voxtral_streaming.server import capacity
from voxtral_streaming.server.admission import Admission
from voxtral_streaming.server.connection import Connection
from voxtral_streaming.server.dialects.actions import Frame, SessionFacts
from voxtral_streaming.server.errors import Overloaded, TooManySessions
from voxtral_streaming.server.limits import MAX_UPLOADS, UPLOADS_AT_ONCE
from voxtral_streaming.server.metrics import Metrics
from voxtral_streaming.transcriber import Transcriber

logger = logging.getLogger(__name__)


class Resumable(Protocol):
    """A live session that its client may come back to."""

    @property
    def facts(self) -> SessionFacts:
        """Its name and its token."""

    async def resume(self, connection: Connection, seq: int, greet: Callable[[int, int], Frame]) -> None:
        """Go on over this connection, with a client that has heard everything up to `seq`."""


@dataclass(frozen=True, slots=True)
class Service:
    """The transcriber, and who is using it."""

    config: Config
    transcriber: Transcriber
    metrics: Metrics
    sessions: Admission  # live
    uploads: Admission
    turns: asyncio.Semaphore  # of files to be recognised
    supervised: Supervised | None  # the engine, if it may fail and come back: asked with every frame of audio
    resumable: dict[str, Resumable] = field(default_factory=dict)  # by name
    _running: set[asyncio.Task[None]] = field(default_factory=set)

    @classmethod
    def of(cls, config: Config, transcriber: Transcriber) -> Service:
        """A service with nobody in it."""
        sessions = Admission(capacity.MIN_SESSIONS, TooManySessions, "live sessions")
        uploads = Admission(MAX_UPLOADS, Overloaded, "places for recordings")
        metrics = Metrics(sessions.__len__, uploads.__len__)
        supervised = transcriber.engine if isinstance(transcriber.engine, Supervised) else None
        if supervised is not None:
            metrics.supervise(supervised)
        return cls(config, transcriber, metrics, sessions, uploads, asyncio.Semaphore(UPLOADS_AT_ONCE), supervised)

    async def open(self) -> None:
        """Find out how many sessions the engine, which is loaded now, can serve."""
        self.sessions.limit = await capacity.max_sessions(self.config, self.transcriber.engine)

    def begin(self, session: Coroutine[Any, Any, None], stay: AbstractContextManager[object]) -> None:
        """Run a live session in a task of its own, inside `stay`."""
        task = asyncio.create_task(_run(session, stay))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def close(self) -> None:
        """Give up the sessions that still run."""
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    def check_engine(self) -> None:
        """Raise `EngineUnavailable` when there is no engine and none is expected back soon."""
        if self.supervised is not None and self.supervised.trouble is not None:
            raise self.supervised.trouble

    @property
    def has_engine(self) -> bool:
        """Whether the engine is there now; one that fails comes back by itself."""
        return self.supervised is None or self.supervised.is_there

    @property
    def is_stopping(self) -> bool:
        """Whether nobody is admitted any more."""
        return self.sessions.is_draining

    async def drain(self) -> None:
        """Admit nobody any more, and wait until everyone has got his finals."""
        await asyncio.gather(self.sessions.drain(), self.uploads.drain())


async def _run(session: Coroutine[Any, Any, None], stay: AbstractContextManager[object]) -> None:
    with stay:
        try:
            await session
        except Exception:  # a mistake of ours; the other sessions go on
            logger.exception("a live session failed")
