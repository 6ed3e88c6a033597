"""Tokens for browsers, minted for whoever has a key, asked for in the ways of Mistral and of OpenAI."""

from __future__ import annotations

import json
import secrets
from datetime import datetime, timezone
from time import time
from typing import Annotated, Any, Literal, TypeVar

from fastapi import APIRouter, Request
from pydantic import Field, ValidationError

from voxtral_streaming.server.bodies import bounded
from voxtral_streaming.server.dialects.openai.session import SessionFields
from voxtral_streaming.server.dialects.strict_json import parse_object
from voxtral_streaming.server.errors import InvalidJson, InvalidRequest
from voxtral_streaming.server.fields import Fields, wrong_field
from voxtral_streaming.server.limits import (
    MAX_CONTROL_CHARS,
    MAX_TOKEN_SESSION_BYTES,
    MAX_TOKEN_TTL_S,
    MIN_TOKEN_TTL_S,
    TOKEN_TTL_S,
)
from voxtral_streaming.server.problems import responses
from voxtral_streaming.server.tokens import Tokens

Seconds = Annotated[
    int, Field(ge=MIN_TOKEN_TTL_S, le=MAX_TOKEN_TTL_S, description="How long the token opens sessions.")
]
Body = TypeVar("Body", bound=Fields)

router = APIRouter()


class ClientSession(Fields):
    """A token as Mistral's clients ask for it."""

    purpose: Literal["realtime"] = "realtime"
    model: str | None = Field(default=None, description="Taken, and not looked at: a server has one model.")
    ttl_seconds: Seconds | None = None


class ExpiresAfter(Fields):
    """When a token of OpenAI's kind ends."""

    anchor: Literal["created_at"] = "created_at"
    seconds: Seconds = TOKEN_TTL_S


class ClientSecret(Fields):
    """A token as OpenAI's clients ask for it. The sessions that it opens begin with the options of `session`."""

    expires_after: ExpiresAfter = ExpiresAfter()
    session: SessionFields | None = None


def _described(body: type[Fields], status: int) -> dict[str, Any]:
    """What OpenAPI says of an operation that takes such a body."""
    schema = body.model_json_schema()
    content = {"application/json": {"schema": _inlined(schema, schema.pop("$defs", {}))}}
    return {
        "status_code": status,
        "responses": responses(400, 401, 403, 408, 413, 422, 429),
        "openapi_extra": {"requestBody": {"required": True, "content": content}},
    }


def _inlined(schema: Any, definitions: dict[str, Any]) -> Any:
    """A schema with the definitions in the places that refer to them: OpenAPI looks for them elsewhere."""
    if isinstance(schema, list):
        return [_inlined(part, definitions) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _inlined(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    return {name: _inlined(part, definitions) for name, part in schema.items()}


@router.post("/v1/client/sessions", summary="Mint a token (Mistral)", **_described(ClientSession, 201))
async def mint_session(request: Request) -> dict[str, Any]:
    """A token for one browser: `client_secret.value` opens WebSockets until it expires, and nothing else."""
    asked = await _read(request, ClientSession)
    ttl_s = asked.ttl_seconds or TOKEN_TTL_S
    expires_at = datetime.fromtimestamp(int(time()) + ttl_s, timezone.utc).isoformat()
    value = _tokens(request).mint("rt_", ttl_s, {})
    return {
        "object": "client.session",
        "purpose": asked.purpose,
        "expires_at": expires_at,
        "client_secret": {"value": value, "expires_at": expires_at},
    }


@router.post("/v1/realtime/client_secrets", summary="Mint a token (OpenAI)", **_described(ClientSecret, 200))
async def mint_secret(request: Request) -> dict[str, Any]:
    """A token for one browser: `value` opens WebSockets until it expires, and nothing else."""
    asked = await _read(request, ClientSecret)
    session = {} if asked.session is None else asked.session.model_dump(exclude_unset=True)
    if len(json.dumps(session)) > MAX_TOKEN_SESSION_BYTES:
        raise InvalidRequest(f"session: at most {MAX_TOKEN_SESSION_BYTES} bytes of JSON", param="session")
    seconds = asked.expires_after.seconds
    value = _tokens(request).mint("ek_", seconds, session)
    object_ = {"id": f"sess_{secrets.token_hex(12)}", "object": "realtime.transcription_session"}
    return {
        "value": value,
        "expires_at": int(time()) + seconds,
        "session": {**session, "type": "transcription", **object_},
    }


def _tokens(request: Request) -> Tokens:
    tokens: Tokens = request.app.state.tokens
    return tokens


async def _read(request: Request, kind: type[Body]) -> Body:
    """The JSON body of a request."""
    try:
        text = (await bounded(request, MAX_CONTROL_CHARS).body()).decode()
        return kind.model_validate(parse_object(text))
    except UnicodeDecodeError as error:
        raise InvalidJson("not UTF-8") from error
    except ValidationError as error:
        raise wrong_field(error, InvalidRequest) from error
