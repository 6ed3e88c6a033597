"""Clients in great numbers, and clients that mean harm: everyone gets an answer or an end; others notice nothing."""

from __future__ import annotations

import asyncio
import errno
import json
import resource
import socket
import struct
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import psutil
import pytest
import websockets

from voxtral_streaming.server import protocols

if TYPE_CHECKING:
    from tests.server.conftest import Connect, Eventually, Running, Sound

DOOR = "/v1/transcriptions"
RESET = struct.pack("ii", 1, 0)  # SO_LINGER, so that closing sends RST
N_DESCRIPTORS = 64


async def is_well(server: Running, connect: Connect, sound: Sound) -> bool:
    """Whether a client of good will gets its final."""
    async with connect(server) as client:
        await client.send(sound.utterances(0.5))
        await client.say("close")
        return await client.hear_out() == 1000 and len(client.finals) == 1


class TestSlowHeaders:
    async def test_all_are_given_up_and_a_good_client_is_served(
        self, server: Running, connect: Connect, sound: Sound, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(protocols, "HEADER_TIMEOUT_S", 1.0)
        streams = [await asyncio.open_connection(*server.host.split(":")) for _ in range(20)]
        for _ in range(4):
            for _, writer in streams:
                writer.write(b"G")
            await asyncio.sleep(0.05)
        assert await is_well(server, connect, sound)
        for reader, writer in streams:
            assert (await asyncio.wait_for(reader.readline(), 10)).split()[1] == b"408"
            writer.close()


def form(*parts: bytes, boundary: bytes = b"b") -> bytes:
    return b"".join(b"--" + boundary + b"\r\n" + part + b"\r\n" for part in parts) + b"--" + boundary + b"--\r\n"


def field(name: str, headers: bytes = b"") -> bytes:
    return f'Content-Disposition: form-data; name="{name}"\r\n'.encode() + headers + b"\r\nx"


LONG = b"b" * 8192
FORMS = {
    "ten thousand parts": ("multipart/form-data; boundary=b", form(*(field(str(n)) for n in range(10_000)))),
    "a hundred thousand headers": ("multipart/form-data; boundary=b", form(field("file", b"A: b\r\n" * 100_000))),
    "a boundary of eight thousand": (f"multipart/form-data; boundary={LONG.decode()}", form(field("a"), boundary=LONG)),
    "a preamble of a megabyte": ("multipart/form-data; boundary=b", b"p" * 2**20 + b"\r\n" + form(field("a"))),
    "an epilogue of a megabyte": ("multipart/form-data; boundary=b", form(field("a")) + b"e" * 2**20),
    "a header of a megabyte": ("multipart/form-data; boundary=b", form(field("a", b"A: " + b"b" * 2**20 + b"\r\n"))),
    "a million fields": ("application/x-www-form-urlencoded", b"a=b&" * 1_000_000),
    "semicolons": ("application/x-www-form-urlencoded", b"a=b;" * 1_000_000),
    "parameters without end": ("multipart/form-data; " + "a=b; " * 10_000 + "boundary=b", form(field("a"))),
}


class TestForms:
    @pytest.mark.parametrize("name", FORMS)
    async def test_monsters_are_refused(self, server: Running, name: str) -> None:
        media_type, body = FORMS[name]
        async with httpx.AsyncClient(base_url=f"http://{server.host}", verify=False, timeout=20) as http:
            answer = await http.post(DOOR, content=body, headers={"Content-Type": media_type})
        assert 400 <= answer.status_code < 500
        assert answer.json().keys() == {"error"}

    async def test_ten_thousand_ranges_of_the_page(self, server: Running) -> None:
        ranges = "bytes=" + ",".join(f"{n}-{n}" for n in range(0, 10_000, 2))
        async with httpx.AsyncClient(base_url=f"http://{server.host}", verify=False) as http:
            answer = await http.get("/page/page.css", headers={"Range": ranges})
        assert answer.status_code in (200, 206, 400, 416)
        assert len(answer.content) < 2**20


class TestLeaving:
    async def test_uploads_that_are_reset_leave_nothing(self, server: Running, eventually: Eventually) -> None:
        before = psutil.Process().num_fds()
        head = f"POST {DOOR} HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=b\r\n"
        beginning = form(field("file")).removesuffix(b"--b--\r\n")
        for number in range(50):
            _, writer = await asyncio.open_connection(*server.host.split(":"))
            writer.write(f"{head}Content-Length: 1000000\r\n\r\n".encode() + beginning + b"x" * 1000 * number)
            await asyncio.sleep(0.002 * (number % 5))
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            writer.transport.abort()
        await eventually(lambda: len(server.service.uploads) == 0 and not server.server.server_state.connections)
        assert psutil.Process().num_fds() <= before + 2


class TestDisk:
    @pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS])
    async def test_uploads_without_room_are_put_off_and_live_sessions_go_on(
        self, server: Running, connect: Connect, sound: Sound, monkeypatch: pytest.MonkeyPatch, number: int
    ) -> None:
        def refuse(*_: object, **__: object) -> None:
            raise OSError(number, "there is no room")

        monkeypatch.setattr("voxtral_streaming.audio.decode.tempfile.TemporaryFile", refuse)
        async with httpx.AsyncClient(base_url=f"http://{server.host}", verify=False) as http:
            answer = await http.post(DOOR, files={"file": b"RIFF"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "overloaded")
        assert answer.headers["retry-after"]
        assert await is_well(server, connect, sound)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


@pytest.fixture
def process(log: Path) -> Iterator[tuple[psutil.Process, str]]:
    """A server in a process of its own, and its host."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    sections = {"server": {"port": port, "max_sessions": 500, "max_starts_per_minute": 100_000}}
    command = [sys.executable, str(Path(__file__).with_name("conftest.py")), json.dumps(sections), "0"]
    with log.open("w") as file, subprocess.Popen(command, stdout=subprocess.PIPE, stderr=file, text=True) as server:
        assert server.stdout is not None
        assert server.stdout.readline() == "ready\n"
        yield psutil.Process(server.pid), f"127.0.0.1:{port}"
        server.kill()


@asynccontextmanager
async def crowd(host: str, n_clients: int) -> AsyncIterator[list[websockets.ClientConnection]]:
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(
                websockets.connect(f"ws://{host}/ws", compression=None, close_timeout=1, ping_interval=None)
            )
            for _ in range(n_clients)
        ]


async def final_of(host: str, pcm: bytes) -> str:
    async with websockets.connect(f"ws://{host}/ws", compression=None, open_timeout=15) as ws:
        await ws.send(pcm)
        await ws.send('{"type": "close"}')
        return "".join([str(message) async for message in ws])


async def test_two_hundred_idle_sessions_cost_little(process: tuple[psutil.Process, str], sound: Sound) -> None:
    server, host = process
    await final_of(host, sound.utterances(0.5))
    before = server.memory_info().rss
    async with crowd(host, 200) as sockets:
        for ws in sockets:
            await asyncio.wait_for(await ws.ping(), 10)
        each = (server.memory_info().rss - before) / len(sockets)
        assert '"final"' in await final_of(host, sound.utterances(0.5))
    assert each < 100_000


@pytest.mark.skipif(sys.platform != "linux", reason="sets the limits of another process")
async def test_a_server_without_descriptors_recovers(
    process: tuple[psutil.Process, str], sound: Sound, log: Path
) -> None:
    server, host = process
    server.rlimit(resource.RLIMIT_NOFILE, (N_DESCRIPTORS, N_DESCRIPTORS))
    streams = [await asyncio.open_connection(*host.split(":")) for _ in range(200)]  # the kernel takes them
    await asyncio.sleep(0.5)
    assert server.num_fds() <= N_DESCRIPTORS
    for _, writer in streams:
        writer.close()
    assert '"final"' in await asyncio.wait_for(final_of(host, sound.utterances(0.5)), 15)
    assert log.read_text().count("no connection can be accepted now") == 1
    assert log.stat().st_size < 5000
