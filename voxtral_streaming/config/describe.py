"""Says what a setting expects, in words: for error messages and for `docs/configuration.md`."""

from __future__ import annotations

import types
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic.fields import FieldInfo

from voxtral_streaming.config.values import Rule


def expectation(field: FieldInfo, *, of_item: bool = False) -> str:
    """What is right for a setting, or for one item of it: `an integer from 1 to 65535`."""
    return _describe(get_args(field.annotation)[0] if of_item else field.annotation, field.metadata)


def _describe(annotation: Any, metadata: list[Any]) -> str:
    """`metadata` is what `Annotated` says of the annotation as a whole."""
    for entry in metadata:
        if isinstance(entry, Rule):
            return entry.expected
    if hasattr(annotation, "__metadata__"):
        return _describe(get_args(annotation)[0], _flat(annotation.__metadata__))
    if get_origin(annotation) is Literal:
        return _choice(get_args(annotation))
    if get_origin(annotation) is tuple:
        return f"a list, each item {_describe(get_args(annotation)[0], [])}"
    if get_origin(annotation) in (Union, types.UnionType):
        inner = next(kind for kind in get_args(annotation) if kind is not type(None))
        return f"{_describe(inner, [])}, or `null`"
    return _NAMES[annotation] + _bounds(metadata)


_NAMES = {int: "an integer", float: "a number", bool: "`true` or `false`", str: "a text", Path: "a path"}


def _flat(metadata: tuple[Any, ...]) -> list[Any]:
    """The entries, with the constraints inside a pydantic `Field` unpacked."""
    flat: list[Any] = []
    for entry in metadata:
        flat.extend(entry.metadata if isinstance(entry, FieldInfo) else [entry])
    return flat


def _choice(options: tuple[object, ...]) -> str:
    if len(options) == 1:
        return f"exactly {options[0]}"
    return "one of " + ", ".join(f"`{option}`" for option in options)


def _bounds(metadata: list[Any]) -> str:
    low = next((entry for entry in metadata if isinstance(entry, Ge | Gt)), None)
    high = next((entry for entry in metadata if isinstance(entry, Le | Lt)), None)
    if low is None or high is None:
        return ""
    if isinstance(low, Ge) and isinstance(high, Le):
        return f" from {_number(low.ge)} to {_number(high.le)}"
    lower = f"at least {_number(low.ge)}" if isinstance(low, Ge) else f"above {_number(low.gt)}"
    upper = f"at most {_number(high.le)}" if isinstance(high, Le) else f"below {_number(high.lt)}"
    return f" {lower} and {upper}"


def _number(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
