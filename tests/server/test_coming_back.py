"""The Python client comes back by itself when its connection is cut, and hears and is heard as if nothing had been."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import anyio
import pytest

from voxtral_streaming.client import FRAME_BYTES, Session, SessionError, connect, socket
from voxtral_streaming.client import session as client
from voxtral_streaming.client.unacknowledged import Item, Unacknowledged
from voxtral_streaming.transcript import Event, Final, Flushed

if TYPE_CHECKING:
    from tests.server.conftest import AccountingEngine, Eventually, Launch, Running, Sound

PATIENCE_S = 20


class Cable:
    """A way to a server that can be cut, and out of order for a while."""

    def __init__(self, host: str) -> None:
        self._target = host.split(":")
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: list[asyncio.StreamWriter] = []
        self._silent: set[asyncio.StreamWriter] = set()
        self.is_in_order = True
        self.n_connections = 0

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.n_connections += 1
        if not self.is_in_order:
            writer.transport.abort()
            return
        there, back = await asyncio.open_connection(*self._target)
        self._writers += [writer, back]
        with suppress(ConnectionError):
            await asyncio.gather(self._pump(reader, back), self._pump(there, writer))

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(4096):
            if writer not in self._silent:
                writer.write(data)
                await writer.drain()
        writer.close()

    def fall_silent(self) -> None:
        """What is under way, and what follows over the connections that there are, is lost, and nobody is told."""
        self._silent.update(self._writers)

    def cut(self) -> None:
        """Whatever was under way is lost."""
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()


@asynccontextmanager
async def cable(running: Running) -> AsyncIterator[tuple[Cable, str]]:
    """A cable to the server, and the address at its near end."""
    cable = Cable(running.host)
    async with await asyncio.start_server(cable.carry, "127.0.0.1", 0) as listener:
        yield cable, f"ws://127.0.0.1:{listener.sockets[0].getsockname()[1]}/ws"
        cable.cut()


async def listen(session: Session, audio: bytes, disturb: Callable[[], object] = lambda: None) -> list[Event]:
    """Send the audio with pauses, and hear all there is to hear."""

    async def send() -> None:
        for start in range(0, len(audio), 9_999):
            await session.send(audio[start : start + 9_999])
            await asyncio.sleep(0.003)
            disturb()
        await session.flush()
        await session.finish()

    sending = asyncio.create_task(send())
    with anyio.fail_after(PATIENCE_S):
        events = [event async for event in session]
    await sending
    return events


def texts(events: list[Event]) -> list[str]:
    return [event.text for event in events if isinstance(event, Final)]


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Attempts to come back follow each other quickly."""
    monkeypatch.setattr(client, "SHORTEST_PAUSE_S", 0.02)
    monkeypatch.setattr(client, "LONGEST_PAUSE_S", 0.05)


@pytest.mark.usefixtures("quick")
class TestCuts:
    async def test_session_goes_on_as_if_nothing_had_been(
        self, launch: Launch, accounting: type[AccountingEngine], sound: Sound
    ) -> None:
        server = launch(accounting(cost=0.01))
        audio = sound.utterances(0.8, 1.2, 0.5, 2.0, 0.6) + sound.speech(0.7).tobytes()
        async with connect(f"ws://{server.host}/ws") as session:
            expected = await listen(session, audio)
        dice = random.Random(7)
        async with cable(server) as (line, url), connect(url) as session:
            events = await listen(session, audio, lambda: line.cut() if dice.random() < 0.1 else None)
        assert line.n_connections > 3
        assert texts(events) == texts(expected)
        assert sum(isinstance(event, Flushed) for event in events) == 1
        assert session.closed is not None
        assert session.closed.received_samples == session.closed.consumed_samples == len(audio) // 2
        assert session.lost_frames == 0

    async def test_connection_that_is_dead_is_given_up(
        self, launch: Launch, sound: Sound, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(socket, "PING_S", 0.2)
        monkeypatch.setattr(socket, "CLOSE_TIMEOUT_S", 0.1)
        server, audio = launch(), sound.utterances(0.8, 0.5)
        async with cable(server) as (line, url), connect(url) as session:
            hearing = asyncio.create_task(listen(session, audio))
            line.fall_silent()
            assert len(texts(await hearing)) == 2
        assert line.n_connections == 2
        assert session.closed is not None
        assert session.closed.received_samples == len(audio) // 2

    async def test_while_there_is_no_server_audio_is_kept(self, launch: Launch, sound: Sound) -> None:
        server, audio = launch(), sound.utterances(0.8, 0.5)
        async with cable(server) as (line, url), connect(url) as session:
            line.is_in_order = False
            line.cut()
            hearing = asyncio.create_task(listen(session, audio))
            await asyncio.sleep(0.3)
            assert line.n_connections > 3
            line.is_in_order = True
            assert len(texts(await hearing)) == 2
        assert session.closed is not None
        assert session.closed.received_samples == len(audio) // 2

    async def test_session_that_is_not_kept_any_more_ends_with_what_is_missing(
        self, launch: Launch, sound: Sound, eventually: Eventually
    ) -> None:
        server = launch(server={"resume_s": 0.1})
        async with cable(server) as (line, url), connect(url) as session:
            line.is_in_order = False
            line.cut()
            await session.send(sound.speech(1.5))
            hearing = asyncio.create_task(anext(session))
            await eventually(lambda: len(server.service.sessions) == 0)
            line.is_in_order = True
            with pytest.raises(SessionError, match=r"the last 1\.5 s of audio") as caught:
                await hearing
            assert caught.value.code == "session_not_found"
            with pytest.raises(SessionError):
                await session.send(b"1234")

    async def test_who_is_sent_away_for_a_while_comes_back_then(
        self,
        launch: Launch,
        accounting: type[AccountingEngine],
        sound: Sound,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        monkeypatch.setattr("voxtral_streaming.server.session.LAG_INTERVAL_S", 0.05)
        monkeypatch.setattr("voxtral_streaming.server.session.RETRY_AFTER_S", 1)
        server = launch(accounting(cost=2.0), server={"max_lag_s": 0.2})
        with caplog.at_level(logging.WARNING):
            async with connect(f"ws://{server.host}/ws") as session:
                assert len(texts(await listen(session, sound.utterances(0.5)))) == 1
        assert server.service.metrics.errors.labels("overloaded")._value.get() >= 1
        assert "the session goes on" in caplog.text

    async def test_nobody_comes_back_who_does_not_want_to(self, launch: Launch) -> None:
        async with cable(launch()) as (line, url), connect(url, resume=False) as session:
            line.cut()
            with pytest.raises(SessionError) as caught:
                await anext(session)
        assert caught.value.code == "connection_lost"
        assert line.n_connections == 1

    async def test_another_client_with_the_ticket_has_the_session(self, launch: Launch) -> None:
        async with connect(f"ws://{launch().host}/ws") as session:
            assert session.options.resume is not None
            ticket = {"id": session.id, "token": session.options.resume.token, "seq": 1}
            another, _ = await session._server.reopen(ticket)
            with pytest.raises(SessionError) as caught:
                await anext(session)
            await another.close()
        assert caught.value.code == "session_taken_over"


@pytest.mark.usefixtures("quick")
class TestRoom:
    async def test_who_can_wait_waits(self, launch: Launch, sound: Sound, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(client, "KEPT_S", 1.0)
        audio = sound.utterances(1.0, 1.0)
        async with cable(launch()) as (line, url), connect(url) as session:
            line.is_in_order = False
            line.cut()
            hearing = asyncio.create_task(listen(session, audio))
            await asyncio.sleep(0.3)
            assert session._kept.n_bytes <= 32_000 + FRAME_BYTES
            line.is_in_order = True
            assert len(texts(await hearing)) == 2
        assert session.lost_frames == 0

    async def test_who_cannot_wait_is_told_what_was_lost(
        self, launch: Launch, sound: Sound, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setattr(client, "KEPT_S", 1.0)
        audio = sound.speech(3.0).tobytes()
        async with cable(launch()) as (line, url), connect(url, live=True) as session:
            line.is_in_order = False
            line.cut()
            with caplog.at_level(logging.WARNING):
                hearing = asyncio.create_task(anext(session))
                for start in range(0, len(audio), 3200):
                    await session.send(audio[start : start + 3200])
            line.is_in_order = True
            await hearing
            rest = await listen(session, b"")
        assert session.lost_frames > 0
        assert "audio is being lost" in caplog.text
        assert session.closed is not None
        assert session.closed.received_samples + session.lost_frames == len(audio) // 2
        assert rest


class TestUnacknowledged:
    def kept(self, *items: Item) -> Unacknowledged:
        kept = Unacknowledged()
        for item in items:
            kept.add(item)
        return kept

    def all(self, kept: Unacknowledged) -> list[Item]:
        kept.send_again()
        return [kept.next() for _ in range(len(kept))]

    @pytest.mark.parametrize(
        ("n_bytes", "n_messages", "left"),
        [
            (0, 1, [b"abcd", "flush", b"ef", "close"]),
            (3, 1, [b"d", "flush", b"ef", "close"]),
            (4, 1, ["flush", b"ef", "close"]),
            (4, 2, [b"ef", "close"]),
            (5, 2, [b"f", "close"]),
            (6, 2, ["close"]),
            (6, 3, []),
        ],
    )
    def test_what_was_received_is_forgotten(self, n_bytes: int, n_messages: int, left: list[Item]) -> None:
        kept = self.kept(b"abcd", "flush", b"ef", "close")
        kept.acknowledge(n_bytes, n_messages)
        assert self.all(kept) == left
        assert kept.n_bytes == sum(len(item) for item in left if isinstance(item, bytes))

    def test_in_two_steps_as_in_one(self) -> None:
        kept = self.kept(b"abcd", "flush", b"ef", "close")
        for n_bytes, n_messages in ((1, 1), (4, 1), (4, 2), (5, 2)):
            kept.acknowledge(n_bytes, n_messages)
        assert self.all(kept) == [b"f", "close"]

    def test_what_is_told_again_and_is_older_changes_nothing(self) -> None:
        kept = self.kept(b"abcd", "flush", b"ef", "close")
        for n_bytes, n_messages in ((4, 2), (2, 1), (5, 2)):
            kept.acknowledge(n_bytes, n_messages)
        assert self.all(kept) == [b"f", "close"]
        assert kept.n_bytes == 1

    def test_what_was_sent_is_not_sent_twice_over_one_connection(self) -> None:
        kept = self.kept(b"abcd", "flush")
        assert (kept.next(), kept.n_unsent) == (b"abcd", 1)
        kept.acknowledge(4, 1)
        assert (kept.next(), kept.n_unsent) == ("flush", 0)
