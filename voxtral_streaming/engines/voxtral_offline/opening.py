"""The door to the engine for those who may not have torch: nothing is imported before it is needed."""

from __future__ import annotations

from voxtral_streaming.audio.units import Samples
from voxtral_streaming.config import ModelConfig, StreamingConfig
from voxtral_streaming.engines.base import Engine
from voxtral_streaming.engines.voxtral.opening import needing_extra


def open_voxtral(model: ModelConfig, streaming: StreamingConfig) -> Engine:
    """The engine, not yet started. Raises `EngineUnavailable` where the `voxtral` extra is not installed."""
    with needing_extra(model.name):
        from voxtral_streaming.engines.voxtral_offline.engine import VoxtralEngine
    return VoxtralEngine(model, streaming)


def verify_voxtral(model: ModelConfig, samples: Samples) -> tuple[bool, str]:
    """Whether the engine and transformers say the same of a recording, and a report of it.

    Raises `WeightsError`, or `EngineUnavailable` where the extra or transformers is not installed.
    """
    with needing_extra(model.name):
        from voxtral_streaming.engines.voxtral_offline.verify import verify_model
    verification = verify_model(model, samples)
    return verification.first_difference is None, str(verification)
