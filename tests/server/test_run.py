"""The server as a process: how it comes, and how it goes."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from voxtral_streaming.errors import WeightsError
from voxtral_streaming.server.run import serve
from voxtral_streaming.transcriber import Transcriber

if TYPE_CHECKING:
    from tests.server.conftest import AccountingEngine, Configure, Connect, Sound


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


class Process:
    """A server in a process of its own."""

    def __init__(self, cost: float, **sections: Any) -> None:
        port = free_port()
        sections["server"] = {"port": port, **sections.get("server", {})}
        self.host = f"127.0.0.1:{port}"
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("conftest.py")), json.dumps(sections), str(cost)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def end(self) -> tuple[int, str]:
        """The exit status, and the rest of the log."""
        _, log = self._process.communicate(timeout=20)
        return self._process.returncode, log

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate()


Start = Callable[..., Process]


@pytest.fixture
def process() -> Iterator[Start]:
    started: list[Process] = []

    def start(cost: float = 0.0, **sections: Any) -> Process:
        started.append(Process(cost, **sections))
        return started[-1]

    yield start
    for one in started:
        one.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_first_signal_lets_everyone_finish(
    process: Start, connect: Connect, sound: Sound, number: signal.Signals
) -> None:
    server = process(cost=0.5)
    async with connect(server) as speaking, connect(server) as silent:
        await silent.hear("session")
        await speaking.send(sound.utterances(1.0) + sound.speech(1.0).tobytes())
        await speaking.hear("speech_started")
        server.send(number)
        assert await speaking.hear_out() == 1001
        assert await silent.hear_out() == 1001
    assert len(speaking.finals) == 2
    assert speaking.messages[-1]["dropped_samples"] == 0
    assert speaking.messages[-1]["received_samples"] == 48000 + 16000
    status, log = server.end()
    assert status == 0
    assert "Traceback" not in log


async def test_wyoming_is_served_where_it_is_configured(process: Start) -> None:
    port = free_port()
    server = process(server={"wyoming_port": port})
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b'{"type": "describe"}\n')
    assert b'"abacus"' in await asyncio.wait_for(reader.readline(), 5)
    server.send(signal.SIGTERM)
    with suppress(ConnectionError):
        assert await asyncio.wait_for(reader.read(), 5) == b""
    writer.close()
    status, log = server.end()
    assert status == 0
    assert "Traceback" not in log


async def test_recording_is_finished_too(process: Start, sound: Sound) -> None:
    server = process(cost=0.5)
    from_file = {"file": wav_of(sound.utterances(1.0))}
    async with httpx.AsyncClient(verify=False, base_url=f"http://{server.host}") as http:
        asked = asyncio.create_task(http.post("/v1/transcriptions", files=from_file))
        await asyncio.sleep(0.3)
        server.send(signal.SIGTERM)
        await asyncio.sleep(0.1)
        assert (await http.get("/health/ready")).status_code == 503
        assert (await asked).status_code == 200
    assert server.end()[0] == 0


async def test_second_signal_does_not_wait(process: Start, connect: Connect, sound: Sound) -> None:
    server = process(cost=60)
    async with connect(server) as client:
        await client.send(sound.utterances(1.0))
        await client.hear("speech_started")
        server.send(signal.SIGTERM)
        await client.hear("warning")
        began = time.monotonic()
        server.send(signal.SIGTERM)
        assert await client.hear_out() == 1012
    status, log = server.end()
    assert status == 1
    assert time.monotonic() - began < 20
    assert "before every session was finished" in log


async def test_engine_that_hangs_does_not_hold_the_process(process: Start, connect: Connect, sound: Sound) -> None:
    server = process(cost=60, server={"drain_s": 0.5})
    async with connect(server) as client:
        await client.send(sound.utterances(1.0))
        await client.hear("speech_started")
        server.send(signal.SIGTERM)
        assert await client.hear_out() == 1012
    assert server.end()[0] == 1


@pytest.mark.parametrize("setting", ["port", "wyoming_port"])
def test_taken_port_is_found_before_the_model_is_loaded(
    configure: Configure, accounting: type[AccountingEngine], setting: str
) -> None:
    engine = accounting()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        config = configure(server={"port": free_port(), setting: taken.getsockname()[1]})
        with pytest.raises(OSError, match="in use"):
            serve(config, Transcriber(config, engine=engine))
    assert not engine.is_running


def test_error_of_loading_comes_out_as_it_is(configure: Configure, accounting: type[AccountingEngine]) -> None:
    port = free_port()
    config = configure(server={"port": port})
    with pytest.raises(WeightsError, match="truncated"):
        serve(config, Transcriber(config, engine=accounting(broken=WeightsError("model.bin is truncated"))))
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", port))


def wav_of(pcm: bytes) -> bytes:
    import io
    import wave

    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(16000)
        writer.writeframes(pcm)
    return file.getvalue()
