"""The engine of one process after another."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from voxtral_streaming.engines.base import Capabilities, StreamOptions
from voxtral_streaming.engines.options import check_options
from voxtral_streaming.engines.process.launch import Launched, end, launch
from voxtral_streaming.engines.process.process import EngineProcess, ProcessStream
from voxtral_streaming.engines.process.watchdog import Policy
from voxtral_streaming.engines.process.wire import Start, encode
from voxtral_streaming.engines.replay import Witness
from voxtral_streaming.errors import EngineError, EngineFailed, EngineUnavailable

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Recipe:
    """How the child makes its engine: it calls `function` of `module` with `arguments`, which JSON can hold.

    `explain`: a function of the same module that says of the same arguments, in a sentence, what comes of them.
    """

    module: str
    function: str
    arguments: dict[str, Any] = field(default_factory=dict)
    explain: str | None = None


class ProcessEngine:
    """Implements `MortalEngine`: when its process ends, its streams end with `EngineLost`, and the next one starts."""

    def __init__(self, recipe: Recipe, policy: Policy | None = None) -> None:
        self._policy = policy or Policy()
        start = Start(recipe.module, recipe.function, recipe.arguments, recipe.explain, self._policy.beat_s)
        self._first = encode(0, start)  # what a process is told first
        self._launched: Launched | None = None
        self._witness: Witness | None = None
        self._process: EngineProcess | None = None
        self.trouble: EngineUnavailable | None = None
        self._supervising: asyncio.Task[None] | None = None
        self._is_blameless = False  # for its last end
        self.n_restarts = 0

    @property
    def capabilities(self) -> Capabilities:
        """What the engine can do; known once it is started, also while it is away."""
        return self._last().started.capabilities

    @property
    def explanation(self) -> str:
        """Which engine it is, and why: a sentence; known once it is started."""
        return self._last().started.explanation

    @property
    def is_there(self) -> bool:
        """Whether the engine can be asked now."""
        return self._process is not None and self._process.is_alive

    @property
    def pid(self) -> int:
        """The process id of the last child."""
        return self._last().pid

    def _last(self) -> EngineProcess:
        if self._process is None:
            raise EngineFailed("the engine has not been started")
        return self._process

    def testify(self, witness: Witness) -> None:
        """Tell `witness` of the engine's end and return; to be called before `start`."""
        self._witness = witness

    @contextmanager
    def launched(self) -> Iterator[None]:
        """Let the first process begin at once, for `start` to wait for; without a start it ends with the block."""
        self._launched = launch(self._first)
        try:
            yield
        finally:
            if self._launched is not None:
                child, connection = self._launched
                with connection:
                    end(child, grace_s=0)

    async def start(self) -> None:
        """Start the first process; what the engine raises comes out, and nothing is tried again."""
        self._process = await self._begin()
        self._supervising = asyncio.create_task(self._supervise())

    async def _begin(self) -> EngineProcess:
        launched, self._launched = self._launched or launch(self._first), None
        return await EngineProcess.start(launched, self._policy, self._lost)

    def open(self, options: StreamOptions, at: int) -> ProcessStream:
        """Open a stream. Raises `EngineLost` while the engine is away, `EngineUnavailable` when it stays away."""
        process = self._last()
        check_options(options, process.started.capabilities)
        if self.trouble is not None:
            raise self.trouble
        return process.open(options, at)

    async def close(self) -> None:
        """End the process."""
        if self._supervising is not None:
            self._supervising.cancel()
            await asyncio.wait([self._supervising])
        if self._process is not None:
            await self._process.close()

    def _lost(self) -> None:
        self._is_blameless = self._witness is not None and self._witness.lost()

    async def _supervise(self) -> None:
        """Start a new process whenever the last one has ended, later and later when they are of no use."""
        n_failures = 0  # in a row: processes that did not start, or ended of themselves and had answered nothing
        while True:
            process = self._last()
            reason = await process.ended()
            logger.error("the process of the engine is lost: %s; it is started again", reason)
            n_failures = 0 if process.n_answers else 1 if self._is_blameless else n_failures + 1
            n_failures = await self._restart(n_failures)

    async def _restart(self, n_failures: int) -> int:
        """Try until a process has started; how many failures there were in a row."""
        delays = self._policy.delays_s
        while True:
            if n_failures >= self._policy.patience:
                self._give_up(n_failures)
            await asyncio.sleep(delays[min(n_failures, len(delays) - 1)])
            self.n_restarts += 1
            try:
                self._process = await self._begin()
            except (EngineError, OSError) as error:
                logger.error("the engine does not start: %s", error)
                n_failures += 1
                continue
            self.trouble = None
            if self._witness is not None:
                self._witness.back()
            return n_failures

    def _give_up(self, n_failures: int) -> None:
        """Tell those who wait that there is no engine; trying goes on."""
        self.trouble = EngineUnavailable(f"the process of the engine failed {n_failures} times in a row")
        if self._witness is not None:
            self._witness.given_up(self.trouble)
