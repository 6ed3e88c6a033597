"""Engines: what turns the samples of an utterance into hypotheses."""

from __future__ import annotations

from voxtral_streaming.config import Config
from voxtral_streaming.engines.base import Engine


def open_engine(config: Config) -> Engine:
    """The engine that the configuration asks for, not yet started."""
    from voxtral_streaming.engines.whisper.engine import WhisperEngine

    return WhisperEngine(config.model, config.streaming)


def explain(config: Config) -> str:
    """Which engine and device `open_engine` chooses, and why: a sentence."""
    from voxtral_streaming.engines.whisper.device import explain_device

    asked = "asked for by model.engine" if config.model.engine == "whisper" else "the only engine of this version"
    return f"whisper, {asked}, with {config.model.name} on {explain_device(config.model.device)}"
