"""uvicorn's protocols, with the deadlines and bounds that they lack."""

from __future__ import annotations

import asyncio
import math

import h11
from uvicorn._types import ASGIReceiveEvent
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import CloseCode, Frame

from voxtral_streaming.server.limits import HEADER_TIMEOUT_S, LINGER_S, MAX_FRAGMENTS

_TIMEOUT_RESPONSE = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


class HttpProtocol(H11Protocol):
    """HTTP/1.1 with a deadline for request headers, and one for a body that goes on after it was answered."""

    _headers_timer: asyncio.TimerHandle | None = None
    _linger_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the clock: a connection begins with headers."""
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Handle what came, and see what is awaited next."""
        super().data_received(data)
        self._watch()

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
        if self.conn.their_state is not h11.IDLE:
            self._stop_headers_timer()
        elif self._headers_timer is None:
            self._headers_timer = self.loop.call_later(HEADER_TIMEOUT_S, self._give_up_headers)
        if self.conn.their_state is not h11.SEND_BODY:
            self._stop_linger_timer()

    def _give_up_headers(self) -> None:
        self.transport.write(_TIMEOUT_RESPONSE)
        self.transport.close()

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

    async def receive(self) -> ASGIReceiveEvent:
        """The next message, noting whether it had to wait for us."""
        if not self.queue.empty():
            self._behind_at = self.loop.time()
        return await super().receive()

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

    async def run_asgi(self) -> None:
        """Run the application; then drop a connection whose peer does not let it close."""
        await super().run_asgi()
        if not self.disconnected:
            self._abort_timer = self.loop.call_later(self.close_timeout, self.transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clock."""
        if self._abort_timer is not None:
            self._abort_timer.cancel()
        super().connection_lost(exc)
