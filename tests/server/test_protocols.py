"""What uvicorn alone would let pass: slow headers, endless bodies, floods and silent peers."""

from __future__ import annotations

import asyncio
import struct
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from voxtral_streaming.server import protocols

if TYPE_CHECKING:
    from tests.server.conftest import AccountingEngine, Connect, Eventually, Launch, Running, Sound

HANDSHAKE = (
    b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
)
TEXT, BINARY, CONTINUATION, CLOSE, PING = 1, 2, 0, 8, 9


def frame(opcode: int, payload: bytes, *, fin: bool = True, rsv1: bool = False) -> bytes:
    """A client's WebSocket frame, masked with zeros."""
    head = bytes([fin << 7 | rsv1 << 6 | opcode])
    if len(payload) < 126:
        head += bytes([0x80 | len(payload)])
    elif len(payload) < 65536:
        head += bytes([0x80 | 126]) + struct.pack(">H", len(payload))
    else:
        head += bytes([0x80 | 127]) + struct.pack(">Q", len(payload))
    return head + b"\0\0\0\0" + payload


class Raw:
    """A connection without manners."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def status(self) -> int:
        head = await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 10)
        return int(head.split()[1])

    async def close_code(self) -> int:
        """The code of the closing frame that comes sooner or later."""
        while True:
            opcode, length = await asyncio.wait_for(self.reader.readexactly(2), 10)
            if length == 126:
                (length,) = struct.unpack(">H", await self.reader.readexactly(2))
            payload = await self.reader.readexactly(length)
            if opcode & 15 == CLOSE:
                return int.from_bytes(payload[:2], "big")


OpenRaw = Callable[..., Awaitable[Raw]]


@pytest.fixture
async def raw(server: Running) -> AsyncIterator[OpenRaw]:
    """Open connections to the shared server, closed after the test."""
    opened: list[Raw] = []

    async def raw(to: Any = server, send: bytes = b"") -> Raw:
        opened.append(Raw(*await asyncio.open_connection(*to.host.split(":"))))
        opened[-1].writer.write(send)
        return opened[-1]

    yield raw
    for connection in opened:
        connection.writer.transport.abort()


@pytest.fixture
async def socket(raw: OpenRaw) -> Raw:
    """A WebSocket, open."""
    connection = await raw(send=HANDSHAKE + b"\r\n")
    assert await connection.status() == 101
    return connection


class TestHeaders:
    @pytest.mark.parametrize("beginning", [b"", b"GET / HTTP/1.1\r\nHost: x\r\nA: "])
    async def test_slow_ones_are_given_up(
        self, raw: OpenRaw, monkeypatch: pytest.MonkeyPatch, beginning: bytes
    ) -> None:
        monkeypatch.setattr(protocols, "HEADER_TIMEOUT_S", 0.3)
        began = time.monotonic()
        connection = await raw(send=beginning)
        dripping = asyncio.create_task(drip(connection, 0.05 if beginning else 9))
        assert await connection.status() == 408
        assert b"request_timeout" in await connection.reader.read(1000)
        assert 0.2 < time.monotonic() - began < 4
        dripping.cancel()

    async def test_second_request_has_a_deadline_too(self, raw: OpenRaw, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(protocols, "HEADER_TIMEOUT_S", 0.3)
        connection = await raw(send=b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
        assert await connection.status() == 200
        assert await connection.reader.readexactly(17) == b'{"status":"live"}'
        await asyncio.sleep(0.4)  # between requests another clock runs
        connection.writer.write(b"GET /health/live HT")
        assert await connection.status() == 408

    async def test_websockets_outlive_it(
        self, server: Running, connect: Connect, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(protocols, "HEADER_TIMEOUT_S", 0.2)
        async with connect(server) as client:
            await asyncio.sleep(0.5)
            await client.say("close")
            assert await client.hear_out() == 1000

    @pytest.mark.parametrize(
        "request_",
        [
            b"nonsense\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"a" * 70_000,
            b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
            b"GET / HTTP/1.1\r\n\r\n",
            b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
            b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
            b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n",
            b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, identity\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: x\r\nA: b\rc\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost : x\r\n\r\n",
            HANDSHAKE + b"A: " + b"a" * 9000 + b"\r\n\r\n",
        ],
    )
    async def test_malformed_ones_are_answered_in_the_one_shape(self, raw: OpenRaw, request_: bytes) -> None:
        connection = await raw(send=request_)
        assert await connection.status() == 400
        body = await asyncio.wait_for(connection.reader.read(), 5)
        assert body.startswith(b'{"error": {"code": "bad_request"')

    @pytest.mark.parametrize(
        "request_", [b"GET / HTTP/1.1\nHost: x\n\n", b"GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n"]
    )
    async def test_odd_line_ends_make_one_request(self, raw: OpenRaw, request_: bytes) -> None:
        connection = await raw(send=request_)
        assert await connection.status() == 200
        connection.writer.write_eof()
        assert b"HTTP/1.1" not in await asyncio.wait_for(connection.reader.read(), 5)

    async def test_length_and_chunks_make_one_request(self, raw: OpenRaw) -> None:
        smuggled = b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
        head = b"POST /v1/transcriptions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        connection = await raw(
            send=head + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + smuggled
        )
        assert await connection.status() in (400, 404)


class TestBody:
    async def test_that_goes_on_after_its_answer_is_cut_off(
        self, raw: OpenRaw, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(protocols, "LINGER_S", 0.3)
        head = b"POST /v1/transcriptions HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\n"
        connection = await raw(send=head + b"Content-Length: 1000000\r\n\r\nx")
        assert await connection.status() == 415
        await connection.reader.readuntil(b"}}")
        dripping = asyncio.create_task(drip(connection, 0.02))
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await asyncio.wait_for(connection.reader.readexactly(1), 2)
        dripping.cancel()

    async def test_that_ends_in_time_leaves_the_connection_open(
        self, raw: OpenRaw, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(protocols, "LINGER_S", 0.3)
        head = b"POST /v1/transcriptions HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\n"
        connection = await raw(send=head + b"Content-Length: 2\r\n\r\nx")
        assert await connection.status() == 415
        await connection.reader.readuntil(b"}}")
        connection.writer.write(b"x")
        await asyncio.sleep(0.5)
        connection.writer.write(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
        assert await connection.status() == 200


class TestFrames:
    async def test_frame_beyond_the_limit(self, server: Running, connect: Connect) -> None:
        async with connect(server) as client:
            await client.socket.send(b"\0" * 2**20)
            await client.socket.send(b"\0" * (2**20 + 1))
            assert await client.hear_out() == 1009

    async def test_header_that_announces_too_much(self, socket: Raw) -> None:
        socket.writer.write(bytes([0x82, 0xFF]) + struct.pack(">Q", 2**63 - 1))
        assert await socket.close_code() == 1009

    async def test_a_million_fragments(self, socket: Raw) -> None:
        socket.writer.write(frame(BINARY, b"", fin=False) + frame(CONTINUATION, b"", fin=False) * 1_000_000)
        assert await socket.close_code() == 1009

    async def test_fragments_that_grow_beyond_the_limit(self, socket: Raw) -> None:
        socket.writer.write(frame(BINARY, b"\0" * 2**19, fin=False) + frame(CONTINUATION, b"\0" * (2**19 + 1)))
        assert await socket.close_code() == 1009

    async def test_fragments_of_one_message(self, socket: Raw) -> None:
        socket.writer.write(frame(TEXT, b'{"type":', fin=False) + frame(CONTINUATION, b' "close"}'))
        assert await socket.close_code() == 1000

    async def test_compressed_frame(self, socket: Raw) -> None:
        socket.writer.write(frame(TEXT, b"\x00", rsv1=True))
        assert await socket.close_code() == 1002

    async def test_text_that_is_not_utf8(self, socket: Raw, caplog: pytest.LogCaptureFixture) -> None:
        socket.writer.write(frame(TEXT, b"\xff\xfe"))
        assert await socket.close_code() == 1007
        assert not caplog.records

    async def test_unmasked_frame(self, socket: Raw) -> None:
        socket.writer.write(b"\x82\x01x")
        assert await socket.close_code() == 1002

    async def test_that_are_broken_while_something_is_said_to_their_peer(
        self, raw: OpenRaw, server: Running, eventually: Eventually, caplog: pytest.LogCaptureFixture
    ) -> None:
        for _ in range(20):
            connection = await raw(send=HANDSHAKE + b"\r\n")
            await connection.reader.readuntil(b"\r\n\r\n")
            connection.writer.write(b"\x82\x01x")
        await eventually(lambda: len(server.service.sessions) == 0)
        assert not caplog.records


class TestPings:
    async def test_flood_is_answered(self, server: Running, connect: Connect) -> None:
        async with connect(server) as flooding, connect(server) as other:
            for _ in range(5000):
                await flooding.socket.ping()
            began = time.monotonic()
            await other.say("close")
            assert await other.hear_out() == 1000
            assert time.monotonic() - began < 5
            await flooding.say("close")
            assert await flooding.hear_out() == 1000

    async def test_flood_by_a_client_that_does_not_read_fills_no_memory(self, raw: OpenRaw, server: Running) -> None:
        connection = await raw(send=HANDSHAKE + b"\r\n")
        assert await connection.status() == 101
        assert isinstance(connection.writer.transport, asyncio.Transport)
        connection.writer.transport.pause_reading()
        flood = frame(PING, b"p" * 125) * 1000
        for _ in range(200):
            connection.writer.write(flood)
            await asyncio.sleep(0)
        await asyncio.wait_for(connection.writer.drain(), 20)
        (ours,) = [
            one for one in server.server.server_state.connections if isinstance(one, protocols.WebSocketProtocol)
        ]
        assert ours.transport.get_write_buffer_size() < 400_000  # the high-water mark, and the pongs to one read

    async def test_silent_peer_is_dropped(self, launch: Launch, raw: OpenRaw, eventually: Eventually) -> None:
        server = launch()
        server.server.config.ws_ping_interval = server.server.config.ws_ping_timeout = 0.2
        connection = await raw(server, HANDSHAKE + b"\r\n")
        assert await connection.status() == 101
        began = time.monotonic()
        assert await connection.close_code() == 1011
        assert time.monotonic() - began < 5
        await eventually(lambda: len(server.service.sessions) == 0)

    async def test_peer_whose_pong_waits_behind_its_audio_is_not(
        self, launch: Launch, accounting: type[AccountingEngine], connect: Connect, sound: Sound
    ) -> None:
        server = launch(accounting(), streaming={"max_backlog_s": 1.0})
        server.server.config.ws_ping_interval = server.server.config.ws_ping_timeout = 0.2
        server.call(server.engine.resumed.clear)
        async with connect(server, ping_interval=None) as client:
            sending = asyncio.create_task(client.send(sound.utterances(*[1.5] * 30), 32_000))
            await asyncio.sleep(1.0)  # several deadlines
            server.call(server.engine.resumed.set)
            await sending
            await client.say("close")
            assert await client.hear_out() == 1000
        assert len(client.finals) == 30


class TestLeaving:
    async def test_storm_of_connections_leaves_nothing_behind(
        self, server: Running, raw: OpenRaw, eventually: Eventually
    ) -> None:
        before = n_descriptors()
        for number in range(100):
            connection = await raw(send=HANDSHAKE + b"\r\n")
            if number % 3:
                await connection.status()
            if number % 3 == 1:
                connection.writer.write(frame(CLOSE, struct.pack(">H", 1000 + number)))
            connection.writer.transport.abort()
        await eventually(lambda: not server.server.server_state.connections and n_descriptors() <= before)
        assert len(server.service.sessions) == 0

    async def test_peer_that_does_not_let_go_is_dropped(
        self, server: Running, socket: Raw, monkeypatch: pytest.MonkeyPatch, eventually: Eventually
    ) -> None:
        (ours,) = server.server.server_state.connections
        assert isinstance(ours, protocols.WebSocketProtocol)
        ours.close_timeout = 0.2
        socket.writer.write(frame(TEXT, b'{"type": "close"}'))
        assert await socket.close_code() == 1000
        await eventually(lambda: not server.server.server_state.connections)


def n_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def drip(connection: Raw, pause: float) -> None:
    while True:
        await asyncio.sleep(pause)
        connection.writer.write(b"x")
