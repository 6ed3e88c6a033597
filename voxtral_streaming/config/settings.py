"""The settings as a file and the environment name them, before their values are checked."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

import yaml

from voxtral_streaming.config import plain_yaml
from voxtral_streaming.config.sections import Config, Section
from voxtral_streaming.errors import ConfigProblem

ENV_PREFIX = "VOXTRAL_"
SECTIONS = {name: cast(type[Section], field.annotation) for name, field in Config.model_fields.items()}
KEYS = [f"{section}.{name}" for section, model in SECTIONS.items() for name in model.model_fields]


@dataclass(frozen=True, slots=True)
class Setting:
    """One value; `shown` names its key as messages do, with the variable that set it."""

    section: str
    name: str
    value: Any
    shown: str


def from_file(document: dict[str, Any], problems: list[ConfigProblem]) -> Iterator[Setting]:
    """The settings of a YAML document."""
    for section, content in document.items():
        yield from _from_section(section, content, problems)


def _from_section(section: str, content: Any, problems: list[ConfigProblem]) -> Iterator[Setting]:
    if section not in SECTIONS:
        problems.append(_unknown(section, section))
    elif isinstance(content, dict):
        for name, value in content.items():
            yield from _if_known(Setting(section, name, value, f"{section}.{name}"), problems)
    elif content is not None:
        problems.append(ConfigProblem(section, show(content), "a section with keys of its own"))


def from_environment(environ: Mapping[str, str], problems: list[ConfigProblem]) -> Iterator[Setting]:
    """The settings of the variables `VOXTRAL_SECTION__KEY`, their values in YAML."""
    for variable, text in sorted(environ.items()):
        section, separator, name = variable.removeprefix(ENV_PREFIX).lower().partition("__")
        if not (variable.startswith(ENV_PREFIX) and separator):
            continue
        try:
            value = plain_yaml.parse(text)
        except yaml.YAMLError as error:
            _, trouble = plain_yaml.place_and_trouble(error)
            problems.append(ConfigProblem(variable, trouble, "a value in YAML"))
        else:
            yield from _if_known(Setting(section, name, value, f"{section}.{name} ({variable})"), problems)


def _if_known(setting: Setting, problems: list[ConfigProblem]) -> Iterator[Setting]:
    key = f"{setting.section}.{setting.name}"
    if key in KEYS:
        yield setting
    else:
        problems.append(_unknown(key, setting.shown))


def _unknown(key: str, shown: str) -> ConfigProblem:
    """The value is not shown: the key may be a misspelt secret."""
    return ConfigProblem(_shortened(shown), "unknown", _suggestion(key))


def _suggestion(key: str) -> str:
    """What an unknown key may have meant; failing that, what may stand in its place."""
    section, _, name = key.rpartition(".")
    prefix = f"{section}." if section in SECTIONS else ""
    siblings = {known.removeprefix(prefix): known for known in KEYS if known.startswith(prefix)} if prefix else {}
    anywhere = {known.rpartition(".")[2]: known for known in [*KEYS, *SECTIONS]}
    for places in (siblings, anywhere):
        if near := difflib.get_close_matches(name, places, n=1):
            return f"did you mean `{places[near[0]]}`?"
    return f"one of {', '.join(f'`{place}`' for place in siblings or SECTIONS)}"


def show(value: Any) -> str:
    """A value as messages show it, on one line and short."""
    if isinstance(value, dict):
        return "a section"
    return _shortened(json.dumps(value, ensure_ascii=False))


def _shortened(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:79]}…"
