from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import av
import numpy as np
import pytest

from voxtral_streaming.audio.units import SAMPLE_RATE, Samples
from voxtral_streaming.config import ModelConfig, StreamingConfig
from voxtral_streaming.engines.whisper import engine as whisper_engine
from voxtral_streaming.engines.whisper.checkpoint import Checkpoint
from voxtral_streaming.engines.whisper.engine import WhisperEngine, load_whisper
from voxtral_streaming.engines.whisper.jobs import Completion, Recognition
from voxtral_streaming.engines.whisper.model import Whisper
from voxtral_streaming.engines.whisper.recognition import Request, Result, recognise_batch
from voxtral_streaming.engines.whisper.texts import Breath
from voxtral_streaming.engines.whisper.weights import MODEL_FILE, model_folder

CONFIG = ModelConfig(name="whisper-base", device="cpu")

Jobs: TypeAlias = list[Recognition | Completion]


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
def monologue(clips: list[Samples]) -> Samples:
    """Half a minute without a pause that ends an utterance."""
    return np.concatenate([part for clip in clips * 2 for part in (clip, np.zeros(SAMPLE_RATE // 5, np.float32))])


@pytest.fixture(scope="session")
def base() -> Iterator[Checkpoint]:
    """The weights of the built-in model, as they are kept."""
    with model_folder("whisper-base") as folder:
        yield Checkpoint(folder / MODEL_FILE)


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


@dataclass
class Gate:
    """Where every recognition waits that has begun, until it is opened."""

    batches: list[int] = field(default_factory=list)  # how many texts were begun together
    begun: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    opened: threading.Event = field(default_factory=threading.Event)

    def recognise(self, model: Whisper, requests: Sequence[Request], breathe: Breath) -> list[Result]:
        """Recognise them, once it is open."""
        self.batches.append(len(requests))
        self.begun.release()
        self.opened.wait(10)
        return recognise_batch(model, requests, breathe)


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Gate:
    """Stands before all recognitions of the test."""
    gate = Gate()
    monkeypatch.setattr(whisper_engine, "recognise_batch", gate.recognise)
    return gate


@pytest.fixture
def asked(engine: WhisperEngine, monkeypatch: pytest.MonkeyPatch) -> Jobs:
    """All that is asked of the engine."""
    jobs: Jobs = []
    submit = engine.submit

    def noted(job: Recognition | Completion) -> None:
        jobs.append(job)
        submit(job)

    monkeypatch.setattr(engine, "submit", noted)
    return jobs
