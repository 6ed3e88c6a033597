"""What can go wrong at the server's edge, beyond the errors of the package.

VoxtralError
├── ProtocolError
│   ├── InvalidJson          text that is not JSON as this server takes it
│   ├── InvalidConfig        an option of a live session is wrong, or not offered by the engine
│   └── MessageTooLarge      a text message that is too long
├── InvalidRequest           the fields of an HTTP request are wrong
├── MalformedRequest         a request that is not HTTP
├── RequestTimeout           an HTTP request that comes too slowly
├── Unauthorized             no key, or a wrong one
├── OriginForbidden          a web page of an origin that is not allowed
├── ModelNotFound            a model that is not the loaded one, by any of its names
├── IdleTimeout              a live session in which nothing was sent
├── SlowConsumer             a client that does not read what it is sent
├── SessionNotFound          there is no live session of this name to come back to
├── SessionTakenOver         another connection has resumed the session
└── Refused                  not now; carries `retry_after_s`
    ├── TooManySessions      of live sessions
    ├── Overloaded           with files; of a live session: its finals come too late
    ├── TooManyRequests      of one peer within a minute
    └── Stopping             the server is about to stop
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from voxtral_streaming.errors import EngineError, EngineUnavailable, ProtocolError, VoxtralError
from voxtral_streaming.server.limits import RETRY_AFTER_S

ValueT = TypeVar("ValueT")


class InvalidJson(ProtocolError):
    """Text that is not JSON as this server takes it."""

    code = "invalid_json"


class InvalidConfig(ProtocolError):
    """An option of a live session is wrong, or not offered by the engine."""

    code = "invalid_config"


class MessageTooLarge(ProtocolError):
    """A text message that is too long."""

    code = "message_too_large"


class InvalidRequest(VoxtralError):
    """The fields of an HTTP request are wrong."""

    code = "invalid_request"


class MalformedRequest(VoxtralError):
    """A request that is not HTTP."""

    code = "bad_request"


class RequestTimeout(VoxtralError):
    """An HTTP request that comes too slowly."""

    code = "request_timeout"


class Unauthorized(VoxtralError):
    """No key, or a wrong one."""

    code = "unauthorized"


class OriginForbidden(VoxtralError):
    """A web page of an origin that is not allowed."""

    code = "origin_forbidden"


class ModelNotFound(VoxtralError):
    """A model that is neither the loaded one nor one of the names that stand for it."""

    code = "model_not_found"


class IdleTimeout(VoxtralError):
    """A live session in which nothing was sent."""

    code = "idle_timeout"


class SlowConsumer(VoxtralError):
    """A client that does not read what it is sent."""

    code = "slow_consumer"


class SessionNotFound(VoxtralError):
    """There is no live session of this name to come back to, or not with this token."""

    code = "session_not_found"


class SessionTakenOver(VoxtralError):
    """Another connection has resumed the session of this one."""

    code = "session_taken_over"


class Refused(VoxtralError):
    """Not now; the client may come back after `retry_after_s`."""

    def __init__(self, message: str, *, param: str | None = None, retry_after_s: int = RETRY_AFTER_S) -> None:
        super().__init__(message, param=param)
        self.retry_after_s = retry_after_s


class TooManySessions(Refused):
    """All live sessions are taken."""

    code = "too_many_sessions"


class Overloaded(Refused):
    """Too many files are waiting, or the finals of a live session come too late."""

    code = "overloaded"


class TooManyRequests(Refused):
    """The peer did it too often within a minute."""

    code = "too_many_requests"


class Stopping(Refused):
    """The server is about to stop."""

    code = "stopping"


TOLD: dict[type[EngineError], str] = {
    EngineUnavailable: "there is no engine at the moment",
    EngineError: "recognition failed",
}


def entry_for(error: VoxtralError, table: Mapping[type[VoxtralError], ValueT]) -> ValueT:
    """What a table says of an error: by its own type, or by the nearest above it that the table knows."""
    return next(table[kind] for kind in type(error).__mro__ if kind in table)


def problem(error: VoxtralError) -> dict[str, object]:
    """The one shape of an error that clients see, over HTTP and over WebSockets.

    What the engine says of its failure may name files of the server, so it stays in the log.
    """
    message = next((message for kind, message in TOLD.items() if isinstance(error, kind)), error.message)
    shape: dict[str, object] = {"code": error.code, "message": message, "param": error.param}
    if (wait_s := retry_after_s(error)) is not None:
        shape["retry_after_s"] = wait_s
    return shape


def retry_after_s(error: VoxtralError) -> int | None:
    """When it may help to come back; None where it does not."""
    if isinstance(error, EngineUnavailable):
        return RETRY_AFTER_S
    return error.retry_after_s if isinstance(error, Refused) else None
