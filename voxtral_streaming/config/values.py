"""The types of settings whose bounds cannot say alone what is right."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, GetCoreSchemaHandler, SecretStr
from pydantic_core import CoreSchema, core_schema

BUILT_IN_MODELS = ("whisper-base", "whisper-tiny.en")
MASK = "***"
UNITS = {"MB": 10**6, "GB": 10**9, "MiB": 2**20, "GiB": 2**30}


@dataclass(frozen=True, slots=True)
class Rule:
    """A check of one value, and in words what passes it."""

    holds: Callable[[Any], object]
    expected: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        schema = handler(source)
        if schema["type"] == "union":  # what is of no kind is wrong once, not once for each kind
            schema = core_schema.union_schema(
                schema["choices"], custom_error_type="kind", custom_error_message=f"expected {self.expected}"
            )
        return core_schema.no_info_after_validator_function(self._check, schema)

    def _check(self, value: Any) -> Any:
        try:
            held = self.holds(value)
        except (OSError, RuntimeError) as error:  # a path that the system refuses to look at
            raise ValueError(f"expected {self.expected}") from error
        if not held:
            raise ValueError(f"expected {self.expected}")
        return value


def _like(pattern: str) -> Callable[[str], object]:
    return re.compile(pattern, re.ASCII).fullmatch


def _auto_or_up_to(most: int) -> Rule:
    def holds(value: int | str) -> bool:
        return value == "auto" if isinstance(value, str) else 1 <= value <= most

    return Rule(holds, f"`auto`, or an integer from 1 to {most}")


def _is_origin(value: str) -> bool:
    host = r"([a-z0-9_-]+(\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\])"
    written = re.fullmatch(rf"(?P<scheme>https?)://{host}(:(?P<port>[0-9]{{1,5}}))?", value)
    return written is not None and (written["scheme"], written["port"]) not in {("http", "80"), ("https", "443")}


def _is_api_key(value: SecretStr) -> bool:
    return re.fullmatch(r"(?!env:)[\x21-\x7e]{16,512}", value.get_secret_value()) is not None


def _is_model(name: str) -> bool:
    if any(Path(name).expanduser().joinpath(file).is_file() for file in ("config.json", "params.json")):
        return True
    if name.startswith((".", "~")) or Path(name).is_absolute():
        return False
    return name in BUILT_IN_MODELS or re.fullmatch(r"[\w-][\w.-]{0,95}/[\w-][\w.-]{0,95}", name, re.ASCII) is not None


def _is_network(value: str) -> bool:
    try:
        ipaddress.ip_network(value, strict=False)
    except ValueError:
        return False
    return True


def is_loopback(host: str) -> bool:
    """Whether a server on `host` can be reached from this machine only."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def memory_bytes(size: str) -> int:
    """`16GB` as a number of bytes."""
    number = size.rstrip("MGiB ")
    return int(float(number) * UNITS[size.removeprefix(number).strip()])


Limit = Annotated[int | str, _auto_or_up_to(10_000)]
Threads = Annotated[int | str, _auto_or_up_to(64)]
Milliseconds = Annotated[int, Field(ge=0, le=60_000)]
Host = Annotated[str, Rule(_like(r"[0-9A-Za-z_.:-]{1,253}"), "a host name or an IP address")]
Network = Annotated[str, Rule(_is_network, "an IP address or a network such as `10.0.0.0/8`")]
Origin = Annotated[
    str,
    Rule(_is_origin, "an origin as browsers write it, `https://example.org` or `http://localhost:3000`, never `*`"),
]
ApiKey = Annotated[
    SecretStr,
    Rule(
        _is_api_key,
        "a key of 16 to 512 printable characters without spaces, or `env:NAME` of a variable that holds one",
    ),
]
ModelName = Annotated[
    str,
    Rule(
        _is_model,
        "`whisper-base`, `whisper-tiny.en`, a hub name `owner/name`, or a folder with a `config.json` or `params.json`",
    ),
]
Device = Annotated[str, Rule(_like(r"auto|cpu|cuda(:[0-9]{1,3})?"), "`auto`, `cpu`, `cuda` or `cuda:N`")]
Language = Annotated[str, Rule(_like(r"[a-z]{2,3}"), "an ISO 639 code such as `en`")]
MemorySize = Annotated[
    str,
    Rule(
        _like(r"[1-9][0-9]{0,8}(\.[0-9]{1,3})? ?(MB|GB|MiB|GiB)"),
        "an amount with MB, GB, MiB or GiB, such as `16GB`",
    ),
]
Revision = Annotated[str, Rule(_like(r"[0-9a-f]{40}"), "40 hexadecimal digits, in quotes")]
HostPattern = Annotated[
    str,
    Rule(
        _like(r"(\*\.)?[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*"), "a host name such as `cdn.example.org` or `*.example.org`"
    ),
]
Directory = Annotated[
    Path,
    Rule(lambda path: path.is_absolute() and path.is_dir(), "the absolute path of an existing folder"),
]
ExistingFile = Annotated[Path, Rule(lambda path: path.is_file(), "the path of an existing file")]
LogFile = Annotated[Path, Rule(lambda path: not path.is_dir(), "the path of a file")]
