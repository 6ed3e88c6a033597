from __future__ import annotations

import asyncio

import pytest

from voxtral_streaming.server.dialects.actions import Flushed
from voxtral_streaming.server.limits import OUTBOX_NOTICES
from voxtral_streaming.server.outbox import Item, Outbox
from voxtral_streaming.transcript import Final, Partial


def drained(outbox: Outbox) -> list[Item]:
    return [outbox.get_nowait() for _ in range(outbox.qsize())]


def test_partial_replaces_the_partial_before_it() -> None:
    outbox = Outbox()
    for text in ("a", "ab", "abc"):
        outbox.put_nowait(Partial(0, 1, text, ""))
    assert drained(outbox) == [Partial(0, 1, "abc", "")]


def test_nothing_else_is_dropped_and_order_is_kept() -> None:
    items: list[Item] = [Final(0, 0, 1, "a"), Partial(1, 2, "b", ""), Final(1, 2, 3, "b"), Final(2, 4, 5, ""), None]
    outbox = Outbox()
    for item in items:
        outbox.put_nowait(item)
    assert drained(outbox) == items


def test_partial_does_not_jump_over_a_final() -> None:
    outbox = Outbox()
    items: list[Item] = [Partial(0, 1, "a", ""), Final(0, 0, 1, "a"), Partial(1, 2, "b", "")]
    for item in items:
        outbox.put_nowait(item)
    assert drained(outbox) == items


def test_is_bounded() -> None:
    outbox = Outbox()
    for _ in range(OUTBOX_NOTICES):
        outbox.put_nowait(Flushed(None))
    with pytest.raises(asyncio.QueueFull):
        outbox.put_nowait(Flushed(None))
