"""The configured engine as a server runs it: in a process of its own, with streams that survive it."""

from __future__ import annotations

from typing import Any

from voxtral_streaming.config import Config, ModelConfig, memory_bytes
from voxtral_streaming.engines import explain, open_engine
from voxtral_streaming.engines.base import Engine
from voxtral_streaming.engines.process.engine import ProcessEngine, Recipe
from voxtral_streaming.engines.process.watchdog import Policy
from voxtral_streaming.engines.replay import ReplayEngine

SLOWNESS = 10  # how much longer an engine may be silent that computes
SECTIONS = {"model", "audio", "vad", "streaming"}  # without the keys of clients


def open_isolated(config: Config) -> ReplayEngine:
    """The engine that the configuration asks for, not yet started; what opening it raises, `start` raises."""
    settings = config.model_dump(mode="json", include=SECTIONS)
    recipe = Recipe(__name__, open_here.__name__, {"settings": settings}, explain_here.__name__)
    return ReplayEngine(ProcessEngine(recipe, policy(config.model)))


def open_here(settings: dict[str, Any]) -> Engine:
    """The engine, in the child."""
    return open_engine(Config.model_validate(settings))


def explain_here(settings: dict[str, Any]) -> str:
    """Which engine and device, and why, in the child: finding out may load a framework."""
    return explain(Config.model_validate(settings))


def policy(model: ModelConfig) -> Policy:
    """How patient the configuration is."""
    limit = model.max_process_memory
    return Policy(
        start_s=model.start_timeout_s,
        stall_s=model.stall_timeout_s,
        slow_s=SLOWNESS * model.stall_timeout_s,
        max_bytes=None if limit is None else memory_bytes(limit),
    )
