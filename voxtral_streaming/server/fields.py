"""Fields that strangers fill in, checked once at the edge."""

from __future__ import annotations

from typing import Annotated, TypeAlias, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from voxtral_streaming.errors import VoxtralError
from voxtral_streaming.server.limits import MAX_ID_CHARS, MAX_PROMPT_CHARS

Language: TypeAlias = Annotated[str, Field(pattern="^[a-z]{2,3}$", description="ISO 639 code")]
Prompt: TypeAlias = Annotated[str, Field(max_length=MAX_PROMPT_CHARS, description="names and words to expect")]

Error = TypeVar("Error", bound=VoxtralError)


class Fields(BaseModel):
    """Fields of exactly the types that are declared, and no others."""

    model_config = ConfigDict(strict=True, extra="forbid")


def wrong_field(error: ValidationError, kind: type[Error]) -> Error:
    """The first thing that is wrong, as an error of the given kind; it quotes no values, nor long names."""
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    param = ".".join(map(str, first["loc"]))[:MAX_ID_CHARS]
    return kind(f"{param}: {first['msg']}", param=param)
