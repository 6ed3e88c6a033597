"""A real server on a real port, an engine that tells exactly what it heard, and clients.

Run as a program it is such a server: `python conftest.py '{"server": {"port": 8123}}' COST_OF_DECODING`.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import socket
import sys
import threading
import time
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
import pytest
import websockets
from fastapi import FastAPI
from numpy.typing import NDArray
from starlette.types import Message as ASGIMessage
from starlette.types import Receive, Scope, Send
from websockets.asyncio.client import ClientConnection

from voxtral_streaming.audio.units import SAMPLE_RATE, Samples, seconds
from voxtral_streaming.config import Config
from voxtral_streaming.engines.base import Capabilities, StreamOptions
from voxtral_streaming.engines.whisper.engine import WhisperEngine
from voxtral_streaming.server.app import create_app, lifespan
from voxtral_streaming.server.run import Server, open_certificate, serve
from voxtral_streaming.server.service import Service
from voxtral_streaming.transcriber import Transcriber
from voxtral_streaming.transcript import Hypothesis, Word

Message = dict[str, Any]


@dataclass
class AccountingStream:
    """Its text is what it heard: the position of the first sample, how many there were, and their checksum."""

    engine: AccountingEngine
    at: int
    options: StreamOptions
    samples: list[Samples] = field(default_factory=list)
    n_told: int = 0
    fed: asyncio.Event = field(default_factory=asyncio.Event)

    def feed(self, samples: Samples) -> None:
        self.samples.append(samples)
        self.fed.set()

    async def partial(self) -> Hypothesis:
        while self.n_samples - self.n_told < SAMPLE_RATE // 5:
            self.fed.clear()
            await self.fed.wait()
        self.n_told = self.n_samples
        await self.engine.decode(self.n_told)
        return Hypothesis(stable=f"from {self.at} ", tentative=f"{self.n_told}")

    async def flush(self) -> Hypothesis:
        return await self.finish()

    async def finish(self) -> Hypothesis:
        await self.engine.decode(self.n_samples)
        words = (Word(str(self.n_samples), seconds(self.at), seconds(self.at + self.n_samples), 1.0),)
        checksum = zlib.crc32(np.concatenate(self.samples).tobytes())
        text = f"{self.at} {self.n_samples} {checksum:08x}" + self.engine.padding
        return Hypothesis(stable=text, words=words, language=self.options.language or "en")

    def close(self) -> None:
        pass

    @property
    def n_samples(self) -> int:
        return sum(map(len, self.samples))


class AccountingEngine:
    """Hears everything and understands nothing; as slow, as talkative or as ill as it is told to be."""

    def __init__(
        self,
        *,
        cost: float = 0.0,
        padding: str = "",
        ails: Exception | None = None,
        broken: Exception | None = None,
        **can: Any,
    ) -> None:
        """`cost`: seconds of decoding for a second of audio. `padding`: at the end of every text.

        `ails` comes out of decoding, `broken` out of loading.
        """
        self.capabilities = Capabilities(
            **{
                "name": "accounting",
                "model": "abacus",
                "partials": True,
                "timestamps": "word",
                "languages": ("en", "fr"),
                "detects_language": True,
                "biasing": True,
                **can,
            }
        )
        self.cost = cost
        self.padding = padding
        self.ails = ails
        self.broken = broken
        self.is_running = False
        self.resumed = asyncio.Event()
        self.resumed.set()
        self.options: list[StreamOptions] = []

    async def start(self) -> None:
        if self.broken is not None:
            raise self.broken
        self.is_running = True

    def open(self, options: StreamOptions, at: int) -> AccountingStream:
        self.options.append(options)
        return AccountingStream(self, at, options)

    async def decode(self, n_samples: int) -> None:
        if self.ails is not None:
            raise self.ails
        await self.resumed.wait()
        await asyncio.sleep(self.cost * seconds(n_samples))

    async def close(self) -> None:
        self.is_running = False


LEAK = re.compile(
    r"0x[0-9a-f]{6,}|Traceback|site-packages|\.py\b|\b\d{1,3}(\.\d{1,3}){3}\b"
    r"|(?<![\w.:/])/(etc|home|opt|proc|root|sys|tmp|usr|var)\b"
)


class Watched:
    """An application whose errors are read along: none may tell an address, a path or a traceback."""

    def __init__(self, app: FastAPI) -> None:
        self.state = app.state
        self.leaks: list[str] = []
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_error = False

        async def read_along(message: ASGIMessage) -> None:
            nonlocal is_error
            is_error = message.get("status", 400 if is_error else 200) >= 400
            text = message.get("text") or ""
            if is_error or '"error"' in text:
                self.leaks += [match[0] for match in LEAK.finditer(text + message.get("body", b"").decode())]
            await send(message)

        await self._app(scope, receive, read_along)


class Running:
    """A server in a thread of its own."""

    def __init__(self, config: Config, engine: AccountingEngine) -> None:
        self.engine = engine
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.host = f"127.0.0.1:{self.listener.getsockname()[1]}"
        self.app = create_app(config, Transcriber(config, engine=engine))
        self.service: Service = self.app.state.service
        self.watched = Watched(self.app)
        self.server = Server(cast(FastAPI, self.watched), config.server, open_certificate(config.server))
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))
        self._is_running = threading.Event()
        self._thread.start()
        self._is_running.wait(10)

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._loop.call_soon(self._is_running.set)
        async with lifespan(self.app):
            await self.server.serve([self.listener])

    def call(self, function: Callable[[], None]) -> None:
        """Call in the server's thread."""
        self._loop.call_soon_threadsafe(function)

    def time_turns(self) -> list[float]:
        """The CPU seconds that the event loop computes from one turn to the next, from now on.

        Time in which the machine does other work is not among them.
        """
        turns: list[float] = []

        def turn(last: float) -> None:
            now = time.thread_time()
            turns.append(now - last)
            self._loop.call_later(0.001, turn, now)

        self.call(lambda: turn(time.thread_time()))
        return turns

    def stop(self) -> None:
        self.server.should_exit = True
        self._thread.join(10)
        assert not self._thread.is_alive()
        assert self.watched.leaks == []


class Client:
    """A client of the native protocol."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.messages: list[Message] = []

    async def say(self, type_: str, **fields: Any) -> None:
        await self.socket.send(json.dumps({"type": type_, **fields}))

    async def send(self, data: bytes | str, frame: int | None = None) -> None:
        """Send, whole or in frames of so many bytes."""
        for start in range(0, len(data), frame or len(data) or 1):
            await self.socket.send(data[start : start + (frame or len(data))])

    async def hear(self, type_: str) -> Message:
        """The next message of that type; what comes before it is kept too."""
        while True:
            message: Message = json.loads(await asyncio.wait_for(self.socket.recv(), 10))
            self.messages.append(message)
            if message["type"] == type_:
                return message

    async def hear_out(self) -> int:
        """Everything to the end; the close code."""
        with pytest.raises(websockets.ConnectionClosed):
            await self.hear("nothing of this name")
        assert self.socket.close_code is not None
        return self.socket.close_code

    def said(self, type_: str) -> list[Message]:
        return [message for message in self.messages if message["type"] == type_]

    @property
    def finals(self) -> list[str]:
        return [message["text"] for message in self.said("final")]

    @property
    def error(self) -> Message:
        """The error that ended the session: the last message."""
        assert self.messages[-1]["type"] == "error"
        assert self.messages[-1]["fatal"] is True
        error: Message = self.messages[-1]["error"]
        return error


Configure = Callable[..., Config]
Launch = Callable[..., Running]
Connect = Callable[..., AbstractAsyncContextManager[Client]]
Eventually = Callable[[Callable[[], bool]], Awaitable[None]]


def configuration(**sections: dict[str, Any]) -> Config:
    required: dict[str, dict[str, Any]] = {
        "model": {"name": "whisper-base", "device": "cpu"},
        "audio": {"sample_rate": 16000},
        "vad": {"threshold": 0.01, "detector": "energy"},
        "server": {
            "max_sessions": 16,
            "max_wrong_keys_per_minute": 10_000,  # all tests are one peer
            "max_starts_per_minute": 1_000_000,
        },
    }
    names = required.keys() | sections.keys()
    return Config.model_validate({name: {**required.get(name, {}), **sections.get(name, {})} for name in names})


@pytest.fixture(scope="session")
def configure() -> Configure:
    """A configuration for tests: `configure(server={"max_sessions": 2})`."""
    return configuration


@pytest.fixture(scope="session")
def accounting() -> type[AccountingEngine]:
    return AccountingEngine


@pytest.fixture(scope="session")
def running() -> type[Running]:
    return Running


@pytest.fixture(scope="session")
def server(configure: Configure) -> Iterator[Running]:
    """The server that most tests share."""
    running = Running(configure(), AccountingEngine())
    yield running
    running.stop()
    assert len(running.service.sessions) == 0
    assert not running.engine.is_running


@pytest.fixture(scope="session")
def hearing(configure: Configure) -> Iterator[Running]:
    """A server with the built-in engine, for one sentence through each door."""
    config = configure(vad={"detector": "silero"})
    running = Running(config, cast(Any, WhisperEngine(config.model, config.streaming)))
    yield running
    running.stop()


@pytest.fixture(scope="session")
def sentence() -> bytes:
    """Somebody reads that he might even have been made amiable himself: PCM of 16 bits at 16 kHz."""
    path = Path(__file__).parents[1] / "data" / "speech" / "en_librivox_0930.flac"
    with av.open(str(path)) as container:
        return b"".join(frame.to_ndarray().astype("<i2").tobytes() for frame in container.decode(audio=0))


@pytest.fixture
def launch(configure: Configure) -> Iterator[Launch]:
    """Start a server of the test's own: `launch(AccountingEngine(...), server={...})`."""
    started: list[Running] = []

    def launch(engine: AccountingEngine | None = None, **sections: dict[str, Any]) -> Running:
        started.append(Running(configure(**sections), engine or AccountingEngine()))
        return started[-1]

    yield launch
    for running in started:
        running.stop()


@pytest.fixture(scope="session")
def connect() -> Connect:
    """Open a live session: `async with connect(server) as client`."""

    @asynccontextmanager
    async def connect(running: Running, **options: Any) -> AsyncIterator[Client]:
        options.setdefault("compression", None)
        async with websockets.connect(f"ws://{running.host}/ws", **options) as socket:
            yield Client(socket)

    return connect


@pytest.fixture(scope="session")
def eventually() -> Eventually:
    """Wait until a condition holds, for two seconds at most."""

    async def eventually(condition: Callable[[], bool]) -> None:
        for _ in range(200):
            if condition():
                return
            await asyncio.sleep(0.01)
        raise AssertionError("it did not come true within two seconds")

    return eventually


@dataclass(frozen=True)
class Sound:
    """Sounds of so many seconds, as 16-bit samples at 16 kHz."""

    seed: int = 0

    def speech(self, length: float) -> NDArray[np.int16]:
        """Loud enough for the energy detector; no two samples tell the same story."""
        return (np.random.default_rng(self.seed).uniform(-0.3, 0.3, round(length * SAMPLE_RATE)) * 32767).astype("<i2")

    def silence(self, length: float) -> NDArray[np.int16]:
        return np.zeros(round(length * SAMPLE_RATE), "<i2")

    def utterances(self, *lengths: float) -> bytes:
        """Utterances of these lengths, a second of silence around each."""
        parts = [self.silence(1.0)]
        for length in lengths:
            parts += [self.speech(length), self.silence(1.0)]
        return np.concatenate(parts).tobytes()


@pytest.fixture(scope="session")
def sound() -> Sound:
    return Sound()


def announce() -> None:
    sys.stdout.write("ready\n")
    sys.stdout.flush()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    configured = configuration(**json.loads(sys.argv[1]))
    transcriber = Transcriber(configured, engine=AccountingEngine(cost=float(sys.argv[2])))
    serve(configured, transcriber, on_ready=announce)
