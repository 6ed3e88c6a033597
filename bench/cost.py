"""What a server takes of the machine while it is measured."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import numpy as np
import psutil

from bench.record import Cost

SAMPLING_S = 0.25
MEGABYTE = 1_000_000
BUSY = ("user", "nice", "system", "irq", "softirq", "steal")  # stolen by other guests of the host: not ours, either


class ProcessTree:
    """CPU time and memory of a process and all that it started."""

    def __init__(self, pid: int) -> None:
        self._root = psutil.Process(pid)
        self.peak_rss_mb = self.rss_mb()

    def cpu_seconds(self) -> float:
        """User and system time since the processes began, those that have ended included."""
        return sum(sum(times[:4]) for process in self._tree() if (times := _cpu_times(process)))

    def rss_mb(self) -> float:
        """Resident megabytes now; pages shared by several processes count for each."""
        return sum(_rss(process) for process in self._tree()) / MEGABYTE

    def _tree(self) -> list[psutil.Process]:
        return [self._root, *self._root.children(recursive=True)]

    async def watch(self) -> None:
        """Keep `peak_rss_mb` up to date until cancelled."""
        while True:
            self.peak_rss_mb = max(self.peak_rss_mb, self.rss_mb())
            await asyncio.sleep(SAMPLING_S)


def _cpu_times(process: psutil.Process) -> tuple[float, ...]:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return ()
    return (times.user, times.system, times.children_user, times.children_system)


def _rss(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.NoSuchProcess:
        return 0


def own_cpu_seconds() -> float:
    """CPU time of this process."""
    return sum(_cpu_times(psutil.Process())[:2])


def busy_seconds() -> float:
    """CPU time that all processes of this machine together have taken since it started."""
    times = psutil.cpu_times()._asdict()
    return float(sum(times.get(name, 0.0) for name in BUSY))


@dataclass(frozen=True, slots=True)
class Clocks:
    """CPU time spent so far, in seconds, by whom; and the time."""

    server: float | None
    client: float
    everyone: float
    wall: float

    @classmethod
    def read(cls, tree: ProcessTree | None) -> Clocks:
        """Read them now."""
        return cls(tree.cpu_seconds() if tree else None, own_cpu_seconds(), busy_seconds(), time.perf_counter())


class Meter:
    """Reads the clocks when it is made, and the cost since then when it is asked."""

    def __init__(self, tree: ProcessTree | None) -> None:
        self._tree = tree
        self._begun = Clocks.read(tree)

    def cost(self, audio_s: float, speech_s: float, lateness: Sequence[float]) -> Cost:
        """What it took to handle so much audio with so much speech."""
        now, begun, tree = Clocks.read(self._tree), self._begun, self._tree
        server = None if now.server is None or begun.server is None else now.server - begun.server
        client, everyone = now.client - begun.client, now.everyone - begun.everyone
        return Cost(
            audio_s=audio_s,
            speech_s=speech_s,
            wall_s=now.wall - begun.wall,
            server_cpu_s=server,
            server_peak_mb=tree.peak_rss_mb if tree else None,
            server_end_mb=tree.rss_mb() if tree else None,
            client_cpu_s=client,
            other_cpu_s=None if server is None else max(0.0, everyone - client - server),
            send_late_p99_s=float(np.percentile(lateness, 99)) if lateness else 0.0,
            send_late_max_s=max(lateness, default=0.0),
        )


@asynccontextmanager
async def metering(pid: int | None) -> AsyncIterator[Meter]:
    """Meter the process tree of the server, if it can be seen."""
    tree = ProcessTree(pid) if pid else None
    watching = asyncio.create_task(tree.watch()) if tree else None
    try:
        yield Meter(tree)
    finally:
        if watching:
            watching.cancel()
            await asyncio.wait({watching})
