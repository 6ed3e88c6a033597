"""Deepgram's own clients, sync and async, against a real server."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import threading
import wave
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from itertools import cycle
from typing import Any

import httpx
import numpy as np
import pytest
import websockets
from deepgram import AsyncDeepgramClient, DeepgramClient
from deepgram.core.api_error import ApiError
from deepgram.core.events import EventType
from deepgram.environment import DeepgramClientEnvironment
from deepgram.listen.v1.media.client import AsyncMediaClient
from deepgram.listen.v1.types.listen_v1error import ListenV1Error
from deepgram.listen.v1.types.listen_v1metadata import ListenV1Metadata
from deepgram.listen.v1.types.listen_v1results import ListenV1Results
from deepgram.listen.v1.types.listen_v1speech_started import ListenV1SpeechStarted
from deepgram.listen.v1.types.listen_v1utterance_end import ListenV1UtteranceEnd
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytestmark = pytest.mark.filterwarnings("ignore:websockets:DeprecationWarning")  # it asks for their old names

BLOCK = 3200  # bytes: 100 ms
RAW: dict[str, Any] = {"model": "nova-3", "encoding": "linear16", "sample_rate": 16000}
KEY = "correct-horse-battery-staple"


def environment(running: Any) -> DeepgramClientEnvironment:
    http, ws = f"http://{running.host}", f"ws://{running.host}"
    return DeepgramClientEnvironment(base=http, production=ws, agent=ws, agent_rest=http)


def client(running: Any, key: str = KEY) -> AsyncDeepgramClient:
    """For live sessions, which need no HTTP."""
    return AsyncDeepgramClient(api_key=key, environment=environment(running))


@asynccontextmanager
async def media(running: Any) -> AsyncIterator[AsyncMediaClient]:
    """For recordings."""
    async with httpx.AsyncClient(verify=False) as one:
        yield AsyncDeepgramClient(api_key=KEY, environment=environment(running), httpx_client=one).listen.v1.media


def blocks(data: bytes, size: int = BLOCK) -> Iterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


async def hear_out(connection: Any) -> list[Any]:
    messages: list[Any] = []
    connection.on(EventType.MESSAGE, messages.append)
    await asyncio.wait_for(connection.start_listening(), 20)
    return messages


async def transcribe(running: Any, data: bytes, size: int = BLOCK, **options: Any) -> list[Any]:
    """Everything that one session hears."""
    async with client(running).listen.v1.connect(**RAW, **options) as connection:
        for block in blocks(data, size):
            await connection.send_media(block)
        await connection.send_close_stream()
        return await hear_out(connection)


def of(kind: type[Any], messages: list[Any]) -> list[Any]:
    return [message for message in messages if isinstance(message, kind)]


def finals(messages: list[Any]) -> list[str]:
    return [one.channel.alternatives[0].transcript for one in of(ListenV1Results, messages) if one.is_final]


def wav(samples: bytes, rate: int = 16000) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setparams((1, 2, rate, 0, "NONE", ""))
        writer.writeframes(samples)
    return file.getvalue()


async def cut(running: Any, data: bytes, sizes: list[int]) -> list[tuple[str, float, float, bool | None]]:
    """The finals of a session whose audio comes in blocks of these sizes, over and over."""
    async with client(running).listen.v1.connect(**RAW) as connection:
        size = cycle(sizes)
        while data:
            n_bytes = next(size)
            await connection.send_media(data[:n_bytes])
            data = data[n_bytes:]
        await connection.send_close_stream()
        results = of(ListenV1Results, await hear_out(connection))
    return [(one.channel.alternatives[0].transcript, one.start, one.duration, one.speech_final) for one in results]


@pytest.fixture(scope="module")
def whole(server: Any, sound: Any) -> list[tuple[str, float, float, bool | None]]:
    finals = asyncio.run(cut(server, sound.utterances(0.8, 1.2), [200_000]))
    assert len(finals) == 2
    return finals


class TestLive:
    async def test_from_the_first_word_to_the_last(self, server: Any, sound: Any) -> None:
        options = {"interim_results": True, "vad_events": True, "utterance_end_ms": 1000, "punctuate": True}
        messages = await transcribe(server, sound.utterances(0.8, 1.2), **options)
        results = of(ListenV1Results, messages)
        assert len(finals(messages)) == 2
        assert any(not result.is_final for result in results)
        assert [result.speech_final for result in results if result.is_final] == [True, True]
        assert len(of(ListenV1SpeechStarted, messages)) == 2
        (word,) = results[-1].channel.alternatives[0].words
        assert word.punctuated_word == word.word
        metadata = messages[-1]
        assert isinstance(metadata, ListenV1Metadata)
        assert metadata.duration == 5.0
        assert metadata.sha256 == hashlib.sha256(sound.utterances(0.8, 1.2)).hexdigest()
        assert metadata.request_id == results[0].metadata.request_id
        assert results[0].metadata.model_info.name == "abacus"

    def test_the_client_that_blocks(self, server: Any, sound: Any) -> None:
        blocking = DeepgramClient(api_key=KEY, environment=environment(server))
        messages: list[Any] = []
        with blocking.listen.v1.connect(**RAW) as connection:
            connection.on(EventType.MESSAGE, messages.append)
            listening = threading.Thread(target=connection.start_listening)
            listening.start()
            for block in blocks(sound.utterances(0.8)):
                connection.send_media(block)
            connection.send_keep_alive()
            connection.send_close_stream()
            listening.join(20)
        assert len(finals(messages)) == 1
        assert isinstance(messages[-1], ListenV1Metadata)

    async def test_finalize_and_keep_alive(self, server: Any, sound: Any) -> None:
        async with client(server).listen.v1.connect(**RAW) as connection:
            await connection.send_keep_alive()
            await connection.send_media(sound.speech(1.0).tobytes())
            await connection.send_finalize()
            result = await asyncio.wait_for(connection.recv(), 10)
            assert isinstance(result, ListenV1Results)
            assert (result.is_final, result.from_finalize) == (True, True)
            assert result.channel.alternatives[0].transcript
            await connection.send_finalize()
            result = await asyncio.wait_for(connection.recv(), 10)
            assert isinstance(result, ListenV1Results)
            assert (result.from_finalize, result.channel.alternatives[0].transcript) == (True, "")
            await connection.send_close_stream()
            assert isinstance(await asyncio.wait_for(connection.recv(), 10), ListenV1Metadata)

    async def test_utterance_end_comes_in_silence(self, server: Any, sound: Any) -> None:
        options = {"utterance_end_ms": 1000, "interim_results": True}
        async with client(server).listen.v1.connect(**RAW, **options) as connection:
            for block in blocks(sound.utterances(0.8) + sound.silence(1.0).tobytes()):
                await connection.send_media(block)
            while not isinstance(message := await asyncio.wait_for(connection.recv(), 10), ListenV1UtteranceEnd):
                assert not isinstance(message, ListenV1Metadata)
            assert 1.8 < message.last_word_end < 2.2

    async def test_other_layouts_say_the_same(self, server: Any, sound: Any) -> None:
        samples = np.frombuffer(sound.utterances(0.8), "<i2")
        plain = finals(await transcribe(server, samples.tobytes()))
        stereo = np.repeat(samples[:, None], 2, axis=1)
        assert finals(await transcribe(server, stereo.tobytes(), channels=2)) == plain
        async with client(server).listen.v1.connect(model="x", encoding="linear32", sample_rate=16000) as connection:
            await connection.send_media((samples.astype("<f4") / 32768).tobytes())
            await connection.send_close_stream()
            assert finals(await hear_out(connection)) == plain

    async def test_options_reach_the_engine(self, launch: Any, accounting: Any, sound: Any) -> None:
        running = launch(accounting())
        await transcribe(running, sound.utterances(0.5), language="fr-CA", keyterm=["Ada", "Grace"], smart_format=True)
        (heard,) = running.engine.options
        assert (heard.language, heard.prompt, heard.partials) == ("fr", "Ada, Grace", False)

    @settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(sizes=st.lists(st.integers(500, 40_001), min_size=1, max_size=6))
    def test_any_cutting_gives_the_same_finals(self, server: Any, sound: Any, whole: Any, sizes: list[int]) -> None:
        assert asyncio.run(cut(server, sound.utterances(0.8, 1.2), sizes)) == whole

    async def test_files_are_refused_once_they_show(self, server: Any, sound: Any) -> None:
        async with client(server).listen.v1.connect(**RAW) as connection:
            await connection.send_media(wav(sound.utterances(0.5)))
            (error,) = await hear_out(connection)
        assert isinstance(error, ListenV1Error)
        assert error.variant == "unsupported_media"
        assert "WAV" in error.description

    async def test_nothing_for_too_long(self, launch: Any) -> None:
        running = launch(server={"idle_timeout_s": 0.2})
        async with websockets.connect(f"ws://{running.host}/v1/listen?encoding=mulaw&sample_rate=8000") as socket:
            assert '"idle_timeout"' in await asyncio.wait_for(socket.recv(), 10)
            await asyncio.wait_for(socket.wait_closed(), 10)
            assert socket.close_code == 1011

    @pytest.mark.parametrize(
        ("query", "param"),
        [
            ("model=nova-3", "encoding"),
            ("encoding=opus&sample_rate=48000", "encoding"),
            ("encoding=linear16&sample_rate=16000&diarize=true", "diarize"),
            ("encoding=linear16&sample_rate=16000&language=de", "language"),
        ],
    )
    async def test_what_cannot_be_is_refused_before_the_upgrade(self, server: Any, query: str, param: str) -> None:
        with pytest.raises(websockets.InvalidStatus) as refused:
            await websockets.connect(f"ws://{server.host}/v1/listen?{query}").__aenter__()
        assert refused.value.response.status_code == 400
        body = json.loads(refused.value.response.body)
        assert body.keys() == {"err_code", "err_msg", "request_id"}
        assert body["err_code"] == "INVALID_QUERY_PARAMETER"
        assert body["err_msg"].startswith(param)

    async def test_keys(self, launch: Any, sound: Any) -> None:
        running = launch(server={"api_keys": (KEY,)})
        assert len(finals(await transcribe(running, sound.utterances(0.5)))) == 1
        with pytest.raises(ApiError) as refused:
            async with client(running, "wrong").listen.v1.connect(**RAW):
                pass
        assert refused.value.status_code == 401
        url = f"ws://{running.host}/v1/listen?encoding=linear16&sample_rate=16000"
        offered = [websockets.Subprotocol("token"), websockets.Subprotocol(KEY)]
        async with websockets.connect(url, subprotocols=offered) as socket:
            assert socket.subprotocol == "token"


def post(running: Any, content: bytes, query: str = "", headers: dict[str, str] | None = None) -> httpx.Response:
    with httpx.Client(verify=False) as one:
        return one.post(f"http://{running.host}/v1/listen?{query}", content=content, headers=headers)


class TestRecordings:
    async def test_bytes(self, server: Any, sound: Any) -> None:
        file = wav(sound.utterances(0.8, 1.2))
        async with media(server) as one:
            answer: Any = await one.transcribe_file(
                request=file, model="nova-3", smart_format=True, utterances=True, tag="mine"
            )
        assert answer.metadata.sha256 == hashlib.sha256(file).hexdigest()
        assert (answer.metadata.duration, answer.metadata.channels, answer.metadata.tags) == (5.0, 1, ["mine"])
        (model,) = answer.metadata.models
        assert answer.metadata.model_info[model]["name"] == "abacus"
        (channel,) = answer.results.channels
        (best,) = channel.alternatives
        assert len(best.words) == 2
        assert len(answer.results.utterances) == 2
        assert " ".join(one.transcript for one in answer.results.utterances) == best.transcript
        assert finals(await transcribe(server, sound.utterances(0.8, 1.2))) == [
            one.transcript for one in answer.results.utterances
        ]

    def test_the_client_that_blocks(self, server: Any, sound: Any) -> None:
        with httpx.Client(verify=False) as one:
            blocking = DeepgramClient(api_key=KEY, environment=environment(server), httpx_client=one)
            answer: Any = blocking.listen.v1.media.transcribe_file(
                request=wav(sound.utterances(0.8)), detect_language=True
            )
        assert answer.results.channels[0].detected_language == "en"
        assert answer.results.utterances is None

    async def test_utterances_split_where_the_client_says(self, server: Any, sound: Any) -> None:
        file = wav(sound.utterances(0.8, 1.2))
        async with media(server) as one:
            answer: Any = await one.transcribe_file(request=file, utterances=True, utt_split=1.5)
        assert len(answer.results.utterances) == 1

    async def test_urls_only_where_they_are_allowed(self, server: Any, launch: Any) -> None:
        for running, url in (
            (server, "https://audio.example/a.wav"),
            (launch(audio={"allow_urls": True}), "http://127.0.0.1/a.wav"),
        ):
            async with media(running) as one:
                with pytest.raises(ApiError) as refused:
                    await one.transcribe_url(url=url)
            assert refused.value.status_code == 403
            assert refused.value.body["err_code"] == "REMOTE_CONTENT_ERROR"

    async def test_a_url(self, launch: Any, sound: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        """Fetching has tests of its own; here it brings a file."""
        file = wav(sound.utterances(0.8))

        async def fetch(url: str, policy: Any) -> io.BytesIO:
            assert (url, policy.is_trusted) == ("https://audio.example/a.wav", False)
            return io.BytesIO(file)

        monkeypatch.setattr("voxtral_streaming.server.deepgram_api.fetch", fetch)
        async with media(launch(audio={"allow_urls": True})) as one:
            answer: Any = await one.transcribe_url(url="https://audio.example/a.wav", model="nova-3")
        assert answer.results.channels[0].alternatives[0].transcript
        assert answer.metadata.sha256 == hashlib.sha256(file).hexdigest()

    @pytest.mark.parametrize(
        ("query", "content", "media_type", "status", "code"),
        [
            ("redact=pci", b"", "audio/wav", 400, "INVALID_QUERY_PARAMETER"),
            ("paragraphs=true", b"", "audio/wav", 400, "INVALID_QUERY_PARAMETER"),
            ("", b"", "audio/wav", 400, "Bad Request"),
            ("", b"this is not audio", "audio/wav", 400, "Bad Request"),
            ("", b"x", "multipart/form-data; boundary=x", 400, "Bad Request"),
            ("", b"{", "application/json", 400, "INVALID_JSON"),
            ("", b'{"url": 5}', "application/json", 400, "INVALID_QUERY_PARAMETER"),
            ("", b"\xff", "application/json", 400, "INVALID_JSON"),
        ],
    )
    def test_refusals(self, server: Any, query: str, content: bytes, media_type: str, status: int, code: str) -> None:
        answer = post(server, content, query, {"Content-Type": media_type})
        assert (answer.status_code, answer.json()["err_code"]) == (status, code)
        assert answer.headers["dg-request-id"] == answer.json()["request_id"]

    def test_too_large_and_too_many(self, launch: Any) -> None:
        running = launch(audio={"max_bytes": 1024})
        assert post(running, b"x" * 2000).status_code == 413
        running.service.uploads.limit = 0
        answer = post(running, b"x")
        assert answer.status_code == 503
        assert answer.json()["err_code"] == "TOO_MANY_REQUESTS"
        assert answer.headers["retry-after"]


async def test_the_built_in_engine_is_heard(hearing: Any, sentence: bytes) -> None:
    assert "made amiable himself" in " ".join(finals(await transcribe(hearing, sentence)))
    async with media(hearing) as recordings:
        heard: Any = await recordings.transcribe_file(request=wav(sentence), model="nova-3")
    assert "made amiable himself" in heard.results.channels[0].alternatives[0].transcript
