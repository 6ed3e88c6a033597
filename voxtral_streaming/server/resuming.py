"""The way back to a live session whose connection was lost: `/ws/resume`."""

from __future__ import annotations

import hmac
from contextlib import suppress
from functools import partial

import anyio
from starlette.websockets import WebSocket, WebSocketDisconnect

from voxtral_streaming.errors import VoxtralError
from voxtral_streaming.server.connection import Connection
from voxtral_streaming.server.dialects.closing import close_code
from voxtral_streaming.server.dialects.native import Native, ResumeMessage, read_resume, refused, resumed
from voxtral_streaming.server.errors import IdleTimeout, SessionNotFound, SlowConsumer
from voxtral_streaming.server.limits import RESUME_TIMEOUT_S
from voxtral_streaming.server.service import Resumable, Service


async def serve(socket: WebSocket, service: Service) -> None:
    """Answer a client that comes back: it says to what, and the session goes on over this connection."""
    offered = socket.scope["subprotocols"]
    await socket.accept(next((name for name in offered if name in Native.subprotocols), None))
    connection = Connection(socket)
    with suppress(WebSocketDisconnect, SlowConsumer):
        try:
            asked = await _first_message(connection)
            await _find(service, asked).resume(connection, asked.seq, partial(resumed, asked.seq))
        except VoxtralError as error:
            service.metrics.errors.labels(error.code).inc()
            await connection.say(refused(error))
            await connection.close(close_code(error), error.code)


async def _first_message(connection: Connection) -> ResumeMessage:
    try:
        with anyio.fail_after(RESUME_TIMEOUT_S):
            return read_resume(await connection.hear())
    except TimeoutError as error:
        raise IdleTimeout(f"nothing came for {RESUME_TIMEOUT_S:g} s") from error


def _find(service: Service, asked: ResumeMessage) -> Resumable:
    """The session; whoever does not know its token hears nothing else than of one that is not there."""
    session = service.resumable.get(asked.id)
    token = session.facts.token if session is not None else ""
    if session is None or not hmac.compare_digest(token.encode(), asked.token.encode()):
        raise SessionNotFound("there is no such session to resume: it is over, or was never here")
    return session
