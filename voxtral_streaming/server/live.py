"""Who comes for a live session is admitted and served, or hears why not."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from contextlib import ExitStack, suppress

from starlette.websockets import WebSocket, WebSocketDisconnect

from voxtral_streaming.errors import EngineUnavailable, VoxtralError
from voxtral_streaming.server.connection import Connection
from voxtral_streaming.server.dialects.actions import Dialect, Failed, SessionFacts
from voxtral_streaming.server.errors import Refused, SlowConsumer
from voxtral_streaming.server.limits import TOKEN_BYTES
from voxtral_streaming.server.problems import answer, count
from voxtral_streaming.server.service import Service
from voxtral_streaming.server.session import LiveSession
from voxtral_streaming.server.turns import configured


async def serve(socket: WebSocket, service: Service, speak: Callable[[SessionFacts], Dialect]) -> None:
    """Answer a client that asks for a live session in the dialect that `speak` makes.

    What `speak` raises is answered over HTTP, and there is no WebSocket.
    """
    facts = facts_of(service)
    try:
        dialect = speak(facts)
    except VoxtralError as error:
        count(socket.app, error.code)
        await socket.send_denial_response(answer(error))
        return
    offered = socket.scope["subprotocols"]
    await socket.accept(next((name for name in offered if name in dialect.subprotocols), None))
    await host(Connection(socket), service, facts, dialect)


async def host(connection: Connection, service: Service, facts: SessionFacts, dialect: Dialect) -> None:
    """Admit a client that came over a connection, and serve it as long as that lasts; or say why not."""
    session = LiveSession(service, facts, dialect)
    try:
        service.check_engine()
        with ExitStack() as stay:
            stay.enter_context(service.sessions.admit(session.stop))
            service.metrics.sessions.inc()
            service.begin(session.run(), stay.pop_all())
    except (Refused, EngineUnavailable) as refusal:
        await refuse(connection, service, dialect, refusal)
    else:
        await session.carry(connection)


async def refuse(connection: Connection, service: Service, dialect: Dialect, error: VoxtralError) -> None:
    """Say why there is no session, and close the connection."""
    service.metrics.errors.labels(error.code).inc()
    with suppress(WebSocketDisconnect, SlowConsumer):
        for frame in dialect.encode(Failed(error)):
            await connection.say(frame)
    await connection.close(dialect.close_code(error), error.code)


def facts_of(service: Service) -> SessionFacts:
    """What there is to know of a new session."""
    config, capabilities = service.config, service.transcriber.engine.capabilities
    return SessionFacts(
        id=secrets.token_hex(16),
        capabilities=capabilities,
        language=config.model.language,
        idle_timeout_s=config.server.idle_timeout_s,
        max_utterance_s=min(config.streaming.max_utterance_s, capabilities.max_utterance_s),
        turns=configured(config),
        resume_s=config.server.resume_s,
        token=secrets.token_urlsafe(TOKEN_BYTES),
    )
