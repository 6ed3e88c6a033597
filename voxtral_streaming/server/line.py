"""The way from a session to its client and back, over one connection after another."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import anyio
from starlette.websockets import WebSocketDisconnect

from voxtral_streaming.errors import ProtocolError, VoxtralError
from voxtral_streaming.server.connection import CUT, Connection
from voxtral_streaming.server.dialects.actions import Frame
from voxtral_streaming.server.errors import IdleTimeout, SessionNotFound, SessionTakenOver, SlowConsumer
from voxtral_streaming.server.history import History
from voxtral_streaming.server.limits import SEND_TIMEOUT_S


class Line:
    """Frames go out in order and come in in order, each once, whatever becomes of the connections.

    A connection that is lost may be replaced within `window_s`; after that, and when the client closes, the client
    is gone. One task receives, one says; each connection is carried by a task of its own.
    """

    def __init__(self, ending: Callable[[VoxtralError | None], tuple[int, str]]) -> None:
        """`ending`: the code and the reason with which a connection is closed because of an error."""
        self.window_s = 0.0
        self._ending_of = ending
        self._ending: tuple[int, str] | None = None  # of the whole session
        self._history = History()
        self._news = asyncio.Condition()  # something was said, sent or acknowledged
        self._n_sent = 0  # frames that some connection has sent
        self._connection: Connection | None = None
        self._is_connected = asyncio.Event()
        self._listening = anyio.CancelScope()
        self._expiry: asyncio.TimerHandle | None = None
        self._gone = asyncio.Event()

    @property
    def is_lost(self) -> bool:
        """Whether there is no connection, and the client may come back."""
        return self._connection is None and not self._gone.is_set()

    async def gone(self) -> None:
        """Wait until the client is gone for good."""
        await self._gone.wait()

    async def receive(self, patience_s: float) -> Frame:
        """The next frame of the client; raises `IdleTimeout` where a connection brings none in so many seconds."""
        while True:
            await self._is_connected.wait()
            connection = self._connection
            if connection is None:
                continue
            with anyio.move_on_after(patience_s) as self._listening:
                try:
                    frame = await connection.hear()
                except WebSocketDisconnect as end:
                    self._lose(connection, for_good=end.code not in CUT)
                    continue
                if connection is self._connection:
                    return frame
            if connection is self._connection:
                raise IdleTimeout(f"nothing came for {patience_s:g} s")

    async def say(self, frame: Frame) -> None:
        """Say the next frame; returns once it was sent, however many connections that takes."""
        async with self._news:
            await self._make_room()
            number = self._history.append(frame)
            self._news.notify_all()
            await self._news.wait_for(lambda: self._n_sent > number)
            if not self.window_s:
                self._history.forget(number + 1)

    async def _make_room(self) -> None:
        """Wait while too much is kept for a client that acknowledges nothing."""
        while self._history.is_full:
            with anyio.move_on_after(SEND_TIMEOUT_S) as patience:
                await self._news.wait()
            if patience.cancelled_caught:
                self.hang_up(SlowConsumer(f"nothing was acknowledged for {SEND_TIMEOUT_S:g} s"))

    async def acknowledge(self, number: int) -> None:
        """The client has all frames up to this one. Raises `ProtocolError` where it was never sent."""
        if number >= self._n_sent:
            raise ProtocolError(f"seq: {number} was never sent", param="seq")
        async with self._news:
            self._history.forget(number + 1)
            self._news.notify_all()

    def check(self, number: int) -> None:
        """Raise `ProtocolError` or `SessionNotFound` unless the frames from this one on can be sent again."""
        if number > self._n_sent:
            raise ProtocolError(f"seq: {number - 1} was never sent", param="seq")
        if self._gone.is_set() or number < self._history.n_forgotten:
            raise SessionNotFound("what this session said after `seq` is not kept any more", param="seq")

    async def carry(self, connection: Connection, number: int = 0, greeting: Frame | None = None) -> None:
        """Send the greeting and then the frames from `number` on, for as long as the connection and the session last.

        The connection is closed then. The one before it is hung up at once.
        """
        self._replace(connection)
        with connection.use:
            try:
                await self._send(connection, number, greeting)
            except SlowConsumer as slow:
                connection.reason = slow
            except WebSocketDisconnect:
                pass
            else:
                await self._see_off(connection)
        if connection.reason is not None:
            await connection.close(*self._ending_of(connection.reason))
        self._lose(connection)

    def _replace(self, connection: Connection) -> None:
        if self._connection is not None:
            self._connection.hang_up(SessionTakenOver("another connection has resumed this session"))
        if self._expiry is not None:
            self._expiry.cancel()
        self._connection = connection
        self._listening.cancel()
        self._is_connected.set()

    async def _send(self, connection: Connection, number: int, greeting: Frame | None) -> None:
        """Send the frames from `number` on, up to the last one of the session."""
        if greeting is not None:
            await connection.say(greeting)
        while await self._has(number):
            await connection.say(self._history[number])
            number += 1
            async with self._news:
                self._n_sent = max(self._n_sent, number)
                self._news.notify_all()

    async def _has(self, number: int) -> bool:
        """Whether there is a frame of that number, or will ever be one."""
        async with self._news:
            await self._news.wait_for(lambda: number < self._history.n_frames or self._ending is not None)
            return number < self._history.n_frames

    async def _see_off(self, connection: Connection) -> None:
        """Close a connection over which everything was said; a client that does not confirm it may come back."""
        assert self._ending is not None
        await connection.close(*self._ending)
        self._lose(connection, for_good=not self.window_s or await connection.is_closed_by_both())

    def hang_up(self, reason: VoxtralError) -> None:
        """Close the connection for this reason; the client may come back."""
        if self._connection is not None:
            self._connection.hang_up(reason)

    async def end(self, error: VoxtralError | None) -> None:
        """Everything was said: close, and wait until the client has it all or is gone."""
        async with self._news:
            self._ending = self._ending_of(error)
            self._news.notify_all()
        await self._gone.wait()

    def hurry(self) -> None:
        """Keep nothing for a client that comes back later; one that is away now is gone."""
        self.window_s = 0.0
        self._history.forget(self._n_sent)
        if self.is_lost:
            self.abandon()

    def abandon(self, reason: VoxtralError | None = None) -> None:
        """Nobody is served any more; the connection, if there is one, is hung up for this reason."""
        if self._expiry is not None:
            self._expiry.cancel()
        self._gone.set()
        if self._connection is not None:
            self._connection.hang_up(reason)

    def _lose(self, connection: Connection, *, for_good: bool = False) -> None:
        """The connection is lost: its client may come back for a while, or is gone."""
        if connection is not self._connection:
            return
        self._connection = None
        self._is_connected.clear()
        connection.hang_up()
        if for_good or not self.window_s:
            self._gone.set()
        else:
            self._expiry = asyncio.get_running_loop().call_later(self.window_s, self._gone.set)
