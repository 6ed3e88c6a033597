"""Where a measurement is written."""

from __future__ import annotations

from argparse import ArgumentTypeError
from pathlib import Path


def a_file(path: str) -> Path:
    """The path, if a file can lie there: what is measured for minutes is written at the end."""
    if Path(path).is_dir():
        raise ArgumentTypeError(f"{path} is a folder; name a file in it, such as {Path(path) / 'load.json'}")
    return Path(path)
