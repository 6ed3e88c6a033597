"""A client of vLLM's realtime protocol, as its published example goes about it, against a real server."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any

import pytest
import websockets
from websockets.asyncio.client import ClientConnection

BLOCK = 4096  # bytes


class Client:
    """Greets, names the model, commits, sends audio in blocks, commits for the last time, and reads to the end."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self.deltas: list[str] = []

    async def hear(self) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(await asyncio.wait_for(self._socket.recv(), 10))
        return message

    async def say(self, type_: str, **fields: Any) -> None:
        await self._socket.send(json.dumps({"type": type_, **fields}))

    async def begin(self) -> None:
        created = await self.hear()
        assert created["type"] == "session.created"
        assert created["id"].startswith("sess-")
        assert isinstance(created["created"], int)
        await self.say("session.update", model="mistralai/Voxtral-Mini-4B-Realtime-2602")

    async def send(self, audio: bytes) -> None:
        for start in range(0, len(audio), BLOCK):
            block = base64.b64encode(audio[start : start + BLOCK]).decode()
            await self.say("input_audio_buffer.append", audio=block)

    async def transcribe(self, audio: bytes) -> str:
        await self.say("input_audio_buffer.commit")
        await self.send(audio)
        await self.say("input_audio_buffer.commit", final=True)
        return await self.read_out()

    async def read_out(self) -> str:
        self.deltas = []
        while (message := await self.hear())["type"] == "transcription.delta":
            self.deltas.append(message["delta"])
        assert message["type"] == "transcription.done", message
        assert not message["usage"]
        text: str = message["text"]
        return text


def dial(running: Any, **headers: str) -> Any:
    return websockets.connect(f"ws://{running.host}/v1/realtime", additional_headers=headers)


async def test_a_recording_becomes_text(launch: Any, accounting: Any, sound: Any) -> None:
    async with dial(launch(accounting(partials=False))) as socket:
        client = Client(socket)
        await client.begin()
        text = await client.transcribe(sound.utterances(1.0, 0.5))
        assert "".join(client.deltas) == text
        assert len(client.deltas) == 2
        assert await client.transcribe(sound.silence(1.0).tobytes()) == ""
        assert await client.transcribe(sound.utterances(0.5)) != ""


async def test_text_comes_while_audio_goes_on(server: Any, sound: Any) -> None:
    async with dial(server) as socket:
        client = Client(socket)
        await client.begin()
        await client.say("input_audio_buffer.commit")
        await client.send(sound.silence(1.0).tobytes() + sound.speech(2.0).tobytes())
        delta = await client.hear()
        assert delta["type"] == "transcription.delta"
        assert delta["delta"].startswith("from ")


async def test_errors_have_its_shape_and_the_session_survives_them(server: Any, sound: Any) -> None:
    async with dial(server) as socket:
        client = Client(socket)
        await client.begin()
        await client.say("input_audio_buffer.append", audio="not base64?")
        error = await client.hear()
        assert error == {"type": "error", "error": "the audio is not base64", "code": "invalid_audio"}
        assert await client.transcribe(sound.utterances(0.5)) != ""


async def test_the_model_is_named_before_the_first_commit(server: Any) -> None:
    async with dial(server) as socket:
        client = Client(socket)
        assert (await client.hear())["type"] == "session.created"
        await client.say("session.update")
        assert (await client.hear())["code"] == "invalid_event"
        await client.say("input_audio_buffer.commit")
        assert (await client.hear())["code"] == "model_not_validated"


async def test_a_failure_is_told_and_ends_the_session(launch: Any, accounting: Any, sound: Any) -> None:
    async with dial(launch(accounting(ails=RuntimeError("at a secret place")))) as socket:
        client = Client(socket)
        await client.begin()
        await client.say("input_audio_buffer.commit")
        await client.send(sound.utterances(0.5))
        assert await client.hear() == {"type": "error", "error": "the server failed", "code": "processing_error"}
        await socket.wait_closed()
        assert socket.close_code == 1011


async def test_keys_are_asked_for(launch: Any, accounting: Any) -> None:
    running = launch(accounting(), server={"api_keys": ["a-key-of-some-length"]})
    with pytest.raises(websockets.InvalidStatus, match="401"):
        await dial(running, Authorization="Bearer wrong")
    async with dial(running, Authorization="Bearer a-key-of-some-length") as socket:
        await Client(socket).begin()


async def test_the_built_in_engine_is_heard(hearing: Any, sentence: bytes) -> None:
    async with dial(hearing) as socket:
        client = Client(socket)
        await client.begin()
        assert "made amiable himself" in await client.transcribe(sentence)
