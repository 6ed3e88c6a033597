from __future__ import annotations

import asyncio
import json
import os
from functools import partial

import numpy as np
import pytest
from websockets.asyncio.server import ServerConnection, serve

from bench.dialects import DIALECTS, SessionOptions
from bench.level import Limits, run
from bench.record import Distribution, Latencies, Level
from bench.schedule import Schedule
from bench.target import Target, running
from bench.truth import SpokenWord

WORDS = (SpokenWord("Go", 1_600, 4_800), SpokenWord("forward.", 4_800, 9_600))
SCHEDULE = Schedule(np.full(24_000, 0.1, dtype=np.float32), ((1_600, 9_600),), WORDS, (("en", "Go forward."),))
EVENTS = (  # of a server that is never late: (when it has heard so many samples, what it says)
    (6_400, {"type": "partial", "utterance": 0, "at": 6_400, "stable": "", "tentative": "Go"}),
    (12_800, {"type": "speech_stopped", "utterance": 0, "at": 9_600}),
    (16_000, {"type": "final", "utterance": 0, "start_sample": 0, "end_sample": 16_000, "text": "Go forward."}),
)


async def _recognise(socket: ServerConnection) -> None:
    heard, waiting = 0, list(EVENTS)
    async for frame in socket:
        if isinstance(frame, bytes):
            heard += len(frame) // 2
        elif json.loads(frame)["type"] == "close":
            await socket.send('{"type": "closed"}')
        while waiting and waiting[0][0] <= heard:
            await socket.send(json.dumps(waiting.pop(0)[1]))


async def _measure(streams: int, limits: Limits) -> Level:
    async with serve(_recognise, "127.0.0.1", 0) as server:
        url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/ws"
        target = running(url)
        assert target == Target(url, os.getpid())
        return await run(target, partial(DIALECTS["native"], SessionOptions()), [SCHEDULE] * streams, 40, limits)


async def test_a_server_is_measured_with_several_streams() -> None:
    level = await _measure(2, Limits(commit_p95=10.0, gap=10.0))
    assert level.failures == level.broken_limits == ()
    assert level.latencies.first_partial.values == pytest.approx([0.3] * 2, abs=0.2)
    assert level.latencies.word.values == pytest.approx([0.1] * 2 + [0.4] * 2, abs=0.2)
    assert [slow.text for slow in level.slowest] == ["Go forward."] * 2
    assert level.latencies.commit.values == pytest.approx([0.4] * 2, abs=0.2)
    assert (level.counts.utterances, level.counts.reference_words, level.counts.missing) == (2, 4, 0)
    assert (level.cost.audio_s, level.cost.speech_s) == (3.0, 1.0)
    assert level.cost.server_cpu_s is not None
    assert level.cost.server_cpu_s > 0
    assert level.cost.server_peak_mb is not None
    assert level.cost.server_peak_mb > 10


async def test_broken_limits_are_told() -> None:
    level = await _measure(1, Limits(commit_p95=0.1, gap=0.1))
    assert [broken.split()[0] for broken in level.broken_limits] == ["commit", level.broken_limits[1].split()[0]]


async def test_a_stream_that_fails_breaks_the_level() -> None:
    async def fail(socket: ServerConnection) -> None:
        await socket.close(1011)

    async with serve(fail, "127.0.0.1", 0) as server:
        url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/ws"
        dialect = partial(DIALECTS["native"], SessionOptions())
        level = await asyncio.wait_for(run(Target(url, None), dialect, [SCHEDULE], 40, Limits()), 20)
    assert len(level.failures) == 1
    assert level.failures[0] in level.broken_limits
    assert level.counts.missing == 2
    assert level.cost.server_cpu_s is None


def test_limits_that_nothing_kept() -> None:
    nothing = Distribution()
    seen = Latencies(first_partial=nothing, word=nothing, text=nothing, commit=nothing, gap=nothing, lag=nothing)
    assert len(Limits().broken(seen)) == 2
