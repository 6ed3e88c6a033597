"""Wyoming's events, however the stream of bytes is cut and whatever it holds."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wyoming.event import Event as TheirEvent
from wyoming.event import async_read_event, async_write_event

from voxtral_streaming.errors import ProtocolError
from voxtral_streaming.server.dialects.wyoming.events import Event, Events, read, write
from voxtral_streaming.server.errors import InvalidJson, MessageTooLarge


class Writer:
    """Collects what their package writes."""

    def __init__(self) -> None:
        self.data = b""

    def write(self, data: bytes) -> None:
        self.data += data

    def writelines(self, parts: Any) -> None:
        self.data += b"".join(parts)

    async def drain(self) -> None:
        pass


def theirs(type_: str, data: dict[str, Any], payload: bytes) -> bytes:
    writer: Any = Writer()
    asyncio.run(async_write_event(TheirEvent(type_, data, payload), writer))
    return bytes(writer.data)


def pieces(data: bytes, *cuts: int) -> list[bytes]:
    events, found, start = Events(), [], 0
    for end in [*sorted(cuts), len(data)]:
        events.feed(data[start:end])
        start = end
        while (piece := events.next()) is not None:
            found.append(piece)
    return found


TEXT = st.text(st.characters(exclude_categories=["Cs"]))


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.tuples(TEXT, st.dictionaries(TEXT, TEXT | st.integers()), st.binary()), max_size=4),
    st.lists(st.integers(0, 300)),
)
def test_what_their_package_writes_is_read_however_it_is_cut(events: list[Any], cuts: list[int]) -> None:
    data = b"".join(theirs(*event) for event in events)
    assert [read(piece) for piece in pieces(data, *cuts)] == [Event(*event) for event in events]


@settings(max_examples=30, deadline=None)
@given(TEXT, st.dictionaries(TEXT, TEXT | st.integers() | st.lists(TEXT)))
def test_their_package_reads_what_is_written(type_: str, data: dict[str, Any]) -> None:
    async def read_back() -> TheirEvent | None:
        reader = asyncio.StreamReader()
        reader.feed_data(write(Event(type_, data)))
        return await async_read_event(reader)

    assert asyncio.run(read_back()) == TheirEvent(type_, data)


@settings(max_examples=30, deadline=None)
@given(st.binary(), st.lists(st.integers(0, 100)))
def test_any_bytes_are_cut_into_what_can_be_read_or_refused(data: bytes, cuts: list[int]) -> None:
    for piece in pieces(data, *cuts):
        try:
            read(piece)
        except ProtocolError:
            assert piece == pieces(data, *cuts)[-1]


@pytest.mark.parametrize(
    ("line", "error"),
    [
        (b"\n", InvalidJson),
        (b"not JSON\n", InvalidJson),
        (b"\xff\n", InvalidJson),
        (b"[]\n", InvalidJson),
        (b"{}\n", ProtocolError),
        (b'{"type": 5}\n', ProtocolError),
        (b'{"type": "ping", "data": []}\n', ProtocolError),
        (b'{"type": "ping", "payload_length": -1}\n', ProtocolError),
        (b'{"type": "ping", "payload_length": 1.5}\n', ProtocolError),
        (b'{"type": "ping", "payload_length": 1048577}\n', MessageTooLarge),
        (b'{"type": "ping", "data_length": 65537}\n', MessageTooLarge),
        (b'{"type": "' + b"p" * 2**16 + b'"}\n', MessageTooLarge),
        (b"x" * 2**20, MessageTooLarge),
    ],
)
def test_what_is_refused_is_small_and_the_last(line: bytes, error: type[ProtocolError]) -> None:
    events = Events()
    events.feed(line + b'{"type": "ping"}\n')
    piece = events.next()
    assert piece is not None
    with pytest.raises(error):
        read(piece)
    assert len(piece) <= 2**16 + 1
    events.feed(b'{"type": "ping"}\n' * 1000)
    assert events.next() is None
    assert len(events._buffer) == 0


def test_data_that_is_no_json() -> None:
    (piece,) = pieces(b'{"type": "ping", "data_length": 3}\nabc')
    with pytest.raises(InvalidJson):
        read(piece)


def test_keys_that_are_not_known_are_for_others() -> None:
    (piece,) = pieces(b'{"type": "ping", "version": "9.9", "trace": 7, "data": null}\n')
    assert read(piece) == Event("ping")


def test_a_payload_may_be_a_megabyte() -> None:
    data = json.dumps({"type": "audio-chunk", "payload_length": 2**20}).encode() + b"\n" + bytes(2**20)
    (piece,) = pieces(data, 10, 1000, 70_000)
    assert len(read(piece).payload) == 2**20
