"""Wyoming's own client against a real server."""

from __future__ import annotations

import asyncio
import socket
import warnings
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError
from wyoming.asr import Transcribe, Transcript, TranscriptChunk, TranscriptStart, TranscriptStop
from wyoming.client import AsyncTcpClient
from wyoming.error import Error
from wyoming.event import Event
from wyoming.ping import Ping, Pong

from voxtral_streaming.config.sections import ServerConfig
from voxtral_streaming.errors import EngineFailed
from voxtral_streaming.server import wyoming
from voxtral_streaming.server.app import create_app, lifespan
from voxtral_streaming.server.wyoming import listening
from voxtral_streaming.transcriber import Transcriber

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # `audioop`, where Python still has it
    from wyoming.audio import AudioChunk, AudioStart, AudioStop
    from wyoming.info import Describe, Info

FORMAT = {"rate": 16000, "width": 2, "channels": 1}
BLOCK = 2048  # bytes, as Home Assistant sends them

House = Callable[..., AbstractAsyncContextManager[Any]]


@pytest.fixture
def house(configure: Any, accounting: Any) -> House:
    """A server that speaks Wyoming: `async with house(engine, server={…}) as open_`."""

    class Open:
        def __init__(self, service: Any, address: tuple[str, int]) -> None:
            self.service = service
            self.address = address

        def client(self) -> AsyncTcpClient:
            return AsyncTcpClient(*self.address, connect_timeout=5, read_timeout=10)

    @asynccontextmanager
    async def house(engine: Any = None, **sections: Any) -> AsyncIterator[Open]:
        config = configure(**sections)
        app = create_app(config, Transcriber(config, engine=engine or accounting()))
        with socket.create_server(("127.0.0.1", 0)) as listener:
            async with lifespan(app), listening(listener, app.state.service):
                yield Open(app.state.service, listener.getsockname())

    return house


async def ask(client: AsyncTcpClient, data: bytes, block: int = BLOCK, **transcribe: Any) -> None:
    await client.write_event(Transcribe(**transcribe).event())
    await client.write_event(AudioStart(**FORMAT).event())
    for start in range(0, len(data), block):
        await client.write_event(AudioChunk(**FORMAT, audio=data[start : start + block]).event())
    await client.write_event(AudioStop().event())


async def hear_out(client: AsyncTcpClient) -> list[Event]:
    events = []
    while (event := await client.read_event()) is not None:
        events.append(event)
    return events


async def transcript(house: Any, data: bytes, **transcribe: Any) -> str:
    async with house.client() as client:
        await ask(client, data, **transcribe)
        return next(Transcript.from_event(one).text for one in await hear_out(client) if Transcript.is_type(one.type))


class TestCommand:
    async def test_as_home_assistant_asks(self, house: House, accounting: Any, sound: Any) -> None:
        async with house(accounting(partials=False)) as open_, open_.client() as client:
            await ask(client, sound.utterances(0.8, 1.2), language="en")
            events = await hear_out(client)
        start, *chunks, whole, stop = events
        assert TranscriptStart.from_event(start).language == "en"
        assert TranscriptStop.is_type(stop.type)
        text = Transcript.from_event(whole).text
        assert "".join(TranscriptChunk.from_event(chunk).text for chunk in chunks) == text
        assert len(text.split()) == 6  # two utterances
        assert Transcript.from_event(whole).language == "en"

    async def test_any_cutting_gives_the_same_transcript(self, house: House, sound: Any) -> None:
        async with house() as open_:
            texts = {await transcript(open_, sound.utterances(0.8, 1.2), block=block) for block in (333, 2048, 65_536)}
        assert len(texts) == 1

    async def test_options_reach_the_engine(self, house: House, accounting: Any, sound: Any) -> None:
        engine = accounting()
        async with house(engine) as open_:
            await transcript(open_, sound.utterances(0.5), language="fr-CA", transcript_names=["Ada"])
        (heard,) = engine.options
        assert (heard.language, heard.prompt, heard.words) == ("fr", "Ada", False)

    async def test_what_cannot_be_is_told(self, house: House, sound: Any) -> None:
        async with house() as open_, open_.client() as client:
            await ask(client, sound.utterances(0.5), language="de")
            (error,) = await hear_out(client)
        assert Error.from_event(error).code == "unsupported_option"

    async def test_failure_is_told_without_details(self, house: House, accounting: Any, sound: Any) -> None:
        ails = EngineFailed("a file of the server")
        async with house(accounting(ails=ails, partials=False)) as open_, open_.client() as client:
            await ask(client, sound.utterances(0.5))
            *_, error = await hear_out(client)
        assert Error.from_event(error) == Error("recognition failed", "engine_failed")


class TestQuestions:
    async def test_what_there_is(self, house: House) -> None:
        async with house(server={"max_sessions": 1}) as open_, open_.client() as client, open_.client() as other:
            for _ in range(3):  # no session is taken for it
                for one in (client, other):
                    await one.write_event(Describe().event())
                    answer = await one.read_event()
                    assert answer is not None
                    assert Info.from_event(answer).asr[0].models[0].name == "abacus"
            await client.write_event(Ping(text="there?").event())
            answer = await client.read_event()
            assert answer is not None
            assert Pong.from_event(answer).text == "there?"
            assert len(open_.service.sessions) == 0

    async def test_questions_during_a_command(self, house: House, sound: Any) -> None:
        async with house() as open_, open_.client() as client:
            await client.write_event(Describe().event())
            assert await client.read_event() is not None
            await client.write_event(AudioChunk(**FORMAT, audio=sound.speech(0.5).tobytes()).event())
            await client.write_event(Ping().event())
            await client.write_event(AudioStop().event())
            kinds = [event.type for event in await hear_out(client)]
        assert "pong" in kinds
        assert kinds[-2:] == ["transcript", "transcript-stop"]


class TestBounds:
    async def test_sessions_are_admitted(self, house: House, sound: Any) -> None:
        async with house(server={"max_sessions": 1}) as open_, open_.client() as first, open_.client() as second:
            await first.write_event(AudioStart(**FORMAT).event())
            assert await first.read_event() is not None
            await second.write_event(AudioStart(**FORMAT).event())
            (error,) = await hear_out(second)
            assert Error.from_event(error).code == "too_many_sessions"
            await first.write_event(AudioStop().event())
            assert (await hear_out(first))[-1].type == "transcript-stop"

    async def test_those_who_only_ask_are_counted(self, house: House, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(wyoming, "MAX_VISITORS", 1)
        async with house() as open_, open_.client() as first:
            await first.write_event(Ping().event())
            assert await first.read_event() is not None
            reader, writer = await asyncio.open_connection(*open_.address)
            with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
                await asyncio.wait_for(reader.readexactly(1), 5)
            writer.close()
            await first.write_event(Ping().event())
            assert await first.read_event() is not None

    @pytest.mark.parametrize("said", [b"", b'{"type": "audio-', b'{"type": "audio-chunk", "payload_length": 99}\nabc'])
    async def test_who_says_nothing_is_let_go(self, house: House, said: bytes) -> None:
        async with house(server={"idle_timeout_s": 0.2}) as open_:
            reader, writer = await asyncio.open_connection(*open_.address)
            writer.write(said)
            with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
                await asyncio.wait_for(reader.readexactly(1), 5)
            writer.close()

    async def test_command_that_stops_coming(self, house: House) -> None:
        async with house(server={"idle_timeout_s": 0.2}) as open_, open_.client() as client:
            await client.write_event(AudioStart(**FORMAT).event())
            *_, error = await hear_out(client)
        assert Error.from_event(error).code == "idle_timeout"

    @pytest.mark.parametrize(
        ("said", "code"),
        [
            (b"GET / HTTP/1.1\r\n\r\n", "invalid_json"),
            (b"x" * 2**17, "message_too_large"),
            (b'{"type": "audio-chunk", "payload_length": 1000000000000}\n', "message_too_large"),
            (b'{"type": "audio-chunk", "data_length": 2, "data": {}}\n[]', "invalid_json"),
            (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\n", "invalid_json"),
        ],
    )
    async def test_what_is_no_event(self, house: House, said: bytes, code: str) -> None:
        async with house() as open_, open_.client() as client:
            assert client._writer is not None
            client._writer.write(said)
            *_, error = await hear_out(client)
            assert Error.from_event(error).code == code
        assert len(open_.service.sessions) == 0

    async def test_client_that_leaves_takes_its_session_along(self, house: House, sound: Any, eventually: Any) -> None:
        async with house() as open_:
            async with open_.client() as client:
                await client.write_event(AudioChunk(**FORMAT, audio=sound.speech(0.5).tobytes()).event())
                assert await client.read_event() is not None
                assert len(open_.service.sessions) == 1
            await eventually(lambda: len(open_.service.sessions) == 0)

    async def test_everyone_gets_his_transcript_when_the_server_stops(self, house: House, sound: Any) -> None:
        async with house() as open_, open_.client() as late:
            async with open_.client() as client:
                await client.write_event(AudioChunk(**FORMAT, audio=sound.speech(0.5).tobytes()).event())
                assert await client.read_event() is not None
                draining = asyncio.create_task(open_.service.drain())
                events = await hear_out(client)
            assert [event.type for event in events[-2:]] == ["transcript", "transcript-stop"]
            await draining
            await late.write_event(AudioStart(**FORMAT).event())
            (error,) = await hear_out(late)
            assert Error.from_event(error).code == "stopping"


class TestConfiguration:
    def test_beyond_this_machine_only_where_that_is_said(self) -> None:
        keys = (SecretStr("correct-horse-battery-staple"),)
        ServerConfig(wyoming_port=10300)
        ServerConfig(wyoming_port=10300, wyoming_host="0.0.0.0", insecure=True)
        with pytest.raises(ValidationError, match="insecure"):
            ServerConfig(wyoming_port=10300, wyoming_host="0.0.0.0", api_keys=keys)
