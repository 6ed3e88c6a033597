"""What happens to the server: its processes die, its network is cut, and strangers are at the door."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

import anyio
import psutil
import websockets

from bench.endurance.clients import Door
from bench.endurance.speech import Speech
from bench.endurance.tally import Tally
from bench.endurance.wire import Wire
from bench.fuzz import mutant, seeds

ENGINE, DECODER = "engines.process.host", "audio.decoder.process"  # stand in the command lines of the children
STRANGER = "203.0.113.66"  # as whom attacks come, through a trusted proxy: the others are not to be bothered
N_MUTANTS = 20
N_GUESSES = 40  # twice as many as are answered
N_CONNECTIONS = 50
PATIENCE_S = 30.0
HANDSHAKE = (
    "GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nAuthorization: Bearer {key}\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)


@dataclass
class Weather:
    """Causes faults, one after another, in an order that the seed decides."""

    door: Door
    pid: int  # of the server
    wire: Wire
    tally: Tally
    chance: random.Random

    async def storm(self, pause_s: float) -> None:
        """A fault about every `pause_s` seconds, until cancelled."""
        while True:
            await asyncio.sleep(self.chance.uniform(0.5, 1.5) * pause_s)
            name, fault = self.chance.choice(list(self._faults().items()))
            self.tally.faults[name] += 1
            await fault()

    def _faults(self) -> dict[str, Callable[[], Awaitable[None]]]:
        return {
            "engine killed": self._kill_engine,
            "engine stopped": self._stop_engine,
            "decoder process killed": self._kill_decoder,
            "network cut": self._cut,
            "clients that vanish": self._vanish,
            "client that does not read": self._read_nothing,
            "hostile recordings": self._upload_mutants,
            "guessed keys": self._guess,
            "half a request": self._say_half,
            "frames of chance": self._say_nonsense,
        }

    async def _kill_engine(self) -> None:
        self._signal(ENGINE, signal.SIGKILL)

    async def _stop_engine(self) -> None:
        self._signal(ENGINE, signal.SIGSTOP)

    async def _kill_decoder(self) -> None:
        self._signal(DECODER, signal.SIGKILL)

    async def _cut(self) -> None:
        self.wire.cut()

    def _signal(self, kind: str, number: signal.Signals) -> None:
        """Send a signal to the child of that kind, where there is one now."""
        for child in psutil.Process(self.pid).children():
            with suppress(psutil.NoSuchProcess, ProcessLookupError):
                if kind in " ".join(child.cmdline()):
                    os.kill(child.pid, number)

    async def _vanish(self) -> None:
        """Leave in the middle of a word, without a goodbye."""
        speech = Speech.of(self.chance.randrange(1000), 1)
        for _ in range(3):
            with suppress(OSError, websockets.WebSocketException):
                socket = await self._open()
                await socket.send(speech.pcm[: len(speech) // 2].tobytes())
                socket.transport.abort()

    async def _read_nothing(self) -> None:
        """Speak, and read nothing of the answers."""
        speech = Speech.of(self.chance.randrange(1000), 40)
        with suppress(OSError, TimeoutError, websockets.WebSocketException):
            socket = await self._open()
            socket.transport.pause_reading()
            with anyio.move_on_after(PATIENCE_S):
                while True:
                    await socket.send(speech.pcm[: 2**19].tobytes())
            socket.transport.abort()

    async def _open(self) -> websockets.ClientConnection:
        headers = {"Authorization": f"Bearer {self.door.key}"}
        return await websockets.connect(self.door.live, additional_headers=headers, compression=None)

    async def _upload_mutants(self) -> None:
        originals = seeds()
        async with self.door.http() as http:
            for _ in range(N_MUTANTS):
                data = mutant(originals, self.chance)
                answer = await http.post("/v1/transcriptions", files={"file": data})
                self.tally.uploads[f"hostile: {answer.status_code}"] += 1
                if answer.status_code not in (200, 413, 415, 422, 503):
                    self.tally.wonder(f"a hostile recording was answered with {answer.status_code} {answer.text[:200]}")

    async def _guess(self) -> None:
        async with self.door.http(STRANGER) as http:
            for number in range(N_GUESSES):
                answer = await http.get("/metrics", headers={"Authorization": f"Bearer guess-{number}"})
                if answer.status_code not in (401, 429):
                    self.tally.wonder(f"a guess was answered with {answer.status_code}")

    async def _say_half(self) -> None:
        """Many connections that begin a request and say no more; all must have an end."""
        streams = [await asyncio.open_connection("127.0.0.1", self.door.port) for _ in range(N_CONNECTIONS)]
        for _, writer in streams:
            writer.write(b"GET /metrics HTTP/1.1\r\nHost: x\r\nX: ")
        answers = await asyncio.gather(*(reader.read() for reader, _ in streams), return_exceptions=True)
        for _, writer in streams:
            writer.close()
        if not all(isinstance(answer, bytes) and b" 408 " in answer[:20] for answer in answers):
            self.tally.wonder("half a request was not answered with 408")

    async def _say_nonsense(self) -> None:
        """Bytes of chance where frames should be."""
        for _ in range(N_CONNECTIONS // 5):
            with suppress(OSError, asyncio.IncompleteReadError):
                reader, writer = await asyncio.open_connection("127.0.0.1", self.door.port)
                writer.write(HANDSHAKE.format(key=self.door.key).encode())
                await reader.readuntil(b"\r\n\r\n")
                writer.write(self.chance.randbytes(4096))
                await asyncio.wait_for(reader.read(), PATIENCE_S)
                writer.close()
