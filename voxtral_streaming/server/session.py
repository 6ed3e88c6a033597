"""A live session: a client on one side, recognition on the other, a dialect in between.

    line ─ _read ─▶ dialect ─▶ intake ─▶ inbox ─ _recognise ─▶ outbox ─ _write ─▶ dialect ─▶ line

The reader waits only for room in the inbox, which recognition empties until its backlog is full:
then nothing more is read, and TCP makes the client wait. Where a client does not read, the outbox
fills, and its connection is given up. The session runs in a task of its own, and each connection of
its line in that of its endpoint, so that a session can outlive a connection.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections import deque
from collections.abc import Callable
from contextlib import aclosing, suppress
from typing import NoReturn

import anyio

from voxtral_streaming import recognise, transcript
from voxtral_streaming.audio.units import Samples
from voxtral_streaming.errors import EngineError, VoxtralError
from voxtral_streaming.server.connection import Connection
from voxtral_streaming.server.dialects.actions import (
    Acked,
    Acknowledge,
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
from voxtral_streaming.server.errors import IdleTimeout, Overloaded, Stopping
from voxtral_streaming.server.intake import Intake
from voxtral_streaming.server.ledger import Ledger
from voxtral_streaming.server.limits import LAG_INTERVAL_S, LATE_LOOKS, RETRY_AFTER_S
from voxtral_streaming.server.line import Line
from voxtral_streaming.server.outbox import Outbox
from voxtral_streaming.server.service import Service
from voxtral_streaming.server.tally import Tally
from voxtral_streaming.server.tasks import together, unless
from voxtral_streaming.server.turns import endpointer

logger = logging.getLogger(__name__)


class LiveSession:
    """Admitted, then run to its end, over connections that are carried."""

    def __init__(self, service: Service, facts: SessionFacts, dialect: Dialect) -> None:
        self.facts = facts
        self._service = service
        self._dialect = dialect
        self._line = Line(self._ending)
        self._patience = anyio.CancelScope()
        self._is_stopping = False
        self._reason: VoxtralError | None = None  # why the audio ended, if not as the client asked
        self._starting: asyncio.Future[Start | None] = asyncio.get_running_loop().create_future()
        self._intake = Intake(AudioFormat())
        self._inbox: asyncio.Queue[Samples | Flush | Clear | Tick | None] = asyncio.Queue(maxsize=1)
        self._flushes: deque[Flush] = deque()  # that wait for their answers
        self._outbox = Outbox()
        self._is_written = asyncio.Event()
        self._ledger = Ledger(service.metrics)
        self._tally = Tally()
        self._backlog = recognise.Backlog()
        self._has_warned = False
        self._misses_engine = False

    async def run(self) -> None:
        """Serve the session until everything is said and the client has it, or until the client is gone."""
        try:
            await unless(self._line.gone(), self._live())
        finally:
            self._line.abandon(VoxtralError("the server failed"))
            self._service.resumable.pop(self.facts.id, None)
            self._service.metrics.sanitized.inc(self._intake.sanitized)

    async def carry(self, connection: Connection) -> None:
        """Serve the client over this connection, its first one, until that ends."""
        await self._line.carry(connection)

    async def resume(self, connection: Connection, seq: int, greet: Callable[[int, int], Frame]) -> None:
        """Go on over this connection with a client that has heard everything up to `seq`.

        `greet` says how many bytes of its audio and how many of its messages were received. Raises `SessionNotFound`
        or `ProtocolError` where it cannot be; the session is as it was then.
        """
        self._line.check(seq + 1)
        self._service.metrics.resumed.inc()
        await self._line.carry(connection, seq + 1, greet(self._tally.n_bytes, self._tally.n_messages))

    def stop(self) -> None:
        """Take no more audio, finish what there is, and end."""
        self._is_stopping = True
        self._patience.cancel()
        self._line.hurry()

    async def _live(self) -> None:
        error, _ = await together(self._serve(), self._write())
        await self._line.end(error)

    async def _serve(self) -> VoxtralError | None:
        """Say everything from the first word to the last; answer why the session ends, if not as the client asked."""
        await self._outbox.put(Opened())
        error = await self._converse()
        await unless(self._overhear(), self._finish(self._last_words(error)))
        return error

    async def _finish(self, last_words: Notice) -> None:
        await self._outbox.put(last_words)
        await self._outbox.put(None)
        await self._is_written.wait()

    async def _converse(self) -> VoxtralError | None:
        """Read and recognise until the audio ends or something fails."""
        try:
            await unless(self._watch(), unless(self._read(), self._recognise()))
        except EngineError as error:
            logger.error("recognition failed: %s", error)
            return error
        except VoxtralError as error:
            return error
        except Exception:  # whatever it is, the client is told and the other sessions go on
            logger.exception("a live session failed")
            return VoxtralError("the server failed")
        return self._reason

    def _last_words(self, error: VoxtralError | None) -> Notice:
        if error is None or isinstance(error, Stopping):
            return self._ledger.closed(self._intake.sanitized)
        return Failed(error)

    async def _read(self) -> NoReturn:
        """Take in the client's audio to its end, then go on listening, so that it is noticed when the client leaves."""
        self._reason = await self._read_actions()
        await self._take(self._intake.finish())
        await self._inbox.put(None)
        if not self._starting.done():
            self._starting.set_result(None)
        await self._overhear()

    async def _overhear(self) -> NoReturn:
        """Listen to nothing any more but to what the client has heard, and notice when it leaves."""
        while True:
            frame = await self._line.receive(math.inf)
            if self._line.window_s:
                with suppress(VoxtralError):
                    for action in self._dialect.receive(frame):
                        if isinstance(action, Acknowledge):
                            await self._line.acknowledge(action.seq)

    async def _read_actions(self) -> VoxtralError | None:
        """Carry out what the client asks; answer why no more is read, if not because it asked for that."""
        while True:
            try:
                frame = await self._next_frame()
            except (IdleTimeout, Stopping) as reason:
                return reason
            actions = self._dialect.receive(frame)
            self._tally.take(actions)
            for action in actions:
                if isinstance(action, Close):
                    return None
                await self._carry_out(action)

    async def _next_frame(self) -> Frame:
        """What the client sends next; raises `IdleTimeout` and `Stopping`."""
        if not self._is_stopping:
            with anyio.CancelScope() as self._patience:
                return await self._line.receive(self.facts.idle_timeout_s)
        await self._outbox.put(Warned("stopping", "the server is stopping; the last finals follow"))
        raise Stopping("the server is stopping")

    async def _carry_out(self, action: Action) -> None:
        match action:
            case Start():
                self._begin(action)
                await self._outbox.put(Started(action))
                self._starting.set_result(action)
            case Audio(data):
                await self._acknowledge()
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
            case Acknowledge(seq):
                await self._line.acknowledge(seq)

    def _begin(self, start: Start) -> None:
        self._intake = Intake(start.audio)
        if start.is_resumable:
            self._line.window_s = self.facts.resume_s
            self._tally.acknowledge_every(start.audio)
            self._service.resumable[self.facts.id] = self

    async def _acknowledge(self) -> None:
        """Tell a client that keeps its audio until it is received how much of it was."""
        if self._tally.is_due():
            await self._outbox.put(Acked(self._tally.n_bytes, self._tally.n_messages, self._lag_s))

    @property
    def _lag_s(self) -> float:
        """How long ago the audio came whose final is awaited."""
        return self._ledger.lag_s(self._backlog.oldest)

    async def _watch(self) -> NoReturn:
        """Tell a client that its finals come late; and later, if it can come back, to do so in a while."""
        n_late = 0  # looks, one after the other
        while True:
            await asyncio.sleep(LAG_INTERVAL_S)
            lag = self._lag_s
            n_late = n_late + 1 if lag > self._service.config.server.max_lag_s else 0
            message = f"the audio whose final is awaited came {lag:.1f} s ago"
            if n_late == 1:
                await self._outbox.put(Warned("overloaded", message, lag_s=lag, retry_after_s=RETRY_AFTER_S))
            elif n_late > LATE_LOOKS and self._line.window_s:
                self._line.hang_up(Overloaded(message))
                n_late = 0

    async def _take(self, samples: Samples) -> None:
        """Pass samples on as soon as recognition has room for them."""
        if len(samples):
            self._ledger.receive(len(samples))
            await self._warn_of_sanitized()
            await self._warn_of_engine()
            await self._inbox.put(samples)

    async def _warn_of_sanitized(self) -> None:
        """Tell the client, once, that not all of its samples are numbers in [-1, 1]."""
        if self._intake.sanitized and not self._has_warned:
            self._has_warned = True
            message = "samples that are no number, or outside [-1, 1], are replaced; `closed` will count them"
            await self._outbox.put(Warned("samples_sanitized", message, "audio"))

    async def _warn_of_engine(self) -> None:
        """Tell the client, each time, that it has to wait for the engine."""
        is_missing = not self._service.has_engine
        if is_missing and not self._misses_engine:
            message = "the engine is started again and will hear the open utterance once more; nothing is lost"
            await self._outbox.put(Warned("engine_restarting", message))
        self._misses_engine = is_missing

    async def _recognise(self) -> None:
        start = await self._starting
        if start is None:
            return
        transcriber = self._service.transcriber
        events = transcriber.stream(
            self._audio(),
            options=start.options,
            endpointer=endpointer(start.turns, transcriber),
            backlog=self._backlog,
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
            for frame in self._dialect.encode(notice):
                await self._line.say(frame)
        self._is_written.set()

    def _ending(self, error: VoxtralError | None) -> tuple[int, str]:
        """The code and the reason with which a connection is closed because of this error."""
        if error is None:
            return 1000, ""
        self._service.metrics.errors.labels(error.code).inc()
        return self._dialect.close_code(error), error.code
