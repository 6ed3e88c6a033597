"""What a client asks of a recording: its body read, its fields checked, its audio ready to be opened."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import anyio.to_thread
from fastapi import Request
from pydantic import Field, ValidationError
from starlette.datastructures import UploadFile

from voxtral_streaming.audio.decode import AudioReader, open_bytes, open_path, open_url
from voxtral_streaming.audio.encoded import decode_base64
from voxtral_streaming.audio.source import SourcePolicy
from voxtral_streaming.errors import UnsupportedMedia
from voxtral_streaming.formats import Format
from voxtral_streaming.server.bodies import bounded
from voxtral_streaming.server.dialects.strict_json import parse_object
from voxtral_streaming.server.errors import InvalidJson, InvalidRequest
from voxtral_streaming.server.fields import Fields, Language, Prompt, wrong_field
from voxtral_streaming.server.limits import BODY_OVERHEAD, MAX_FIELD_BYTES, MAX_FORM_FIELDS

Opener: TypeAlias = Callable[[], AbstractAsyncContextManager[AudioReader]]


class Options(Fields):
    """What may be asked of any recording."""

    language: Language | None = Field(default=None, description="The language spoken; left out: detected.")
    prompt: Prompt | None = Field(default=None, description="Names and words to expect.")
    words: bool | None = Field(default=None, description="Word timestamps; left out: where the engine has them.")
    format: Format = Field(default="json", description="Of the answer.")


class SourceRequest(Options):
    """A recording that is named or held by JSON: exactly one of `url`, `audio` and `path`."""

    url: str | None = Field(default=None, description="Fetched by the server, where that is allowed.")
    audio: str | None = Field(default=None, description="The bytes of a file, in base64 or as a `data:` URI.")
    path: str | None = Field(default=None, description="A file of the server, where that is allowed.")


@dataclass(frozen=True, slots=True)
class Job:
    """A recording to be transcribed."""

    options: Options
    open: Opener


@asynccontextmanager
async def read_job(request: Request, policy: SourcePolicy) -> AsyncIterator[Job]:
    """Read the body of a request; the job can be opened while the context lasts.

    Raises `AudioTooLarge`, `RequestTimeout`, `UnsupportedMedia`, `InvalidJson`, `InvalidBase64` and
    `InvalidRequest`.
    """
    match request.headers.get("content-type", "").partition(";")[0].strip().lower():
        case "application/json":
            yield await _read_json(request, policy)
        case "multipart/form-data":
            upload = bounded(request, policy.max_bytes + BODY_OVERHEAD)
            async with upload.form(max_files=1, max_fields=MAX_FORM_FIELDS, max_part_size=MAX_FIELD_BYTES) as form:
                yield _job_of_form(form.multi_items(), policy)
        case _:
            raise UnsupportedMedia("send multipart/form-data or application/json", param="content-type")


async def _read_json(request: Request, policy: SourcePolicy) -> Job:
    """The job in a JSON body; parsing and decoding megabytes keep the event loop waiting, so a thread does it."""
    body = await bounded(request, base64_length(policy.max_bytes) + BODY_OVERHEAD).body()
    return await anyio.to_thread.run_sync(_job_of_json, body, policy)


def base64_length(n_bytes: int) -> int:
    """Of so many bytes as base64 in lines of 76 characters (RFC 2045), their ends escaped in JSON."""
    n_characters = 4 * n_bytes // 3
    return n_characters + 4 * n_characters // 76


def _job_of_json(body: bytes, policy: SourcePolicy) -> Job:
    try:
        asked = SourceRequest.model_validate(parse_object(body.decode()))
    except UnicodeDecodeError as error:
        raise InvalidJson("not UTF-8") from error
    except ValidationError as error:
        raise wrong_field(error, InvalidRequest) from error
    options = Options(**asked.model_dump(include=set(Options.model_fields)))  # without the audio
    match asked:
        case SourceRequest(url=str(url), audio=None, path=None):
            return Job(options, partial(open_url, url, policy))
        case SourceRequest(url=None, audio=str(text), path=None):
            return Job(options, partial(open_bytes, decode_base64(text, policy.max_bytes), policy))
        case SourceRequest(url=None, audio=None, path=str(path)):
            return Job(options, partial(open_path, path, policy))
        case _:
            raise InvalidRequest("exactly one of `url`, `audio` and `path` is needed")


def _job_of_form(items: Iterable[tuple[str, UploadFile | str]], policy: SourcePolicy) -> Job:
    fields: dict[str, UploadFile | str] = {}
    for name, value in items:
        if name in fields:
            raise InvalidRequest(f"{name[:80]}: stands twice", param=name[:80])
        fields[name] = value
    file = fields.pop("file", None)
    if not isinstance(file, UploadFile):
        raise InvalidRequest("file: a file is needed", param="file")
    try:
        options = Options.model_validate_strings(fields)
    except ValidationError as error:
        raise wrong_field(error, InvalidRequest) from error
    return Job(options, partial(_open_upload, file, policy))


@asynccontextmanager
async def _open_upload(file: UploadFile, policy: SourcePolicy) -> AsyncIterator[AudioReader]:
    async with open_bytes(await file.read(), policy) as audio:
        yield audio


def body_schema() -> dict[str, Any]:
    """The body as OpenAPI describes it."""
    upload = Options.model_json_schema()
    upload["properties"]["file"] = {"type": "string", "format": "binary", "description": "The recording."}
    upload["required"] = ["file"]
    named = SourceRequest.model_json_schema()
    return {
        "required": True,
        "content": {"multipart/form-data": {"schema": upload}, "application/json": {"schema": named}},
    }
