"""What goes over the wire comes out as it went in, and nonsense is refused."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxtral_streaming.engines.base import Capabilities, StreamOptions
from voxtral_streaming.engines.process.wire import (
    HEADER,
    KINDS,
    MAX_BODY,
    Answered,
    Ask,
    Beat,
    Close,
    Failed,
    Feed,
    GiveUp,
    Logged,
    Message,
    Open,
    Start,
    Started,
    decode,
    encode,
    receive,
)
from voxtral_streaming.transcript import Hypothesis, Word

MESSAGES: list[Message] = [
    Start("bench.accounting", "AccountingEngine", {"cost": 0.5, "fault": None}, None, 1.0),
    Open(StreamOptions(language="en", prompt="Dashwood", words=False), at=2**40),
    Ask(7, "flush"),
    GiveUp(),
    Close(),
    Started(
        Capabilities("whisper", "whisper-base", True, "word", ("en", "fr"), detects_language=True, delay_ms=(80,)),
        "as asked for",
    ),
    Answered(Hypothesis("déjà", " vu", (Word("déjà", 0.1, 0.30000000000000004, 0.99),), "fr")),
    Failed("engine_failed", "out of order", None),
    Beat(),
    Logged(40, "voxtral_streaming", "recognition failed\nTraceback"),
]


async def over_the_wire(data: bytes) -> tuple[int, Message] | None:
    reader = asyncio.StreamReader()
    reader.feed_data(data)
    reader.feed_eof()
    return await receive(reader)


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
async def test_messages_come_out_as_they_went_in(message: Message) -> None:
    assert await over_the_wire(encode(2**31, message)) == (2**31, message)


def test_every_kind_is_tested() -> None:
    assert {type(message) for message in MESSAGES} | {Feed} == set(KINDS)


async def test_samples_keep_every_bit() -> None:
    samples = np.random.default_rng(0).uniform(-1, 1, 1000).astype(np.float32)
    received = await over_the_wire(encode(1, Feed(samples)))
    assert received is not None
    assert isinstance(received[1], Feed)
    assert received[1].samples.tobytes() == samples.tobytes()
    assert received[1].samples.flags.writeable


@given(st.floats(allow_nan=False, allow_infinity=False))
@settings(max_examples=50, deadline=None)
def test_numbers_keep_every_bit(number: float) -> None:
    message = Answered(Hypothesis("a", words=(Word("a", number, number, number),)))
    data = encode(1, message)
    assert decode(data[0], data[HEADER.size :]) == message


@pytest.mark.parametrize("cut", [0, 3, HEADER.size, HEADER.size + 4])
async def test_an_end_in_the_middle_is_an_end(cut: int) -> None:
    assert await over_the_wire(encode(1, Ask(1, "flush"))[:cut]) is None


@pytest.mark.parametrize(
    "data",
    [
        HEADER.pack(len(KINDS), 1, 0),
        HEADER.pack(KINDS.index(Beat), 1, MAX_BODY + 1),
        HEADER.pack(KINDS.index(Ask), 1, 3) + b"abc",
        HEADER.pack(KINDS.index(Feed), 1, 3) + b"abc",
        HEADER.pack(KINDS.index(Ask), 1, 36) + b'{"stream": 1, "question": "__init__"}'[:36],
        HEADER.pack(KINDS.index(Ask), 1, 35) + b'{"stream": 1, "question": "close"}  '[:35],
    ],
)
async def test_nonsense_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r".*"):
        await over_the_wire(data)
