"""What the server says, as types (docs/protocol.md)."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

from pydantic import TypeAdapter

from voxtral_streaming.engines.base import Capabilities, StreamOptions
from voxtral_streaming.errors import ProtocolError
from voxtral_streaming.transcript import Event, Final, Flushed, Partial, SpeechStarted, SpeechStopped


class SessionError(ProtocolError):
    """The server refused the session, or it ended too early; `code` is one of the protocol's, or one of these.

    `handshake_failed`: no WebSocket of this kind is there; `connection_lost`: nobody said why. `retry_after_s`
    is set where the error may pass by itself.
    """

    def __init__(
        self, code: str, message: str, *, param: str | None = None, retry_after_s: float | None = None
    ) -> None:
        super().__init__(message, param=param)
        self.code = code
        self.retry_after_s = retry_after_s


@dataclass(frozen=True, slots=True)
class Limits:
    """What the server takes in a session."""

    max_frame_bytes: int
    idle_timeout_s: float
    max_utterance_s: float


@dataclass(frozen=True, slots=True)
class Opened:
    """The server's first message: which session this is, and what its engine can do."""

    id: str
    engine: Capabilities
    limits: Limits


@dataclass(frozen=True, slots=True)
class Resume:
    """How to come back to the session when its connection is lost."""

    token: str
    window_s: float


@dataclass(frozen=True, slots=True)
class Started(StreamOptions):
    """The options in force."""

    resume: Resume | None = None


@dataclass(frozen=True, slots=True)
class Acked:
    """The server has received so many bytes of audio, and so many messages that ask for something else."""

    received_bytes: int
    received_messages: int
    lag_s: float = 0.0  # how old the audio is whose final is awaited


@dataclass(frozen=True, slots=True)
class Warned:
    """Something was mended, or is about to happen; the session goes on."""

    code: str
    message: str
    param: str | None = None
    lag_s: float | None = None  # of `overloaded`: how old the audio is whose final is awaited
    retry_after_s: float | None = None  # of `overloaded`: when to come back


@dataclass(frozen=True, slots=True)
class Closed:
    """The session ended in order. Samples are counted at 16 kHz; received = consumed + dropped."""

    received_samples: int
    consumed_samples: int
    dropped_samples: int
    sanitized_samples: int
    utterances: int


@dataclass(frozen=True, slots=True)
class _Problem:
    code: str
    message: str
    param: str | None = None
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class _Failed:
    """An error, as it is told over HTTP and over the WebSocket."""

    error: _Problem


Message: TypeAlias = Event | Opened | Started | Acked | Warned | Closed

FAILED = TypeAdapter(_Failed)
_MESSAGES: dict[str, TypeAdapter[Any]] = {
    "session": TypeAdapter(Opened),
    "started": TypeAdapter(Started),
    "ack": TypeAdapter(Acked),
    "resumed": TypeAdapter(Acked),
    "speech_started": TypeAdapter(SpeechStarted),
    "partial": TypeAdapter(Partial),
    "speech_stopped": TypeAdapter(SpeechStopped),
    "final": TypeAdapter(Final),
    "flushed": TypeAdapter(Flushed),
    "warning": TypeAdapter(Warned),
    "closed": TypeAdapter(Closed),
    "error": FAILED,
}


def decode(frame: str | bytes) -> Message | None:
    """What a message of the server says; nothing, if its type is not known here (the server may be newer).

    Raises `SessionError` where the message is an error, and `ProtocolError` where it is none of the protocol's.
    """
    return decode_numbered(frame)[1]


def decode_numbered(frame: str | bytes) -> tuple[int, Message | None]:
    """The number of a message, -1 if it has none, and what it says."""
    try:
        fields = json.loads(frame)
        number, adapter = int(fields.get("seq", -1)), _MESSAGES.get(fields["type"])
        message: Message | _Failed | None = adapter and adapter.validate_python(fields)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ProtocolError(f"not a message of the protocol: {frame[:200]!r}") from error
    if isinstance(message, _Failed):
        raise SessionError(**asdict(message.error))
    return number, message
