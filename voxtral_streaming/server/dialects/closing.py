"""The WebSocket close codes of errors, the same in every dialect unless its clients expect others."""

from __future__ import annotations

from voxtral_streaming.errors import (
    AudioError,
    EngineUnavailable,
    ProtocolError,
    UnsupportedMedia,
    UnsupportedOption,
    VoxtralError,
)
from voxtral_streaming.server.errors import (
    IdleTimeout,
    MessageTooLarge,
    Overloaded,
    SessionNotFound,
    SessionTakenOver,
    SlowConsumer,
    Stopping,
    TooManySessions,
    entry_for,
)

CLOSE_CODES: dict[type[VoxtralError], int] = {
    Stopping: 1001,
    UnsupportedMedia: 1003,
    AudioError: 1008,
    ProtocolError: 1008,
    SlowConsumer: 1008,
    UnsupportedOption: 1008,
    MessageTooLarge: 1009,
    VoxtralError: 1011,
    SessionNotFound: 4404,
    IdleTimeout: 4408,
    SessionTakenOver: 4409,
    TooManySessions: 4429,
    Overloaded: 4503,
    EngineUnavailable: 4503,
}


def close_code(error: VoxtralError) -> int:
    """See the table of close codes in the protocol page."""
    return entry_for(error, CLOSE_CODES)
