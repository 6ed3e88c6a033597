"""How often a peer may do something in a minute: a count for each peer, of a bounded number of peers."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic

from voxtral_streaming.server.errors import TooManyRequests

WINDOW_S = 60.0
MAX_PEERS = 10_000  # beyond that the window that began first is forgotten


@dataclass(slots=True)
class Window:
    """What a peer did since its first time."""

    began: float
    n_times: int = 0


class Throttle:
    """Counts what each peer does within a minute of its first time, and refuses more than `limit`."""

    def __init__(
        self, limit: int, what: str, *, max_peers: int = MAX_PEERS, clock: Callable[[], float] = monotonic
    ) -> None:
        """`what` is counted, in the plural, for people. `clock` gives seconds."""
        self._limit = limit
        self._what = what
        self._max_peers = max_peers
        self._clock = clock
        self._windows: dict[str, Window] = {}  # in the order in which they began

    def __len__(self) -> int:
        return len(self._windows)

    def count(self, peer: str) -> None:
        """The peer did it once more."""
        self._forget()
        window = self._windows.setdefault(peer, Window(self._clock()))
        window.n_times += 1

    def check(self, peer: str) -> None:
        """Raise `TooManyRequests` while the peer has done it `limit` times in its window."""
        window = self._windows.get(peer)
        if window is None or window.n_times < self._limit:
            return
        rest = window.began + WINDOW_S - self._clock()
        if rest > 0:
            raise TooManyRequests(f"too many {self._what}", retry_after_s=math.ceil(rest))

    def _forget(self) -> None:
        """Drop the windows that are over, and the oldest where there are too many."""
        over = self._clock() - WINDOW_S
        while self._windows:
            oldest = next(iter(self._windows))
            if len(self._windows) < self._max_peers and self._windows[oldest].began > over:
                return
            del self._windows[oldest]
