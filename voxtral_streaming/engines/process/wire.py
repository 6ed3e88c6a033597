"""The messages between an engine in a process of its own and the process that serves the sessions.

A message is a header (one byte of kind, four of number, four of length) and a body: float32 samples in the byte
order of the machine, or JSON. Nothing that runs code when it is read ever goes over the wire.

parent → child    Start once; then Open, Feed, Ask, GiveUp, Close
child → parent    Started or Failed (number 0) once; then Answered, Failed, Beat, Logged

The number is that of the stream for Open, Feed and Close, and of the question for Ask, GiveUp, Answered and Failed.
"""

from __future__ import annotations

import asyncio
import struct
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from pydantic import TypeAdapter

from voxtral_streaming.audio.units import SAMPLE_RATE, Samples
from voxtral_streaming.engines.base import Capabilities, StreamOptions
from voxtral_streaming.transcript import Hypothesis

HEADER = struct.Struct("<BII")  # kind, number, bytes of body
MAX_BODY = 2**22  # bytes; nobody trusts a longer message
MAX_FEED = 4 * SAMPLE_RATE  # samples of one message; more are cut

Question: TypeAlias = Literal["partial", "flush", "finish"]


@dataclass(frozen=True, slots=True)
class Start:
    """Make an engine by calling `function` of `module` with `arguments`, start it, and beat every `beat_s` seconds.

    `explain` is a function of the same module that says of the same arguments, in a sentence, what comes of them.
    """

    module: str
    function: str
    arguments: dict[str, Any]
    explain: str | None
    beat_s: float


@dataclass(frozen=True, slots=True)
class Open:
    """Open a stream."""

    options: StreamOptions
    at: int


@dataclass(frozen=True, slots=True)
class Feed:
    """Feed a stream."""

    samples: Samples


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask a stream for a hypothesis."""

    stream: int
    question: Question


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Nobody waits for the answer any more."""


@dataclass(frozen=True, slots=True)
class Close:
    """Close a stream."""


@dataclass(frozen=True, slots=True)
class Started:
    """The engine is ready."""

    capabilities: Capabilities
    explanation: str


@dataclass(frozen=True, slots=True)
class Answered:
    """The answer to a question."""

    hypothesis: Hypothesis


@dataclass(frozen=True, slots=True)
class Failed:
    """The error that is the answer; `code` is that of a class in `errors.py`."""

    code: str
    message: str
    param: str | None


@dataclass(frozen=True, slots=True)
class Beat:
    """The process is alive."""


@dataclass(frozen=True, slots=True)
class Logged:
    """A line of the child's log, and the traceback below it."""

    level: int
    logger: str
    text: str


Message: TypeAlias = Start | Open | Feed | Ask | GiveUp | Close | Started | Answered | Failed | Beat | Logged
KINDS: tuple[type[Message], ...] = (
    Start, Open, Feed, Ask, GiveUp, Close, Started, Answered, Failed, Beat, Logged,
)  # fmt: skip
ADAPTERS: dict[type[Message], TypeAdapter[Any]] = {kind: TypeAdapter(kind) for kind in KINDS if kind is not Feed}


def encode(number: int, message: Message) -> bytes:
    """A message as it is sent."""
    if isinstance(message, Feed):
        body = message.samples.astype(np.float32, copy=False).tobytes()
    else:
        body = ADAPTERS[type(message)].dump_json(message)
    return HEADER.pack(KINDS.index(type(message)), number, len(body)) + body


def decode(kind: int, body: bytes) -> Message:
    """What was encoded; samples are writable. ValueError for nonsense."""
    if kind >= len(KINDS):
        raise ValueError(f"a message of kind {kind}")
    if KINDS[kind] is Feed:
        return Feed(np.frombuffer(body, np.float32).copy())
    message: Message = ADAPTERS[KINDS[kind]].validate_json(body)
    return message


async def receive(reader: asyncio.StreamReader) -> tuple[int, Message] | None:
    """The next message with its number; None when the other end is gone. ValueError for nonsense."""
    try:
        kind, number, length = HEADER.unpack(await reader.readexactly(HEADER.size))
        if length > MAX_BODY:
            raise ValueError(f"a message of {length} bytes")
        return number, decode(kind, await reader.readexactly(length))
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
