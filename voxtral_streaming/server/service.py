"""What the endpoints of one application share."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from voxtral_streaming.config import Config
from voxtral_streaming.engines.base import Supervised
from voxtral_streaming.server.admission import Admission
from voxtral_streaming.server.errors import Overloaded, TooManySessions
from voxtral_streaming.server.limits import MAX_UPLOADS, UPLOADS_AT_ONCE
from voxtral_streaming.server.metrics import Metrics
from voxtral_streaming.transcriber import Transcriber


@dataclass(frozen=True, slots=True)
class Service:
    """The transcriber, and who is using it."""

    config: Config
    transcriber: Transcriber
    metrics: Metrics
    sessions: Admission  # live
    uploads: Admission
    turns: asyncio.Semaphore  # of files to be recognised

    @classmethod
    def of(cls, config: Config, transcriber: Transcriber) -> Service:
        """A service with nobody in it."""
        sessions = Admission(config.server.max_sessions, TooManySessions, "live sessions")
        uploads = Admission(MAX_UPLOADS, Overloaded, "places for recordings")
        metrics = Metrics(sessions.__len__, uploads.__len__)
        if isinstance(transcriber.engine, Supervised):
            metrics.supervise(transcriber.engine)
        return cls(config, transcriber, metrics, sessions, uploads, asyncio.Semaphore(UPLOADS_AT_ONCE))

    def check_engine(self) -> None:
        """Raise `EngineUnavailable` when there is no engine and none is expected back soon."""
        engine = self.transcriber.engine
        if isinstance(engine, Supervised) and engine.trouble is not None:
            raise engine.trouble

    @property
    def has_engine(self) -> bool:
        """Whether the engine is there now; one that fails comes back by itself."""
        engine = self.transcriber.engine
        return not isinstance(engine, Supervised) or engine.is_there

    @property
    def is_stopping(self) -> bool:
        """Whether nobody is admitted any more."""
        return self.sessions.is_draining

    async def drain(self) -> None:
        """Admit nobody any more, and wait until everyone has got his finals."""
        await asyncio.gather(self.sessions.drain(), self.uploads.drain())
