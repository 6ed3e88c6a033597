"""One WebSocket to a server, and what its refusals mean."""

from __future__ import annotations

import json
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

import anyio
from pydantic import ValidationError
from websockets.asyncio import client as websocket
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI

from voxtral_streaming.client.messages import FAILED, Acked, Opened, SessionError, Started, decode_numbered
from voxtral_streaming.errors import ProtocolError

OPEN_TIMEOUT_S = 10.0
CLOSE_TIMEOUT_S = 5.0  # for the server to answer a closing frame
PING_S = 10.0  # between two pings, and for the answer to one where a connection may be given up
FINAL_CLOSES = frozenset({1000, 1001, 4404, 4409})  # closing frames after which there is no way back

MessageT = TypeVar("MessageT", Opened, Started, Acked)


@dataclass(frozen=True, slots=True)
class Server:
    """Where sessions are had."""

    url: str
    api_key: str | None

    async def open(self) -> websocket.ClientConnection:
        """A connection for a new session."""
        return await open_socket(self.url, self.api_key)

    async def reopen(self, ticket: dict[str, Any]) -> tuple[websocket.ClientConnection, Acked]:
        """A connection for the session of that ticket, and what of it was received."""
        parts = urlsplit(self.url)
        socket = await open_socket(urlunsplit(parts._replace(path=f"{parts.path}/resume")), self.api_key)
        with ExitStack() as undo:
            undo.callback(socket.transport.abort)
            with suppress(ConnectionClosed):  # which is noticed when the answer is awaited
                await socket.send(json.dumps({"type": "resume", **ticket}))
            _, acked = await expect(socket, Acked)
            undo.pop_all()
        give_up_when_dead(socket)
        return socket, acked


async def open_socket(url: str, api_key: str | None) -> websocket.ClientConnection:
    """A WebSocket whose server need not answer pings: one that has enough to do reads none, and no audio either."""
    try:
        return await websocket.connect(
            url,
            additional_headers={"Authorization": f"Bearer {api_key}"} if api_key else None,
            compression=None,
            open_timeout=OPEN_TIMEOUT_S,
            close_timeout=CLOSE_TIMEOUT_S,
            ping_interval=PING_S,
            ping_timeout=None,
        )
    except InvalidStatus as refusal:
        raise _refused(refusal) from refusal
    except (InvalidHandshake, InvalidURI) as error:
        raise SessionError("handshake_failed", str(error)) from error


def give_up_when_dead(socket: websocket.ClientConnection) -> None:
    """Let a connection whose pings are not answered be lost: where one may come back, a mistake costs little."""
    socket.ping_timeout = PING_S


def _refused(refusal: InvalidStatus) -> SessionError:
    """The error in an answer over HTTP."""
    try:
        return SessionError(**asdict(FAILED.validate_json(refusal.response.body or b"").error))
    except ValidationError:
        return SessionError("handshake_failed", str(refusal))


async def expect(socket: websocket.ClientConnection, kind: type[MessageT]) -> tuple[int, MessageT]:
    """The next message and its number; it is of that kind. Raises `SessionError`, `ProtocolError`, TimeoutError."""
    try:
        with anyio.fail_after(OPEN_TIMEOUT_S):
            number, message = decode_numbered(await socket.recv())
    except ConnectionClosed as end:
        raise lost(end) from end
    if not isinstance(message, kind):
        raise ProtocolError(f"the server said {message}, where {kind.__name__} was due")
    return number, message


def lost(end: ConnectionClosed) -> SessionError:
    """The reason of a close is the code of the error, if the server had time to say one."""
    reason = end.rcvd.reason if end.rcvd else ""
    return SessionError(reason or "connection_lost", f"the session has ended: {end}")


def is_final(end: ConnectionClosed) -> bool:
    """Whether the server has closed the connection because the session is over or somebody else's."""
    return end.rcvd is not None and end.rcvd.code in FINAL_CLOSES
