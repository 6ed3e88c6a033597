"""The client against a real server, with the real model and a real recording, and against servers that misbehave."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import numpy as np
import pytest
import soundfile  # type: ignore[import-untyped]
import soxr
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from websockets.asyncio.server import ServerConnection, serve

from voxtral_streaming.audio.pcm import PcmDecoder
from voxtral_streaming.client import (
    FRAME_BYTES,
    Acked,
    Closed,
    Opened,
    Session,
    SessionError,
    Started,
    Warned,
    connect,
    decode,
    encode,
)
from voxtral_streaming.config import load_config
from voxtral_streaming.engines.base import Capabilities, StreamOptions
from voxtral_streaming.errors import ProtocolError, UnsupportedMedia
from voxtral_streaming.server.app import create_app, lifespan
from voxtral_streaming.server.dialects import actions
from voxtral_streaming.server.dialects.native import Native
from voxtral_streaming.server.errors import TooManySessions
from voxtral_streaming.server.limits import RETRY_AFTER_S
from voxtral_streaming.server.run import Server
from voxtral_streaming.transcriber import Transcriber
from voxtral_streaming.transcript import Event, Final, Flushed, Partial, SpeechStarted, SpeechStopped, Word

KEY = "a-key-for-these-tests-alone"
SETTINGS = {
    "VOXTRAL_MODEL__NAME": "whisper-tiny.en",
    "VOXTRAL_SERVER__API_KEYS": json.dumps([KEY]),
    "VOXTRAL_SERVER__MAX_SESSIONS": "4",
}
CAPABILITIES = Capabilities("whisper", "whisper-base", True, "word", ("en", "fr"), True, (80, 480), True, 14.5)
PATIENCE_S = 20

Samples16 = NDArray[np.int16]


class Running:
    """A server in a thread of its own."""

    def __init__(self) -> None:
        config = load_config(None, SETTINGS)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"ws://127.0.0.1:{self._listener.getsockname()[1]}/ws"
        self._app = create_app(config, Transcriber(config))
        self._is_ready = threading.Event()
        self._server = Server(self._app, config.server, on_ready=self._is_ready.set)
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))
        self._thread.start()
        assert self._is_ready.wait(PATIENCE_S)

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        async with lifespan(self._app):
            await self._server.serve([self._listener])

    def drain(self) -> None:
        """Begin to stop as an operator stops it."""
        self._loop.call_soon_threadsafe(self._server.stop)

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive()


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    running = Running()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def clip() -> Samples16:
    """He might even have been made amiable himself."""
    path = Path(__file__).parent / "data" / "speech" / "en_librivox_0930.flac"
    samples, rate = soundfile.read(path, dtype="int16")
    assert rate == 16000
    return np.asarray(samples)


async def listen(session: Session, *blocks: bytes | NDArray[Any]) -> list[Event]:
    """Send the blocks, and hear all there is to hear."""

    async def send() -> None:
        for block in blocks:
            await session.send(block)
        await session.finish()

    sending = asyncio.create_task(send())
    events = [event async for event in session]
    await sending
    return events


def text(events: list[Event]) -> str:
    return " ".join(event.text for event in events if isinstance(event, Final))


class TestSessions:
    async def test_a_recording_block_by_block(self, server: Running, clip: Samples16) -> None:
        data = clip.tobytes()
        blocks = [data[start : start + 3001] for start in range(0, len(data), 3001)]
        async with connect(server.url, language="en", api_key=KEY) as session:
            assert session.options.language == "en"
            events = await listen(session, *blocks)
        assert "made amiable himself" in text(events)
        assert {SpeechStarted, SpeechStopped, Final} <= {type(event) for event in events}
        assert session.closed is not None
        assert session.closed.received_samples == session.closed.consumed_samples == len(clip)

    async def test_partials_while_it_is_spoken(self, server: Running, clip: Samples16) -> None:
        async with connect(server.url, api_key=KEY) as session:
            spoken = asyncio.create_task(self._speak(session, clip))
            events = [event async for event in session]
            await spoken
        kinds = [type(event) for event in events]
        assert kinds[0] is SpeechStarted
        assert Partial in kinds
        assert kinds.index(Partial) < kinds.index(Final)

    async def _speak(self, session: Session, clip: Samples16) -> None:
        for block in np.array_split(clip, 20):
            await session.send(block)
            await asyncio.sleep(len(block) / 16000)
        await session.finish()

    async def test_any_kind_of_samples_says_the_same(self, server: Running, clip: Samples16) -> None:
        floats = (clip / 32768).astype(np.float32)
        stereo = np.stack([clip, clip], axis=1)
        async with connect(server.url, api_key=KEY) as session:
            expected = await listen(session, clip.tobytes())
        async with connect(server.url, encoding="pcm_f32le", api_key=KEY) as session:
            assert await listen(session, floats) == expected
        async with connect(server.url, channels=2, api_key=KEY) as session:
            assert text(await listen(session, stereo)) == text(expected)

    async def test_any_sample_rate(self, server: Running, clip: Samples16) -> None:
        async with connect(server.url, sample_rate=48000, words=False, partials=False, api_key=KEY) as session:
            events = await listen(session, soxr.resample(clip, 16000, 48000))
        assert "made amiable himself" in text(events)
        assert not any(isinstance(event, Partial) or (isinstance(event, Final) and event.words) for event in events)

    async def test_flush(self, server: Running, clip: Samples16) -> None:
        async with connect(server.url, api_key=KEY) as session:
            await session.send(clip)
            await session.keep_alive()
            await session.flush()
            before = [event async for event in until(session, Flushed)]
            after = await listen(session, clip)
        assert "amiable" in text(before)
        assert [type(event) for event in before][-2:] == [Final, Flushed]
        assert "amiable" in text(after)

    async def test_it_knows_what_the_engine_can_do(self, server: Running) -> None:
        async with connect(server.url, api_key=KEY) as session:
            assert session.capabilities.model == "whisper-tiny.en"
            assert session.capabilities.max_utterance_s == session.limits.max_utterance_s
            assert session.limits.max_frame_bytes >= FRAME_BYTES
            assert session.id

    async def test_nothing_comes_after_the_end(self, server: Running) -> None:
        async with connect(server.url, api_key=KEY) as session:
            assert await listen(session) == []
            assert await listen_again(session) == []
            with pytest.raises(SessionError):
                await until_it_fails(session)


async def until(session: Session, kind: type[Event]) -> AsyncIterator[Event]:
    """The events to the first of that kind, which is the last."""
    async for event in session:
        yield event
        if isinstance(event, kind):
            return


async def listen_again(session: Session) -> list[Event]:
    return [event async for event in session]


async def until_it_fails(session: Session) -> None:
    """Send until the connection is known to be gone."""
    with anyio.fail_after(PATIENCE_S):
        while True:
            await session.keep_alive()
            await asyncio.sleep(0.01)


class TestRefusals:
    @pytest.mark.parametrize("key", [None, "a-wrong-key-of-right-length"])
    async def test_no_key_or_a_wrong_one(self, server: Running, key: str | None) -> None:
        with pytest.raises(ProtocolError) as caught:
            await opened(connect(server.url, api_key=key))
        assert (caught.value.code, caught.value.param) == ("unauthorized", "authorization")

    @pytest.mark.parametrize(
        ("options", "param"),
        [({"language": "xx"}, "language"), ({"sample_rate": 5}, "audio.sample_rate"), ({"prompt": "Ada"}, "prompt")],
    )
    async def test_an_option_that_is_not_offered(self, server: Running, options: dict[str, Any], param: str) -> None:
        with pytest.raises(SessionError) as caught:
            await opened(connect(server.url, api_key=KEY, **options))
        assert (caught.value.code, caught.value.param) == ("invalid_config", param)

    async def test_too_many_sessions(self, server: Running) -> None:
        with pytest.raises(SessionError) as caught:
            await opened(*(connect(server.url, api_key=KEY) for _ in range(5)))
        assert caught.value.code == "too_many_sessions"
        assert caught.value.retry_after_s is not None

    async def test_another_path(self, server: Running) -> None:
        with pytest.raises(SessionError):
            await opened(connect(server.url + "/elsewhere", api_key=KEY))

    async def test_no_server(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as unused:
            port = unused.getsockname()[1]
        with pytest.raises(OSError, match="Connect call failed"):
            await opened(connect(f"ws://127.0.0.1:{port}/ws"))

    async def test_no_websocket_address(self) -> None:
        with pytest.raises(SessionError, match="ftp") as caught:
            await opened(connect("ftp://127.0.0.1/ws"))
        assert caught.value.code == "handshake_failed"

    async def test_a_file_instead_of_pcm(self, server: Running) -> None:
        async with connect(server.url, api_key=KEY) as session:
            await session.send(b"RIFF\x00\x00\x00\x00WAVEfmt ")
            with pytest.raises(SessionError) as caught:
                await anext(session)
            assert caught.value.code == UnsupportedMedia.code
            with pytest.raises(SessionError) as caught:
                await until_it_fails(session)
        assert caught.value.code == UnsupportedMedia.code


async def opened(*sessions: AbstractAsyncContextManager[Session]) -> None:
    """Open sessions, all at the same time, and leave."""
    async with AsyncExitStack() as stack:
        for session in sessions:
            await stack.enter_async_context(session)


async def test_a_server_that_stops_lets_finish_what_was_sent(clip: Samples16, caplog: pytest.LogCaptureFixture) -> None:
    server = await asyncio.to_thread(Running)
    async with connect(server.url, api_key=KEY) as session:
        await session.send(clip)
        first = await anext(session)
        server.drain()
        with caplog.at_level(logging.WARNING):
            events = [first] + [event async for event in session]
    await asyncio.to_thread(server.stop)
    assert "stopping" in caplog.text
    assert session.closed is not None
    assert session.closed.received_samples == session.closed.consumed_samples
    assert isinstance(events[-1], Final)


OPENING = [
    '{"type":"session","seq":0,"id":"1","engine":{"name":"e","model":"m","partials":true,"timestamps":"word",'
    '"languages":["en"],"detects_language":false,"delay_ms":[],"biasing":false},'
    '"limits":{"max_frame_bytes":65536,"idle_timeout_s":60,"max_utterance_s":10}}',
    '{"type":"started","seq":1,"language":null,"prompt":null,"delay_ms":null,"partials":true,"words":true}',
]
Play = Callable[[ServerConnection], Awaitable[object]]


@asynccontextmanager
async def playing(play: Play) -> AsyncIterator[str]:
    """A server of a few lines; its address."""

    async def handler(connection: ServerConnection) -> None:
        await play(connection)

    async with serve(handler, "127.0.0.1", 0) as server:
        yield f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}/ws"


async def greet(connection: ServerConnection) -> None:
    await connection.send(OPENING[0])


async def begin(connection: ServerConnection) -> None:
    for message in OPENING:
        await connection.send(message)
    await connection.recv()


class TestServersThatMisbehave:
    async def test_one_that_vanishes(self) -> None:
        async def play(connection: ServerConnection) -> None:
            await begin(connection)
            connection.transport.abort()

        async with playing(play) as url, connect(url) as session:
            with pytest.raises(SessionError) as caught:
                await anext(session)
        assert caught.value.code == "connection_lost"

    @pytest.mark.parametrize("first_words", [begin, greet])
    async def test_one_that_leaves_without_the_last_word(self, first_words: Play) -> None:
        with pytest.raises(SessionError) as caught:
            async with playing(first_words) as url, connect(url) as session:
                await anext(session)
        assert caught.value.code == "connection_lost"

    async def test_one_that_begins_in_the_middle(self) -> None:
        async def play(connection: ServerConnection) -> None:
            await connection.send('{"type":"speech_started","seq":0,"utterance":0,"at":5}')
            await connection.wait_closed()

        async with playing(play) as url:
            with pytest.raises(ProtocolError, match="Opened was due"):
                await opened(connect(url))

    async def test_one_that_is_newer(self) -> None:
        async def play(connection: ServerConnection) -> None:
            await begin(connection)
            await connection.send('{"type":"emotion","seq":2}')
            await connection.send('{"type":"flushed","seq":3,"colour":"red"}')
            await connection.wait_closed()

        async with playing(play) as url, connect(url) as session:
            assert await anext(session) == Flushed()


numbers = st.integers(0, 10**12)
seconds = st.floats(0, 10**8)
words = st.builds(Word, st.text(), seconds, seconds, st.floats(0, 1))
finals = st.builds(
    Final, numbers, numbers, numbers, st.text(), st.lists(words).map(tuple), st.none() | st.sampled_from(["en", "fr"])
)
events = st.one_of(
    st.builds(SpeechStarted, numbers, numbers),
    st.builds(Partial, numbers, numbers, st.text(), st.text()),
    st.builds(SpeechStopped, numbers, numbers),
    finals,
)


def native() -> Native:
    return Native(actions.SessionFacts("1f", CAPABILITIES, None, 60.0, 14.5))


def said(notice: actions.Notice) -> str | bytes:
    """The message of the server's own side of the protocol."""
    (frame,) = native().encode(notice)
    return frame


class TestDecode:
    @given(events)
    def test_every_event_arrives_as_it_was_sent(self, event: SpeechStarted | Partial | SpeechStopped | Final) -> None:
        assert decode(said(event)) == event

    def test_everything_else(self) -> None:
        options = StreamOptions(language="fr", prompt="Ada", delay_ms=80, partials=False, words=False)
        opened = decode(said(actions.Opened()))
        assert isinstance(opened, Opened)
        assert (opened.id, opened.engine.languages, opened.engine.delay_ms) == ("1f", ("en", "fr"), (80, 480))
        started = decode(said(actions.Started(actions.Start(options, actions.AudioFormat()))))
        assert started == Started(language="fr", prompt="Ada", delay_ms=80, partials=False, words=False)
        assert decode(said(actions.Acked(9, 1, 0.5))) == Acked(9, 1, 0.5)
        assert decode(said(actions.Flushed("7"))) == Flushed()
        assert decode(said(actions.Warned("stopping", "…"))) == Warned("stopping", "…")
        assert decode(said(actions.Closed(9, 7, 2, 1, 3))) == Closed(9, 7, 2, 1, 3)

    def test_errors_are_raised(self) -> None:
        with pytest.raises(SessionError) as caught:
            decode(said(actions.Failed(TooManySessions("come back later"))))
        error = caught.value
        assert (error.code, error.message, error.param) == ("too_many_sessions", "come back later", None)
        assert error.retry_after_s == RETRY_AFTER_S

    @pytest.mark.parametrize(
        "frame",
        [
            *("", "{", "[]", "null", "{}", "[" * 10**5, '{"type": []}', '{"type": "final"}', '{"type": "error"}'),
            '{"type": "partial", "utterance": "first", "at": 0, "stable": "", "tentative": ""}',
        ],
    )
    def test_what_is_no_message(self, frame: str) -> None:
        with pytest.raises(ProtocolError, match="not a message of the protocol"):
            decode(frame)


class TestEncode:
    def test_integers_stay_what_they_are(self) -> None:
        samples = np.array([-32768, -1, 0, 1, 32767], np.int16)
        assert encode(samples, "pcm_s16le") == samples.astype("<i2").tobytes()

    def test_floats_stay_what_they_are(self) -> None:
        samples = np.array([-1, 0.1, 1], np.float32)
        assert encode(samples, "pcm_f32le") == samples.astype("<f4").tobytes()

    @given(st.lists(st.floats(width=32), max_size=50))
    def test_sixteen_bits_say_what_the_floats_say(self, values: list[float]) -> None:
        samples = np.array(values, np.float32)
        of_integers = PcmDecoder("pcm_s16le", 16000, 1).feed(encode(samples, "pcm_s16le"))
        of_floats = PcmDecoder("pcm_f32le", 16000, 1).feed(encode(samples, "pcm_f32le"))
        np.testing.assert_allclose(of_integers, of_floats, atol=1 / 32768)

    def test_channels_are_interleaved(self) -> None:
        left, right = np.arange(4, dtype=np.int16), -np.arange(4, dtype=np.int16)
        interleaved = np.stack([left, right], axis=1)
        assert np.frombuffer(encode(interleaved, "pcm_s16le", 2), "<i2").tolist() == [0, 0, 1, -1, 2, -2, 3, -3]

    def test_what_cannot_be_meant(self) -> None:
        with pytest.raises(ValueError, match="shape"):
            encode(np.zeros((2, 100), np.float32), "pcm_s16le", 2)
        with pytest.raises(TypeError, match="int64"):
            encode(np.zeros(5, np.int64), "pcm_s16le")
