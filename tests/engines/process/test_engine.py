"""Engines that are killed, stopped, hungry and broken: sessions go on, and every sample is accounted for."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import psutil
import pytest

from voxtral_streaming.audio.units import Samples
from voxtral_streaming.engines.base import StreamOptions
from voxtral_streaming.engines.process.engine import ProcessEngine, Recipe
from voxtral_streaming.engines.process.watchdog import Policy
from voxtral_streaming.engines.replay import ReplayEngine
from voxtral_streaming.errors import (
    EngineLost,
    EngineUnavailable,
    PoisonAudio,
    UnsupportedOption,
    WeightsError,
)

if TYPE_CHECKING:
    from tests.engines.process.conftest import Isolate, Speak

Spoken = Callable[..., Samples]

POISON = np.array([0.25, -0.125, 0.25, -0.125], np.float32)
PARENT = """
import asyncio, signal, os, sys
from voxtral_streaming.engines.process.engine import ProcessEngine, Recipe
async def main():
    engine = ProcessEngine(Recipe("bench.accounting", "AccountingEngine"))
    await engine.start()
    if sys.argv[1] == "stopped":
        os.kill(engine.pid, signal.SIGSTOP)
    print(engine.pid, flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""


def is_running(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


def children() -> set[int]:
    return {child.pid for child in psutil.Process().children()}


async def eventually(condition: Callable[[], bool]) -> None:
    for _ in range(500):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not come true within five seconds")


@pytest.mark.asyncio(loop_scope="module")
class TestUndisturbed:
    async def test_it_hears_what_an_engine_in_this_process_hears(
        self, steady: ReplayEngine, speaks: Speak, truth: Speak, spoken: Spoken
    ) -> None:
        samples = [spoken(30_000, seed) for seed in range(4)]
        together = await asyncio.gather(*(speaks(steady, one, at=16_000, block=777) for one in samples))
        assert together == [await truth(one, at=16_000) for one in samples]
        assert steady.n_restarts == 0

    async def test_a_partial_comes_when_there_is_something_new(self, steady: ReplayEngine, spoken: Spoken) -> None:
        stream = steady.open(StreamOptions(), 0)
        waiting = asyncio.create_task(stream.partial())
        await asyncio.sleep(0.05)
        stream.feed(spoken(6000))
        assert (await waiting).stable.startswith("0+5120:")
        stream.close()

    async def test_giving_up_an_answer_loses_no_audio(self, steady: ReplayEngine, truth: Speak, spoken: Spoken) -> None:
        stream = steady.open(StreamOptions(), 0)
        samples = spoken(18_000)
        for start in range(0, 18_000, 6000):
            waiting = asyncio.create_task(stream.partial())
            await asyncio.sleep(0.01)
            waiting.cancel()
            stream.feed(samples[start : start + 6000])
        assert await stream.finish() == await truth(samples)
        stream.close()

    async def test_a_long_block_is_cut(self, steady: ReplayEngine, speaks: Speak, truth: Speak, spoken: Spoken) -> None:
        samples = spoken(150_000)
        assert await speaks(steady, samples, block=150_000) == await truth(samples)

    async def test_closing_a_stream_cancels_what_is_awaited(self, steady: ReplayEngine) -> None:
        stream = steady.open(StreamOptions(), 0)
        waiting = asyncio.create_task(stream.partial())
        await asyncio.sleep(0.01)
        stream.close()
        stream.close()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    async def test_options_are_refused_by_name(self, steady: ReplayEngine) -> None:
        with pytest.raises(UnsupportedOption) as refused:
            steady.open(StreamOptions(language="xx"), 0)
        assert refused.value.param == "language"


class TestProcess:
    async def test_closing_the_engine_cancels_what_is_awaited(self, isolate: Isolate, spoken: Spoken) -> None:
        isolated = await isolate(cost=60)
        streams = [isolated.engine.open(StreamOptions(), 0) for _ in range(4)]
        for stream in streams:
            stream.feed(spoken(8000))
        waiting = [asyncio.create_task(stream.finish()) for stream in streams]
        await asyncio.sleep(0.05)
        await isolated.engine.close()
        await asyncio.wait(waiting, timeout=5)
        assert all(task.cancelled() for task in waiting)
        assert not is_running(isolated.process.pid)

    async def test_settings_and_keys_of_clients_stay_here(
        self, isolate: Isolate, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("VOXTRAL_KEY_OF_ALICE", "a-key-of-sixteen-characters")
        pid = (await isolate()).process.pid
        assert b"sixteen" not in Path(f"/proc/{pid}/environ").read_bytes()


class TestFaults:
    @pytest.mark.parametrize("fault", ["crash", "stop", "hang", "sleep", "hunger"])
    async def test_eight_sessions_survive(
        self, isolate: Isolate, speaks: Speak, truth: Speak, spoken: Spoken, policy: Policy, tmp_path: Path, fault: str
    ) -> None:
        frugal = replace(policy, max_bytes=300_000_000)
        arguments = {"fault": fault, "after": 100_000, "cost": 0.1, "scars": str(tmp_path / "scars")}
        engine = (await isolate(frugal, **arguments)).engine
        samples = [spoken(24_000 + 100 * seed, seed) for seed in range(8)]
        finals = await asyncio.gather(*(speaks(engine, one, at=800) for one in samples))
        assert finals == [await truth(one, at=800) for one in samples]
        assert engine.n_restarts >= 1
        assert (tmp_path / "scars").read_bytes() == b"."

    async def test_they_survive_an_engine_that_ends_again_and_again_under_their_load(
        self, isolate: Isolate, speaks: Speak, truth: Speak, spoken: Spoken, tmp_path: Path
    ) -> None:
        """Each utterance alone does the engine no harm, so nobody is blamed."""
        scars = tmp_path / "scars"
        engine = (await isolate(fault="crash", after=60_000, times=4, scars=str(scars))).engine
        samples = [spoken(24_000, seed) for seed in range(8)]
        finals = await asyncio.gather(*(speaks(engine, one) for one in samples))
        assert finals == [await truth(one) for one in samples]
        assert engine.n_restarts == len(scars.read_bytes()) == 4

    async def test_an_engine_may_end_while_nobody_speaks(
        self, isolate: Isolate, speaks: Speak, truth: Speak, spoken: Spoken
    ) -> None:
        isolated = await isolate()
        first = isolated.process.pid
        os.kill(first, signal.SIGKILL)
        await eventually(lambda: isolated.engine.n_restarts == 1 and isolated.engine.is_there)
        assert isolated.process.pid != first
        assert await speaks(isolated.engine, spoken(20_000)) == await truth(spoken(20_000))

    async def test_an_utterance_that_begins_while_the_engine_is_away_waits(
        self, isolate: Isolate, speaks: Speak, truth: Speak, spoken: Spoken
    ) -> None:
        isolated = await isolate(loading=0.2)
        os.kill(isolated.process.pid, signal.SIGKILL)
        await eventually(lambda: not isolated.engine.is_there)
        assert await speaks(isolated.engine, spoken(20_000)) == await truth(spoken(20_000))

    async def test_being_closed_while_the_engine_is_away(self, isolate: Isolate) -> None:
        isolated = await isolate(loading=0.2)
        os.kill(isolated.process.pid, signal.SIGKILL)
        await eventually(lambda: not isolated.engine.is_there)
        waiting = asyncio.create_task(isolated.engine.open(StreamOptions(), 0).partial())
        await asyncio.sleep(0.05)
        await isolated.engine.close()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert not isolated.engine.is_there

    async def test_the_log_of_the_child_is_written_here(
        self, isolate: Isolate, spoken: Spoken, caplog: pytest.LogCaptureFixture
    ) -> None:
        isolated = await isolate(fault="sleep")
        isolated.engine.open(StreamOptions(), 0).feed(spoken(100))
        await eventually(lambda: ("bench.accounting", logging.WARNING, "falls ill: sleep") in caplog.record_tuples)

    async def test_without_a_replay_the_loss_is_heard_of(self, policy: Policy, spoken: Spoken) -> None:
        engine = ProcessEngine(Recipe("bench.accounting", "AccountingEngine", {"cost": 60}), policy)
        await engine.start()
        stream = engine.open(StreamOptions(), 0)
        stream.feed(spoken(100))
        waiting = asyncio.create_task(stream.finish())
        await asyncio.sleep(0)
        os.kill(engine.pid, signal.SIGKILL)
        for asking in (waiting, stream.finish()):
            with pytest.raises(EngineLost):
                await asking
        await engine.close()


class TestPoison:
    async def test_it_is_given_up_and_the_others_go_on(
        self, isolate: Isolate, speaks: Speak, truth: Speak, spoken: Spoken
    ) -> None:
        engine = (await isolate(poison=POISON.tobytes().hex(), cost=0.05)).engine
        samples = [spoken(24_000, seed) for seed in range(7)]
        poisoned = np.concatenate([spoken(16_000, 9), POISON, spoken(8000, 9)])
        *finals, refused = await asyncio.gather(
            *(speaks(engine, one) for one in samples), speaks(engine, poisoned), return_exceptions=True
        )
        assert isinstance(refused, PoisonAudio)
        assert finals == [await truth(one) for one in samples]
        assert engine.n_restarts in (3, 4)  # noticed, suspected, tried with others before it in that process, found out

    async def test_alone_it_is_found_out_at_the_second_time(
        self, isolate: Isolate, speaks: Speak, truth: Speak, spoken: Spoken
    ) -> None:
        engine = (await isolate(poison=POISON.tobytes().hex())).engine
        with pytest.raises(PoisonAudio):
            await speaks(engine, np.concatenate([spoken(16_000), POISON]))
        assert await speaks(engine, spoken(16_000)) == await truth(spoken(16_000))
        assert engine.n_restarts == 2

    async def test_several_of_them_do_not_make_the_engine_a_failure(
        self, isolate: Isolate, speaks: Speak, truth: Speak, spoken: Spoken
    ) -> None:
        engine = (await isolate(poison=POISON.tobytes().hex())).engine
        poisoned = np.concatenate([spoken(16_000), POISON])
        talks = [speaks(engine, spoken(16_000)), *(speaks(engine, poisoned) for _ in range(4))]
        final, *refused = await asyncio.gather(*talks, return_exceptions=True)
        assert [type(error) for error in refused] == [PoisonAudio] * 4
        assert final == await truth(spoken(16_000))

    async def test_an_engine_that_no_audio_agrees_with_blames_everybody_in_the_end(
        self, isolate: Isolate, speaks: Speak, spoken: Spoken
    ) -> None:
        engine = (await isolate(fault="crash", times=1000)).engine
        refused = await asyncio.gather(*(speaks(engine, spoken(16_000)) for _ in range(3)), return_exceptions=True)
        assert [type(error) for error in refused] == [PoisonAudio] * 3
        assert engine.n_restarts <= 5


class TestStart:
    async def test_what_the_engine_raises_comes_out(self, isolate: Isolate, tmp_path: Path) -> None:
        (tmp_path / "obstacle").touch()
        with pytest.raises(WeightsError, match="beads of the abacus"):
            await isolate(obstacle=str(tmp_path / "obstacle"))

    async def test_an_engine_that_takes_for_ever_is_not_waited_for(self, isolate: Isolate, policy: Policy) -> None:
        with pytest.raises(EngineUnavailable, match=r"not ready after 0\.5 s"):
            await isolate(replace(policy, start_s=0.5), loading=60)

    async def test_a_process_that_ends_at_once_is_heard_of(self, policy: Policy) -> None:
        engine = ProcessEngine(Recipe("bench.no_such_module", "Engine"), policy)
        with pytest.raises(EngineUnavailable, match="exit status 1"):
            await engine.start()
        await engine.close()

    async def test_it_may_begin_before_it_is_waited_for(self, policy: Policy, spoken: Spoken) -> None:
        engine, others = ProcessEngine(Recipe("bench.accounting", "AccountingEngine"), policy), children()
        with engine.launched():
            (pid,) = children() - others
            await engine.start()
            assert engine.pid == pid
        stream = engine.open(StreamOptions(), 0)
        stream.feed(spoken(16_000))
        assert (await stream.finish()).text
        stream.close()
        await engine.close()
        assert not is_running(pid)

    async def test_what_began_and_is_never_waited_for_ends(self, policy: Policy) -> None:
        engine, others = ProcessEngine(Recipe("bench.accounting", "AccountingEngine"), policy), children()
        with engine.launched():
            (pid,) = children() - others
        assert not is_running(pid)

    async def test_an_engine_that_stays_away_is_said_to_and_may_come_back(
        self, isolate: Isolate, speaks: Speak, truth: Speak, spoken: Spoken, tmp_path: Path
    ) -> None:
        obstacle = tmp_path / "obstacle"
        isolated = await isolate(obstacle=str(obstacle), cost=60)
        waiting = asyncio.create_task(speaks(isolated.engine, spoken(20_000)))
        await asyncio.sleep(0.05)
        obstacle.touch()
        os.kill(isolated.process.pid, signal.SIGKILL)
        with pytest.raises(EngineUnavailable, match="failed 3 times in a row"):
            await waiting
        with pytest.raises(EngineUnavailable):
            isolated.engine.open(StreamOptions(), 0)
        assert not isolated.engine.is_there
        obstacle.unlink()
        await eventually(lambda: isolated.engine.is_there)
        isolated.engine.open(StreamOptions(), 0).close()


@pytest.mark.parametrize("state", ["at work", "stopped"])
def test_the_child_does_not_outlive_its_parent(root: Path, state: str) -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT, state], cwd=root, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    assert is_running(pid)
    parent.kill()
    parent.communicate()
    try:
        asyncio.run(eventually(lambda: not is_running(pid)))
    except AssertionError:
        os.kill(pid, signal.SIGKILL)
        raise
