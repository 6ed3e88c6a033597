"""A recording answered piece by piece, as server-sent events."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import AsyncExitStack
from typing import Any

from fastapi import Request
from fastapi.responses import StreamingResponse
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from voxtral_streaming.audio.decode import AudioReader
from voxtral_streaming.audio.units import Samples, seconds
from voxtral_streaming.server.recordings import Opener
from voxtral_streaming.server.service import Service
from voxtral_streaming.server.tasks import left, unless


class EventStream(StreamingResponse):
    """Server-sent events, each the JSON of a message. What they need is held until the last, or the client leaves."""

    def __init__(self, messages: AsyncGenerator[str, None], held: AsyncExitStack) -> None:
        """`held` is closed here, and no sooner."""
        super().__init__(messages, media_type="text/event-stream", headers={"Cache-Control": "no-cache"})
        self._held = held
        held.push_async_callback(messages.aclose)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send all events."""
        async with self._held:
            await super().__call__(scope, receive, send)


def data(message: Mapping[str, Any], event: str | None = None) -> str:
    """One event."""
    name = f"event: {event}\n" if event else ""
    return f"{name}data: {json.dumps(message, ensure_ascii=False, allow_nan=False)}\n\n"


async def opened(request: Request, source: Opener, held: AsyncExitStack) -> AudioReader:
    """Wait for a turn, then open the recording; both end with `held`.

    Raises `ClientDisconnect`, and what opening raises.
    """
    service: Service = request.app.state.service
    if await unless(left(request), service.turns.acquire()) is None:
        raise ClientDisconnect
    held.callback(service.turns.release)
    return await held.enter_async_context(source())


async def counted(audio: AsyncIterator[Samples], service: Service) -> AsyncIterator[Samples]:
    """The audio, counted as it passes."""
    async for block in audio:
        service.metrics.audio_seconds.labels("file").inc(seconds(len(block)))
        yield block
