"""As many sessions are admitted as the engine carries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from voxtral_streaming.errors import EngineFailed
from voxtral_streaming.server import capacity
from voxtral_streaming.server.capacity import max_sessions

if TYPE_CHECKING:
    from tests.server.conftest import AccountingEngine, Configure, Connect, Launch

AUTO: dict[str, Any] = {"max_sessions": "auto"}


async def test_what_is_configured_holds(configure: Configure, accounting: type[AccountingEngine]) -> None:
    assert await max_sessions(configure(server={"max_sessions": 3}), accounting(max_streams=7)) == 3


async def test_engine_that_knows_its_limit_is_believed(
    configure: Configure, accounting: type[AccountingEngine]
) -> None:
    assert await max_sessions(configure(server=AUTO), accounting(max_streams=7)) == 7


async def test_otherwise_it_is_measured(configure: Configure, accounting: type[AccountingEngine]) -> None:
    config = configure(server=AUTO)
    quick, slow = accounting(cost=0.001), accounting(cost=0.02)  # 1000 and 50 times real time at most
    assert await max_sessions(config, quick) > await max_sessions(config, slow)
    assert capacity.MIN_SESSIONS <= await max_sessions(config, slow) <= round(50 * capacity.SHARE)


async def test_it_is_measured_with_all_workers_at_work(
    configure: Configure, accounting: type[AccountingEngine]
) -> None:
    engine = accounting(cost=0.001, name="whisper")
    await max_sessions(configure(server=AUTO, model={"name": "whisper-base", "workers": 3}), engine)
    assert len(engine.options) == 3 * capacity.N_RUNS


async def test_engine_too_slow_to_measure_gets_the_least(
    configure: Configure, accounting: type[AccountingEngine], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(capacity, "TIMEOUT_S", 0.1)
    assert await max_sessions(configure(server=AUTO), accounting(cost=10.0)) == capacity.MIN_SESSIONS


async def test_engine_that_fails_is_found_out(configure: Configure, accounting: type[AccountingEngine]) -> None:
    with pytest.raises(EngineFailed):
        await max_sessions(configure(server=AUTO), accounting(ails=EngineFailed("no")))


async def test_server_admits_what_was_found(
    launch: Launch, accounting: type[AccountingEngine], connect: Connect
) -> None:
    server = launch(accounting(max_streams=1), server=AUTO)
    async with connect(server) as first:
        await first.hear("session")
        async with connect(server) as second:
            assert await second.hear_out() == 4429
        assert second.error["retry_after_s"] > 0
