"""Through the whole server: audio in over a WebSocket, partials and finals out."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import websockets

from voxtral_streaming.audio.units import SAMPLE_RATE, Samples
from voxtral_streaming.config import Config
from voxtral_streaming.server.app import create_app, lifespan
from voxtral_streaming.server.run import Server
from voxtral_streaming.transcriber import Transcriber

FRAME = 3200  # bytes: 100 ms


@asynccontextmanager
async def serving(config: Config) -> AsyncIterator[str]:
    """The address of a server with the engine behind it that the files of the model choose."""
    app = create_app(config, Transcriber(config))
    server = Server(app, config.server)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        async with lifespan(app):
            running = asyncio.create_task(server.serve([listener]))
            yield f"ws://127.0.0.1:{listener.getsockname()[1]}/ws"
            server.should_exit = True
            await running


async def listen(address: str, pcm: bytes) -> list[dict[str, Any]]:
    """All that a client hears who sends `pcm` and says that there is no more."""
    async with websockets.connect(address, compression=None) as client:
        for start in range(0, len(pcm), FRAME):
            await client.send(pcm[start : start + FRAME])
        await client.send(json.dumps({"type": "close"}))
        return [json.loads(message) async for message in client]


@pytest.fixture
def config(tiny: Path) -> Config:
    return Config.model_validate(
        {
            "model": {"name": str(tiny), "device": "cpu", "torch_dtype": "float32"},
            "audio": {"sample_rate": SAMPLE_RATE},
            "vad": {"threshold": 0.01, "detector": "energy"},
        }
    )


async def test_a_recording_has_estimated_times_unless_true_ones_are_asked_for(
    config: Config, tiny: Path, words: str
) -> None:
    recording = (tiny / "words.wav").read_bytes()
    async with serving(config) as address, httpx.AsyncClient(trust_env=False, timeout=60) as client:
        url = address.replace("ws://", "http://").replace("/ws", "/v1/transcriptions")
        answers = [
            await client.post(url, files={"file": recording}, data={"format": "verbose_json", **asked})
            for asked in ({}, {"words": "true"})
        ]
    segments = answers[0].json()["segments"]
    assert [word["text"] for segment in segments for word in segment["words"]] == words.split()
    assert (answers[1].status_code, answers[1].json()["error"]["code"]) == (422, "unsupported_option")


@pytest.mark.parametrize("n_clients", [1, 12])
async def test_spoken_words_come_out_exact(config: Config, clip: Samples, words: str, n_clients: int) -> None:
    pause = np.zeros(SAMPLE_RATE, np.float32)
    pcm = (np.concatenate((pause, clip, pause)) * 32767).astype("<i2").tobytes()
    async with serving(config) as address:
        heard = await asyncio.gather(*(listen(address, pcm) for _ in range(n_clients)))
    for messages in heard:
        assert messages[0]["engine"]["name"] == "voxtral_realtime"
        assert " ".join(one["text"] for one in messages if one["type"] == "final") == words
        partials = [one["stable"] for one in messages if one["type"] == "partial"]
        assert partials == sorted(partials, key=len)
        assert messages[0]["engine"]["timestamps"] == "segment"
        for final in (one for one in messages if one["type"] == "final"):
            assert " ".join(word["text"] for word in final["words"]) == final["text"]
            assert all(final["start"] <= word["start"] <= word["end"] <= final["end"] for word in final["words"])
