from __future__ import annotations

from pathlib import Path

import pytest

from bench.clips import SHARED_SPEECH


@pytest.fixture(scope="session")
def shared_speech() -> Path:
    if not SHARED_SPEECH.is_dir():
        pytest.skip("the shared recordings are not here")
    return SHARED_SPEECH
