"""Errors as HTTP answers: one shape, whatever went wrong."""

from __future__ import annotations

import errno
import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from voxtral_streaming.errors import (
    AudioError,
    AudioTooLarge,
    AudioTooLong,
    EngineError,
    EngineUnavailable,
    FetchError,
    FetchTimeout,
    InvalidBase64,
    SourceForbidden,
    UnsupportedMedia,
    UnsupportedOption,
    VoxtralError,
)
from voxtral_streaming.server.errors import (
    InvalidJson,
    InvalidRequest,
    MalformedRequest,
    ModelNotFound,
    OriginForbidden,
    Overloaded,
    RequestTimeout,
    Stopping,
    TooManyRequests,
    Unauthorized,
    entry_for,
    problem,
    retry_after_s,
)

STATUSES: dict[type[VoxtralError], int] = {
    MalformedRequest: 400,
    InvalidJson: 400,
    InvalidBase64: 400,
    Unauthorized: 401,
    OriginForbidden: 403,
    SourceForbidden: 403,
    ModelNotFound: 404,
    RequestTimeout: 408,
    AudioTooLarge: 413,
    AudioTooLong: 413,
    UnsupportedMedia: 415,
    AudioError: 422,
    InvalidRequest: 422,
    UnsupportedOption: 422,
    TooManyRequests: 429,
    VoxtralError: 500,
    EngineError: 500,
    FetchError: 502,
    EngineUnavailable: 503,
    Overloaded: 503,
    Stopping: 503,
    FetchTimeout: 504,
}

SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message", "param"],
            "properties": {
                "code": {"type": "string", "description": "For programs."},
                "message": {"type": "string", "description": "For people."},
                "param": {"type": ["string", "null"], "description": "The field that is to blame."},
                "retry_after_s": {"type": "integer", "description": "When to come back, where that may help."},
            },
        }
    },
}

NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})

logger = logging.getLogger(__name__)


def status(error: VoxtralError) -> int:
    """The HTTP status of an error."""
    return entry_for(error, STATUSES)


def answer(error: VoxtralError, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """The HTTP answer to an error."""
    wait_s = retry_after_s(error)
    retry = {} if wait_s is None else {"Retry-After": str(wait_s)}
    return JSONResponse({"error": problem(error)}, status(error), headers={**retry, **(headers or {})})


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The errors of an operation, as OpenAPI describes them."""
    return {
        status: {"description": _codes(status), "content": {"application/json": {"schema": SCHEMA}}}
        for status in statuses
    }


def _codes(status: int) -> str:
    codes = [error.code for error, its_status in STATUSES.items() if its_status == status]
    return ", ".join(f"`{code}`" for code in codes)


def install(app: FastAPI) -> None:
    """Answer every error of the application in the one shape, and count it."""
    app.add_exception_handler(VoxtralError, _answer_own)
    app.add_exception_handler(HTTPException, _answer_framework)
    app.add_exception_handler(RequestValidationError, _answer_validation)
    app.add_exception_handler(ClientDisconnect, _answer_nobody)
    app.add_exception_handler(OSError, _answer_full_disk)
    app.add_exception_handler(Exception, _answer_bug)


async def _answer_own(request: Request, error: Exception) -> Response:
    assert isinstance(error, VoxtralError)
    note(request.app, error)
    return answer(error)


async def _answer_framework(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = HTTPStatus(error.status_code).phrase.lower().replace(" ", "_")
    count(request.app, code)
    shape = {"code": code, "message": error.detail, "param": None}
    return JSONResponse({"error": shape}, error.status_code, headers=error.headers)


async def _answer_validation(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    param = ".".join(map(str, first["loc"]))
    return await _answer_own(request, InvalidRequest(f"{param}: {first['msg']}", param=param))


async def _answer_nobody(request: Request, error: Exception) -> Response:
    return Response()  # the client has left


async def _answer_full_disk(request: Request, error: Exception) -> Response:
    """Recordings wait in temporary files; where there is no room for them, later there may be."""
    if isinstance(error, OSError) and error.errno in NO_ROOM:
        logger.error("no room for a recording: %s", error.strerror)
        return await _answer_own(request, Overloaded("there is no room for recordings now"))
    raise error


async def _answer_bug(request: Request, error: Exception) -> Response:
    return await _answer_own(request, VoxtralError("the server failed"))


def note(app: FastAPI, error: VoxtralError) -> None:
    """Count an error that a client is told, and log what the client is not told of it."""
    if isinstance(error, EngineError):
        logger.error("recognition failed: %s", error)
    count(app, error.code)


def count(app: FastAPI, code: str) -> None:
    """Count an error that a client is told."""
    app.state.service.metrics.errors.labels(code).inc()
