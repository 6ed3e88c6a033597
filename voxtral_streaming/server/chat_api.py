"""`POST /v1/chat/completions`: questions about a recording, where OpenAI's and Mistral's clients ask them."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, aclosing
from functools import partial
from secrets import token_hex
from time import time
from typing import Any

import anyio.to_thread
from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import JSONResponse, Response
from pydantic import ValidationError
from starlette.requests import ClientDisconnect

from voxtral_streaming.asking import answer, answers
from voxtral_streaming.audio.decode import AudioReader, open_bytes, open_url
from voxtral_streaming.audio.encoded import decode_base64
from voxtral_streaming.audio.source import SourcePolicy
from voxtral_streaming.audio.units import Samples, seconds
from voxtral_streaming.errors import UnsupportedMedia, VoxtralError
from voxtral_streaming.server.audio_api import Route
from voxtral_streaming.server.bodies import bounded
from voxtral_streaming.server.dialects.openai.chat import Asked, Question, Source, Telling, finish_reason, question
from voxtral_streaming.server.dialects.openai.errors import shape_of
from voxtral_streaming.server.dialects.strict_json import parse_object
from voxtral_streaming.server.errors import InvalidJson, InvalidRequest
from voxtral_streaming.server.event_stream import EventStream, counted, data, opened
from voxtral_streaming.server.fields import wrong_field
from voxtral_streaming.server.limits import BODY_OVERHEAD
from voxtral_streaming.server.openai_files import DONE
from voxtral_streaming.server.problems import note
from voxtral_streaming.server.recordings import Opener, base64_length
from voxtral_streaming.server.service import Service
from voxtral_streaming.server.tasks import left, unless
from voxtral_streaming.transcript import Hypothesis

router = APIRouter(route_class=Route, include_in_schema=False)  # OpenAI describes it


@router.post("/v1/chat/completions", response_class=Response)
async def complete(request: Request) -> Response:
    """See docs/dialects.md."""
    service: Service = request.app.state.service
    async with AsyncExitStack() as held:
        held.enter_context(service.uploads.admit(lambda: None))
        policy = SourcePolicy.remote(service.config.audio)
        asked = await _read(request, policy)
        wanted = question(asked, service.transcriber.engine.capabilities)
        audio = await opened(request, await _opener(wanted.source, policy), held)
        telling = Telling(f"chatcmpl-{token_hex(12)}", service.transcriber.engine.capabilities.model, int(time()))
        if asked.stream:
            return EventStream(_events(request.app, audio, wanted, telling), held.pop_all())
        told = await unless(left(request), _whole(service, audio, wanted, telling))
        if told is None:
            raise ClientDisconnect
        return JSONResponse(told)


async def _read(request: Request, policy: SourcePolicy) -> Asked:
    """The body, checked. Raises `UnsupportedMedia`, `InvalidJson`, `InvalidRequest`, `AudioTooLarge`."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise UnsupportedMedia("send application/json", param="content-type")
    body = await bounded(request, base64_length(policy.max_bytes) + BODY_OVERHEAD).body()
    return await anyio.to_thread.run_sync(_parse, body)


def _parse(body: bytes) -> Asked:
    try:
        return Asked.model_validate(parse_object(body.decode()))
    except UnicodeDecodeError as error:
        raise InvalidJson("not UTF-8") from error
    except ValidationError as error:
        raise wrong_field(error, InvalidRequest) from error


async def _opener(source: Source, policy: SourcePolicy) -> Opener:
    if source.is_url:
        return partial(open_url, source.text, policy)
    decoded = await anyio.to_thread.run_sync(decode_base64, source.text, policy.max_bytes)
    return partial(open_bytes, decoded, policy)


class _Meter:
    """Counts the samples that pass."""

    def __init__(self) -> None:
        self.n_samples = 0

    async def blocks(self, audio: AudioReader, service: Service) -> AsyncGenerator[Samples, None]:
        async for block in counted(audio, service):
            self.n_samples += len(block)
            yield block


async def _whole(service: Service, audio: AudioReader, wanted: Question, telling: Telling) -> dict[str, Any]:
    """The whole answer."""
    meter, engine = _Meter(), service.transcriber.engine
    said = await answer(engine, meter.blocks(audio, service), wanted.turns, wanted.most_tokens)
    return telling.whole(said, seconds(meter.n_samples))


async def _events(app: FastAPI, audio: AudioReader, wanted: Question, telling: Telling) -> AsyncGenerator[str, None]:
    """The answer as it grows; what fails on the way is told in its place."""
    service: Service = app.state.service
    shown, said = "", Hypothesis()
    yield data(telling.chunk({"role": "assistant", "content": ""}))
    try:
        blocks = counted(audio, service)
        engine = service.transcriber.engine
        async with aclosing(answers(engine, blocks, wanted.turns, wanted.most_tokens)) as growing:
            async for said in growing:
                if len(said.text) > len(shown):
                    yield data(telling.chunk({"content": said.text[len(shown) :]}))
                    shown = said.text
    except VoxtralError as error:
        note(app, error)
        yield data({"error": shape_of(error)})
    else:
        yield data(telling.chunk({}, finish_reason(said)))
    yield DONE
