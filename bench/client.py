"""One stream: a schedule sent over the WebSocket at real-time pace, and what came back when."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import soxr
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from bench.dialects import Dialect
from bench.dialects.base import Closed, Failed, Observation
from bench.schedule import Schedule
from voxtral_streaming.audio.units import SAMPLE_RATE, Samples

ANSWER_S = 60.0  # how long the last answers may take after the last block
QUIET_S = 5.0  # where a protocol has no goodbye: how long to listen after the last block


@dataclass
class StreamLog:
    """What a client saw; times are seconds since the stream's first sample was spoken."""

    observations: list[tuple[float, Observation]] = field(default_factory=list)
    lateness: list[float] = field(default_factory=list)  # by which each block was sent after its due time
    failure: str | None = None


async def play(
    url: str,
    dialect: Dialect,
    schedule: Schedule,
    block_ms: int,
    starts_at: float,
    *,
    key: str | None = None,
    paced: bool = True,
) -> StreamLog:
    """Connect, and send the schedule from `starts_at` (event loop time) on, each block when its last sample is spoken.

    Not `paced`, the blocks are sent as fast as the server takes them. A connection that is refused or lost is
    told in the log's `failure`.
    """
    log = StreamLog()
    block = block_ms / 1000 if paced else 0.0
    blocks = _blocks(schedule.samples, dialect.sample_rate, block_ms)
    headers = {"Authorization": f"Bearer {key}"} if key else None
    try:
        async with connect(
            url, additional_headers=headers, compression=None, max_size=2**24, ping_interval=None
        ) as socket:
            await _converse(socket, dialect, blocks, block, starts_at, log)
    except (OSError, WebSocketException, TimeoutError, asyncio.TimeoutError) as error:
        log.failure = f"{type(error).__name__}: {error}"
    return log


def _blocks(samples: Samples, rate: int, block_ms: int) -> list[bytes]:
    """Cut into blocks of pcm_s16le at the rate of the dialect."""
    resampled = samples if rate == SAMPLE_RATE else soxr.resample(samples, SAMPLE_RATE, rate)
    pcm = np.round(np.clip(resampled, -1.0, 1.0) * 32767).astype("<i2")
    size = rate * block_ms // 1000
    return [pcm[start : start + size].tobytes() for start in range(0, len(pcm), size)]


async def _converse(
    socket: ClientConnection, dialect: Dialect, blocks: Sequence[bytes], block: float, starts_at: float, log: StreamLog
) -> None:
    receiving = asyncio.create_task(_receive(socket, dialect, starts_at, log))
    try:
        await _send(socket, dialect, blocks, block, starts_at, log)
        await _last_answers(receiving, dialect)
    finally:
        receiving.cancel()
        await asyncio.gather(receiving, return_exceptions=True)


async def _send(
    socket: ClientConnection, dialect: Dialect, blocks: Sequence[bytes], block: float, starts_at: float, log: StreamLog
) -> None:
    loop = asyncio.get_running_loop()
    for message in dialect.opening():
        await socket.send(message)
    for index, pcm in enumerate(blocks, start=1):
        due = starts_at + index * block
        await asyncio.sleep(due - loop.time())
        await socket.send(dialect.audio(pcm))
        log.lateness.append(loop.time() - due)
    for message in dialect.closing():
        await socket.send(message)


async def _receive(socket: ClientConnection, dialect: Dialect, starts_at: float, log: StreamLog) -> None:
    loop = asyncio.get_running_loop()
    while True:
        frame = await socket.recv()
        received = loop.time() - starts_at
        for observation in dialect.read(frame):
            log.observations.append((received, observation))
            if isinstance(observation, Failed):
                log.failure = observation.message
            if isinstance(observation, Closed):
                return


async def _last_answers(receiving: asyncio.Task[None], dialect: Dialect) -> None:
    if dialect.says_goodbye:
        await asyncio.wait_for(receiving, ANSWER_S)
    else:
        await asyncio.wait({receiving}, timeout=QUIET_S)
