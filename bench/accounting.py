"""An engine that understands nothing and tells exactly what it heard, so that "nothing was lost" is an equality.

Its text is a list of what it consumed, 320 ms at a time: `16000+5120:9b2c1f00` says that 5120 samples from position
16000 on had that CRC-32. It is as slow and as ill as it is told to be; what ails it ends or stops the process that
it runs in, so give it one of its own.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
import zlib
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np

from voxtral_streaming.audio.units import Samples, samples_from_ms, seconds
from voxtral_streaming.engines.base import Capabilities, StreamOptions
from voxtral_streaming.engines.options import check_options
from voxtral_streaming.errors import WeightsError
from voxtral_streaming.transcript import Hypothesis, Word

RANGE = samples_from_ms(320)
BITE = 32 * 2**20  # bytes that hunger takes with each block

Fault: TypeAlias = Literal["none", "crash", "stop", "hang", "sleep", "hunger"]
"""`crash`: SIGKILL. `stop`: SIGSTOP. `hang`: no sign of life. `sleep`: signs of life, and no answer. `hunger`: for
memory, without end."""

logger = logging.getLogger(__name__)

ABACUS = Capabilities(
    name="accounting",
    model="abacus",
    partials=True,
    timestamps="word",
    languages=("en", "fr"),
    detects_language=True,
    biasing=True,
)
"""What an engine can do that counts samples."""


class AccountingEngine:
    """Implements `Engine`."""

    def __init__(
        self,
        *,
        cost: float = 0.0,
        fault: Fault = "none",
        after: int = 0,
        times: int = 1,
        scars: str | None = None,
        poison: str | None = None,
        loading: float = 0.0,
        obstacle: str | None = None,
    ) -> None:
        """`cost`: seconds for a second of audio. `fault`: what happens once `after` samples were heard in all.

        It happens `times` times; `scars` is a file that remembers over the ends of the process how often it did.
        `poison`: samples (float32, as hexadecimal digits) at which the process is killed. `loading`: seconds that it
        takes to start. `obstacle`: a file; while it exists, no engine starts.
        """
        self.cost = cost
        self._fault = fault
        self._after = after
        self._times = times
        self._scars = Path(scars) if scars else None
        self.poison = bytes.fromhex(poison) if poison else None
        self._loading = loading
        self._obstacle = Path(obstacle) if obstacle else None
        self._n_heard = 0
        self._eaten: list[bytearray] = []
        self._is_ill = False

    @property
    def capabilities(self) -> Capabilities:
        """It can do everything, after a fashion."""
        return ABACUS

    async def start(self) -> None:
        """Be ready, or not."""
        await asyncio.sleep(self._loading)
        if self._obstacle is not None and self._obstacle.exists():
            raise WeightsError("the beads of the abacus are missing")

    def open(self, options: StreamOptions, at: int) -> AccountingStream:
        """Open a stream."""
        check_options(options, self.capabilities)
        return AccountingStream(self, options, at)

    async def close(self) -> None:
        """There is nothing to stop."""

    def hear(self, n_samples: int) -> None:
        """Fall ill when it is time to."""
        self._n_heard += n_samples
        if self._is_ill:
            self._suffer()
        elif self._fault != "none" and self._n_heard >= self._after and self._n_scars() < self._times:
            self._is_ill = True
            logger.warning("falls ill: %s", self._fault)
            self._scar()
            self._suffer()

    def _n_scars(self) -> int:
        return self._scars.stat().st_size if self._scars is not None and self._scars.exists() else 0

    def _scar(self) -> None:
        if self._scars is not None:
            with self._scars.open("ab") as file:
                file.write(b".")

    def _suffer(self) -> None:
        match self._fault:
            case "crash":
                os.kill(os.getpid(), signal.SIGKILL)
            case "stop":
                os.kill(os.getpid(), signal.SIGSTOP)
            case "hang":
                time.sleep(3600)
            case "hunger":
                self._eaten.append(bytearray(b"\x01") * BITE)

    async def decode(self, n_samples: int) -> None:
        """Take the time that so many samples take."""
        is_asleep = self._is_ill and self._fault == "sleep"
        await asyncio.sleep(3600 if is_asleep else self.cost * seconds(n_samples))


class AccountingStream:
    """Implements `Stream`."""

    def __init__(self, engine: AccountingEngine, options: StreamOptions, at: int) -> None:
        self._engine = engine
        self._options = options
        self._at = at
        self._samples = np.zeros(0, np.float32)
        self._n_told = 0
        self._fed = asyncio.Event()

    def feed(self, samples: Samples) -> None:
        """Hear, and suffer from it."""
        self._samples = np.concatenate([self._samples, samples])
        if self._engine.poison is not None and self._engine.poison in self._samples.tobytes():
            os.kill(os.getpid(), signal.SIGKILL)
        self._engine.hear(len(samples))
        self._fed.set()

    async def partial(self) -> Hypothesis:
        """The ranges, once there is another whole one: they are stable; what is behind them is tentative."""
        while len(self._samples) - self._n_told < RANGE:
            self._fed.clear()
            await self._fed.wait()
        n_new, self._n_told = len(self._samples) - self._n_told, len(self._samples)
        await self._engine.decode(n_new)
        whole = self._n_told // RANGE
        ranges = [f" {text}" for text, _, _ in self._ranges(self._n_told)]
        return Hypothesis("".join(ranges[:whole]).strip(), "".join(ranges[whole:]))

    async def flush(self) -> Hypothesis:
        """All ranges; the last of them may grow."""
        n_samples = len(self._samples)
        await self._engine.decode(n_samples)
        ranges = [f" {text}" for text, _, _ in self._ranges(n_samples)]
        return Hypothesis("".join(ranges[:-1]).strip(), "".join(ranges[-1:]))

    async def finish(self) -> Hypothesis:
        """All ranges, each as a word."""
        n_samples = len(self._samples)
        await self._engine.decode(n_samples)
        ranges = self._ranges(n_samples)
        words = tuple(Word(text, seconds(start), seconds(end), 1.0) for text, start, end in ranges)
        return Hypothesis(" ".join(text for text, _, _ in ranges), "", words, self._options.language or "en")

    def close(self) -> None:
        """There is nothing to give up."""

    def _ranges(self, n_samples: int) -> list[tuple[str, int, int]]:
        """Text, first position and position after the last sample of each range."""
        ranges = []
        for start in range(0, n_samples, RANGE):
            samples = self._samples[start : min(start + RANGE, n_samples)]
            at = self._at + start
            ranges.append((f"{at}+{len(samples)}:{zlib.crc32(samples.tobytes()):08x}", at, at + len(samples)))
        return ranges
