"""uvicorn's protocols, with the deadlines and bounds that they lack."""

from __future__ import annotations

import asyncio
import json
import math
from http import HTTPStatus

import h11
from uvicorn._types import ASGIReceiveEvent, ASGISendEvent
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import CloseCode, Frame

from voxtral_streaming.errors import VoxtralError
from voxtral_streaming.server.connection import LOST
from voxtral_streaming.server.errors import MalformedRequest, RequestTimeout, problem
from voxtral_streaming.server.limits import HEADER_TIMEOUT_S, LINGER_S, MAX_FRAGMENTS
from voxtral_streaming.server.problems import status


def _answer(error: VoxtralError) -> bytes:
    """A whole response in the shape of all errors, after which the connection ends."""
    number = HTTPStatus(status(error))
    body = json.dumps({"error": problem(error)}).encode()
    head = f"HTTP/1.1 {number} {number.phrase}\r\nconnection: close\r\ncontent-type: application/json\r\n"
    return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body


def _end(transport: asyncio.Transport) -> None:
    """Say that nothing more will be written; TLS has no such thing."""
    if transport.can_write_eof():
        transport.write_eof()


class HttpProtocol(H11Protocol):
    """HTTP/1.1 with a deadline for request headers, and one for a body that goes on after it was answered."""

    _headers_timer: asyncio.TimerHandle | None = None
    _linger_timer: asyncio.TimerHandle | None = None
    _is_deaf = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the clock: a connection begins with headers."""
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Handle what came, and see what is awaited next."""
        if not self._is_deaf:
            super().data_received(data)
            self._watch()

    def send_400_response(self, msg: str) -> None:
        """Answer what is not HTTP."""
        self._hang_up(MalformedRequest("this is not an HTTP request, or its headers are too large"))

    def on_response_complete(self) -> None:
        """Give the client a moment to notice that its body is not wanted any more."""
        super().on_response_complete()
        if self.conn.their_state is h11.SEND_BODY:
            self._linger_timer = self.loop.call_later(LINGER_S, self.transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clocks."""
        self._stop_headers_timer()
        self._stop_linger_timer()
        super().connection_lost(exc)

    def _watch(self) -> None:
        """Keep each clock running exactly while what it waits for is awaited."""
        if self._is_deaf:
            return
        if self.conn.their_state is not h11.IDLE:
            self._stop_headers_timer()
        elif self._headers_timer is None:
            self._headers_timer = self.loop.call_later(HEADER_TIMEOUT_S, self._give_up_headers)
        if self.conn.their_state is not h11.SEND_BODY:
            self._stop_linger_timer()

    def _give_up_headers(self) -> None:
        self._hang_up(RequestTimeout("the request headers came too slowly"))

    def _hang_up(self, error: VoxtralError) -> None:
        """Answer, and give the client a moment to read it before the connection ends."""
        self._is_deaf = True
        self._stop_headers_timer()
        self.transport.write(_answer(error))
        _end(self.transport)
        self._linger_timer = self.loop.call_later(LINGER_S, self.transport.abort)

    def _stop_headers_timer(self) -> None:
        if self._headers_timer is not None:
            self._headers_timer.cancel()
            self._headers_timer = None

    def _stop_linger_timer(self) -> None:
        if self._linger_timer is not None:
            self._linger_timer.cancel()
            self._linger_timer = None


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """WebSockets whose peers can fill no memory, and are not called dead while their pongs wait behind audio."""

    _behind_at = -math.inf  # when the application last found messages waiting
    _abort_timer: asyncio.TimerHandle | None = None
    _is_taking_leave = False  # the application closes, and uvicorn pretends that the peer did
    _is_broken = False  # by the peer; the application does not know it yet

    def data_received(self, data: bytes) -> None:
        """Handle what came; a handshake that cannot be read is answered, and not left hanging."""
        super().data_received(data)
        if self.conn.handshake_exc is not None and not self.handshake_initiated:
            self.handshake_initiated = self.handshake_complete = self.close_sent = True
            self.transport.write(_answer(MalformedRequest("the headers of the handshake are too large")))
            self.transport.close()

    async def send(self, message: ASGISendEvent) -> None:
        """Send; a refusal with a response of its own completes the handshake."""
        if self._is_broken:
            raise ClientDisconnected
        could_close = self.handshake_complete and not self.close_sent
        await super().send(message)
        self._is_taking_leave = could_close and self.close_sent
        self.handshake_complete = self.handshake_complete or self.close_sent

    async def receive(self) -> ASGIReceiveEvent:
        """The next message, noting whether it had to wait for us; after a close of ours, how the peer answered it."""
        if not self.queue.empty():
            self._behind_at = self.loop.time()
        message = await super().receive()
        if self._is_taking_leave and message["type"] == "websocket.disconnect":
            self._is_taking_leave = False
            message = await super().receive()
        return message

    def keepalive_timeout(self) -> None:
        """A pong is missing: give it more time if we are the ones who are late."""
        if self.read_paused or self._behind_at > self.ping_sent_at:
            self.ping_sent_at = self.loop.time()
            self.pong_timer = self.loop.call_later(self.config.ws_ping_timeout or 0.0, self.keepalive_timeout)
        else:
            super().keepalive_timeout()

    def handle_ping(self) -> None:
        """Answer a ping; a peer that does not read its pongs gets none (RFC 6455, 5.5.3)."""
        if self.writable.is_set():
            super().handle_ping()
        else:
            self.conn.data_to_send()

    def handle_cont(self, event: Frame) -> None:
        """Take a fragment, of a bounded number."""
        if len(self.frames) < MAX_FRAGMENTS:
            super().handle_cont(event)
        elif not self.close_sent:
            self._fail(CloseCode.MESSAGE_TOO_BIG, "too many fragments")

    def send_receive_event_to_app(self) -> None:
        """Pass a message on; text that is not UTF-8 ends the connection without ado."""
        try:
            if self.curr_msg_data_type == "text":
                b"".join(self.frames).decode()
        except UnicodeDecodeError:
            self._fail(CloseCode.INVALID_DATA, "not UTF-8")
        else:
            super().send_receive_event_to_app()

    def _fail(self, code: CloseCode, reason: str) -> None:
        self.conn.fail(code, reason)
        self.handle_parser_exception()

    def handle_parser_exception(self) -> None:
        """End a connection that broke the rules, so that the peer can read why.

        Closing it with data unread would reset it, and take the closing frame along.
        """
        if self.close_sent or self.conn.close_sent is None:
            return
        self.close_sent = self._is_broken = True
        why = self.conn.close_sent
        self.queue.put_nowait({"type": "websocket.disconnect", "code": why.code, "reason": why.reason})
        self.transport.write(b"".join(self.conn.data_to_send()))
        _end(self.transport)
        self.transport.resume_reading()
        self.close_timer = self.loop.call_later(LINGER_S, self.transport.abort)

    async def run_asgi(self) -> None:
        """Run the application; then drop a connection whose peer does not let it close."""
        await super().run_asgi()
        if not self.disconnected:
            self._abort_timer = self.loop.call_later(self.close_timeout, self.transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clock, and tell a connection that was lost (1006, RFC 6455, 7.1.5) from one that was closed."""
        if self._abort_timer is not None:
            self._abort_timer.cancel()
        if self.conn.close_rcvd is None:
            self.queue.put_nowait({"type": "websocket.disconnect", "code": LOST, "reason": ""})
        super().connection_lost(exc)
