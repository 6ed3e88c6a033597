"""Recordings as Mistral's clients send them, in the fields of a form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field, field_validator

from voxtral_streaming.engines.base import Capabilities, StreamOptions
from voxtral_streaming.errors import UnsupportedOption
from voxtral_streaming.server.dialects.families import check_model, is_voxtral
from voxtral_streaming.server.dialects.mistral.events import Granularity
from voxtral_streaming.server.dialects.mistral.options import Terms, check, prompt, refuse_lacking
from voxtral_streaming.server.errors import InvalidRequest
from voxtral_streaming.server.fields import Fields, Language
from voxtral_streaming.server.limits import MAX_ID_CHARS

AGENT = "mistral-client-"  # how the `User-Agent` of Mistral's clients begins
LISTS = frozenset({"context_bias", "timestamp_granularities"})  # fields that may be repeated
MARKS = LISTS | {"file_url", "file_id", "diarize", "speaker_references"}  # fields that OpenAI's API has not


class RecordingFields(Fields):
    """The fields of a form; the file itself is not among them."""

    model: Annotated[str, Field(max_length=MAX_ID_CHARS)] | None = None
    file_url: str | None = None
    file_id: str | None = None
    language: Language | None = None
    temperature: float | None = None
    stream: bool = False
    diarize: bool = False
    speaker_references: str | None = None
    context_bias: Terms | None = None
    timestamp_granularities: Annotated[list[Granularity], Field(max_length=2)] | None = None

    @field_validator("context_bias", mode="before")
    @classmethod
    def _terms(cls, values: list[str]) -> list[str]:
        """Terms may also stand in one value, parted by commas."""
        return [term.strip() for value in values for term in value.split(",")]


@dataclass(frozen=True, slots=True)
class Recording:
    """What is asked of a recording. `url`: where it is, if it does not come along."""

    options: StreamOptions
    granularity: Granularity | None
    is_streamed: bool
    url: str | None


def is_mistrals(form: Mapping[str, Sequence[str]], user_agent: str, loaded: str) -> bool:
    """Whether a form comes from a client of Mistral's.

    Its `User-Agent` says so, or a field that OpenAI's interface has not, or a model that is Mistral's and not the
    loaded one, which any client may name.
    """
    names = [name for name in form.get("model", ()) if name != loaded]
    return user_agent.startswith(AGENT) or not MARKS.isdisjoint(form) or any(map(is_voxtral, names))


def read_recording(asked: RecordingFields, capabilities: Capabilities) -> Recording:
    """What the fields ask for.

    Raises `InvalidRequest`, `ModelNotFound`, and `UnsupportedOption` for what cannot be done here.
    """
    check_model(asked.model, capabilities.model)
    refuse_lacking(diarize=asked.diarize, speaker_references=asked.speaker_references, file_id=asked.file_id)
    if asked.temperature:
        raise UnsupportedOption("temperature: only 0, the likeliest text, is offered here", param="temperature")
    granularity = _granularity(asked.timestamp_granularities or (), capabilities)
    options = StreamOptions(
        language=asked.language,
        prompt=prompt(asked.context_bias),
        partials=False,
        words=granularity == "word",
    )
    check(options, capabilities)
    return Recording(options, granularity, asked.stream, asked.file_url)


def _granularity(asked: Sequence[Granularity], capabilities: Capabilities) -> Granularity | None:
    """The one that was asked for: `segments` of an answer has room for one."""
    param = "timestamp_granularities"
    if len(set(asked)) > 1:
        raise InvalidRequest(f"{param}: either segment or word", param=param)
    if "word" in asked and capabilities.timestamps != "word":
        raise UnsupportedOption(f"{param}: {capabilities.name} has no times of words", param=param)
    return asked[0] if asked else None
