"""Live sessions whose engine is killed: every sample is heard once, and the finals are what they would have been."""

from __future__ import annotations

import asyncio
import os
import re
import signal
from collections.abc import Callable, Coroutine
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import httpx
import numpy as np
import pytest

from bench.accounting import AccountingEngine
from voxtral_streaming.engines.process.engine import ProcessEngine, Recipe
from voxtral_streaming.engines.process.watchdog import Policy
from voxtral_streaming.engines.replay import ReplayEngine

if TYPE_CHECKING:
    from tests.server.conftest import Connect, Eventually, Launch, Running, Sound

POLICY = Policy(beat_s=0.1, silence_s=5, stall_s=5, delays_s=(0.0, 0.01), patience=3)
POISON = np.array([9000, -9001, 9002, -9003], "<i2")

Isolate: TypeAlias = Callable[..., Any]
Finals: TypeAlias = Callable[..., Coroutine[None, None, list[str]]]


@pytest.fixture
def isolate(launch: Launch) -> Isolate:
    """A server whose accounting engine has a process of its own."""

    def isolate(**arguments: Any) -> Running:
        recipe = Recipe("bench.accounting", "AccountingEngine", arguments)
        engine: Any = ReplayEngine(ProcessEngine(recipe, POLICY))
        return launch(engine)

    return isolate


@pytest.fixture
def undisturbed(launch: Launch) -> Running:
    """A server whose accounting engine nothing happens to."""
    engine: Any = AccountingEngine()
    return launch(engine)


@pytest.fixture
def finals(connect: Connect) -> Finals:
    """The finals of a session in which nothing is lost."""

    async def finals(server: Running, audio: bytes) -> list[str]:
        async with connect(server) as client:
            await client.send(audio, frame=3200)
            await client.say("close")
            assert await client.hear_out() == 1000
        closed = client.messages[-1]
        assert closed["received_samples"] == closed["consumed_samples"] == len(audio) // 2
        assert closed["dropped_samples"] == 0
        stable = ""
        for message in client.messages:
            if message["type"] == "partial":
                assert message["stable"].startswith(stable)
                stable = message["stable"]
            elif message["type"] == "final":
                stable = ""
        heard: list[str] = client.finals
        return heard

    return finals


def n_heard(texts: list[str]) -> int:
    """Samples in finals, which must be without a gap and a repetition within each utterance."""
    total = 0
    for text in texts:
        ranges = [(int(at), int(n)) for at, n in re.findall(r"(\d+)\+(\d+):", text)]
        for (at, n), (following, _) in pairwise(ranges):
            assert at + n == following
        total += sum(n for _, n in ranges)
    return total


async def test_eight_sessions_go_on_and_nothing_is_lost_or_doubled(
    isolate: Isolate, undisturbed: Running, finals: Finals, sound: Sound, tmp_path: Path
) -> None:
    audio = [replace(sound, seed=seed).utterances(0.8 + seed / 10, 1.2) for seed in range(8)]
    expected = [await finals(undisturbed, one) for one in audio]
    assert all(n_heard(texts) >= 2 * 16000 for texts in expected)
    server = isolate(fault="crash", after=150_000, cost=0.1, scars=str(tmp_path / "scars"))
    assert await asyncio.gather(*(finals(server, one) for one in audio)) == expected
    async with httpx.AsyncClient(base_url=f"http://{server.host}", trust_env=False) as http:
        metrics = (await http.get("/metrics")).text
    assert "\nvoxtral_engine_restarts_total 1.0\n" in metrics
    assert "\nvoxtral_engine_up 1.0\n" in metrics


async def test_a_client_is_told_why_it_waits(
    isolate: Isolate, undisturbed: Running, finals: Finals, connect: Connect, eventually: Eventually, sound: Sound
) -> None:
    server, audio = isolate(loading=0.5), sound.utterances(1.5)
    async with connect(server) as client:
        await client.send(audio[:60_000], frame=3200)
        await client.hear("speech_started")
        os.kill(server.engine.inner.pid, signal.SIGKILL)
        await eventually(lambda: not server.service.has_engine)
        await client.send(audio[60_000:], frame=3200)
        assert (await client.hear("warning"))["code"] == "engine_restarting"
        await client.say("close")
        assert await client.hear_out() == 1000
    assert len(client.said("warning")) == 1
    assert client.finals == await finals(undisturbed, audio)


async def test_an_engine_that_is_killed_while_the_server_drains_gives_all_finals(
    isolate: Isolate, undisturbed: Running, finals: Finals, connect: Connect, sound: Sound
) -> None:
    audio = sound.utterances(1.0) + sound.speech(1.0).tobytes()
    server = isolate(cost=0.3)
    async with connect(server) as client:
        await client.send(audio, frame=3200)
        await client.hear("speech_started")
        server.call(server.server.stop)
        assert (await client.hear("warning"))["code"] == "stopping"
        os.kill(server.engine.inner.pid, signal.SIGKILL)
        assert await client.hear_out() == 1001
    closed = client.messages[-1]
    assert closed["dropped_samples"] == 0
    assert client.finals == await finals(undisturbed, audio[: 2 * closed["received_samples"]])


async def test_poison_ends_its_own_session_only(
    isolate: Isolate, undisturbed: Running, finals: Finals, connect: Connect, sound: Sound
) -> None:
    audio = [replace(sound, seed=seed).utterances(1.0) for seed in range(3)]
    expected = [await finals(undisturbed, one) for one in audio]
    server = isolate(poison=(POISON.astype(np.float32) / 32768).tobytes().hex(), cost=0.1)
    async with connect(server) as client:
        speech = sound.utterances(1.0)
        await client.send(speech[:56_000] + POISON.tobytes() + speech[56_000:])
        innocent = [asyncio.create_task(finals(server, one)) for one in audio]
        assert await client.hear_out() == 1011
    assert client.error == {"code": "poison_audio", "message": "recognition failed", "param": None}
    assert await asyncio.gather(*innocent) == expected


async def test_an_engine_that_stays_away_is_said_to(
    isolate: Isolate, connect: Connect, sound: Sound, eventually: Eventually, tmp_path: Path
) -> None:
    obstacle = tmp_path / "obstacle"
    server = isolate(obstacle=str(obstacle), cost=60)
    async with httpx.AsyncClient(base_url=f"http://{server.host}", trust_env=False) as http, connect(server) as client:
        assert (await http.get("/health/ready")).status_code == 200
        await client.send(sound.utterances(1.0))
        await client.hear("speech_started")
        obstacle.touch()
        os.kill(server.engine.inner.pid, signal.SIGKILL)
        assert await client.hear_out() == 4503
        assert client.error["code"] == "engine_unavailable"
        assert client.error["retry_after_s"] > 0
        async with connect(server) as late:
            assert await late.hear_out() == 4503
        assert [message["type"] for message in late.messages] == ["error"]
        not_ready = await http.get("/health/ready")
        assert not_ready.status_code == 503
        assert int(not_ready.headers["Retry-After"]) > 0
        assert not_ready.json()["error"]["code"] == "engine_unavailable"
        assert (await http.get("/health/live")).status_code == 200
        obstacle.unlink()
        await eventually(lambda: server.service.has_engine)
        assert (await http.get("/health/ready")).status_code == 200
