"""Reads an HTTP body no further and no slower than allowed."""

from __future__ import annotations

from time import monotonic

import anyio
from fastapi import Request
from starlette.types import Message, Receive

from voxtral_streaming.errors import AudioTooLarge
from voxtral_streaming.server.errors import RequestTimeout
from voxtral_streaming.server.limits import BODY_GRACE_S, MIN_BODY_RATE


def bounded(request: Request, max_bytes: int) -> Request:
    """The request, its body bounded, whether it comes with a length or in chunks.

    Reading the body raises `AudioTooLarge` as soon as there is more, or `RequestTimeout` where less
    than `MIN_BODY_RATE` came on average, after a time of grace. Raises `AudioTooLarge` at once where
    the length is told.
    """
    if int(request.headers.get("content-length", 0)) > max_bytes:
        raise _too_large(max_bytes)
    return Request(request.scope, _Body(request.receive, max_bytes))


def _too_large(max_bytes: int) -> AudioTooLarge:
    return AudioTooLarge(f"the body is larger than {max_bytes} bytes")


class _Body:
    """Stands in for the `receive` of an ASGI request."""

    def __init__(self, receive: Receive, max_bytes: int) -> None:
        self._receive = receive
        self._max_bytes = max_bytes
        self._n_bytes = 0
        self._began = monotonic()

    async def __call__(self) -> Message:
        try:
            with anyio.fail_after(self._patience()):
                message = await self._receive()
        except TimeoutError as error:
            raise RequestTimeout(f"the body came slower than {MIN_BODY_RATE} bytes per second") from error
        self._n_bytes += len(message.get("body", b""))
        if self._n_bytes > self._max_bytes:
            raise _too_large(self._max_bytes)
        return message

    def _patience(self) -> float:
        """Seconds until the average is too low."""
        return BODY_GRACE_S + self._n_bytes / MIN_BODY_RATE - (monotonic() - self._began)
