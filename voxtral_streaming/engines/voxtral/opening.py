"""The door to the engine for those who may not have torch: nothing is imported before it is needed."""

from __future__ import annotations

from voxtral_streaming.config import ModelConfig, StreamingConfig
from voxtral_streaming.engines.base import Engine
from voxtral_streaming.errors import EngineUnavailable

EXTRA = ("torch", "safetensors")


def open_realtime(model: ModelConfig, streaming: StreamingConfig) -> Engine:
    """The engine, not yet started. Raises `EngineUnavailable` where the `voxtral` extra is not installed."""
    try:
        from voxtral_streaming.engines.voxtral.engine import VoxtralRealtimeEngine
    except ModuleNotFoundError as error:
        if error.name not in EXTRA:
            raise
        needs = "pip install 'voxtral-streaming[voxtral]'"
        raise EngineUnavailable(f"{model.name} needs {error.name}, which is not installed: {needs}") from error
    return VoxtralRealtimeEngine(model, streaming)
