"""Errors as OpenAI's clients read them."""

from __future__ import annotations

from typing import Any

from voxtral_streaming.errors import (
    AudioError,
    AudioTooLarge,
    EngineError,
    FetchError,
    ProtocolError,
    SourceForbidden,
    UnsupportedOption,
    VoxtralError,
)
from voxtral_streaming.server.errors import (
    InvalidRequest,
    ModelNotFound,
    OriginForbidden,
    Refused,
    RequestTimeout,
    TooManyRequests,
    Unauthorized,
    entry_for,
    problem,
)

STATUSES: dict[type[VoxtralError], int] = {
    InvalidRequest: 400,
    ProtocolError: 400,
    UnsupportedOption: 400,
    AudioError: 400,
    Unauthorized: 401,
    OriginForbidden: 403,
    SourceForbidden: 403,
    ModelNotFound: 404,
    RequestTimeout: 408,
    AudioTooLarge: 413,
    TooManyRequests: 429,
    VoxtralError: 500,
    FetchError: 502,
    Refused: 503,
}


def status(error: VoxtralError) -> int:
    """The HTTP status of an error."""
    return entry_for(error, STATUSES)


def shape_of(error: VoxtralError) -> dict[str, Any]:
    """The error, as it stands in answers and events; without what only our own clients read."""
    told = problem(error)
    is_ours = isinstance(error, EngineError | Refused) or type(error) is VoxtralError
    kind = "server_error" if is_ours else "invalid_request_error"
    return {"message": told["message"], "type": kind, "param": told["param"], "code": told["code"]}
