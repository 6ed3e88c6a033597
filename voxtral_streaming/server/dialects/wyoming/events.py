"""Wyoming's events: a line of JSON, as many bytes of further JSON as `data_length` says, and `payload_length` bytes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic import ConfigDict, Field, ValidationError

from voxtral_streaming.errors import ProtocolError
from voxtral_streaming.server.dialects.strict_json import parse_object
from voxtral_streaming.server.errors import InvalidJson, MessageTooLarge
from voxtral_streaming.server.fields import Fields, wrong_field
from voxtral_streaming.server.limits import MAX_CONTROL_CHARS, MAX_FRAME_BYTES


@dataclass(frozen=True, slots=True)
class Event:
    """What either side says."""

    type: str
    data: Mapping[str, Any] = field(default_factory=dict)
    payload: bytes = b""


class EventFields(Fields):
    """Fields of an event; others are for others."""

    model_config = ConfigDict(extra="ignore")


Kind = TypeVar("Kind", bound=EventFields)


def checked(kind: type[Kind], data: Mapping[str, Any]) -> Kind:
    """The fields in the data of an event; raises `ProtocolError`."""
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        raise wrong_field(error, ProtocolError) from error


class _Header(EventFields):
    type: str
    data: dict[str, Any] | None = None
    data_length: int | None = Field(default=None, ge=0)
    payload_length: int | None = Field(default=None, ge=0)


class Events:
    """Cuts a stream of bytes into events, each as the bytes that it consists of.

    What cannot be an event, or is larger than one may be, comes out as its line, which `read` refuses, and then
    nothing more.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._length: int | None = None  # of the next event, once its line is there
        self._is_broken = False

    def feed(self, data: bytes) -> None:
        """Take the next bytes, cut anywhere."""
        if not self._is_broken:
            self._buffer += data

    def next(self) -> bytes | None:
        """The next event, once it is complete."""
        if self._length is None:
            self._measure()
        if self._length is None or len(self._buffer) < self._length:
            return None
        event = bytes(self._buffer[: self._length])
        del self._buffer[: self._length]
        self._length = None
        if self._is_broken:
            self._buffer.clear()
        return event

    def _measure(self) -> None:
        """Find out how long the next event is, if its line is there."""
        end = self._buffer.find(b"\n", 0, MAX_CONTROL_CHARS + 1) + 1
        if not end and len(self._buffer) <= MAX_CONTROL_CHARS:
            return
        line = bytes(self._buffer[: end or MAX_CONTROL_CHARS + 1])
        try:
            header = _header(line)
            self._length = len(line) + (header.data_length or 0) + (header.payload_length or 0)
        except ProtocolError:
            self._length, self._is_broken = len(line), True


def _header(line: bytes) -> _Header:
    if len(line) > MAX_CONTROL_CHARS:
        raise MessageTooLarge(f"the line of an event may have {MAX_CONTROL_CHARS} bytes")
    header = checked(_Header, _object(line))
    if (header.data_length or 0) > MAX_CONTROL_CHARS:
        raise MessageTooLarge(f"the data of an event may have {MAX_CONTROL_CHARS} bytes", param="data_length")
    if (header.payload_length or 0) > MAX_FRAME_BYTES:
        raise MessageTooLarge(f"the payload of an event may have {MAX_FRAME_BYTES} bytes", param="payload_length")
    return header


def _object(data: bytes) -> dict[str, Any]:
    try:
        return parse_object(data.decode())
    except UnicodeDecodeError as error:
        raise InvalidJson("not UTF-8") from error


def read(frame: bytes) -> Event:
    """The event that one piece of `Events` holds; raises `ProtocolError`."""
    line, newline, rest = frame.partition(b"\n")
    header = _header(line + newline)
    n_data = header.data_length or 0
    more = _object(rest[:n_data]) if n_data else {}
    return Event(header.type, {**(header.data or {}), **more}, rest[n_data:])


def write(event: Event) -> bytes:
    """The bytes of an event without a payload."""
    header = {"type": event.type, "data": event.data}
    return json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
