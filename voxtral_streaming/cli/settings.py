"""The configuration of a command: a file, the environment, and what stands on the command line."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from voxtral_streaming.config import Config

DEFAULT_FILE = Path("config.yaml")


def configured(path: Path | None, **overrides: object) -> Config:
    """The configuration of `path`, of ./config.yaml where there is one, or the built-in one.

    `overrides`: `server__port=9000` stands above the file and the environment; None stands for nothing.
    """
    from voxtral_streaming.config import load_config

    chosen = path or (DEFAULT_FILE if DEFAULT_FILE.is_file() else None)
    named = {f"VOXTRAL_{key.upper()}": str(value) for key, value in overrides.items() if value is not None}
    return load_config(chosen, {**os.environ, **named})
