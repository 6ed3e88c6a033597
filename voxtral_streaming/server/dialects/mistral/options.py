"""Mistral's options, by their names: which of them mean something here, and which are refused."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from voxtral_streaming.engines.base import Capabilities, StreamOptions
from voxtral_streaming.engines.options import check_options
from voxtral_streaming.errors import UnsupportedOption
from voxtral_streaming.server.limits import MAX_ID_CHARS

MAX_TERMS = 100

Terms = Annotated[list[Annotated[str, Field(max_length=MAX_ID_CHARS)]], Field(max_length=MAX_TERMS)]
"""`context_bias`: names and words to expect."""

PARAMS = {"prompt": "context_bias", "delay_ms": "target_streaming_delay_ms"}  # our options by Mistral's names
LACKING = {  # what no engine of this server can do
    "diarize": "speakers are not told apart here",
    "speaker_references": "speakers are not told apart here",
    "turn_detection": "turns are not told of here",
    "file_id": "no files are kept here; send `file` or `file_url`",
}


def refuse_lacking(**asked: object) -> None:
    """Raise `UnsupportedOption` for the first that is asked for; None and false are not."""
    for name, value in asked.items():
        if value not in (None, False):
            raise UnsupportedOption(f"{name}: {LACKING[name]}", param=name)


def prompt(terms: Sequence[str] | None) -> str | None:
    """Words to expect, as engines take them."""
    return ", ".join(terms or ()) or None


def check(options: StreamOptions, capabilities: Capabilities) -> None:
    """Raise `UnsupportedOption`, with Mistral's name of the option, for what the engine lacks."""
    try:
        check_options(options, capabilities)
    except UnsupportedOption as error:
        name = PARAMS.get(error.param or "", error.param)
        raise UnsupportedOption(f"{name}: {error.message.partition(': ')[2]}", param=name) from error
