"""Recordings over HTTP: `POST /v1/transcriptions`."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from starlette.requests import ClientDisconnect

from voxtral_streaming.audio.source import SourcePolicy
from voxtral_streaming.engines.base import Capabilities, StreamOptions
from voxtral_streaming.engines.options import check_options
from voxtral_streaming.errors import UnsupportedOption
from voxtral_streaming.formats import Format, render
from voxtral_streaming.server.problems import responses
from voxtral_streaming.server.recordings import Opener, Options, body_schema, read_job
from voxtral_streaming.server.service import Service
from voxtral_streaming.server.tasks import left, unless
from voxtral_streaming.transcript import Transcript
from voxtral_streaming.vad.activity import Endpointer

MEDIA_TYPES: dict[Format, str] = {
    "json": "application/json",
    "verbose_json": "application/json",
    "text": "text/plain",
    "srt": "application/x-subrip",
    "vtt": "text/vtt",
}

router = APIRouter()


def _success() -> dict[str, Any]:
    text = {"schema": {"type": "string"}}
    json = {"schema": {"type": "object", "required": ["text", "language", "duration"]}}
    media_types = dict.fromkeys(MEDIA_TYPES.values(), text) | {"application/json": json}
    return {"description": "The transcript, as `format` asks.", "content": media_types}


@router.post(
    "/v1/transcriptions",
    summary="Transcribe a recording",
    response_class=Response,
    responses={200: _success(), **responses(400, 401, 403, 408, 413, 415, 422, 429, 500, 502, 503, 504)},
    openapi_extra={"requestBody": body_schema()},
)
async def transcribe(request: Request) -> Response:
    """Send the recording as multipart, or as JSON that names or holds it."""
    service: Service = request.app.state.service
    with service.uploads.admit(lambda: None):
        async with read_job(request, SourcePolicy.remote(service.config.audio)) as job:
            options = _stream_options(job.options, service.transcriber.engine.capabilities)
            transcript = await transcript_for(request, job.open, options)
    return Response(render(transcript, job.options.format), media_type=MEDIA_TYPES[job.options.format])


def _stream_options(asked: Options, capabilities: Capabilities) -> StreamOptions:
    if asked.words and capabilities.timestamps != "word":
        raise UnsupportedOption(f"words: {capabilities.name} has no word timestamps", param="words")
    words = capabilities.has_words if asked.words is None else asked.words
    options = StreamOptions(language=asked.language, prompt=asked.prompt, partials=False, words=words)
    check_options(options, capabilities)
    return options


async def transcript_for(
    request: Request, source: Opener, options: StreamOptions, *, endpointer: Endpointer | None = None
) -> Transcript:
    """The transcript of a recording, for a client that was admitted; raises `ClientDisconnect` when it leaves first.

    `endpointer`: a fresh one that cuts the recording otherwise than configured.
    """
    work = _transcribe(request.app.state.service, source, options, endpointer)
    transcript = await unless(left(request), work)
    if transcript is None:
        raise ClientDisconnect
    return transcript


async def _transcribe(
    service: Service, source: Opener, options: StreamOptions, endpointer: Endpointer | None
) -> Transcript:
    """Wait for a turn, then decode and recognise."""
    async with service.turns, source() as audio:
        transcript = await service.transcriber.transcript(audio, audio.duration, options, endpointer=endpointer)
    service.metrics.audio_seconds.labels("file").inc(transcript.duration)
    return transcript
