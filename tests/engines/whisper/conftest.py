from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import av
import numpy as np
import pytest

from voxtral_streaming.audio.units import Samples
from voxtral_streaming.config import ModelConfig, StreamingConfig
from voxtral_streaming.engines.whisper.engine import WhisperEngine, load_whisper
from voxtral_streaming.engines.whisper.model import Whisper

CONFIG = ModelConfig(name="whisper-base", device="cpu")


@pytest.fixture(scope="session")
def clips() -> list[Samples]:
    """Three sentences, read aloud."""
    folder = Path(__file__).parents[2] / "data" / "speech"
    return [decoded(path) for path in sorted(folder.glob("*.flac"))]


def decoded(path: Path) -> Samples:
    with av.open(str(path)) as container:
        blocks = [frame.to_ndarray().ravel() for frame in container.decode(audio=0)]
    samples: Samples = (np.concatenate(blocks) / 2**15).astype(np.float32)
    return samples


@pytest.fixture(scope="session")
def model() -> Whisper:
    return load_whisper(CONFIG)


@pytest.fixture
async def engine(model: Whisper) -> AsyncIterator[WhisperEngine]:
    """An engine whose weights are loaded once for all tests."""
    engine = WhisperEngine(CONFIG, StreamingConfig(), load=lambda config: model)
    await engine.start()
    yield engine
    await engine.close()
