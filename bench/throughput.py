"""How fast a server is when it is not held back: the real-time factor."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from bench.client import play
from bench.dialects import Dialect
from bench.dialects.base import Closed
from bench.schedule import Schedule
from bench.target import Target


class ThroughputError(Exception):
    """The stream was not heard to its end."""


async def real_time_factor(target: Target, dialect: Callable[[], Dialect], schedule: Schedule, block_ms: int) -> float:
    """Seconds for each second of audio when one stream is sent as fast as the server takes it."""
    now = asyncio.get_running_loop().time()
    log = await play(target.url, dialect(), schedule, block_ms, now, key=target.key, paced=False)
    closed = [time for time, observation in log.observations if isinstance(observation, Closed)]
    if log.failure or not closed:
        raise ThroughputError(log.failure or "the server never said goodbye")
    return closed[0] / schedule.duration
