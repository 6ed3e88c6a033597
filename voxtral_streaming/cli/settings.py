"""The configuration of a command: a file, the environment, and what stands on the command line."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from voxtral_streaming.errors import ConfigError, ConfigProblem

if TYPE_CHECKING:
    from voxtral_streaming.config import Config

DEFAULT_FILE = Path("config.yaml")
VARIABLES = {
    "--host": "VOXTRAL_SERVER__HOST",
    "--port": "VOXTRAL_SERVER__PORT",
    "--model": "VOXTRAL_MODEL__NAME",
}  # that an option sets for its command


def configured(
    path: Path | None, *, host: str | None = None, port: int | None = None, model: str | None = None
) -> Config:
    """The configuration of `path`, of ./config.yaml where there is one, or the built-in one.

    What stands on the command line stands above the file and the environment. Raises `ConfigError`.
    """
    from voxtral_streaming.config import load_config

    options = {"--host": host, "--port": port, "--model": model}
    given = {VARIABLES[name]: json.dumps(value) for name, value in options.items() if value is not None}
    try:
        return load_config(path or (DEFAULT_FILE if DEFAULT_FILE.is_file() else None), {**os.environ, **given})
    except ConfigError as error:
        raise ConfigError(error.source, [_as_typed(one, given) for one in error.problems]) from error


def _as_typed(problem: ConfigProblem, given: dict[str, str]) -> ConfigProblem:
    """The problem, its key named as the user wrote it."""
    for option, variable in VARIABLES.items():
        if variable in given and problem.key.endswith(f" ({variable})"):
            return replace(problem, key=option)
    return problem
