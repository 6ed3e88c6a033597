"""A live session, over as many connections as it takes."""

from __future__ import annotations

import asyncio
import json
import logging
import random
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

import anyio
from numpy.typing import NDArray
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from voxtral_streaming.client.messages import (
    Acked,
    Closed,
    Opened,
    Resume,
    SessionError,
    Started,
    Warned,
    decode_numbered,
)
from voxtral_streaming.client.pcm import Source, encode
from voxtral_streaming.client.socket import OPEN_TIMEOUT_S, Server, is_final, lost
from voxtral_streaming.client.unacknowledged import Item, Unacknowledged
from voxtral_streaming.transcript import Event, Final, Flushed, Partial, SpeechStarted, SpeechStopped

FRAME_BYTES = 65_536  # longer audio is sent in several frames; the server takes 16 times as much in one
KEPT_S = 30.0  # of audio, until the server has received it
ACK_EVERY = 32  # messages of the server
SHORTEST_PAUSE_S, LONGEST_PAUSE_S = 0.25, 5.0  # between two attempts to come back
PASSING = frozenset({"connection_lost", "handshake_failed", "too_many_requests"})  # errors after which one tries again

logger = logging.getLogger(__name__)


class Session:
    """An open session: audio is sent, `finish` tells that there is no more, iterating gives the events to the last.

    Send and iterate at the same time, in two tasks: a server whose events are not read gives the client up. Iterating
    is also what comes back when the connection is lost. Everything here raises `SessionError` when the session ends
    too early.
    """

    def __init__(
        self, server: Server, socket: ClientConnection, source: Source, opened: Opened, started: tuple[int, Started]
    ) -> None:
        self._server = server
        self._socket = socket
        self._source = source
        self._seq, self.options = started  # the number of the last message; the options in force
        self._kept = Unacknowledged()
        self._max_kept = FRAME_BYTES
        if self.options.resume is not None:
            self._max_kept = round(KEPT_S * source.sample_rate) * source.frame_bytes
        self._news = asyncio.Condition()  # something is to be sent, was received by the server, or has failed
        self._failure: SessionError | None = None
        self._is_connected = True
        self._n_heard = 0  # messages since the last acknowledgement
        self._is_ack_due = False
        self._retry_after_s = 0.0
        self.id = opened.id
        self.capabilities = replace(opened.engine, max_utterance_s=opened.limits.max_utterance_s)
        self.limits = opened.limits
        self.lost_frames = 0  # of a live source, for which there was no room any more: samples of each channel
        self.lag_s = 0.0  # how old the audio was whose final was awaited, when the server last said so
        self.closed: Closed | None = None  # the counts of the session, once it has ended in order

    async def send(self, audio: bytes | NDArray[Any]) -> None:
        """Send the next audio, of any length: bytes in the encoding of the session, or samples as `encode` takes them.

        Waits while the server has enough to do, or cannot be reached; a live source is not kept waiting, and what
        there is no room for is lost, counted and logged.
        """
        data = audio if isinstance(audio, bytes) else encode(audio, self._source.encoding, self._source.channels)
        for start in range(0, len(data), FRAME_BYTES):
            block = data[start : start + FRAME_BYTES]
            if self._source.is_live and self._is_full:
                self._lose(block)
            else:
                await self._say(block)

    def _lose(self, block: bytes) -> None:
        if not self.lost_frames:
            logger.warning("the server is too slow or away: audio is being lost, more than %g s wait", KEPT_S)
        self.lost_frames += len(block) // self._source.frame_bytes

    async def flush(self) -> None:
        """End the open utterance here: its final follows, if one is open, and then `Flushed`."""
        await self._say('{"type": "flush"}')

    async def keep_alive(self) -> None:
        """Keep the session open while there is nothing to send for longer than `limits.idle_timeout_s`."""
        self._raise_failure()
        with suppress(ConnectionClosed):
            await self._socket.send('{"type": "keepalive"}')

    async def finish(self) -> None:
        """Tell that there is no more audio: the last finals follow, and the iteration ends."""
        await self._say('{"type": "close"}')

    @property
    def _is_full(self) -> bool:
        return self._kept.n_bytes >= self._max_kept

    async def _say(self, item: bytes | str) -> None:
        async with self._news:
            await self._news.wait_for(lambda: not self._is_full or self._failure is not None)
            self._raise_failure()
            self._kept.add(item)
            self._news.notify_all()

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise SessionError(self._failure.code, self._failure.message, param=self._failure.param)

    async def write(self) -> None:
        """Send what is to be sent, for as long as the session lasts; run by `connect`."""
        while True:
            async with self._news:
                await self._news.wait_for(lambda: self._is_connected and (self._is_ack_due or self._kept.n_unsent > 0))
                socket, item = self._socket, self._next()
            with suppress(ConnectionClosed):  # which whoever iterates will notice
                await socket.send(item)
            if self.options.resume is None:
                async with self._news:
                    self._kept.forget_sent()
                    self._news.notify_all()

    def _next(self) -> Item:
        if not self._is_ack_due:
            return self._kept.next()
        self._is_ack_due = False
        return json.dumps({"type": "ack", "seq": self._seq})

    def __aiter__(self) -> Session:
        return self

    async def __anext__(self) -> Event:
        while self.closed is None:
            try:
                event = await self._hear()
            except SessionError as error:
                await self._fail(error)
                raise
            except ConnectionClosed as end:
                await self._come_back(end)
            else:
                if event is not None:
                    return event
        await self._fail(SessionError("connection_lost", "the session has ended"))
        raise StopAsyncIteration

    async def _fail(self, error: SessionError) -> None:
        async with self._news:
            self._failure = self._failure or error
            self._news.notify_all()

    async def _hear(self) -> Event | None:
        """The event in the next message, if that is what it brings."""
        self._seq, message = decode_numbered(await self._socket.recv())
        await self._acknowledge(at_once=isinstance(message, Final))
        match message:
            case SpeechStarted() | Partial() | SpeechStopped() | Final() | Flushed():
                return message
            case Closed():
                self.closed = message
            case Acked():
                await self._forget(message)
            case Warned(code, text):
                self._retry_after_s = message.retry_after_s or 0.0
                logger.warning("%s: %s", code, text)
        return None

    async def _acknowledge(self, *, at_once: bool) -> None:
        """Have the server told, now and then, what need not be kept for us."""
        self._n_heard += 1
        if self.options.resume is not None and (at_once or self._n_heard >= ACK_EVERY):
            self._n_heard = 0
            async with self._news:
                self._is_ack_due = True
                self._news.notify_all()

    async def _forget(self, acked: Acked) -> None:
        self.lag_s = acked.lag_s
        async with self._news:
            self._kept.acknowledge(acked.received_bytes, acked.received_messages)
            self._news.notify_all()

    async def _come_back(self, end: ConnectionClosed) -> None:
        """Go on over another connection, or raise why that cannot be."""
        resume, loss = self.options.resume, lost(end)
        if resume is None or is_final(end):
            await self._fail(loss)
            raise loss
        self._is_connected = False
        logger.warning("the connection was lost, trying to come back: %s", end)
        try:
            with anyio.move_on_after(resume.window_s + OPEN_TIMEOUT_S):
                for pause in _pauses(self._retry_after_s):
                    await asyncio.sleep(pause)
                    if await self._resume(resume):
                        return
        except SessionError as refusal:
            loss = refusal
        loss = self._with_audio_left(loss)
        await self._fail(loss)
        raise loss

    async def _resume(self, resume: Resume) -> bool:
        """Try to come back. Raises `SessionError` where that is in vain."""
        try:
            socket, acked = await self._server.reopen({"id": self.id, "token": resume.token, "seq": self._seq})
        except (OSError, TimeoutError):
            return False
        except SessionError as error:
            if error.code in PASSING:
                return False
            raise
        async with self._news:
            self._kept.acknowledge(acked.received_bytes, acked.received_messages)
            self._kept.send_again()
            self._socket, self._is_connected, self._retry_after_s = socket, True, 0.0
            self._news.notify_all()
        logger.warning("the session goes on")
        return True

    def _with_audio_left(self, loss: SessionError) -> SessionError:
        """Why the session has ended, and how much audio was sent that the server may not have."""
        left = self._kept.n_bytes / self._source.frame_bytes / self._source.sample_rate
        return SessionError(loss.code, f"{loss.message}; the last {left:.1f} s of audio may not have been recognised")

    async def close(self) -> None:
        """End the session, finished or not; run by `connect`."""
        await self._socket.close()


def _pauses(first: float) -> Iterator[float]:
    """Seconds to wait before each attempt to come back; not everybody comes at the same time."""
    yield first
    pause = SHORTEST_PAUSE_S
    while True:
        yield pause * random.uniform(0.5, 1.0)
        pause = min(2 * pause, LONGEST_PAUSE_S)
