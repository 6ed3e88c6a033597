"""A live session: a socket on one side, recognition on the other, a dialect in between.

    socket ─ _read ─▶ dialect ─▶ intake ─▶ inbox ─ _recognise ─▶ outbox ─ _write ─▶ dialect ─▶ socket

The reader waits only for room in the inbox, which recognition empties until its backlog is full:
then nothing more is read, and TCP makes the client wait. Where a client does not read, the outbox
fills, and the writer gives the client up.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import deque
from collections.abc import Callable
from contextlib import aclosing, suppress
from typing import NoReturn

import anyio
from starlette.types import Message
from starlette.websockets import WebSocket, WebSocketDisconnect

from voxtral_streaming import recognise, transcript
from voxtral_streaming.audio.units import Samples
from voxtral_streaming.errors import EngineError, VoxtralError
from voxtral_streaming.server.dialects.actions import (
    Action,
    Audio,
    AudioFormat,
    Clear,
    Close,
    Dialect,
    Failed,
    Flush,
    Flushed,
    Frame,
    Notice,
    Opened,
    Rejected,
    Reply,
    SessionFacts,
    Start,
    Started,
    Tick,
    Warned,
)
from voxtral_streaming.server.errors import IdleTimeout, Refused, SlowConsumer, Stopping
from voxtral_streaming.server.intake import Intake
from voxtral_streaming.server.ledger import Ledger
from voxtral_streaming.server.limits import CLOSE_TIMEOUT_S, SEND_TIMEOUT_S
from voxtral_streaming.server.outbox import Outbox
from voxtral_streaming.server.problems import answer, count
from voxtral_streaming.server.service import Service
from voxtral_streaming.server.tasks import together, unless
from voxtral_streaming.server.turns import configured, endpointer

logger = logging.getLogger(__name__)


async def serve(socket: WebSocket, service: Service, speak: Callable[[SessionFacts], Dialect]) -> None:
    """Answer a client that asks for a live session in the dialect that `speak` makes.

    What `speak` raises is answered over HTTP, and there is no WebSocket.
    """
    try:
        dialect = speak(_facts(service))
    except VoxtralError as error:
        count(socket.app, error.code)
        await socket.send_denial_response(answer(error))
        return
    offered = socket.scope["subprotocols"]
    await socket.accept(next((name for name in offered if name in dialect.subprotocols), None))
    session = LiveSession(socket, service, dialect)
    try:
        with service.sessions.admit(session.stop):
            service.metrics.sessions.inc()
            await session.run()
    except Refused as refusal:
        await session.refuse(refusal)


def _facts(service: Service) -> SessionFacts:
    config, capabilities = service.config, service.transcriber.engine.capabilities
    return SessionFacts(
        id=secrets.token_hex(16),
        capabilities=capabilities,
        language=config.model.language,
        idle_timeout_s=config.server.idle_timeout_s,
        max_utterance_s=min(config.streaming.max_utterance_s, capabilities.max_utterance_s),
        turns=configured(config),
    )


class LiveSession:
    """Admitted, then run to its end; or refused."""

    def __init__(self, socket: WebSocket, service: Service, dialect: Dialect) -> None:
        self._socket = socket
        self._service = service
        self._dialect = dialect
        self._idle_timeout_s = service.config.server.idle_timeout_s
        self._patience = anyio.CancelScope()
        self._is_stopping = False
        self._reason: VoxtralError | None = None  # why the audio ended, if not as the client asked
        self._starting: asyncio.Future[Start | None] = asyncio.get_running_loop().create_future()
        self._intake = Intake(AudioFormat())
        self._inbox: asyncio.Queue[Samples | Flush | Clear | Tick | None] = asyncio.Queue(maxsize=1)
        self._flushes: deque[Flush] = deque()  # that wait for their answers
        self._outbox = Outbox()
        self._ledger = Ledger(service.metrics)
        self._has_warned = False

    async def run(self) -> None:
        """Serve the session to its end, and close the socket."""
        try:
            error, _ = await together(self._serve(), self._write())
        except SlowConsumer as slow:
            error = slow
        except WebSocketDisconnect:
            return
        finally:
            self._service.metrics.sanitized.inc(self._intake.sanitized)
        await self._close(error)

    async def refuse(self, refusal: Refused) -> None:
        """Say why there is no session, and close the socket."""
        with suppress(WebSocketDisconnect, SlowConsumer):
            await self._send(Failed(refusal))
        await self._close(refusal)

    def stop(self) -> None:
        """Take no more audio, finish what there is, and end."""
        self._is_stopping = True
        self._patience.cancel()

    async def _serve(self) -> VoxtralError | None:
        """Say everything from the first word to the last; answer why the session ends, if not as the client asked."""
        await self._outbox.put(Opened())
        error = await self._converse()
        await self._outbox.put(self._last_words(error))
        await self._outbox.put(None)
        return error

    async def _converse(self) -> VoxtralError | None:
        """Read and recognise until the audio ends or something fails."""
        try:
            await unless(self._read(), self._recognise())
        except EngineError as error:
            logger.error("recognition failed: %s", error)
            return error
        except VoxtralError as error:
            return error
        except WebSocketDisconnect:
            raise
        except Exception:  # whatever it is, the client is told and the other sessions go on
            logger.exception("a live session failed")
            return VoxtralError("the server failed")
        return self._reason

    def _last_words(self, error: VoxtralError | None) -> Notice:
        if error is None or isinstance(error, Stopping):
            return self._ledger.closed(self._intake.sanitized)
        return Failed(error)

    async def _read(self) -> NoReturn:
        """Take in the client's audio to its end, then wait for the client to leave, which raises."""
        self._reason = await self._read_actions()
        await self._take(self._intake.finish())
        await self._inbox.put(None)
        if not self._starting.done():
            self._starting.set_result(None)
        while True:
            _frame(await self._socket.receive())

    async def _read_actions(self) -> VoxtralError | None:
        """Carry out what the client asks; answer why no more is read, if not because it asked for that."""
        while True:
            try:
                frame = await self._next_frame()
            except (IdleTimeout, Stopping) as reason:
                return reason
            for action in self._dialect.receive(frame):
                if isinstance(action, Close):
                    return None
                await self._carry_out(action)

    async def _next_frame(self) -> Frame:
        """What the client sends next; raises `IdleTimeout`, `Stopping` and `WebSocketDisconnect`."""
        if not self._is_stopping:
            with anyio.move_on_after(self._idle_timeout_s) as self._patience:
                return _frame(await self._socket.receive())
        if not self._is_stopping:
            raise IdleTimeout(f"nothing came for {self._idle_timeout_s:g} s")
        await self._outbox.put(Warned("stopping", "the server is stopping; the last finals follow"))
        raise Stopping("the server is stopping")

    async def _carry_out(self, action: Action) -> None:
        match action:
            case Start():
                self._intake = Intake(action.audio)
                await self._outbox.put(Started(action))
                self._starting.set_result(action)
            case Audio(data):
                await self._take(self._intake.feed(data))
            case Flush():
                self._flushes.append(action)
                await self._inbox.put(action)
            case Clear() | Tick():
                await self._inbox.put(action)
            case Reply():
                await self._outbox.put(action)
            case Rejected(error):
                self._service.metrics.errors.labels(error.code).inc()
                await self._outbox.put(action)

    async def _take(self, samples: Samples) -> None:
        """Pass samples on as soon as recognition has room for them."""
        if len(samples):
            self._ledger.receive(len(samples))
            await self._warn_of_sanitized()
            await self._inbox.put(samples)

    async def _warn_of_sanitized(self) -> None:
        """Tell the client, once, that not all of its samples are numbers in [-1, 1]."""
        if self._intake.sanitized and not self._has_warned:
            self._has_warned = True
            message = "samples that are no number, or outside [-1, 1], are replaced; `closed` will count them"
            await self._outbox.put(Warned("samples_sanitized", message, "audio"))

    async def _recognise(self) -> None:
        start = await self._starting
        if start is None:
            return
        transcriber = self._service.transcriber
        events = transcriber.stream(
            self._audio(), options=start.options, endpointer=endpointer(start.turns, transcriber)
        )
        async with aclosing(events):
            async for event in events:
                await self._outbox.put(self._notice(event))

    async def _audio(self) -> recognise.Audio:
        while (item := await self._inbox.get()) is not None:
            if isinstance(item, Flush):
                yield recognise.Flush()
            elif isinstance(item, Clear):
                yield recognise.Clear()
            elif isinstance(item, Tick):
                yield recognise.Tick()
            else:
                self._ledger.consume(len(item))
                yield item

    def _notice(self, event: transcript.Event) -> Notice:
        self._ledger.tell(event)
        return Flushed(self._flushes.popleft().id) if isinstance(event, transcript.Flushed) else event

    async def _write(self) -> None:
        """Send what is to be said, up to the last word."""
        while (notice := await self._outbox.get()) is not None:
            await self._send(notice)

    async def _send(self, notice: Notice) -> None:
        for frame in self._dialect.encode(notice):
            try:
                with anyio.fail_after(SEND_TIMEOUT_S):
                    await (self._socket.send_text(frame) if isinstance(frame, str) else self._socket.send_bytes(frame))
            except TimeoutError as error:
                raise SlowConsumer(f"nothing was read for {SEND_TIMEOUT_S:g} s") from error

    async def _close(self, error: VoxtralError | None) -> None:
        """Close the socket, with the code and the reason that the dialect gives to `error`."""
        if error is not None:
            self._service.metrics.errors.labels(error.code).inc()
        code, reason = (1000, "") if error is None else (self._dialect.close_code(error), error.code)
        with suppress(WebSocketDisconnect), anyio.move_on_after(CLOSE_TIMEOUT_S):
            await self._socket.close(code, reason)


def _frame(message: Message) -> Frame:
    """The frame in an ASGI message."""
    if message["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(message["code"])
    text: str | None = message.get("text")
    return message["bytes"] if text is None else text
