"""Messages that name their type: JSON to the fields of that type."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import ValidationError

from voxtral_streaming.errors import ProtocolError
from voxtral_streaming.server.dialects.strict_json import parse_object
from voxtral_streaming.server.errors import InvalidConfig, MessageTooLarge
from voxtral_streaming.server.fields import Fields, wrong_field
from voxtral_streaming.server.limits import MAX_CONTROL_CHARS


def read_typed(text: str, types: Mapping[object, type[Fields]], *, audio: str, configures: str) -> Fields:
    """The message that a text frame holds, its fields checked.

    `audio`: the type that may be long; `configures`: the one whose wrong fields are `InvalidConfig`. All else that is
    wrong is `ProtocolError`, or the `InvalidJson` and `MessageTooLarge` among them.
    """
    message = parse_object(text)
    kind = message.get("type")
    if kind != audio and len(text) > MAX_CONTROL_CHARS:
        raise MessageTooLarge(f"a message without audio may have {MAX_CONTROL_CHARS} characters")
    if not isinstance(kind, str) or kind not in types:
        raise ProtocolError(f"type: must be one of {', '.join(map(str, types))}", param="type")
    try:
        return types[kind].model_validate(message)
    except ValidationError as error:
        raise wrong_field(error, InvalidConfig if kind == configures else ProtocolError) from error
