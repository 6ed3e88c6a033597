"""Soaks this project's server: hours of audio at speed, thousands of sessions, random faults.

    python -m bench.endurance [--minutes 180] [--seed 1] [--folder soak]

Ends with 1 where a promise was not kept. What was measured stands in the folder, as `soak.md` and `soak.json`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import random
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO

import psutil

from bench.endurance import verdict
from bench.endurance.clients import Door, speak, upload
from bench.endurance.faults import Weather
from bench.endurance.server import READY
from bench.endurance.speech import Speech
from bench.endurance.tally import Reading, Tally
from bench.endurance.wire import Wire

KEY = "the-key-of-the-soaking-clients"
MEGABYTE = 1_000_000
SAMPLING_S = 1.0
QUIET_S = 45.0  # after the last client: lost sessions wait for theirs to come back
N_MARATHONS, N_COMMUTERS, N_PASSERS_BY, N_UPLOADERS = 2, 2, 4, 1
LONG, SHORT = 60, 2  # bursts in a round
STORMS = 60  # faults in a whole soak, at least
MAX_PAUSE_S = 120.0  # between two


def settings(port: int) -> dict[str, dict[str, object]]:
    """The configuration of the server under test: everybody comes from one address, so nobody is counted."""
    server = {"port": port, "api_keys": [KEY], "max_sessions": 64, "max_starts_per_minute": 1_000_000}
    return {
        "server": {**server, "trusted_proxies": ["127.0.0.1"]},
        "model": {"name": "whisper-base", "device": "cpu"},
        "audio": {"sample_rate": 16000},
        "vad": {"threshold": 0.01, "detector": "energy"},
    }


class Soak:
    """One run."""

    def __init__(self, door: Door, pid: int, seed: int, minutes: float) -> None:
        self.tally = Tally()
        self.readings: list[Reading] = []
        self._door = door
        self._server = psutil.Process(pid)
        self._chance = random.Random(seed)
        self._began = time.monotonic()
        self._ends = self._began + 60 * minutes
        self._pause_s = min(MAX_PAUSE_S, 60 * minutes / STORMS)

    async def run(self) -> None:
        """Everything at once, until the time is over."""
        wire = Wire(self._door.port)
        async with wire.open() as port:
            far = f"ws://127.0.0.1:{port}/ws"
            weather = Weather(self._door, self._server.pid, wire, self.tally, self._chance)
            watching = [asyncio.create_task(weather.storm(self._pause_s)), asyncio.create_task(self._watch())]
            await asyncio.gather(
                *(self._marathon(number) for number in range(N_MARATHONS)),
                *(self._churn(far, number) for number in range(N_COMMUTERS)),
                *(self._churn(self._door.live, number) for number in range(N_PASSERS_BY)),
                *(self._keep_uploading(number) for number in range(N_UPLOADERS)),
            )
            for task in watching:
                task.cancel()
            await asyncio.gather(*watching, return_exceptions=True)

    async def once(self) -> None:
        """One session and one recording, so that everything is loaded."""
        speech = Speech.of(0, SHORT)
        await speak(self._door, self._door.live, speech, Tally(), lambda: True)
        await upload(self._door, speech, Tally())

    def is_over(self) -> bool:
        """Whether the time is over."""
        return time.monotonic() >= self._ends

    async def _marathon(self, number: int) -> None:
        """One session for the whole time."""
        await speak(self._door, self._door.live, Speech.of(1000 + number, LONG), self.tally, self.is_over)

    async def _churn(self, url: str, number: int) -> None:
        """A short session after the other."""
        speeches = [Speech.of(2000 + 16 * number + index, SHORT) for index in range(16)]
        while not self.is_over():
            await speak(self._door, url, self._chance.choice(speeches), self.tally, lambda: True)

    async def _keep_uploading(self, number: int) -> None:
        speech = Speech.of(3000 + number, LONG)
        while not self.is_over():
            await upload(self._door, speech, self.tally)

    async def _watch(self) -> None:
        while True:
            self.readings.append(self.read())
            await asyncio.sleep(SAMPLING_S)

    def read(self) -> Reading:
        """What the server takes now."""
        children = 0
        for child in self._server.children(recursive=True):
            try:
                children += child.memory_info().rss
            except psutil.NoSuchProcess:
                continue
        own = self._server.memory_info().rss
        return Reading(
            time.monotonic() - self._began,
            own / MEGABYTE,
            (own + children) / MEGABYTE,
            self._server.num_fds(),
            self._server.num_threads(),
            self.tally.hours,
        )

    async def n_open(self) -> int:
        """Sessions that are open, as the server counts them."""
        async with self._door.http() as http:
            text = (await http.get("/metrics")).text
        return int(float(next(line.split()[1] for line in text.splitlines() if line.startswith("voxtral_open_sess"))))


@asynccontextmanager
async def started(log: IO[str]) -> AsyncIterator[tuple[Door, int]]:
    """The server under test, and its process."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    command = [sys.executable, "-m", "bench.endurance.server", json.dumps(settings(port))]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, stderr=log)
    try:
        assert process.stdout is not None
        if await process.stdout.readline() != f"{READY}\n".encode():
            raise RuntimeError(f"the server did not start: see {log.name}")
        yield Door(port, KEY), process.pid
    finally:
        process.terminate()
        await process.wait()


async def soak(folder: Path, minutes: float, seed: int) -> int:
    """Run, judge, write; 1 where a promise was not kept."""
    with (folder / "server.log").open("w") as log:
        async with started(log) as (door, pid):
            one = Soak(door, pid, seed, minutes)
            await one.once()
            start = one.read()
            await one.run()
            await asyncio.sleep(QUIET_S)
            end, n_open = one.read(), await one.n_open()
    promises = verdict.judge(one.tally, one.readings, start, end, n_open)
    text = verdict.page(promises, one.tally, one.readings[-1].at_s / 60, seed)
    verdict.write(folder, promises, one.tally, one.readings, text)
    print(text)
    return int(any(promise.is_kept is False for promise in promises))


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="bench.endurance", description="Soaks this project's server.")
    parser.add_argument("--minutes", type=float, default=180.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=Path("soak"))
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    logging.basicConfig(level=logging.ERROR)  # what clients are warned of is part of the game
    return asyncio.run(soak(options.folder, options.minutes, options.seed))


if __name__ == "__main__":
    sys.exit(main())
