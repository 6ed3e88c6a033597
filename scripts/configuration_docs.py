"""Writes `docs/configuration.md` from the models of the configuration.

python scripts/configuration_docs.py
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo

from voxtral_streaming.config.describe import expectation
from voxtral_streaming.config.sections import Section
from voxtral_streaming.config.settings import SECTIONS

PAGE = Path(__file__).parents[1] / "docs" / "configuration.md"

INTRODUCTION = """\
# Configuration

This page is made from the code by `make docs`.

The command line takes a YAML file with `--config FILE`; the library takes one with `load_config(path, os.environ)`.
`config.yaml` at the root of the repository is an example. Without a file the server runs the built-in model, as
`voxtral_streaming/default.yaml` says. A file of your own must have the keys that are marked as required; everything
else has a default.

`voxtral config` shows the settings in force, with the keys of clients masked.

## Environment

Each setting can also stand in the environment, which wins over the file: `VOXTRAL_SECTION__KEY`, with two underscores
between the section and the key. Values are written as in YAML:

```sh
VOXTRAL_SERVER__PORT=9000
VOXTRAL_MODEL__LANGUAGE=en
VOXTRAL_LOGGING__FILE=null
VOXTRAL_SERVER__ALLOWED_ORIGINS='["https://example.org"]'
```

Variables that begin with `VOXTRAL_` and have no double underscore are not looked at.

## Keys of clients

`server.api_keys` is the one secret. Write `env:NAME` in the place of a key, and it is read from the variable `NAME`:

```yaml
server:
  api_keys: ["env:VOXTRAL_KEY_OF_ALICE", "env:VOXTRAL_KEY_OF_BOB"]
```

Keys are never shown, neither by `voxtral config` nor in messages.

## What is wrong is said at once

The configuration is checked before a port is opened or a model loaded. An unknown key, a wrong type, a value out of
range and settings that contradict each other stop the start with exit code 2 and one message that lists all of them:

```text
config.yaml: the configuration is not valid
  server.prt: unknown: did you mean `server.port`?
  vad.threshold: 3: a number from 0 to 1
```

Whether a GPU is there is not a matter of the configuration: the engine says so when it starts.

YAML is read strictly: UTF-8 without a byte order mark, at most 1 MiB, no duplicate keys, no anchors, aliases or tags.
Only `true` and `false` are truth values, so that `language: no` is Norwegian.
"""


def page() -> str:
    """The whole page."""
    return "\n".join([INTRODUCTION, *(_section(name, model) for name, model in SECTIONS.items())])


def _section(name: str, model: type[Section]) -> str:
    rows = [_row(key, field) for key, field in model.model_fields.items()]
    head = [f"## `{name}`", "", _one_line(model.__doc__), "", "| key | default | accepted | |", "|---|---|---|---|"]
    return "\n".join([*head, *rows, ""])


def _row(key: str, field: FieldInfo) -> str:
    default = "**required**" if field.is_required() else f"`{_yaml(field.default)}`"
    cells = [f"`{key}`", default, expectation(field), _one_line(field.description)]
    return "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"


def _yaml(value: Any) -> str:
    if isinstance(value, str | Path):
        return str(value)
    return json.dumps(value)


def _one_line(text: str | None) -> str:
    return " ".join((text or "").split())


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
