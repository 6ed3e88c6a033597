"""Engines: what turns the samples of an utterance into hypotheses."""

from __future__ import annotations

from typing import Literal

from voxtral_streaming.audio.units import Samples
from voxtral_streaming.config import BUILT_IN_MODELS, Config, ModelConfig
from voxtral_streaming.engines.base import Engine
from voxtral_streaming.errors import WeightsError


def open_engine(config: Config) -> Engine:
    """The engine that the configuration asks for, not yet started.

    Raises `EngineUnavailable` where the extra that it needs is not installed.
    """
    match _choose(config.model)[0]:
        case "voxtral":
            from voxtral_streaming.engines.voxtral_offline.opening import open_voxtral

            return open_voxtral(config.model, config.streaming)
        case "voxtral_realtime":
            from voxtral_streaming.engines.voxtral.opening import open_realtime

            return open_realtime(config.model, config.streaming)
        case "whisper":
            from voxtral_streaming.engines.whisper.engine import WhisperEngine

            return WhisperEngine(config.model, config.streaming)


def explain(config: Config) -> str:
    """Which engine and device `open_engine` chooses, and why: a sentence."""
    model = config.model
    engine, why = _choose(model)
    if engine == "whisper":
        from voxtral_streaming.engines.whisper.device import explain_device

        device = explain_device(model.device)
    else:
        from voxtral_streaming.engines.voxtral import opening

        device = opening.explain_device(model)
    return f"{engine}, {why}, with {model.name} on {device}"


def verify(model: ModelConfig, samples: Samples) -> tuple[bool, str]:
    """Whether the engine of a Voxtral model and transformers hear the same in a recording, and a report of it.

    Raises `WeightsError`, or `EngineUnavailable` where the extra or transformers is not installed.
    """
    if _family(model) == "voxtral":
        from voxtral_streaming.engines.voxtral_offline.opening import verify_voxtral

        return verify_voxtral(model, samples)
    from voxtral_streaming.engines.voxtral.opening import verify_realtime

    return verify_realtime(model, samples)


def _choose(model: ModelConfig) -> tuple[Literal["whisper", "voxtral", "voxtral_realtime"], str]:
    """The engine, and why."""
    if model.engine != "auto":
        return model.engine, "asked for by model.engine"
    match _family(model):
        case "voxtral":
            return "voxtral", "as the files of the model are those of Voxtral Mini or Small"
        case "voxtral_realtime":
            return "voxtral_realtime", "as the files of the model are Voxtral Realtime's"
        case None:
            is_built_in = model.name in BUILT_IN_MODELS
            return "whisper", "as the model is built in" if is_built_in else "as no Voxtral model has that name here"


def _family(model: ModelConfig) -> Literal["voxtral", "voxtral_realtime"] | None:
    """Which Voxtral model it is, where it is here. Raises `WeightsError` for a broken description."""
    from voxtral_streaming.engines.voxtral.files import family, locate

    if model.name in BUILT_IN_MODELS:
        return None
    try:
        folder = locate(model.name, model.revision)
    except WeightsError:  # it is not here, which whisper says, with what it would have taken
        return None
    return family(folder)
