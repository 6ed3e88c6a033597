"""Recordings for the clients of Mistral's interface."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, aclosing
from functools import partial

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response

from voxtral_streaming.audio.decode import AudioReader, open_url
from voxtral_streaming.audio.source import SourcePolicy
from voxtral_streaming.audio.units import Samples, seconds
from voxtral_streaming.errors import VoxtralError
from voxtral_streaming.server.audio_forms import Form
from voxtral_streaming.server.dialects.mistral.events import Message, Telling, transcription
from voxtral_streaming.server.dialects.mistral.recording import LISTS, Recording, RecordingFields, read_recording
from voxtral_streaming.server.errors import InvalidRequest, problem
from voxtral_streaming.server.event_stream import EventStream, counted, data, opened
from voxtral_streaming.server.files import transcript_for
from voxtral_streaming.server.problems import note
from voxtral_streaming.server.recordings import Opener
from voxtral_streaming.server.service import Service


async def respond(request: Request, form: Form, held: AsyncExitStack) -> Response:
    """The transcript of the recording in a form; of a stream of events, `held` lasts as long as it does."""
    service: Service = request.app.state.service
    can = service.transcriber.engine.capabilities
    recording = read_recording(form.fields(RecordingFields, LISTS), can)
    source = _source(form, recording, SourcePolicy.remote(service.config.audio))
    if recording.is_streamed:
        audio = await opened(request, source, held)
        return EventStream(_events(request.app, audio, recording), held.pop_all())
    transcript = await transcript_for(request, source, recording.options)
    return JSONResponse(transcription(transcript, can.model, recording.granularity))


def _source(form: Form, recording: Recording, policy: SourcePolicy) -> Opener:
    match form.file, recording.url:
        case (None, str(url)):
            return partial(open_url, url, policy)
        case (file, None) if file is not None:
            return file
        case _:
            raise InvalidRequest("exactly one of `file` and `file_url` is needed", param="file")


class _Meter:
    """Counts the samples that pass."""

    def __init__(self, audio: AsyncIterator[Samples]) -> None:
        self._audio = audio
        self.n_samples = 0

    async def blocks(self) -> AsyncIterator[Samples]:
        async for block in self._audio:
            self.n_samples += len(block)
            yield block


async def _events(app: FastAPI, audio: AudioReader, recording: Recording) -> AsyncGenerator[str, None]:
    """What becomes final, as it does; what fails on the way is told in its place."""
    service: Service = app.state.service
    transcriber = service.transcriber
    telling = Telling(transcriber.engine.capabilities.model, recording.granularity)
    meter = _Meter(counted(audio, service))
    try:
        async with aclosing(transcriber.finals(meter.blocks(), recording.options)) as finals:
            async for final in finals:
                for message in telling.final(final):
                    yield _event(message)
    except VoxtralError as error:
        note(app, error)
        yield _event({"type": "error", "error": problem(error)})
    else:
        yield _event(telling.done(seconds(meter.n_samples)))


def _event(message: Message) -> str:
    return data(message, str(message["type"]))
