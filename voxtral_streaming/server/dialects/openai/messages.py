"""The messages of OpenAI's Realtime API that a client of a transcription session sends."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from voxtral_streaming.errors import ProtocolError
from voxtral_streaming.server.dialects.openai.session import FlatFields, SessionFields
from voxtral_streaming.server.errors import InvalidConfig, MessageTooLarge
from voxtral_streaming.server.fields import Fields, wrong_field
from voxtral_streaming.server.limits import MAX_CONTROL_CHARS, MAX_ID_CHARS


class _Message(Fields):
    event_id: Annotated[str, Field(max_length=MAX_ID_CHARS)] | None = None


class Update(_Message):
    """Change the session."""

    type: Literal["session.update"]
    session: SessionFields


class FlatUpdate(_Message):
    """Change the session, in the older shape."""

    type: Literal["session.update", "transcription_session.update"]
    session: FlatFields


class Append(_Message):
    """More audio."""

    type: Literal["input_audio_buffer.append"]
    audio: str


class Commit(_Message):
    """End the turn here."""

    type: Literal["input_audio_buffer.commit"]


class ClearBuffer(_Message):
    """Forget the audio of the turn."""

    type: Literal["input_audio_buffer.clear"]


_MESSAGES: Mapping[object, type[_Message]] = {
    "session.update": Update,
    "transcription_session.update": FlatUpdate,
    "input_audio_buffer.append": Append,
    "input_audio_buffer.commit": Commit,
    "input_audio_buffer.clear": ClearBuffer,
}


def read(message: dict[str, Any], n_chars: int) -> Update | FlatUpdate | Append | Commit | ClearBuffer:
    """The message in a JSON object that was written in `n_chars`, its fields checked.

    Raises `ProtocolError`, `MessageTooLarge` and, where the session's fields are wrong, `InvalidConfig`.
    """
    kind = message.get("type")
    if kind != "input_audio_buffer.append" and n_chars > MAX_CONTROL_CHARS:
        raise MessageTooLarge(f"a message without audio may have {MAX_CONTROL_CHARS} characters")
    if not isinstance(kind, str) or kind not in _MESSAGES:
        raise ProtocolError(f"type: a transcription session knows {', '.join(map(str, _MESSAGES))}", param="type")
    shape = FlatUpdate if kind == "session.update" and _is_flat(message.get("session")) else _MESSAGES[kind]
    try:
        return shape.model_validate(message)  # type: ignore[return-value]  # all of `_MESSAGES` are in the union
    except ValidationError as error:
        raise wrong_field(error, InvalidConfig if "update" in kind else ProtocolError) from error


def _is_flat(session: object) -> bool:
    """Whether a `session.update` has fields of the older shape, and not those that only the present one has."""
    return isinstance(session, dict) and not {"audio", "type"} & session.keys() and bool(session)
