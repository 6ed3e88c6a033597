"""What the tests of all floors share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

NOBODY = 65534


@pytest.fixture
def root() -> Path:
    """The root of the repository."""
    return Path(__file__).parents[1]


@pytest.fixture
def unprivileged() -> Iterator[None]:
    """The test runs as a user to whom permissions apply, also where the tests run as root."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
