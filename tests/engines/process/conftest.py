"""Engines in processes of their own, quick to be given up and to come back."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any

import numpy as np
import pytest
import pytest_asyncio

from bench.accounting import AccountingEngine
from voxtral_streaming.audio.units import SAMPLE_RATE, Samples
from voxtral_streaming.engines.base import Engine, StreamOptions
from voxtral_streaming.engines.process.engine import ProcessEngine, Recipe
from voxtral_streaming.engines.process.watchdog import Policy
from voxtral_streaming.engines.replay import ReplayEngine
from voxtral_streaming.transcript import Hypothesis

POLICY = Policy(start_s=20, beat_s=0.1, silence_s=1.5, stall_s=2.0, delays_s=(0.0, 0.01), patience=3, farewell_s=5)


class Isolated:
    """An accounting engine in its own process, behind a replay."""

    def __init__(self, policy: Policy = POLICY, **arguments: Any) -> None:
        self.process = ProcessEngine(Recipe("bench.accounting", "AccountingEngine", arguments), policy)
        self.engine = ReplayEngine(self.process)


Isolate = Callable[..., Awaitable[Isolated]]
Speak = Callable[..., Coroutine[None, None, Hypothesis]]


@pytest.fixture
async def isolate() -> AsyncIterator[Isolate]:
    """Start an accounting engine in a process of its own: `await isolate(fault="crash", after=8000)`."""
    started: list[Isolated] = []

    async def isolate(policy: Policy = POLICY, **arguments: Any) -> Isolated:
        started.append(Isolated(policy, **arguments))
        await started[-1].engine.start()
        return started[-1]

    yield isolate
    for one in started:
        await one.engine.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def steady() -> AsyncIterator[ReplayEngine]:
    """An engine in a process of its own that nothing happens to, for several tests."""
    isolated = Isolated()
    await isolated.engine.start()
    yield isolated.engine
    await isolated.engine.close()


@pytest.fixture(scope="session")
def policy() -> Policy:
    return POLICY


def speech(n_samples: int, seed: int = 0) -> Samples:
    return np.random.default_rng(seed).uniform(-0.3, 0.3, n_samples).astype(np.float32)


async def speak(engine: Engine, samples: Samples, *, at: int = 0, block: int = 1600) -> Hypothesis:
    """The final of samples fed in blocks, with a partial or a flush asked for after every third of a second."""
    stream = engine.open(StreamOptions(), at)
    stable = ""
    try:
        for start in range(0, len(samples), block):
            stream.feed(samples[start : start + block])
            if start % (SAMPLE_RATE // 2) == 0 and start:
                hypothesis = await stream.flush()
                assert hypothesis.stable.startswith(stable), "stable text shrank"
                stable = hypothesis.stable
        return await stream.finish()
    finally:
        stream.close()


async def undisturbed(samples: Samples, *, at: int = 0) -> Hypothesis:
    return await speak(AccountingEngine(), samples, at=at)


@pytest.fixture(scope="session")
def speaks() -> Speak:
    return speak


@pytest.fixture(scope="session")
def truth() -> Speak:
    """What an engine that nothing happens to makes of samples."""
    return undisturbed


@pytest.fixture(scope="session")
def spoken() -> Callable[..., Samples]:
    """So many samples of which no two tell the same story."""
    return speech
