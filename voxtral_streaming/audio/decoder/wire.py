"""The messages between a decoder and its reader: one byte of kind, four of length, the body.

reader → decoder    JOB
decoder → reader    OPENED, then any number of BLOCK, then DONE; or REFUSED at any time

The control socket of the decoder process carries single bytes: START with the descriptors of a job
(the file, the socket for the messages, the lifeline), and QUIT.
"""

from __future__ import annotations

import json
import struct
from dataclasses import asdict, dataclass
from enum import IntEnum
from typing import ClassVar, TypeAlias

import numpy as np

from voxtral_streaming.audio.units import Samples

HEADER = struct.Struct("<BI")  # kind, bytes of body
START, QUIT = b"s", b"q"
MAX_BODY = 2**20  # bytes; a reader trusts no longer message


class Kind(IntEnum):
    """What a message is."""

    JOB = 0
    OPENED = 1
    BLOCK = 2  # float32 samples, mono, 16 kHz, in the byte order of the machine
    DONE = 3
    REFUSED = 4


@dataclass(frozen=True, slots=True)
class Job:
    """How much a decoder may take for one recording."""

    kind: ClassVar[Kind] = Kind.JOB

    max_seconds: float  # of audio
    cpu_seconds: int
    memory_bytes: int  # beyond what it has at the start


@dataclass(frozen=True, slots=True)
class Opened:
    """The container is open. `duration`: seconds that it claims, a hint."""

    kind: ClassVar[Kind] = Kind.OPENED

    duration: float | None


@dataclass(frozen=True, slots=True)
class Done:
    """All is decoded. `sanitized`: values that were replaced; `damaged`: packets that were passed over."""

    kind: ClassVar[Kind] = Kind.DONE

    sanitized: int
    damaged: int


@dataclass(frozen=True, slots=True)
class Refused:
    """The recording cannot be used; `code` and `message` of the error that says why."""

    kind: ClassVar[Kind] = Kind.REFUSED

    code: str
    message: str


Message: TypeAlias = Job | Opened | Done | Refused
MESSAGES: dict[Kind, type[Message]] = {message.kind: message for message in (Job, Opened, Done, Refused)}


def encode(message: Message) -> bytes:
    """A message as it is sent."""
    return _frame(message.kind, json.dumps(asdict(message)).encode())


def encode_block(samples: Samples) -> bytes:
    """A block of samples as it is sent."""
    return _frame(Kind.BLOCK, samples.tobytes())


def header(received: bytes) -> tuple[Kind, int]:
    """Kind and bytes of body of a message from its first `HEADER.size` bytes; ValueError for nonsense."""
    kind, length = HEADER.unpack(received)
    if length > MAX_BODY:
        raise ValueError(f"a message of {length} bytes")
    return Kind(kind), length


def decode(kind: Kind, body: bytes) -> Message | Samples:
    """What was encoded; samples are writable. ValueError or TypeError for nonsense."""
    if kind == Kind.BLOCK:
        samples: Samples = np.frombuffer(body, np.float32).copy()
        return samples
    return MESSAGES[kind](**json.loads(body))


def _frame(kind: Kind, body: bytes) -> bytes:
    return HEADER.pack(kind, len(body)) + body
