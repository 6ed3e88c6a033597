"""`/v1/audio/…` and `/v1/models`, where the clients of OpenAI and of Mistral look for them.

Both send recordings to the same path. They are told apart by their fields: those that only one of the two has, or else
the name of the model.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from time import time
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from fastapi.routing import APIRoute

from voxtral_streaming.audio.source import SourcePolicy
from voxtral_streaming.engines.base import Capabilities
from voxtral_streaming.errors import UnsupportedOption, VoxtralError
from voxtral_streaming.server import openai_files
from voxtral_streaming.server.audio_forms import read_form
from voxtral_streaming.server.dialects.openai.models import check_model
from voxtral_streaming.server.dialects.openai.recording import Asked
from voxtral_streaming.server.openai_files import refusal
from voxtral_streaming.server.problems import note
from voxtral_streaming.server.service import Service

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class Route(APIRoute):
    """A route whose errors have OpenAI's shape."""

    def get_route_handler(self) -> Handler:
        """The handler, its errors answered."""
        handler = super().get_route_handler()

        async def handle(request: Request) -> Response:
            try:
                return await handler(request)
            except VoxtralError as error:
                note(request.app, error)
                return refusal(error)

        return handle


router = APIRouter(route_class=Route)


def _body_schema() -> dict[str, Any]:
    form = Asked.model_json_schema()
    form["properties"]["file"] = {"type": "string", "format": "binary", "description": "The recording."}
    form["required"] = ["file"]
    return {"required": True, "content": {"multipart/form-data": {"schema": form}}}


@router.post(
    "/v1/audio/transcriptions",
    summary="Transcribe a recording, as OpenAI's clients ask for it",
    response_class=Response,
    openapi_extra={"requestBody": _body_schema()},
)
async def transcribe(request: Request) -> Response:
    """See docs/dialects.md."""
    service: Service = request.app.state.service
    async with AsyncExitStack() as held:
        held.enter_context(service.uploads.admit(lambda: None))
        form = await held.enter_async_context(read_form(request, SourcePolicy.remote(service.config.audio)))
        return await openai_files.respond(request, form, held)


@router.post("/v1/audio/translations", summary="Refused: no engine translates", response_class=Response)
async def translate(request: Request) -> Response:
    """Answers with an error."""
    name = _capabilities(request).name
    raise UnsupportedOption(f"{name} does not translate; it transcribes, at /v1/audio/transcriptions", param="task")


@router.get("/v1/models", summary="The loaded model")
async def models(request: Request) -> dict[str, Any]:
    """There is one."""
    return {"object": "list", "data": [_model(request)]}


@router.get("/v1/models/{name:path}", summary="The loaded model, by its name or one that stands for it")
async def model(request: Request, name: str) -> dict[str, Any]:
    """The names of OpenAI's models for transcription stand for it."""
    check_model(name, _capabilities(request).model, "model")
    return _model(request)


def _model(request: Request) -> dict[str, Any]:
    return {
        "id": _capabilities(request).model,
        "object": "model",
        "created": int(time()),
        "owned_by": "voxtral-streaming",
    }


def _capabilities(request: Request) -> Capabilities:
    service: Service = request.app.state.service
    return service.transcriber.engine.capabilities
