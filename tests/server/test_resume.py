"""Sessions whose connections are cut: wherever that is, nothing is lost and nothing comes twice."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
import websockets
from websockets.asyncio.client import ClientConnection

from voxtral_streaming.server import line, session

if TYPE_CHECKING:
    from tests.server.conftest import AccountingEngine, Connect, Eventually, Launch, Running, Sound

Message = dict[str, Any]
PATIENCE_S = 10
Return = Callable[..., "Returning"]
Lose = Callable[..., Awaitable["Returning"]]
N_SESSIONS = 25
N_CUTS = 4


class Returning:
    """A client that comes back, and does by the letter of the protocol page what it must do."""

    def __init__(self, running: Running, audio: bytes, seed: int = 0) -> None:
        self.running = running
        self.audio = audio
        self.random = random.Random(seed)
        self.messages: list[Message] = []
        self.others = ['{"type": "start", "resume": true}', '{"type": "flush", "id": "last"}', '{"type": "close"}']
        self.n_bytes = self.n_others = 0  # sent over this connection, or received before it
        self.resumptions: list[Message] = []
        self.close_code: int | None = None
        self.sockets: list[ClientConnection] = []

    @property
    def is_closed(self) -> bool:
        return bool(self.messages) and self.messages[-1]["type"] == "closed"

    def said(self, type_: str) -> list[Message]:
        return [message for message in self.messages if message["type"] == type_]

    @property
    def finals(self) -> list[str]:
        return [message["text"] for message in self.said("final")]

    async def begin(self) -> ClientConnection:
        socket = await self._open("ws")
        await self._hear_until(socket, "session")
        await socket.send(self.others[0])
        self.n_others = 1
        await self._hear_until(socket, "started")
        return socket

    async def resume(self) -> ClientConnection:
        socket = await self._open("ws/resume")
        await socket.send(json.dumps({"type": "resume", **self.ticket}))
        answer = json.loads(await asyncio.wait_for(socket.recv(), PATIENCE_S))
        assert answer["type"] == "resumed", answer
        assert answer["seq"] == self.ticket["seq"]
        self.resumptions.append(answer)
        self.n_bytes, self.n_others = answer["received_bytes"], answer["received_messages"]
        return socket

    @property
    def ticket(self) -> Message:
        (session,), (started,) = self.said("session"), self.said("started")
        return {"id": session["id"], "token": started["resume"]["token"], "seq": self.messages[-1]["seq"]}

    async def run(self, n_cuts: int) -> None:
        """The whole session, whose connection is lost so many times."""
        socket = await self.begin()
        for _ in range(n_cuts):
            await self._use(socket, self.random.choice([0.0, 0.002, 0.02, 0.1, 0.3]) * self.random.random())
            socket.transport.abort()
            await self._hear_the_rest(socket)
            if self.is_closed:
                return
            socket = await self.resume()
        await self._use(socket, PATIENCE_S)
        self.close_code = socket.close_code

    async def _use(self, socket: ClientConnection, seconds: float) -> None:
        """Send and hear for so long, or to the end."""
        both = asyncio.gather(self._send(socket), self._hear(socket))
        try:
            await asyncio.wait_for(both, seconds)
        except asyncio.TimeoutError:
            pass
        except websockets.ConnectionClosed:
            both.cancel()
            await asyncio.gather(both, return_exceptions=True)
            await self._hear_the_rest(socket)

    async def _send(self, socket: ClientConnection) -> None:
        while self.n_bytes < len(self.audio):
            size = self.random.choice([1, 333, 4000, 60_000])
            block = self.audio[self.n_bytes : self.n_bytes + size]
            self.n_bytes += len(block)
            await socket.send(block)
            await asyncio.sleep(self.random.random() * 0.004)
        while self.n_others < len(self.others):
            self.n_others += 1
            await socket.send(self.others[self.n_others - 1])

    async def _hear(self, socket: ClientConnection) -> None:
        while True:
            await self._take(socket)
            if self.messages[-1]["type"] == "final" or self.random.random() < 0.1:
                await socket.send(json.dumps({"type": "ack", "seq": self.messages[-1]["seq"]}))

    async def _hear_the_rest(self, socket: ClientConnection) -> None:
        """What had come before the connection was lost."""
        with suppress(websockets.ConnectionClosed):
            while True:
                await self._take(socket)

    async def _hear_until(self, socket: ClientConnection, type_: str) -> None:
        while not self.said(type_):
            await asyncio.wait_for(self._take(socket), PATIENCE_S)

    async def _take(self, socket: ClientConnection) -> None:
        self.messages.append(json.loads(await socket.recv()))

    async def _open(self, path: str) -> ClientConnection:
        self.sockets.append(await websockets.connect(f"ws://{self.running.host}/{path}", compression=None))
        return self.sockets[-1]


@pytest.fixture
async def returning() -> AsyncIterator[Return]:
    """Clients that come back; at the end they leave."""
    clients: list[Returning] = []

    def returning(*args: Any) -> Returning:
        clients.append(Returning(*args))
        return clients[-1]

    yield returning
    for client in clients:
        await asyncio.gather(*(socket.close() for socket in client.sockets))


async def finals_of(connect: Connect, server: Running, audio: bytes) -> list[str]:
    """The finals of a session that is not cut."""
    async with connect(server) as client:
        await client.send(audio, 65_536)
        await client.say("flush")
        await client.say("close")
        assert await client.hear_out() == 1000
    finals: list[str] = client.finals
    return finals


class TestCuts:
    async def test_anywhere(
        self,
        launch: Launch,
        accounting: type[AccountingEngine],
        connect: Connect,
        sound: Sound,
        eventually: Eventually,
        returning: Return,
    ) -> None:
        server = launch(accounting(cost=0.02), server={"max_sessions": N_SESSIONS})
        audio = sound.utterances(0.8, 1.2, 0.5, 2.0) + sound.speech(0.7).tobytes()
        expected = await finals_of(connect, server, audio)
        await eventually(lambda: len(server.service.sessions) == 0)
        clients = [returning(server, audio, seed) for seed in range(N_SESSIONS)]
        await asyncio.gather(*(client.run(N_CUTS) for client in clients))
        for client in clients:
            assert client.finals == expected
            assert [message["seq"] for message in client.messages] == list(range(len(client.messages)))
            assert [message["id"] for message in client.said("flushed")] == ["last"]
            closed = client.messages[-1]
            assert closed["received_samples"] == closed["consumed_samples"] == len(audio) // 2
            assert closed["utterances"] == len(expected)
        assert sum(len(client.resumptions) for client in clients) > N_SESSIONS
        n_cut_at_last = sum(client.close_code is None for client in clients)  # after the last word, which was heard
        await eventually(lambda: len(server.service.resumable) <= n_cut_at_last)

    async def test_after_the_last_word_but_before_it_was_heard(
        self,
        launch: Launch,
        accounting: type[AccountingEngine],
        sound: Sound,
        eventually: Eventually,
        returning: Return,
    ) -> None:
        server = launch(accounting())
        client = returning(server, sound.utterances(0.5))
        socket = await client.begin()
        socket.transport.pause_reading()
        await client._send(socket)
        await eventually(lambda: server.service.metrics.finals._value.get() == 1)
        socket.transport.abort()
        socket = await client.resume()
        await client._use(socket, PATIENCE_S)
        assert client.is_closed
        assert socket.close_code == 1000
        assert len(client.finals) == 1
        await eventually(lambda: len(server.service.sessions) == 0)

    async def test_without_asking_for_it_ends_the_session(
        self, server: Running, connect: Connect, sound: Sound, eventually: Eventually
    ) -> None:
        async with connect(server) as client:
            await client.say("start")
            assert (await client.hear("started"))["resume"] is None
            await client.send(sound.speech(0.5).tobytes())
            client.socket.transport.abort()
        await eventually(lambda: len(server.service.sessions) == 0)

    async def test_client_that_found_its_connection_dead_may_come_back(
        self, launch: Launch, sound: Sound, returning: Return
    ) -> None:
        client = returning(launch(), b"")
        socket = await client.begin()
        await socket.close(1011, "keepalive ping timeout")
        await client._use(await client.resume(), PATIENCE_S)
        assert client.is_closed

    async def test_closing_ends_the_session_at_once(
        self, launch: Launch, sound: Sound, eventually: Eventually, returning: Return
    ) -> None:
        server = launch()
        client = returning(server, b"")
        socket = await client.begin()
        await socket.send(sound.speech(0.5).tobytes())
        await socket.close()
        await eventually(lambda: len(server.service.sessions) == 0)
        assert await refusal(client, client.ticket) == (4404, "session_not_found")


@pytest.fixture
def lost(returning: Return, eventually: Eventually) -> Lose:
    """A client that has sent some audio and lost its connection, which the server knows."""

    async def lost(running: Running, audio: bytes = b"") -> Returning:
        client = returning(running, b"")
        socket = await client.begin()
        await socket.send(audio)
        pong = await socket.ping()
        await pong
        socket.transport.abort()
        (session,) = running.service.resumable.values()
        await eventually(lambda: session._line.is_lost)  # type: ignore[attr-defined]
        return client

    return lost


async def refusal(client: Returning, ticket: Message) -> tuple[int, str]:
    """The close code and the error of a connection that tries to resume with this."""
    socket = await client._open("ws/resume")
    await socket.send(json.dumps({"type": "resume", **ticket}))
    answer = json.loads(await asyncio.wait_for(socket.recv(), PATIENCE_S))
    assert answer["type"] == "error"
    await asyncio.wait_for(socket.wait_closed(), PATIENCE_S)
    assert socket.close_reason == answer["error"]["code"]
    assert socket.close_code is not None
    return socket.close_code, answer["error"]["code"]


class TestRefusals:
    async def test_what_is_not_there_and_what_is_not_known_sound_the_same(
        self, launch: Launch, eventually: Eventually, lost: Lose
    ) -> None:
        server = launch()
        client = await lost(server)
        right = client.ticket
        for wrong in ({"id": "another"}, {"token": "another"}, {"token": ""}, {"token": right["token"][:-1]}):
            assert await refusal(client, right | wrong) == (4404, "session_not_found")
        assert (await client.resume()).close_code is None

    @pytest.mark.parametrize("seq", [2, 2**31, 2**62])
    async def test_a_message_that_was_never_sent(self, launch: Launch, seq: int, lost: Lose) -> None:
        client = await lost(launch())
        assert await refusal(client, client.ticket | {"seq": seq}) == (1008, "protocol_error")
        assert (await client.resume()).close_code is None

    async def test_something_else_than_resume(self, server: Running, returning: Return) -> None:
        client = returning(server, b"")
        for frame in ('{"type": "start"}', b"1234", "not JSON"):
            socket = await client._open("ws/resume")
            await socket.send(frame)
            await asyncio.wait_for(socket.wait_closed(), PATIENCE_S)
            assert socket.close_code == 1008

    async def test_too_late(self, launch: Launch, eventually: Eventually, lost: Lose) -> None:
        server = launch(server={"resume_s": 0.2})
        client = await lost(server)
        await eventually(lambda: len(server.service.sessions) == 0)
        assert await refusal(client, client.ticket) == (4404, "session_not_found")

    async def test_where_it_is_switched_off(self, launch: Launch, returning: Return) -> None:
        server = launch(server={"resume_s": 0})
        client = returning(server, b"")
        await client.begin()
        assert client.said("started")[0]["resume"] is None

    async def test_a_message_acknowledged_but_never_sent(self, launch: Launch, returning: Return) -> None:
        client = returning(launch(), b"")
        socket = await client.begin()
        await socket.send('{"type": "ack", "seq": 99}')
        await client._use(socket, PATIENCE_S)
        assert client.messages[-1]["error"]["code"] == "protocol_error"
        assert socket.close_code == 1008


class TestTakingOver:
    async def test_the_newer_connection_has_the_session(
        self, launch: Launch, connect: Connect, sound: Sound, returning: Return
    ) -> None:
        server, audio = launch(), sound.utterances(0.8, 0.5)
        client = returning(server, audio)
        old = await client.begin()
        await old.send(audio[:20_000])
        new = await client.resume()
        await asyncio.wait_for(old.wait_closed(), PATIENCE_S)
        assert (old.close_code, old.close_reason) == (4409, "session_taken_over")
        await client._use(new, PATIENCE_S)
        assert client.finals == await finals_of(connect, server, audio)
        assert client.messages[-1]["received_samples"] == len(audio) // 2

    async def test_many_at_once_leave_one(
        self, launch: Launch, connect: Connect, sound: Sound, returning: Return
    ) -> None:
        server, audio = launch(), sound.utterances(0.8)
        client = returning(server, audio)
        first = await client.begin()
        sockets = [first, *[await client.resume() for _ in range(5)]]
        await client._use(sockets[-1], PATIENCE_S)
        for socket in sockets[:-1]:
            await asyncio.wait_for(socket.wait_closed(), PATIENCE_S)
            assert socket.close_code == 4409
        assert client.finals == await finals_of(connect, server, audio)


class TestBounds:
    async def test_waiting_for_its_client_it_takes_a_place(self, launch: Launch, connect: Connect, lost: Lose) -> None:
        server = launch(server={"max_sessions": 1})
        client = await lost(server)
        async with connect(server) as another:
            assert await another.hear_out() == 4429
        await client.resume()

    async def test_client_that_does_not_read_may_come_back(
        self,
        launch: Launch,
        accounting: type[AccountingEngine],
        connect: Connect,
        sound: Sound,
        monkeypatch: pytest.MonkeyPatch,
        eventually: Eventually,
        returning: Return,
    ) -> None:
        monkeypatch.setattr(line, "SEND_TIMEOUT_S", 0.5)
        server = launch(accounting(padding="x" * 500_000), streaming={"max_backlog_s": 600.0})
        audio = sound.utterances(*[0.3] * 40)
        client = returning(server, audio)
        socket = await client.begin()
        socket.transport.pause_reading()
        sending = asyncio.create_task(client._send(socket))
        slow = server.service.metrics.errors.labels("slow_consumer")
        for _ in range(100):
            await asyncio.sleep(0.1)
            if slow._value.get():
                break
        assert slow._value.get() == 1
        sending.cancel()
        socket.transport.abort()
        await client._use(await client.resume(), PATIENCE_S)
        assert client.finals == await finals_of(connect, server, audio)

    async def test_nothing_is_kept_of_what_was_acknowledged(
        self, launch: Launch, sound: Sound, returning: Return
    ) -> None:
        server = launch()
        client = returning(server, b"")
        socket = await client.begin()
        await socket.send('{"type": "ack", "seq": 1}')
        await socket.send('{"type": "flush"}')
        await client._hear_until(socket, "flushed")
        assert await refusal(client, client.ticket | {"seq": 0}) == (4404, "session_not_found")
        assert await refusal(client, client.ticket | {"seq": -1}) == (4404, "session_not_found")

    async def test_audio_is_acknowledged_every_second(self, launch: Launch, sound: Sound, returning: Return) -> None:
        client = returning(launch(), sound.silence(10.5).tobytes())
        await client.run(0)
        acked = [message["received_bytes"] for message in client.said("ack")]
        assert 1 <= len(acked) <= 10
        assert acked[-1] >= 9 * 32000
        assert {message["received_messages"] for message in client.said("ack")} == {1}


class TestStop:
    async def test_nobody_is_waited_for(self, launch: Launch, sound: Sound, eventually: Eventually, lost: Lose) -> None:
        server = launch()
        await lost(server, sound.speech(0.5).tobytes())
        assert len(server.service.sessions) == 1
        server.call(server.server.stop)
        await eventually(lambda: len(server.service.sessions) == 0)
        await eventually(lambda: server.server.is_drained)


class TestLag:
    async def test_late_finals_are_told_and_the_client_is_sent_away_for_a_while(
        self,
        launch: Launch,
        accounting: type[AccountingEngine],
        connect: Connect,
        sound: Sound,
        monkeypatch: pytest.MonkeyPatch,
        returning: Return,
    ) -> None:
        monkeypatch.setattr(session, "LAG_INTERVAL_S", 0.05)
        server = launch(accounting(cost=2.0), server={"max_lag_s": 0.2})
        audio = sound.utterances(0.5)
        client = returning(server, audio)
        socket = await client.begin()
        await client._use(socket, PATIENCE_S)
        assert (socket.close_code, socket.close_reason) == (4503, "overloaded")
        (warning,) = client.said("warning")
        assert warning["code"] == "overloaded"
        assert warning["lag_s"] >= 0.2  # told to the millisecond
        assert warning["retry_after_s"] > 0
        while not client.is_closed:
            await client._use(await client.resume(), PATIENCE_S)
        assert client.finals == await finals_of(connect, server, audio)

    async def test_who_cannot_come_back_is_told_and_kept(
        self,
        launch: Launch,
        accounting: type[AccountingEngine],
        connect: Connect,
        sound: Sound,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(session, "LAG_INTERVAL_S", 0.05)
        server = launch(accounting(cost=2.0), server={"max_lag_s": 0.2})
        async with connect(server) as client:
            await client.send(sound.utterances(0.5))
            await client.say("close")
            assert await client.hear_out() == 1000
        assert [message["code"] for message in client.said("warning")] == ["overloaded"]
        assert len(client.finals) == 1
