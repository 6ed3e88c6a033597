"""The child: an engine, and the socket over which its streams are opened, fed, asked and closed."""

from __future__ import annotations

import asyncio
import ctypes
import faulthandler
import logging
import os
import signal
import socket
import sys
from contextlib import suppress
from importlib import import_module
from pathlib import Path

from voxtral_streaming.engines.base import Engine, Stream
from voxtral_streaming.engines.process.wire import (
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
    Start,
    Started,
    encode,
    receive,
)
from voxtral_streaming.errors import EngineFailed, VoxtralError
from voxtral_streaming.memory import hold_little

PR_SET_PDEATHSIG = 1  # linux/prctl.h
OOM_SCORE_FILE = Path("/proc/self/oom_score_adj")
OOM_SCORE = 500  # where memory runs out, the kernel ends the engine and not the server

logger = logging.getLogger(__name__)


def main() -> None:
    """Serve the parent, whose process id is the first argument, until it says so or is gone."""
    faulthandler.enable()
    for number in (signal.SIGINT, signal.SIGTERM):  # whoever stops a whole service stops the parent, which needs us
        signal.signal(number, signal.SIG_IGN)
    die_with(int(sys.argv[1]))
    hold_little()
    asyncio.run(serve(take_connection()))


def take_connection() -> socket.socket:
    """The socket that came as standard input; what this process starts inherits no trace of it."""
    connection = socket.socket(fileno=os.dup(0))
    with Path(os.devnull).open("rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    return connection


def die_with(parent: int) -> None:
    """End when the parent does, even while this process hangs (on Linux; elsewhere when the socket closes)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        with suppress(OSError):  # a container may mount it read-only, and then the kernel chooses
            OOM_SCORE_FILE.write_text(str(OOM_SCORE), encoding="ascii")
    if os.getppid() != parent:
        sys.exit("the parent is gone")


async def serve(connection: socket.socket) -> None:
    """Start the engine that the parent asks for, and serve it to its end."""
    reader, writer = await asyncio.open_connection(sock=connection)
    link = Link(writer)
    logging.basicConfig(level=logging.WARNING, handlers=[Forwarder(link)])
    logging.getLogger("voxtral_streaming").setLevel(logging.INFO)
    first = await receive(reader)
    if first is None:
        return
    start = first[1]
    if not isinstance(start, Start):
        raise ValueError(f"{type(start).__name__} before Start")
    try:
        module = import_module(start.module)
        engine: Engine = getattr(module, start.function)(**start.arguments)
        await engine.start()
    except VoxtralError as error:
        link.send(0, failed(error))
        await link.close()
        return
    explanation = getattr(module, start.explain)(**start.arguments) if start.explain else ""
    link.send(0, Started(engine.capabilities, explanation))
    beating = asyncio.create_task(link.beat(start.beat_s))
    await Host(engine, link).serve(reader)
    beating.cancel()
    await engine.close()


class Link:
    """The way to the parent, for the thread of the event loop and all others."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self._loop = asyncio.get_running_loop()

    def send(self, number: int, message: Message) -> None:
        """Send a message; what cannot be sent, for the parent is gone, nobody misses."""
        self._writer.write(encode(number, message))

    def send_from_any_thread(self, message: Message) -> None:
        """Send a message without a number, soon."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self.send, 0, message)

    async def beat(self, interval_s: float) -> None:
        """Give signs of life."""
        while True:
            self.send(0, Beat())
            await asyncio.sleep(interval_s)

    async def close(self) -> None:
        """Send what waits, and close."""
        self._writer.close()
        await self._writer.wait_closed()


class Host:
    """Carries out what the parent asks of the engine."""

    def __init__(self, engine: Engine, link: Link) -> None:
        self._engine = engine
        self._link = link
        self._streams: dict[int, Stream | VoxtralError] = {}  # or why one could not be opened
        self._answering: dict[int, asyncio.Task[None]] = {}

    async def serve(self, reader: asyncio.StreamReader) -> None:
        """Until the parent closes the socket."""
        while (received := await receive(reader)) is not None:
            self._hear(*received)

    def _hear(self, number: int, message: Message) -> None:
        match message:
            case Open():
                self._streams[number] = self._open(message)
            case Feed(samples):
                if not isinstance(stream := self._streams[number], VoxtralError):
                    stream.feed(samples)
            case Ask(stream=asked):
                task = asyncio.create_task(self._answer(number, self._streams[asked], message))
                self._answering[number] = task
                task.add_done_callback(lambda _: self._answering.pop(number))
            case GiveUp():
                if number in self._answering:  # else the answer is on its way
                    self._answering[number].cancel()
            case Close():
                if not isinstance(stream := self._streams.pop(number), VoxtralError):
                    stream.close()
            case _:
                raise ValueError(f"{type(message).__name__} from the parent")

    def _open(self, message: Open) -> Stream | VoxtralError:
        try:
            return self._engine.open(message.options, message.at)
        except VoxtralError as error:
            return error

    async def _answer(self, number: int, stream: Stream | VoxtralError, ask: Ask) -> None:
        try:
            if isinstance(stream, VoxtralError):
                raise stream
            questions = {"partial": stream.partial, "flush": stream.flush, "finish": stream.finish}
            self._link.send(number, Answered(await questions[ask.question]()))
        except VoxtralError as error:
            self._link.send(number, failed(error))
        except Exception as error:  # whoever asked hears it; the engine serves the others
            logger.exception("recognition failed")
            self._link.send(number, failed(EngineFailed(f"recognition failed: {error}")))


def failed(error: VoxtralError) -> Failed:
    """An error as it is sent."""
    return Failed(error.code, error.message, error.param)


class Forwarder(logging.Handler):
    """Sends the log to the parent, which has the file."""

    def __init__(self, link: Link) -> None:
        super().__init__()
        self.setFormatter(logging.Formatter())  # the message and the traceback; the parent adds the rest
        self._link = link

    def emit(self, record: logging.LogRecord) -> None:
        """Send a record, formatted."""
        self._link.send_from_any_thread(Logged(record.levelno, record.name, self.format(record)))
