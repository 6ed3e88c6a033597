"""What is told when the process has no descriptors left for new connections."""

from __future__ import annotations

import asyncio
import errno
import logging
import math
from typing import Any

OUT_OF = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
SILENCE_S = 10.0  # between two lines about it

logger = logging.getLogger(__name__)


class AcceptErrors:
    """An exception handler for event loops.

    asyncio tries again each second, thousands of times at once, and tells of every try; that would
    fill a disk. All other errors are told as asyncio does.
    """

    def __init__(self) -> None:
        self._told_at = -math.inf

    def __call__(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Tell of an error that nobody awaits."""
        error = context.get("exception")
        if not (isinstance(error, OSError) and error.errno in OUT_OF and "socket" in context):
            loop.default_exception_handler(context)
        elif loop.time() - self._told_at >= SILENCE_S:
            self._told_at = loop.time()
            logger.error("no connection can be accepted now: %s", error.strerror)
