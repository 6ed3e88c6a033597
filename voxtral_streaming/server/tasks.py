"""Two tasks whose fates are bound."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

from fastapi import Request

First = TypeVar("First")
Second = TypeVar("Second")


async def together(first: Coroutine[Any, Any, First], second: Coroutine[Any, Any, Second]) -> tuple[First, Second]:
    """Run both to their ends; the first error of either cancels the other and is raised."""
    tasks = (asyncio.create_task(first), asyncio.create_task(second))
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        for task in done:
            task.result()
        return tasks[0].result(), tasks[1].result()
    finally:
        await _end(tasks)


async def unless(interruption: Coroutine[Any, Any, None], work: Coroutine[Any, Any, First]) -> First | None:
    """Do the work, unless the interruption ends or fails first: then the work is cancelled.

    None comes out, or what the interruption raised.
    """
    tasks = working, interrupting = asyncio.create_task(work), asyncio.create_task(interruption)
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return working.result() if working.done() else interrupting.result()
    finally:
        await _end(tasks)


async def left(request: Request) -> None:
    """Return when the client of a request, whose body was read, has left."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _end(tasks: Iterable[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
