from __future__ import annotations

import asyncio

import pytest

from voxtral_streaming.server.tasks import together, unless


async def value(result: int, after: float = 0.0) -> int:
    await asyncio.sleep(after)
    return result


async def failure(after: float = 0.0) -> int:
    await asyncio.sleep(after)
    raise KeyError


async def forever(cancelled: asyncio.Event) -> int:
    try:
        await asyncio.sleep(60)
    finally:
        cancelled.set()
    return 0


async def nothing(after: float = 0.0) -> None:
    await asyncio.sleep(after)


async def test_together_gives_both_results() -> None:
    assert await together(value(1, 0.01), value(2)) == (1, 2)


@pytest.mark.parametrize("order", [1, -1])
async def test_together_fails_with_the_first_and_ends_the_other(order: int) -> None:
    cancelled = asyncio.Event()
    with pytest.raises(KeyError):
        await together(*[failure(0.01), forever(cancelled)][::order])
    assert cancelled.is_set()


async def test_together_ends_both_when_it_is_cancelled() -> None:
    first, second = asyncio.Event(), asyncio.Event()
    task = asyncio.create_task(together(forever(first), forever(second)))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert first.is_set()
    assert second.is_set()


async def test_unless_gives_the_result_of_the_work() -> None:
    assert await unless(nothing(60), value(1)) == 1
    with pytest.raises(KeyError):
        await unless(nothing(60), failure())


async def test_unless_ends_the_work_at_the_interruption() -> None:
    cancelled = asyncio.Event()
    assert await unless(nothing(0.01), forever(cancelled)) is None
    assert cancelled.is_set()
