"""From a file and the environment to a `Config`, or to one `ConfigError` that lists every problem."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from voxtral_streaming.config import plain_yaml
from voxtral_streaming.config.describe import expectation
from voxtral_streaming.config.sections import Config, Section, StreamingConfig, VadConfig, check_silences
from voxtral_streaming.config.settings import SECTIONS, Setting, from_environment, from_file, show
from voxtral_streaming.config.values import MASK
from voxtral_streaming.errors import ConfigError, ConfigProblem

MAX_BYTES = 2**20
SECRETS = {"server.api_keys"}


def load_config(path: Path | None, environ: Mapping[str, str]) -> Config:
    """Read the configuration from a YAML file and from `VOXTRAL_SECTION__KEY` variables, which win.

    Without a path the packaged defaults take the file's place. Raises `ConfigError` with every
    problem of both; opens no port and loads no model.
    """
    source = str(path) if path else "built-in defaults"
    text = _read(path) if path else files("voxtral_streaming").joinpath("default.yaml").read_text("utf-8")
    problems: list[ConfigProblem] = []
    settings = [*from_file(_parsed(text, source), problems), *from_environment(environ, problems)]
    sections = _checked([_resolved(setting, environ) for setting in settings], problems)
    if problems:
        raise ConfigError(source, problems)
    return Config.model_validate(sections)


def dump(config: Config) -> str:
    """The configuration as YAML, with the keys of clients masked."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def _read(path: Path) -> str:
    """The text of a configuration file, within bounds."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise _unreadable(str(path), "not a file", "a YAML file")
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise _unreadable(str(path), error.strerror or "unreadable", "a YAML file that can be read") from error
    if len(data) > MAX_BYTES:
        raise _unreadable(str(path), "too large", f"at most {MAX_BYTES} bytes")
    if data.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        raise _unreadable(str(path), "starts with a byte order mark", "UTF-8 text without one")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _unreadable(str(path), f"byte {error.start} is not UTF-8", "UTF-8 text") from error


def _parsed(text: str, source: str) -> dict[str, Any]:
    """The document in a configuration file: sections by name."""
    try:
        document = plain_yaml.parse(text)
    except yaml.YAMLError as error:
        place, trouble = plain_yaml.place_and_trouble(error)
        raise _unreadable(source, trouble, "YAML", place) from error
    if not isinstance(document, dict):
        what = "empty" if document is None else show(document)
        raise _unreadable(source, what, "sections such as `model:` and `audio:`")
    return document


def _unreadable(source: str, value: str, expected: str, place: str = "file") -> ConfigError:
    return ConfigError(source, [ConfigProblem(place, value, expected)])


def _resolved(setting: Setting, environ: Mapping[str, str]) -> Setting:
    """The setting with the values of variables in the places of `env:NAME`; only secrets are looked up."""
    if f"{setting.section}.{setting.name}" not in SECRETS or not isinstance(setting.value, list):
        return setting
    values = [environ.get(_variable(value), value) if _variable(value) else value for value in setting.value]
    return Setting(setting.section, setting.name, values, setting.shown)


def _variable(value: Any) -> str:
    """`NAME` of `env:NAME`, else nothing."""
    return value.removeprefix("env:") if isinstance(value, str) and value.startswith("env:") else ""


def _checked(settings: Sequence[Setting], problems: list[ConfigProblem]) -> dict[str, Section]:
    """The sections whose values are right; what is wrong with the others is added to `problems`.

    Validated as JSON, strictly: a list is a tuple and a text a path, but `true` is no integer.
    """
    shown = {f"{setting.section}.{setting.name}": setting.shown for setting in settings}
    values: dict[str, dict[str, Any]] = {section: {} for section in SECTIONS}
    for setting in settings:
        values[setting.section][setting.name] = setting.value
    sections: dict[str, Section] = {}
    for name, model in SECTIONS.items():
        try:
            sections[name] = model.model_validate_json(json.dumps(values[name]), strict=True)
        except ValidationError as error:
            problems.extend(_problem(name, details, shown) for details in error.errors(include_url=False))
    problems.extend(_between(sections, shown))
    return sections


def _between(sections: Mapping[str, Section], shown: Mapping[str, str]) -> Iterator[ConfigProblem]:
    """What is wrong between sections that are right alone."""
    vad, streaming = sections.get("vad"), sections.get("streaming")
    if isinstance(vad, VadConfig) and isinstance(streaming, StreamingConfig):
        try:
            check_silences(vad, streaming)
        except PydanticCustomError as error:
            yield _conflict("", error.context or {}, shown)


def _problem(section: str, details: ErrorDetails, shown: Mapping[str, str]) -> ConfigProblem:
    if details["type"] == "conflict":
        return _conflict(f"{section}.", details["ctx"], shown)
    name, *items = details["loc"]
    key = f"{section}.{name}"
    value = "missing" if details["type"] == "missing" else _shown_value(key, details["input"])
    place = shown.get(key, key) + "".join(f"[{item}]" for item in items)
    return ConfigProblem(place, value, expectation(SECTIONS[section].model_fields[str(name)], of_item=bool(items)))


def _shown_value(key: str, value: Any) -> str:
    return MASK if key in SECRETS and not _variable(value) else show(value)


def _conflict(prefix: str, context: Mapping[str, Any], shown: Mapping[str, str]) -> ConfigProblem:
    key = f"{prefix}{context['key']}"
    return ConfigProblem(shown.get(key, key), show(context["value"]), context["expected"])
