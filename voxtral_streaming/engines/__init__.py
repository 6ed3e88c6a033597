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
    asked = "asked for by model.engine" if config.model.engine == "whisper" else "the only engine of this version"
    device = "cpu (asked for)" if config.model.device == "cpu" else config.model.device
    return f"whisper, {asked}, with {config.model.name} on {device}"
