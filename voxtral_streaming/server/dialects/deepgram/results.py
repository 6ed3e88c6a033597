"""The parts that Deepgram's answers are made of, live and for recordings."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from importlib.metadata import version
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from voxtral_streaming.engines.base import Capabilities
from voxtral_streaming.server.dialects.deepgram.query import Asked
from voxtral_streaming.transcript import Word

Json = dict[str, Any]
PUNCTUATION = re.compile(r"^\W+|\W+$")  # around a word


def alternative(
    text: str, words: Sequence[Word], languages: Sequence[str] = (), *, is_multilingual: bool = False
) -> Json:
    """A transcript and its words. `confidence` is 0.0 where there are no words whose probability is known.

    `languages`, most words first, are told where the client asked for any language.
    """
    confidence = sum(word.probability for word in words) / len(words) if words else 0.0
    shape: Json = {
        "transcript": text,
        "confidence": round(confidence, 4),
        "words": [_word(word) for word in words],
    }
    if is_multilingual:
        shape["languages"] = list(languages)
    return shape


def _word(word: Word) -> Json:
    bare = PUNCTUATION.sub("", word.text).lower()
    return {
        "word": bare or word.text,
        "start": round(word.start, 3),
        "end": round(word.end, 3),
        "confidence": round(word.probability, 4),
        "punctuated_word": word.text,
    }


def model_uuid(can: Capabilities) -> str:
    """The same for the same model, everywhere."""
    return str(uuid5(NAMESPACE_URL, can.model))


def model_info(can: Capabilities) -> Json:
    """The model that listens, whichever the client named."""
    return {"name": can.model, "version": version("voxtral-streaming"), "arch": can.name}


def request_id(session_id: str) -> str:
    """A session's id, 32 hexadecimal digits, as Deepgram writes ids."""
    return str(UUID(hex=session_id))


def metadata(id_: str, sha256: str, created: datetime, duration: float, asked: Asked) -> Json:
    """What all answers say of the request; `created` in UTC."""
    shape: Json = {
        "transaction_key": "deprecated",
        "request_id": id_,
        "sha256": sha256,
        "created": created.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "duration": round(duration, 4),
        "channels": 1,
    }
    optional: Mapping[str, Any] = {"tags": asked.tags, "extra": asked.extra, "warnings": asked.warnings}
    return shape | {name: value for name, value in optional.items() if value}
