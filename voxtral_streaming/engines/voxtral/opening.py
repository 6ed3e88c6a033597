"""The door to the engine for those who may not have torch: nothing is imported before it is needed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from voxtral_streaming.audio.units import Samples
from voxtral_streaming.config import ModelConfig, StreamingConfig
from voxtral_streaming.engines.base import Engine
from voxtral_streaming.errors import EngineUnavailable

EXTRA = ("torch", "safetensors", "mistral_common")


def open_realtime(model: ModelConfig, streaming: StreamingConfig) -> Engine:
    """The engine, not yet started. Raises `EngineUnavailable` where the `voxtral` extra is not installed."""
    with needing_extra(model.name):
        from voxtral_streaming.engines.voxtral.engine import VoxtralRealtimeEngine
    return VoxtralRealtimeEngine(model, streaming)


def explain_device(model: ModelConfig) -> str:
    """The device that the engine takes, and why. Raises `EngineUnavailable` where torch is needed to tell."""
    if model.device != "auto":
        return f"{model.device} (asked for)"
    with needing_extra(model.name):
        import torch
    return "cuda (auto: it can be used here)" if torch.cuda.is_available() else "cpu (auto: torch finds no CUDA device)"


def verify_realtime(model: ModelConfig, samples: Samples) -> tuple[bool, str]:
    """Whether the engine and transformers hear the same tokens in a recording, and a report of it.

    Raises `WeightsError`, or `EngineUnavailable` where the extra or transformers is not installed.
    """
    with needing_extra(model.name):
        from voxtral_streaming.engines.voxtral.verify import verify_model
    verification = verify_model(model, samples)
    return verification.first_difference is None, str(verification)


@contextmanager
def needing_extra(name: str) -> Iterator[None]:
    """While modules are imported that need the `voxtral` extra: raises `EngineUnavailable` where it is missing."""
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name not in EXTRA:
            raise
        needs = "pip install 'voxtral-streaming[voxtral]'"
        raise EngineUnavailable(f"{name} needs {error.name}, which is not installed: {needs}") from error
