"""Deepgram's `/v1/listen`, where its clients look for it: a WebSocket for live audio, a POST for recordings."""

from __future__ import annotations

from datetime import datetime, timezone
from functools import partial
from typing import Any
from uuid import UUID, uuid4

from fastapi import APIRouter, FastAPI, Request, WebSocket
from fastapi.responses import JSONResponse, Response
from pydantic import ValidationError

from voxtral_streaming.audio.decode import open_bytes
from voxtral_streaming.audio.fetch import fetch
from voxtral_streaming.audio.source import SourcePolicy
from voxtral_streaming.errors import EmptyAudio, UnsupportedMedia, VoxtralError
from voxtral_streaming.server import live
from voxtral_streaming.server.bodies import bounded
from voxtral_streaming.server.dialects.deepgram.live import DeepgramLive
from voxtral_streaming.server.dialects.deepgram.query import read_live, read_recording
from voxtral_streaming.server.dialects.deepgram.recorded import refusal, refusal_status, response
from voxtral_streaming.server.dialects.strict_json import parse_object
from voxtral_streaming.server.errors import InvalidJson, InvalidRequest, Refused
from voxtral_streaming.server.fields import Fields, wrong_field
from voxtral_streaming.server.files import transcript_for
from voxtral_streaming.server.limits import BODY_OVERHEAD
from voxtral_streaming.server.problems import note, status
from voxtral_streaming.server.service import Service
from voxtral_streaming.server.turns import endpointer

router = APIRouter()


class _Remote(Fields):
    url: str


@router.websocket("/v1/listen")
async def listen(socket: WebSocket) -> None:
    """A live session, as the query asks for it; a query that is refused is answered over HTTP."""
    service: Service = socket.app.state.service
    can = service.transcriber.engine.capabilities
    try:
        asked = read_live(socket.query_params.multi_items(), can, service.config.model.language)
    except VoxtralError as error:
        await socket.send_denial_response(_refusal(socket.app, error, uuid4()))
        return
    await live.serve(socket, service, partial(DeepgramLive, asked=asked, opened_at=datetime.now(timezone.utc)))


@router.post("/v1/listen", include_in_schema=False)
async def transcribe(request: Request) -> Response:
    """The body is the recording, or names it in JSON: `{"url": "…"}`. See docs/dialects.md for the options."""
    id_ = uuid4()
    try:
        return JSONResponse(await _transcribe(request, id_), headers={"dg-request-id": str(id_)})
    except VoxtralError as error:
        return _refusal(request.app, error, id_)


async def _transcribe(request: Request, id_: UUID) -> dict[str, Any]:
    service: Service = request.app.state.service
    can, policy = service.transcriber.engine.capabilities, SourcePolicy.remote(service.config.audio)
    created = datetime.now(timezone.utc)
    with service.uploads.admit(lambda: None):
        asked = read_recording(request.query_params.multi_items(), can, service.config.model.language)
        audio = await _read(request, policy)
        cut = endpointer(asked.turns, service.transcriber, is_live=False)
        transcript = await transcript_for(
            request, partial(open_bytes, audio, policy), asked.asked.options, endpointer=cut
        )
    return response(transcript, asked, can, id_=id_, audio=audio, created=created)


async def _read(request: Request, policy: SourcePolicy) -> bytes:
    """The bytes of the recording. Raises `UnsupportedMedia` for a form, which Deepgram takes no more than we do."""
    match request.headers.get("content-type", "").partition(";")[0].strip().lower():
        case "application/json":
            body = await bounded(request, BODY_OVERHEAD).body()
            with await fetch(_url(body), policy) as file:
                return file.read()
        case "multipart/form-data":
            raise UnsupportedMedia("the recording is the body itself, without a form around it", param="content-type")
        case _:
            body = await bounded(request, policy.max_bytes).body()
            if not body:
                raise EmptyAudio("the body is empty")
            return body


def _url(body: bytes) -> str:
    try:
        return _Remote.model_validate(parse_object(body.decode())).url
    except UnicodeDecodeError as error:
        raise InvalidJson("not UTF-8") from error
    except ValidationError as error:
        raise wrong_field(error, InvalidRequest) from error


def _refusal(app: FastAPI, error: VoxtralError, id_: UUID) -> Response:
    note(app, error)
    headers = {"dg-request-id": str(id_)}
    if isinstance(error, Refused):
        headers["Retry-After"] = str(error.retry_after_s)
    return JSONResponse(refusal(error, id_), refusal_status(status(error)), headers=headers)
