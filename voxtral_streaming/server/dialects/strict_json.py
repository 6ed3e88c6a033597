"""JSON from strangers and for them: RFC 8259 and nothing beyond it, with one meaning or none."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from voxtral_streaming.server.errors import InvalidJson


def dump_object(members: Mapping[str, Any]) -> str:
    """Write one JSON object, without needless spaces. Raises `ValueError` for NaN and infinity."""
    return json.dumps(members, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def parse_object(text: str) -> dict[str, Any]:
    """Read one JSON object; raises `InvalidJson`.

    Refused are keys that stand twice, NaN and infinity, numbers beyond the range of a double or of
    thousands of digits, half surrogate pairs, and nesting too deep to read.
    """
    try:
        value = _DECODER.decode(text)
    except (ValueError, RecursionError) as error:
        raise InvalidJson(f"not JSON: {_trouble(error)}") from error
    if not isinstance(value, dict):
        raise InvalidJson("not a JSON object")
    return value


def _trouble(error: ValueError | RecursionError) -> str:
    """What is wrong, without quoting the text."""
    match error:
        case json.JSONDecodeError():
            return f"{error.msg} at character {error.pos}"
        case RecursionError():
            return "nested too deeply"
        case UnicodeError():
            return "half of a surrogate pair"
        case _Repeated():
            return str(error)
        case _:
            return "a number out of range"


class _Repeated(ValueError):
    pass


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise _Repeated("a key stands twice")
    for key, value in pairs:
        _check_text(key)
        if isinstance(value, str):
            _check_text(value)
    return members


def _check_text(text: str) -> None:
    if not text.isascii():
        text.encode()


def _float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError("out of range")
    return value


def _constant(name: str) -> float:
    raise ValueError(f"{name} is not a number")


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_float=_float, parse_constant=_constant)
