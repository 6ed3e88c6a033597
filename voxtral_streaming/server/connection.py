"""One WebSocket of a live session: frames in, frames out, each within its time."""

from __future__ import annotations

from contextlib import suppress
from typing import Protocol

import anyio
from starlette.types import Message
from starlette.websockets import WebSocketDisconnect

from voxtral_streaming.errors import VoxtralError
from voxtral_streaming.server.dialects.actions import Frame
from voxtral_streaming.server.errors import SlowConsumer
from voxtral_streaming.server.limits import CLOSE_TIMEOUT_S, SEND_TIMEOUT_S

LOST = 1006  # the close code of a connection that ended without a closing frame (RFC 6455, 7.1.5)
CUT = frozenset({LOST, 1011})  # those of a client that did not mean to leave; 1011: it found the connection dead


class Socket(Protocol):
    """What a connection needs of a WebSocket, or of what stands for one: the messages are those of ASGI."""

    async def receive(self) -> Message:
        """The next message."""

    async def send_text(self, data: str) -> None:
        """Send text."""

    async def send_bytes(self, data: bytes) -> None:
        """Send bytes."""

    async def close(self, code: int = 1000, reason: str | None = None) -> None:
        """End the connection."""


class Connection:
    """Accepted, used, and then closed or lost."""

    def __init__(self, socket: Socket) -> None:
        self._socket = socket
        self.use = anyio.CancelScope()  # while the connection is used by a session
        self.reason: VoxtralError | None = None  # why it was hung up
        self._is_lost = False

    async def hear(self) -> Frame:
        """The next frame; raises `WebSocketDisconnect`, whose code is `LOST` where the client did not close."""
        message = await self._socket.receive()
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message["code"])
        text: str | None = message.get("text")
        return message["bytes"] if text is None else text

    async def say(self, frame: Frame) -> None:
        """Send a frame; raises `WebSocketDisconnect`, and `SlowConsumer` where the client reads nothing."""
        try:
            with anyio.fail_after(SEND_TIMEOUT_S):
                await (self._socket.send_text(frame) if isinstance(frame, str) else self._socket.send_bytes(frame))
        except WebSocketDisconnect:
            self._is_lost = True
            raise
        except TimeoutError as error:
            raise SlowConsumer(f"nothing was read for {SEND_TIMEOUT_S:g} s") from error

    def hang_up(self, reason: VoxtralError | None = None) -> None:
        """Let whoever uses the connection stop, and close it for this reason."""
        self.reason = self.reason or reason
        self.use.cancel()

    async def close(self, code: int, reason: str) -> None:
        """Send the closing frame, if the client is still there."""
        if not self._is_lost:
            with suppress(WebSocketDisconnect), anyio.move_on_after(CLOSE_TIMEOUT_S):
                await self._socket.close(code, reason)

    async def is_closed_by_both(self) -> bool:
        """Whether the client answers the closing frame, and so has got everything before it."""
        with anyio.move_on_after(SEND_TIMEOUT_S):
            try:
                while True:
                    await self.hear()
            except WebSocketDisconnect as end:
                return end.code not in CUT
        return False
