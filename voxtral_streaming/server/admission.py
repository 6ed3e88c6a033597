"""Who may come in: so many guests at once, and nobody once the house is closing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from voxtral_streaming.server.errors import Refused, Stopping


class Admission:
    """Admits `limit` guests at once; one more hears `refusal`, and once it drains everyone hears `Stopping`."""

    def __init__(self, limit: int, refusal: type[Refused], places: str) -> None:
        """`places` is what the guests take, in the plural, for people."""
        self.limit = limit
        self._refusal = refusal
        self._places = places
        self._guests: set[Callable[[], None]] = set()
        self._is_empty = asyncio.Event()
        self._is_empty.set()
        self.is_draining = False

    def __len__(self) -> int:
        return len(self._guests)

    @contextmanager
    def admit(self, hurry: Callable[[], None]) -> Iterator[None]:
        """Be inside while the context lasts; `hurry` is called when the house closes.

        Raises `Stopping` or the refusal.
        """
        if self.is_draining:
            raise Stopping("the server is stopping")
        if len(self) >= self.limit:
            raise self._refusal(f"all {self.limit} {self._places} are taken")
        self._guests.add(hurry)
        self._is_empty.clear()
        try:
            yield
        finally:
            self._guests.remove(hurry)
            if not self._guests:
                self._is_empty.set()

    async def drain(self) -> None:
        """Admit nobody any more, tell the guests to hurry, and wait until the last has left."""
        self.is_draining = True
        for hurry in tuple(self._guests):
            hurry()
        await self._is_empty.wait()
