"""Recordings for the clients of OpenAI's interface."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, aclosing

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response

from voxtral_streaming.audio.decode import AudioReader
from voxtral_streaming.engines.base import StreamOptions
from voxtral_streaming.errors import VoxtralError
from voxtral_streaming.server.audio_forms import Form
from voxtral_streaming.server.dialects.openai.errors import shape_of, status
from voxtral_streaming.server.dialects.openai.recording import LISTS, Asked, Chunking, Telling, answer, options
from voxtral_streaming.server.errors import InvalidRequest, Refused
from voxtral_streaming.server.event_stream import EventStream, counted, data, opened
from voxtral_streaming.server.files import transcript_for
from voxtral_streaming.server.problems import note
from voxtral_streaming.server.service import Service
from voxtral_streaming.server.turns import endpointer
from voxtral_streaming.transcript import Segment
from voxtral_streaming.vad.activity import Endpointer

CHUNKING = "chunking_strategy"
DONE = "data: [DONE]\n\n"


async def respond(request: Request, form: Form, held: AsyncExitStack) -> Response:
    """The transcript of the recording in a form; of a stream of events, `held` lasts as long as it does."""
    service: Service = request.app.state.service
    strategy, rest = _without_chunking(form)
    asked = rest.fields(Asked, LISTS)
    chosen = options(asked, service.transcriber.engine.capabilities)
    if form.file is None:
        raise InvalidRequest("file: a file is needed", param="file")
    cutting = endpointer(strategy.turns, service.transcriber, is_live=False)
    if asked.stream:
        audio = await opened(request, form.file, held)
        return EventStream(_events(request.app, audio, Telling(asked), chosen, cutting), held.pop_all())
    transcript = await transcript_for(request, form.file, chosen, endpointer=cutting)
    told = answer(transcript, asked)
    return PlainTextResponse(told) if isinstance(told, str) else JSONResponse(told)


def refusal(error: VoxtralError) -> JSONResponse:
    """The answer to an error."""
    retry = {"Retry-After": str(error.retry_after_s)} if isinstance(error, Refused) else None
    return JSONResponse({"error": shape_of(error)}, status(error), headers=retry)


def _without_chunking(form: Form) -> tuple[Chunking, Form]:
    """`chunking_strategy`, which is `auto` or stands as `chunking_strategy[type]` and so on, and the other fields."""
    strategy, rest = {}, {}
    for name, values in form.values.items():
        if name == CHUNKING:
            strategy["type"] = values
        elif name.startswith(f"{CHUNKING}["):
            strategy[name.removeprefix(f"{CHUNKING}[").removesuffix("]")] = values
        else:
            rest[name] = values
    return Form(strategy, None).fields(Chunking, frozenset()), Form(rest, form.file)


async def _events(
    app: FastAPI, audio: AudioReader, telling: Telling, chosen: StreamOptions, cutting: Endpointer
) -> AsyncGenerator[str, None]:
    """The segments as they become final; what fails on the way is told in its place."""
    service: Service = app.state.service
    n_segments = 0
    try:
        async with aclosing(service.transcriber.finals(counted(audio, service), chosen, endpointer=cutting)) as finals:
            async for final in finals:
                if final.text:
                    yield data(telling.segment(Segment.of(final, n_segments)))
                    n_segments += 1
    except VoxtralError as error:
        note(app, error)
        yield data({"error": shape_of(error)})
    else:
        yield data(telling.done())
    yield DONE
