"""OpenAI's Realtime API, judged by OpenAI's own client against a real server."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

import numpy as np
import pytest
import websockets
from openai import AsyncOpenAI, OpenAI
from openai.resources.realtime.realtime import AsyncRealtimeConnection

from voxtral_streaming.errors import EngineFailed

LAST = "conversation.item.input_audio_transcription.completed"
DELTA = "conversation.item.input_audio_transcription.delta"
PCM_16_KHZ = {"format": {"type": "audio/pcm", "rate": 16_000}}
MANUAL = {"type": "transcription", "audio": {"input": {**PCM_16_KHZ, "turn_detection": None}}}
BY_SILENCE = {"type": "transcription", "audio": {"input": PCM_16_KHZ}}


def base64_of(samples: bytes | np.ndarray) -> str:
    return base64.b64encode(samples if isinstance(samples, bytes) else samples.tobytes()).decode()


class Talk:
    """A connection of the asynchronous client, and what was heard on it."""

    def __init__(self, connection: AsyncRealtimeConnection) -> None:
        self.connection = connection
        self.events: list[Any] = []

    async def say(self, samples: bytes | np.ndarray) -> None:
        data = samples if isinstance(samples, bytes) else samples.tobytes()
        for start in range(0, len(data), 6400):
            await self.connection.input_audio_buffer.append(audio=base64_of(data[start : start + 6400]))
            await asyncio.sleep(0)

    async def hear(self, type_: str) -> Any:
        while True:
            event = await asyncio.wait_for(self.connection.recv(), 10)
            self.events.append(event)
            if event.type == type_:
                return event

    def heard(self, type_: str) -> list[Any]:
        return [event for event in self.events if event.type == type_]

    @property
    def types(self) -> list[str]:
        return [event.type for event in self.events]


@asynccontextmanager
async def talking(running: Any, session: dict[str, Any] | None = None) -> AsyncIterator[Talk]:
    client = AsyncOpenAI(api_key="a key", base_url=f"http://{running.host}/v1")
    async with client.realtime.connect(extra_query={"intent": "transcription"}) as connection:
        talk = Talk(connection)
        await talk.hear("session.created")
        if session is not None:
            await connection.session.update(session=session)  # type: ignore[arg-type]
            await talk.hear("session.updated")
        yield talk
    await client.close()


async def test_turns_end_with_silence(server: Any, sound: Any) -> None:
    async with talking(server, BY_SILENCE) as talk:
        await talk.say(sound.utterances(1.0, 0.5))
        first, second = await talk.hear(LAST), await talk.hear(LAST)
    assert first.item_id != second.item_id
    of_first = [event.type for event in talk.events if getattr(event, "item_id", None) == first.item_id]
    assert of_first[0] == "input_audio_buffer.speech_started"
    assert [one for one in of_first if one != DELTA] == [
        "input_audio_buffer.speech_started",
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.committed",
        LAST,
    ]
    commits = talk.heard("input_audio_buffer.committed")
    assert [event.previous_item_id for event in commits] == [None, first.item_id]
    started = talk.heard("input_audio_buffer.speech_started")[0]
    assert 600 <= started.audio_start_ms <= 1000  # a second of silence, less the pre-roll
    assert first.usage.type == "duration"
    assert first.usage.seconds == pytest.approx(int(first.transcript.split()[1]) / 16_000)
    assert first.languages[0].code == "en"


async def test_deltas_come_before_the_commit_and_only_append(launch: Any, accounting: Any, sound: Any) -> None:
    running = launch(accounting())
    async with talking(running, MANUAL) as talk:
        await talk.say(sound.speech(2.0))
        delta = await talk.hear(DELTA)
        assert "input_audio_buffer.committed" not in talk.types
        await talk.connection.input_audio_buffer.commit()
        done = await talk.hear(LAST)
    assert delta.item_id == done.item_id == talk.heard("input_audio_buffer.committed")[0].item_id
    assert "".join(event.delta for event in talk.heard(DELTA)).startswith("from 0")


async def test_without_turn_detection_only_a_commit_ends_a_turn(server: Any, sound: Any) -> None:
    async with talking(server, MANUAL) as talk:
        await talk.say(sound.utterances(0.5, 0.5))
        await talk.connection.input_audio_buffer.commit(event_id="mine")
        await talk.hear(LAST)
        await talk.say(sound.speech(0.5))
        await talk.connection.input_audio_buffer.commit()
        second = await talk.hear(LAST)
    assert talk.types.count("input_audio_buffer.committed") == talk.types.count(LAST) == 2
    assert "input_audio_buffer.speech_started" not in talk.types
    assert second.transcript
    commits = talk.heard("input_audio_buffer.committed")
    assert commits[1].previous_item_id == commits[0].item_id
    assert "conversation.item.done" in talk.types


async def test_silence_that_is_committed_has_no_text(server: Any, sound: Any) -> None:
    async with talking(server, MANUAL) as talk:
        await talk.say(sound.silence(0.5))
        await talk.connection.input_audio_buffer.commit()
        assert (await talk.hear(LAST)).transcript == ""


async def test_what_is_cleared_is_forgotten(server: Any, sound: Any) -> None:
    async with talking(server, MANUAL) as talk:
        await talk.say(sound.speech(0.5))
        await talk.connection.input_audio_buffer.clear()
        await talk.hear("input_audio_buffer.cleared")
        await talk.connection.input_audio_buffer.commit(event_id="too early")
        error = (await talk.hear("error")).error
        assert (error.code, error.event_id) == ("input_audio_buffer_commit_empty", "too early")
        await talk.say(sound.speech(0.5))
        await talk.connection.input_audio_buffer.commit()
        text = (await talk.hear(LAST)).transcript
    assert text.split()[0] == "8000"  # half a second at 16 kHz was forgotten


async def test_an_error_bears_the_id_of_the_message_and_the_session_goes_on(server: Any, sound: Any) -> None:
    async with talking(server, MANUAL) as talk:
        await talk.connection.send({"type": "response.create", "event_id": "r1"})
        first = (await talk.hear("error")).error
        session = {"type": "transcription", "audio": {"input": {"transcription": {"model": "gpt-5"}}}}
        await talk.connection.session.update(session=session, event_id="u1")  # type: ignore[arg-type]
        second = (await talk.hear("error")).error
        await talk.say(sound.speech(0.5))
        await talk.connection.input_audio_buffer.commit()
        await talk.hear(LAST)
    assert (first.type, first.event_id, first.param) == ("invalid_request_error", "r1", "type")
    assert (second.code, second.event_id) == ("model_not_found", "u1")
    assert second.param == "session.audio.input.transcription.model"


async def test_the_telephone_and_24_khz(server: Any, sound: Any) -> None:
    for format_, n_bytes in (({"type": "audio/pcmu"}, 8_000), ({"type": "audio/pcma"}, 8_000), (None, 48_000)):
        session = {"type": "transcription", "audio": {"input": {"format": format_, "turn_detection": None}}}
        async with talking(server, session) as talk:
            await talk.say(np.random.default_rng(1).bytes(n_bytes))  # a second of noise
            await talk.connection.input_audio_buffer.commit()
            heard = await talk.hear(LAST)
        assert 0.9 <= heard.usage.seconds <= 1.0


async def test_turn_detection_as_the_client_wants_it(server: Any, sound: Any) -> None:
    detection = {"type": "server_vad", "silence_duration_ms": 1500, "threshold": 0.4, "prefix_padding_ms": 100}
    session = {"type": "transcription", "audio": {"input": {**PCM_16_KHZ, "turn_detection": detection}}}
    async with talking(server, session) as talk:
        await talk.say(sound.utterances(0.5, 0.5) + sound.silence(1.0).tobytes())
        await talk.hear(LAST)
    assert talk.types.count("input_audio_buffer.speech_started") == 1
    assert talk.heard("session.updated")[0].session.audio.input.turn_detection.to_dict() == detection


async def test_logprobs_of_words(server: Any, sound: Any) -> None:
    async with talking(server, {**MANUAL, "include": ["item.input_audio_transcription.logprobs"]}) as talk:
        await talk.say(sound.speech(0.5))
        await talk.connection.input_audio_buffer.commit()
        heard = await talk.hear(LAST)
    assert [(one.token, one.logprob, bytes(one.bytes)) for one in heard.logprobs] == [(" 8000", 0.0, b" 8000")]


async def test_logprobs_that_the_engine_lacks_are_a_stated_absence(launch: Any, accounting: Any, sound: Any) -> None:
    running = launch(accounting(timestamps="none"))
    async with talking(running, {**MANUAL, "include": ["item.input_audio_transcription.logprobs"]}) as talk:
        await talk.say(sound.speech(0.5))
        await talk.connection.input_audio_buffer.commit()
        heard = await talk.hear(LAST)
    assert heard.logprobs is None
    updated = talk.heard("session.updated")[0]
    assert updated.session.include == []
    assert [warning["param"] for warning in updated.warnings] == ["session.include"]


async def test_an_engine_that_fails_fails_the_item(launch: Any, accounting: Any, sound: Any) -> None:
    running = launch(accounting(ails=EngineFailed("out of order"), partials=False))
    async with talking(running, BY_SILENCE) as talk:
        with suppress(websockets.ConnectionClosed):  # before all is said, where the engine was quick to fail
            await talk.say(sound.utterances(0.5))
        failed = await talk.hear("conversation.item.input_audio_transcription.failed")
        error = await talk.hear("error")
    assert failed.item_id == talk.heard("input_audio_buffer.speech_started")[0].item_id
    assert failed.error.code == error.error.code == "engine_failed"


@pytest.mark.filterwarnings(r"ignore:connect\(\) must be used:DeprecationWarning")  # by the client itself
def test_the_synchronous_client(server: Any, sound: Any) -> None:
    client = OpenAI(api_key="a key", base_url=f"http://{server.host}/v1")
    with client.realtime.connect(extra_query={"intent": "transcription"}) as connection:
        connection.session.update(session=MANUAL)  # type: ignore[arg-type]
        connection.input_audio_buffer.append(audio=base64_of(sound.speech(0.5)))
        connection.input_audio_buffer.commit()
        types = list(until_completed(connection))
    assert types[:2] == ["session.created", "session.updated"]
    assert "input_audio_buffer.committed" in types
    client.close()


async def test_a_client_that_finds_no_place_comes_back_by_itself(launch: Any) -> None:
    running = launch(server={"max_sessions": 1})
    tries: list[int] = []
    events: list[str] = []
    async with (
        AsyncOpenAI(api_key="a key", base_url=f"http://{running.host}/v1") as client,
        AsyncExitStack() as first,
    ):
        await first.enter_async_context(talking(running))
        async with client.realtime.connect(
            extra_query={"intent": "transcription"},
            on_reconnecting=lambda event: tries.append(event.close_code),
            initial_delay=0.1,
        ) as connection:
            async for event in connection:
                events.append(event.type)
                if event.type == "session.created":
                    break
                await first.aclose()
    assert events == ["error", "session.created"]
    assert set(tries) == {1013}


def until_completed(connection: Any) -> Iterator[str]:
    for event in connection:
        yield event.type
        if event.type == LAST:
            return


async def test_the_older_shape(server: Any, sound: Any) -> None:
    url = f"ws://{server.host}/v1/realtime?intent=transcription"
    async with websockets.connect(url, additional_headers={"OpenAI-Beta": "realtime=v1"}) as socket:

        async def hear(type_: str) -> dict[str, Any]:
            while True:
                message: dict[str, Any] = json.loads(await asyncio.wait_for(socket.recv(), 10))
                if message["type"] == type_:
                    return message

        await hear("transcription_session.created")
        session = {
            "input_audio_format": "g711_ulaw",
            "input_audio_transcription": {"model": "gpt-4o-transcribe", "language": "fr", "prompt": "Ada"},
            "turn_detection": None,
        }
        await socket.send(json.dumps({"type": "transcription_session.update", "session": session}))
        updated = (await hear("transcription_session.updated"))["session"]
        assert updated["input_audio_format"] == "g711_ulaw"
        assert updated["input_audio_transcription"] == {"model": "abacus", "language": "fr", "prompt": "Ada"}
        assert updated["turn_detection"] is None
        noise = base64_of(np.random.default_rng(1).bytes(8_000))
        await socket.send(json.dumps({"type": "input_audio_buffer.append", "audio": noise}))
        await socket.send(json.dumps({"type": "input_audio_buffer.commit"}))
        await hear("conversation.item.created")
        assert (await hear(LAST))["languages"] == [{"code": "fr"}]


async def test_a_browser_presents_its_key_as_a_subprotocol(launch: Any) -> None:
    running = launch(server={"api_keys": ["k" * 32]})
    url = f"ws://{running.host}/v1/realtime?intent=transcription"
    offered = ["realtime", f"openai-insecure-api-key.{'k' * 32}"]
    async with websockets.connect(url, subprotocols=offered) as socket:  # type: ignore[arg-type]
        assert socket.subprotocol == "realtime"
    with pytest.raises(websockets.InvalidStatus):
        await websockets.connect(url, subprotocols=["realtime", "openai-insecure-api-key.wrong"])  # type: ignore[list-item]


async def test_a_session_begins_as_its_token_says(launch: Any) -> None:
    running = launch(server={"api_keys": ["k" * 32]})
    client = AsyncOpenAI(api_key="k" * 32, base_url=f"http://{running.host}/v1")
    minted = await client.realtime.client_secrets.create(session=MANUAL)  # type: ignore[arg-type]
    refused = {"type": "transcription", "audio": {"input": {"transcription": {"model": "gpt-5"}}}}
    useless = await client.realtime.client_secrets.create(session=refused)  # type: ignore[arg-type]
    await client.close()
    url = f"ws://{running.host}/v1/realtime?intent=transcription"
    async with websockets.connect(url, subprotocols=["realtime", minted.value]) as socket:  # type: ignore[list-item]
        heard = json.loads(await socket.recv())["session"]["audio"]["input"]
    assert heard["turn_detection"] is None
    assert heard["format"] == {"type": "audio/pcm", "rate": 16_000}
    with pytest.raises(websockets.InvalidStatus) as caught:
        await websockets.connect(url, subprotocols=["realtime", useless.value])  # type: ignore[list-item]
    assert b"model_not_found" in caught.value.response.body


async def test_another_intent_is_refused_before_the_socket_opens(server: Any) -> None:
    with pytest.raises(websockets.InvalidStatus) as caught:
        await websockets.connect(f"ws://{server.host}/v1/realtime?intent=conversation")
    assert caught.value.response.status_code == 422
    assert json.loads(caught.value.response.body)["error"]["param"] == "intent"


async def test_the_built_in_engine_is_heard(hearing: Any, sentence: bytes) -> None:
    async with talking(hearing, MANUAL) as talk:
        await talk.say(sentence)
        await talk.connection.input_audio_buffer.commit()
        assert "made amiable himself" in (await talk.hear(LAST)).transcript
