"""The form in which clients of OpenAI's and Mistral's interfaces send a recording."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from fastapi import Request
from pydantic import ValidationError
from starlette.datastructures import UploadFile

from voxtral_streaming.audio.decode import AudioReader, open_bytes
from voxtral_streaming.audio.source import SourcePolicy
from voxtral_streaming.errors import UnsupportedMedia
from voxtral_streaming.server.bodies import bounded
from voxtral_streaming.server.errors import InvalidRequest
from voxtral_streaming.server.fields import Fields, wrong_field
from voxtral_streaming.server.limits import BODY_OVERHEAD, MAX_FIELD_BYTES, MAX_FORM_VALUES, MAX_ID_CHARS
from voxtral_streaming.server.recordings import Opener

WITH_FILE = "multipart/form-data"
WITHOUT_FILE = "application/x-www-form-urlencoded"

Asked = TypeVar("Asked", bound=Fields)


@dataclass(frozen=True, slots=True)
class Form:
    """A form that was read: the values of each field in their order, and the file if there is one."""

    values: Mapping[str, Sequence[str]]
    file: Opener | None

    def fields(self, kind: type[Asked], lists: frozenset[str]) -> Asked:
        """The fields, checked; those of `lists` may stand several times, also as `name[]`.

        Raises `InvalidRequest`.
        """
        asked: dict[str, object] = {}
        for written, values in self.values.items():
            name = written.removesuffix("[]")
            if name in asked or (len(values) > 1 and name not in lists):
                raise InvalidRequest(f"{name}: stands twice", param=name)
            asked[name] = list(values) if name in lists else values[0]
        try:
            return kind.model_validate(asked, strict=False)  # a form has nothing but text
        except ValidationError as error:
            raise wrong_field(error, InvalidRequest) from error


@asynccontextmanager
async def read_form(request: Request, policy: SourcePolicy) -> AsyncIterator[Form]:
    """Read the body of a request; the file can be opened while the context lasts.

    Raises `AudioTooLarge`, `RequestTimeout`, `UnsupportedMedia` and `InvalidRequest`.
    """
    form_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if form_type not in (WITH_FILE, WITHOUT_FILE):
        raise UnsupportedMedia(f"send {WITH_FILE}, or {WITHOUT_FILE} without a file", param="content-type")
    max_bytes = policy.max_bytes + BODY_OVERHEAD if form_type == WITH_FILE else MAX_FIELD_BYTES
    async with bounded(request, max_bytes).form(
        max_files=1, max_fields=MAX_FORM_VALUES, max_part_size=MAX_FIELD_BYTES
    ) as form:
        values: dict[str, list[str]] = {}
        file: Opener | None = None
        for name, value in form.multi_items():
            if isinstance(value, str):
                values.setdefault(name[:MAX_ID_CHARS], []).append(value)
            elif name == "file":
                file = partial(_open, value, policy)
            else:
                raise InvalidRequest(f"{name[:MAX_ID_CHARS]}: is no file here", param=name[:MAX_ID_CHARS])
        yield Form(values, file)


@asynccontextmanager
async def _open(file: UploadFile, policy: SourcePolicy) -> AsyncIterator[AudioReader]:
    async with open_bytes(await file.read(), policy) as audio:
        yield audio
