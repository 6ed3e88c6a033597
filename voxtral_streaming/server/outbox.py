"""What waits to be sent to one client."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TypeAlias

from voxtral_streaming.server.dialects.actions import Acked, Notice
from voxtral_streaming.server.limits import OUTBOX_NOTICES
from voxtral_streaming.transcript import Partial

Item: TypeAlias = Notice | None


class Outbox(asyncio.Queue[Item]):
    """A bounded queue in which a partial replaces the one before it, as does an acknowledgement.

    Nothing else is ever dropped.

    `None` is put last.
    """

    def __init__(self) -> None:
        super().__init__(OUTBOX_NOTICES)

    def _init(self, maxsize: int) -> None:
        self._queue: deque[Item] = deque()

    def _put(self, item: Item) -> None:
        if isinstance(item, Partial | Acked) and self._queue and type(self._queue[-1]) is type(item):
            self._queue[-1] = item
        else:
            self._queue.append(item)
