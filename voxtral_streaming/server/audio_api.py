"""`/v1/audio/…` and `/v1/models`, where the clients of OpenAI and of Mistral look for them.

Both send recordings to the same path. Mistral's clients are told by their `User-Agent`, by a field that OpenAI's
interface has not, or by the name of a model of Mistral's; whoever else asks is answered as OpenAI's.
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
from voxtral_streaming.server import mistral_files, openai_files
from voxtral_streaming.server.audio_forms import read_form
from voxtral_streaming.server.dialects.mistral import recording
from voxtral_streaming.server.dialects.openai.models import check_model
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


router = APIRouter(route_class=Route, include_in_schema=False)  # OpenAI describes it


@router.post("/v1/audio/transcriptions")
async def transcribe(request: Request) -> Response:
    """The transcript of a recording, in the shape that the client knows."""
    service: Service = request.app.state.service
    async with AsyncExitStack() as held:
        held.enter_context(service.uploads.admit(lambda: None))
        form = await held.enter_async_context(read_form(request, SourcePolicy.remote(service.config.audio)))
        agent, loaded = request.headers.get("user-agent", ""), _capabilities(request).model
        if recording.is_mistrals(form.values, agent, loaded):
            return await mistral_files.respond(request, form, held)
        return await openai_files.respond(request, form, held)


@router.post("/v1/audio/translations")
async def translate(request: Request) -> Response:
    """Refused, as no engine translates."""
    name = _capabilities(request).name
    raise UnsupportedOption(f"{name} does not translate; it transcribes, at /v1/audio/transcriptions", param="task")


@router.get("/v1/models")
async def models(request: Request) -> dict[str, Any]:
    """The loaded model."""
    return {"object": "list", "data": [_model(request)]}


@router.get("/v1/models/{name:path}")
async def model(request: Request, name: str) -> dict[str, Any]:
    """The loaded model, by its name or by one of OpenAI's for transcription."""
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
