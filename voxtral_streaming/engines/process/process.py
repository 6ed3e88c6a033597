"""One child with an engine in it, as its parent sees it: opened, spoken to, watched, ended. There is no second life."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import time
from collections.abc import Callable, Iterator
from itertools import count

from voxtral_streaming.audio.units import Samples
from voxtral_streaming.engines.base import StreamOptions
from voxtral_streaming.engines.process.launch import Launched, end, kill, vitals
from voxtral_streaming.engines.process.watchdog import Policy, Watchdog
from voxtral_streaming.engines.process.wire import (
    MAX_FEED,
    Answered,
    Ask,
    Beat,
    Close,
    Failed,
    Feed,
    GiveUp,
    Logged,
    Message,
    Open,
    Question,
    Started,
    encode,
    receive,
)
from voxtral_streaming.errors import (
    AudioError,
    EngineError,
    EngineFailed,
    EngineLost,
    EngineUnavailable,
    UnsupportedOption,
    VoxtralError,
)
from voxtral_streaming.transcript import Hypothesis

LAST_WORDS_S = 1.0  # between closing the socket and ending, for a traceback


class EngineProcess:
    """Made by `start`; `open` opens streams; `ended` waits for its end and tells why."""

    def __init__(
        self,
        child: subprocess.Popen[bytes],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        policy: Policy,
    ) -> None:
        self._child = child
        self._reader = reader
        self._writer = writer
        self._policy = policy
        self._numbers = count(1)
        self._asked: dict[int, asyncio.Future[Hypothesis]] = {}
        self._reason = ""
        self.is_alive = False  # the engine can be asked
        self.n_answers = 0

    @classmethod
    async def start(cls, launched: Launched, policy: Policy, lost: Callable[[], None]) -> EngineProcess:
        """Wait for a child that was launched, and its engine.

        Raises what starting the engine raised, or `EngineUnavailable`.

        `lost` is called at the moment the child is found to have ended, before anybody who waits for an answer
        hears of it; not after `close`.
        """
        child, connection = launched
        process = cls(child, *await asyncio.open_connection(sock=connection), policy)
        try:
            await process._start(lost)
        except BaseException:
            await process._end(grace_s=0)
            raise
        return process

    async def _start(self, lost: Callable[[], None]) -> None:
        try:
            self.started = await asyncio.wait_for(self._started(), self._policy.start_s)
        except asyncio.TimeoutError as error:
            raise EngineUnavailable(f"the engine was not ready after {self._policy.start_s:g} s") from error
        except ValueError as error:
            raise EngineUnavailable(f"the process of the engine spoke nonsense: {error}") from error
        self.is_alive = True
        self._watchdog = Watchdog(self._policy, time.monotonic())
        self._serving = asyncio.create_task(self._serve(lost))

    async def _started(self) -> Started:
        while (received := await receive(self._reader)) is not None:
            match received[1]:
                case Started() as started:
                    return started
                case Failed() as failure:
                    raise error_of(failure)
                case Logged() as line:
                    log(line)
        raise EngineUnavailable(f"the process of the engine ended while it started: {await self._end(LAST_WORDS_S)}")

    @property
    def pid(self) -> int:
        """The process id of the child."""
        return self._child.pid

    def open(self, options: StreamOptions, at: int) -> ProcessStream:
        """Open a stream. Raises `EngineLost` when the child has ended."""
        if not self.is_alive:
            raise EngineLost("the process of the engine has ended")
        number = next(self._numbers)
        self.send(number, Open(options, at))
        return ProcessStream(self, number)

    def send(self, number: int, message: Message) -> None:
        """Send a message, if there is somebody to hear it."""
        if self.is_alive and not self._writer.is_closing():
            self._writer.write(encode(number, message))

    def ask(self, stream: int, question: Question) -> asyncio.Future[Hypothesis]:
        """The answer to come; cancelled, it is given up. Raises `EngineLost` when the child has ended."""
        if not self.is_alive:
            raise EngineLost("the process of the engine has ended")
        number, answer = next(self._numbers), asyncio.get_running_loop().create_future()
        self._asked[number] = answer
        self.send(number, Ask(stream, question))
        if question != "partial":
            self._watchdog.ask(time.monotonic())
        answer.add_done_callback(lambda _: self._settle(number, question))
        return answer

    def _settle(self, number: int, question: Question) -> None:
        if question != "partial":
            self._watchdog.settle()
        if self._asked.pop(number).cancelled():
            self.send(number, GiveUp())

    async def ended(self) -> str:
        """Wait until the child has ended by itself or by the watchdog; why it has."""
        await asyncio.shield(self._serving)
        return self._reason

    async def close(self) -> None:
        """Let the child end, and end it if it does not; whatever is awaited is cancelled."""
        if not self.is_alive:  # it has ended, and is being buried
            await asyncio.wait([self._serving])
            return
        self.is_alive = False
        self._serving.cancel()
        for answer in self._asked.values():
            answer.cancel()
        self._writer.close()
        await self._end(self._policy.farewell_s)

    async def _serve(self, lost: Callable[[], None]) -> None:
        watching = asyncio.create_task(self._watch())
        try:
            while (received := await receive(self._reader)) is not None:
                self._hear(*received)
        except ValueError as error:
            self._reason = f"it spoke nonsense: {error}"
        finally:
            watching.cancel()
        self.is_alive = False
        lost()
        for answer in self._asked.values():
            if not answer.done():
                answer.set_exception(EngineLost("the process of the engine has ended"))
        ending = await self._end(LAST_WORDS_S)
        self._reason = self._reason or ending

    async def _watch(self) -> None:
        """End the child when it hangs or takes too much."""
        while not self._reason:
            await asyncio.sleep(self._policy.beat_s)
            self._reason = self._watchdog.verdict(time.monotonic(), vitals(self._child.pid)) or ""
        kill(self._child)

    def _hear(self, number: int, message: Message) -> None:
        now = time.monotonic()
        self._watchdog.hear(now)
        match message:
            case Logged():
                log(message)
            case Answered() | Failed():
                self.n_answers += 1
                self._watchdog.progress(now)
                answer = self._asked.get(number)
                if answer is not None and not answer.done():
                    _resolve(answer, message)
            case Beat():
                pass
            case _:
                raise ValueError(f"{type(message).__name__} from the child")

    async def _end(self, grace_s: float) -> str:
        """See that the child ends, and tell how it did."""
        ending = await asyncio.to_thread(end, self._child, grace_s)
        self._writer.transport.abort()
        return ending


class ProcessStream:
    """Implements `Stream`. When the child ends, whoever waits hears `EngineLost`, and so does whoever asks."""

    def __init__(self, process: EngineProcess, number: int) -> None:
        self._process = process
        self._number = number
        self._answer: asyncio.Future[Hypothesis] | None = None
        self._is_closed = False

    def feed(self, samples: Samples) -> None:
        """Send samples on their way."""
        for start in range(0, len(samples), MAX_FEED):
            self._process.send(self._number, Feed(samples[start : start + MAX_FEED]))

    async def partial(self) -> Hypothesis:
        """Ask the child's stream."""
        return await self._ask("partial")

    async def flush(self) -> Hypothesis:
        """Ask the child's stream."""
        return await self._ask("flush")

    async def finish(self) -> Hypothesis:
        """Ask the child's stream."""
        return await self._ask("finish")

    async def _ask(self, question: Question) -> Hypothesis:
        self._answer = self._process.ask(self._number, question)
        return await self._answer

    def close(self) -> None:
        """Close the child's stream, once."""
        if self._is_closed:
            return
        self._is_closed = True
        if self._answer is not None:
            self._answer.cancel()
        self._process.send(self._number, Close())


def error_of(failure: Failed) -> VoxtralError:
    """The error that the child raised."""
    kinds = {kind.code: kind for root in (AudioError, EngineError, UnsupportedOption) for kind in _tree(root)}
    return kinds.get(failure.code, EngineFailed)(failure.message, param=failure.param)


def _tree(root: type[VoxtralError]) -> Iterator[type[VoxtralError]]:
    yield root
    for kind in root.__subclasses__():
        yield from _tree(kind)


def log(line: Logged) -> None:
    """Write a line of the child's log into our own."""
    logging.getLogger(line.logger).log(line.level, "%s", line.text)


def _resolve(answer: asyncio.Future[Hypothesis], message: Answered | Failed) -> None:
    if isinstance(message, Answered):
        answer.set_result(message.hypothesis)
    else:
        answer.set_exception(error_of(message))
