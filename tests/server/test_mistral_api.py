"""Mistral's own client against a real server."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest
import websockets
from mistralai.client import Mistral
from mistralai.client.models import (
    AudioFormat,
    RealtimeTranscriptionError,
    RealtimeTranscriptionSessionCreated,
    RealtimeTranscriptionSessionUpdated,
    TranscriptionStreamDone,
    TranscriptionStreamLanguage,
    TranscriptionStreamSegmentDelta,
    TranscriptionStreamTextDelta,
)
from mistralai.extra.exceptions import RealtimeTranscriptionException, RealtimeTranscriptionWSError
from websockets import Subprotocol

BLOCK = 3200  # bytes: 100 ms


def client(running: Any, key: str = "none") -> Mistral:
    return Mistral(api_key=key, server_url=f"http://{running.host}")


async def in_blocks(data: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(data), BLOCK):
        yield data[start : start + BLOCK]


async def transcribe(running: Any, data: bytes, **options: Any) -> list[Any]:
    events = client(running).audio.realtime.transcribe_stream(in_blocks(data), model="voxtral", **options)
    return [event async for event in events]


def of(kind: type[Any], events: list[Any]) -> list[Any]:
    return [event for event in events if isinstance(event, kind)]


class TestStream:
    async def test_speech_becomes_text(self, launch: Any, accounting: Any, sound: Any) -> None:
        events = await transcribe(launch(accounting(partials=False)), sound.utterances(1.0, 0.5))
        assert isinstance(events[0], RealtimeTranscriptionSessionCreated)
        done = events[-1]
        assert isinstance(done, TranscriptionStreamDone)
        segments = of(TranscriptionStreamSegmentDelta, events)
        assert len(segments) == 2
        assert [segment.text for segment in done.segments or []] == [segment.text for segment in segments]
        assert "".join(delta.text for delta in of(TranscriptionStreamTextDelta, events)) == done.text
        assert [event.audio_language for event in of(TranscriptionStreamLanguage, events)] == [done.language] == ["en"]
        assert done.model == events[0].session.model == "abacus"
        assert done.usage.prompt_audio_seconds == 4

    async def test_text_comes_before_the_utterance_is_over(self, server: Any, sound: Any) -> None:
        connection = await client(server).audio.realtime.connect("voxtral")
        async with connection:
            await connection.send_audio(sound.silence(1.0).tobytes() + sound.speech(2.0).tobytes())
            async for event in connection:
                if isinstance(event, TranscriptionStreamTextDelta):
                    assert event.text.startswith("from ")
                    return

    async def test_audio_in_the_format_that_was_named(self, server: Any, sound: Any) -> None:
        samples = np.frombuffer(sound.utterances(1.0), "<i2").astype("<f4") / 32768
        named = AudioFormat(encoding="pcm_f32le", sample_rate=16000)
        plain = await transcribe(server, sound.utterances(1.0))
        floats = await transcribe(server, samples.tobytes(), audio_format=named)
        (updated,) = of(RealtimeTranscriptionSessionUpdated, floats)
        assert updated.session.audio_format == named
        assert floats[-1].text == plain[-1].text

    async def test_options_reach_the_engine(self, launch: Any, accounting: Any, sound: Any) -> None:
        running = launch(accounting(delay_ms=(240, 480)))
        options = {"language": "fr", "context_bias": ["Ada", "Grace"], "target_streaming_delay_ms": 480}
        await transcribe(running, sound.utterances(0.5), **options)
        (heard,) = running.engine.options
        assert (heard.language, heard.prompt, heard.delay_ms) == ("fr", "Ada, Grace", 480)

    @pytest.mark.parametrize(
        "option",
        [
            {"diarize": True},
            {"speaker_references": {"Ada": "UklGRg=="}},
            {"turn_detection": {"min_silence_ms": 500}},
            {"target_streaming_delay_ms": 480},
        ],
    )
    async def test_what_is_lacking_is_refused_by_name(self, server: Any, sound: Any, option: dict[str, Any]) -> None:
        error = (await transcribe(server, sound.utterances(0.5), **option))[-1]
        assert isinstance(error, RealtimeTranscriptionError)
        assert str(error.error.message).startswith(next(iter(option)))
        assert error.error.code == 1008

    async def test_a_failure_of_the_engine_is_told(self, launch: Any, accounting: Any, sound: Any) -> None:
        running = launch(accounting(ails=RuntimeError("at a secret place")))
        error = (await transcribe(running, sound.utterances(0.5)))[-1]
        assert isinstance(error, RealtimeTranscriptionError)
        assert (error.error.message, error.error.code) == ("the server failed", 1011)


class TestConnection:
    async def test_flush_gives_the_text_so_far(self, server: Any, sound: Any) -> None:
        connection = await client(server).audio.realtime.connect("voxtral")
        async with connection:
            await connection.send_audio(sound.silence(1.0).tobytes() + sound.speech(1.0).tobytes())
            await connection.flush_audio()
            async for event in connection:
                if isinstance(event, TranscriptionStreamSegmentDelta):
                    await connection.end_audio()
        assert isinstance(event, TranscriptionStreamDone)
        assert len(event.segments or []) == 1

    async def test_a_full_house_is_told_at_once(self, launch: Any, accounting: Any) -> None:
        running = launch(accounting(), server={"max_sessions": 1})
        async with await client(running).audio.realtime.connect("voxtral"):
            with pytest.raises(RealtimeTranscriptionWSError, match="all 1 live sessions are taken") as refusal:
                await client(running).audio.realtime.connect("voxtral")
        assert refusal.value.code == 4429

    async def test_keys_are_asked_for(self, launch: Any, accounting: Any) -> None:
        running = launch(accounting(), server={"api_keys": ["a-key-of-some-length"]})
        with pytest.raises(RealtimeTranscriptionException, match="401"):
            await client(running, "wrong").audio.realtime.connect("voxtral")
        async with await client(running, "a-key-of-some-length").audio.realtime.connect("voxtral") as connection:
            assert connection.session.model == "abacus"

    async def test_another_model_is_not_there(self, server: Any) -> None:
        with pytest.raises(RealtimeTranscriptionException, match="404"):
            await client(server).audio.realtime.connect("pixtral-12b")

    async def test_silence_is_no_text(self, server: Any) -> None:
        connection = await client(server).audio.realtime.connect("voxtral")
        async with connection:
            await connection.end_audio()
            done = [event async for event in connection][-1]
        assert isinstance(done, TranscriptionStreamDone)
        assert (done.text, done.language, done.segments) == ("", None, [])
        assert connection.is_closed


async def test_a_browser_comes_with_a_token_that_was_minted_for_it(launch: Any, accounting: Any, sound: Any) -> None:
    running = launch(accounting(), server={"api_keys": ["a-key-of-some-length"]})
    async with client(running, "a-key-of-some-length") as mistral:
        asked = {"purpose": "realtime", "model": "voxtral-mini-latest"}
        minted = await mistral.realtime.sessions.create_async(request=asked)
    url = f"ws://{running.host}/v1/audio/transcriptions/realtime?model=voxtral-mini-latest"
    offered = [Subprotocol("realtime"), Subprotocol(minted.client_secret.value)]
    async with websockets.connect(url, subprotocols=offered) as socket:
        assert socket.subprotocol == "realtime"
        assert json.loads(await socket.recv())["type"] == "session.created"


async def test_the_built_in_engine_is_heard(hearing: Any, sentence: bytes) -> None:
    assert "made amiable himself" in (await transcribe(hearing, sentence))[-1].text
