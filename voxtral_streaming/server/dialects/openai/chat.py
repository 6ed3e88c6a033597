"""Chat completions about a recording, as OpenAI's and Mistral's clients ask for them, and how they are answered."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field

from voxtral_streaming.engines.base import Capabilities, Turn
from voxtral_streaming.errors import UnsupportedOption
from voxtral_streaming.server.dialects.openai.models import check_model
from voxtral_streaming.server.errors import InvalidRequest
from voxtral_streaming.server.fields import Fields
from voxtral_streaming.server.limits import MAX_PROMPT_CHARS
from voxtral_streaming.transcript import Hypothesis

MAX_MESSAGES = 64
Said: TypeAlias = Annotated[str, Field(max_length=MAX_PROMPT_CHARS)]


class TextPart(Fields):
    """What is said about the recording."""

    type: Literal["text"]
    text: Said


class Encoded(Fields):
    """A file in base64. `format` is OpenAI's; what it really is the file itself tells."""

    data: str
    format: Annotated[str, Field(max_length=32)] | None = None


class Address(Fields):
    """Where a file is."""

    url: str


class InputAudioPart(Fields):
    """The recording: an object for OpenAI, base64 or a URL for Mistral."""

    type: Literal["input_audio"]
    input_audio: str | Encoded


class AudioUrlPart(Fields):
    """The recording, by its URL or as a `data:` URI."""

    type: Literal["audio_url"]
    audio_url: str | Address


Part: TypeAlias = Annotated[TextPart | InputAudioPart | AudioUrlPart, Field(discriminator="type")]


class Message(Fields):
    """One turn of a conversation."""

    role: Literal["system", "developer", "user", "assistant"]
    content: Said | Annotated[list[Part], Field(min_length=1, max_length=MAX_MESSAGES)]
    name: Annotated[str, Field(max_length=128)] | None = None
    prefix: Literal[False] = False


class StreamOptions(Fields):
    """How a stream of events is answered."""

    include_usage: Literal[False] = False


class Asked(Fields):
    """What may be asked. Decoding is not random, so whatever would make it so has but one value."""

    model: Annotated[str, Field(max_length=128)] | None = Field(default=None, description="The loaded model.")
    messages: Annotated[list[Message], Field(min_length=1, max_length=MAX_MESSAGES)]
    stream: bool = Field(default=False, description="Answer with events, word by word.")
    stream_options: StreamOptions | None = None
    max_tokens: int | None = Field(default=None, ge=1, description="Of the answer.")
    max_completion_tokens: int | None = Field(default=None, ge=1, description="The same.")
    temperature: float | None = Field(default=None, description="0: decoding is not random here.")
    top_p: float | None = Field(default=None, description="Without randomness it changes nothing.")
    seed: int | None = Field(default=None, description="The same.")
    random_seed: int | None = Field(default=None, description="The same.")
    n: Literal[1] | None = None
    modalities: list[Literal["text"]] | None = None
    safe_prompt: Literal[False] | None = None
    user: Annotated[str, Field(max_length=128)] | None = None


@dataclass(frozen=True, slots=True)
class Source:
    """The recording of a conversation: a URL, or a file in base64 or as a `data:` URI."""

    text: str

    @property
    def is_url(self) -> bool:
        """Whether it must be fetched."""
        return self.text[:8].lower().startswith(("http://", "https://"))


@dataclass(frozen=True, slots=True)
class Question:
    """What is to be answered."""

    turns: tuple[Turn, ...]
    source: Source
    most_tokens: int | None


def question(asked: Asked, can: Capabilities) -> Question:
    """What the engine is to answer. Raises `ModelNotFound`, `UnsupportedOption`, `InvalidRequest`."""
    check_model(asked.model, can.model, "model")
    if not can.converses_s:
        raise UnsupportedOption(f"messages: {can.name} only transcribes, at /v1/audio/transcriptions", param="messages")
    if asked.temperature:
        raise UnsupportedOption("temperature: decoding is not random here; only 0", param="temperature")
    if any(message.role in ("system", "developer") for message in asked.messages):
        raise UnsupportedOption(f"messages: {can.name} takes no system message beside a recording", param="messages")
    sources = [source for message in asked.messages for source in _sources(message)]
    if len(sources) != 1 or asked.messages[-1].role != "user":
        raise InvalidRequest(
            "messages: one recording among the user's messages, the last of which is his", param="messages"
        )
    turns = tuple(Turn(_role(message), tuple(_parts(message))) for message in asked.messages)
    return Question(turns, sources[0], asked.max_completion_tokens or asked.max_tokens)


def _role(message: Message) -> Literal["user", "assistant"]:
    return "assistant" if message.role == "assistant" else "user"


def _sources(message: Message) -> Iterator[Source]:
    for part in message.content if isinstance(message.content, list) else ():
        match part:
            case InputAudioPart(input_audio=Encoded(data=text)) | InputAudioPart(input_audio=str(text)):
                yield Source(text)
            case AudioUrlPart(audio_url=Address(url=text)) | AudioUrlPart(audio_url=str(text)):
                yield Source(text)


def _parts(message: Message) -> Iterator[str | None]:
    if isinstance(message.content, str):
        yield message.content
        return
    for part in message.content:
        yield part.text if isinstance(part, TextPart) else None


@dataclass(frozen=True, slots=True)
class Telling:
    """How an answer is told: as a whole, or in chunks."""

    id: str
    model: str
    created: int

    def whole(self, answer: Hypothesis, audio_s: float) -> dict[str, Any]:
        """The answer. Tokens are not counted; seconds of audio are."""
        message = {"role": "assistant", "content": answer.text}
        choice = {"index": 0, "message": message, "finish_reason": finish_reason(answer), "logprobs": None}
        usage = {"prompt_audio_seconds": round(audio_s)}
        return self._envelope("chat.completion") | {"choices": [choice], "usage": usage}

    def chunk(self, delta: Mapping[str, str], reason: str | None = None) -> dict[str, Any]:
        """A piece of the answer."""
        choice = {"index": 0, "delta": dict(delta), "finish_reason": reason}
        return self._envelope("chat.completion.chunk") | {"choices": [choice]}

    def _envelope(self, kind: str) -> dict[str, Any]:
        return {"id": self.id, "object": kind, "created": self.created, "model": self.model}


def finish_reason(answer: Hypothesis) -> str:
    """Why an answer is over."""
    return "length" if answer.is_cut else "stop"
