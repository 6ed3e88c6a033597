"""Wyoming over TCP: each connection asks what there is, and has one command transcribed."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import NoReturn

import anyio
from starlette.types import Message
from starlette.websockets import WebSocketDisconnect

from voxtral_streaming.errors import ProtocolError
from voxtral_streaming.server.connection import LOST, Connection
from voxtral_streaming.server.dialects.wyoming.events import Events, read, write
from voxtral_streaming.server.dialects.wyoming.session import Wyoming, answer
from voxtral_streaming.server.limits import MAX_VISITORS, SEND_TIMEOUT_S
from voxtral_streaming.server.live import facts_of, host
from voxtral_streaming.server.service import Service

READ_BYTES = 2**16  # at once


@asynccontextmanager
async def listening(listener: socket.socket, service: Service) -> AsyncIterator[None]:
    """Take Wyoming's connections on a bound socket while the context lasts; then those that are left are closed."""
    house = _House(service)
    server = await asyncio.start_server(house.welcome, sock=listener)
    try:
        yield
    finally:
        server.close()
        await house.close()


class _House:
    """Knows its guests, and lets in no more of those who only ask than `MAX_VISITORS`."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._guests: set[asyncio.Task[None]] = set()
        self._n_visitors = 0

    def welcome(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve a connection to its end, in a task of its own."""
        guest = asyncio.create_task(self._serve(_Stream(reader, writer)))
        self._guests.add(guest)
        guest.add_done_callback(self._guests.discard)

    async def _serve(self, stream: _Stream) -> None:
        try:
            with suppress(WebSocketDisconnect, TimeoutError):
                if await self._visit(stream):
                    facts = facts_of(self._service)
                    await host(Connection(stream), self._service, facts, Wyoming(facts))
        finally:
            stream.abort()

    async def _visit(self, stream: _Stream) -> bool:
        """Answer what needs no session; whether the client asks for one then."""
        if self._n_visitors >= MAX_VISITORS:
            return False
        self._n_visitors += 1
        try:
            return await self._answer(stream)
        finally:
            self._n_visitors -= 1

    async def _answer(self, stream: _Stream) -> bool:
        can = self._service.transcriber.engine.capabilities
        while True:
            with anyio.fail_after(self._service.config.server.idle_timeout_s):
                event = await stream.peek()
            try:
                reply = answer(read(event), can)
            except ProtocolError:
                return True
            if reply is None:
                return True
            await stream.receive()
            with anyio.fail_after(SEND_TIMEOUT_S):
                await stream.send_bytes(write(reply))

    async def close(self) -> None:
        """Close the connections that are left."""
        for guest in self._guests:
            guest.cancel()
        await asyncio.gather(*self._guests, return_exceptions=True)


class _Stream:
    """A TCP connection in the place of a WebSocket: a message for each event."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._events = Events()
        self._next: bytes | None = None

    async def peek(self) -> bytes:
        """The next event, which stays the next one; raises `WebSocketDisconnect`."""
        while self._next is None:
            self._next = self._events.next()
            if self._next is None:
                self._events.feed(await self._read())
        return self._next

    async def _read(self) -> bytes:
        try:
            data = await self._reader.read(READ_BYTES)
        except ConnectionError as error:
            raise WebSocketDisconnect(LOST) from error
        if not data:
            raise WebSocketDisconnect(1000)
        return data

    async def receive(self) -> Message:
        """The next event as a message of ASGI."""
        try:
            event = await self.peek()
        except WebSocketDisconnect as end:
            return {"type": "websocket.disconnect", "code": end.code}
        self._next = None
        return {"type": "websocket.receive", "bytes": event}

    async def send_text(self, data: str) -> NoReturn:
        """Wyoming's events are bytes."""
        raise TypeError("an event is bytes")

    async def send_bytes(self, data: bytes) -> None:
        """Send an event; raises `WebSocketDisconnect`."""
        try:
            self._writer.write(data)
            await self._writer.drain()
        except ConnectionError as error:
            raise WebSocketDisconnect(LOST) from error

    async def close(self, code: int = 1000, reason: str | None = None) -> None:
        """Send what is left, and wait until the client ends the connection, too.

        Closing it with data unread would reset it, and take what was sent last along.
        """
        with suppress(OSError, WebSocketDisconnect):
            self._writer.write_eof()
            while True:
                await self._read()

    def abort(self) -> None:
        """End the connection at once."""
        self._writer.transport.abort()
