"""What the tests of all floors share."""

from __future__ import annotations

import io
import os
import wave
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

NOBODY = 65534


@pytest.fixture
def root() -> Path:
    """The root of the repository."""
    return Path(__file__).parents[1]


@pytest.fixture(scope="session")
def as_wav() -> Callable[[bytes], bytes]:
    """Makes a WAV file of 16-bit samples, mono, 16 kHz."""

    def written(pcm: bytes) -> bytes:
        file = io.BytesIO()
        with wave.open(file, "wb") as writer:
            writer.setparams((1, 2, 16_000, 0, "NONE", ""))
            writer.writeframes(pcm)
        return file.getvalue()

    return written


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
