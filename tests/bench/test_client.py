from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager

import numpy as np
import pytest
from websockets.asyncio.server import ServerConnection, serve

from bench.client import StreamLog, play
from bench.dialects import DIALECTS, SessionOptions
from bench.dialects.base import Closed, Committed
from bench.schedule import Schedule

SCHEDULE = Schedule(np.linspace(-1, 1, 8_000, dtype=np.float32), (), (), ())


@asynccontextmanager
async def _serving(handler: Callable[[ServerConnection], Coroutine[None, None, None]]) -> AsyncIterator[str]:
    async with serve(handler, "127.0.0.1", 0) as server:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/ws"


async def _play(url: str, dialect: str = "native") -> StreamLog:
    starts_at = asyncio.get_running_loop().time() + 0.05
    return await play(url, DIALECTS[dialect](SessionOptions()), SCHEDULE, 40, starts_at)


async def test_audio_is_sent_whole_and_at_the_pace_of_speech() -> None:
    received: list[bytes] = []
    times: list[float] = []

    async def hear(socket: ServerConnection) -> None:
        async for frame in socket:
            if isinstance(frame, bytes):
                received.append(frame)
                times.append(asyncio.get_running_loop().time())
            elif json.loads(frame)["type"] == "close":
                await socket.send('{"type": "final", "utterance": 0, "start_sample": 0, "end_sample": 9, "text": "x"}')
                await socket.send('{"type": "closed"}')

    async with _serving(hear) as url:
        log = await _play(url)
    samples = np.frombuffer(b"".join(received), dtype="<i2")
    assert samples == pytest.approx(SCHEDULE.samples * 32767, abs=0.5)
    assert [len(block) for block in received] == [1280] * 12 + [640]
    assert times[-1] - times[0] == pytest.approx(12 * 0.04, abs=0.3)
    assert log.failure is None
    assert [seen for _, seen in log.observations] == [Committed("0", "x", (0, 9)), Closed()]
    assert 0.5 <= log.observations[0][0] <= 1.5
    assert len(log.lateness) == 13
    assert all(0 <= late < 1 for late in log.lateness)


async def test_a_refusal_is_told() -> None:
    async def refuse(socket: ServerConnection) -> None:
        await socket.send('{"type": "error", "error": {"code": "overloaded", "message": "full"}, "fatal": true}')
        await socket.close(4429, "too many sessions")

    async with _serving(refuse) as url:
        log = await _play(url)
    assert log.failure is not None
    assert "4429" in log.failure


async def test_no_server_is_told() -> None:
    async with _serving(lambda socket: asyncio.sleep(0)) as url:
        pass
    log = await _play(url)
    assert log.failure is not None
    assert log.failure.startswith(("ConnectionRefusedError", "OSError"))


async def test_other_rates_are_resampled() -> None:
    received: list[str] = []

    async def hear(socket: ServerConnection) -> None:
        async for frame in socket:
            received.append(str(frame))
            if len(received) == 1 + 13:
                await socket.close()

    async with _serving(hear) as url:
        await _play(url, "openai")
    sizes = [len(json.loads(frame)["audio"]) * 3 // 4 for frame in received[1:]]
    assert sizes[:12] == [1920] * 12
