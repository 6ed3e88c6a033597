"""The configured engine as a server runs it: in a process of its own, with streams that survive it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
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
    return ReplayEngine(open_process(config))


@contextmanager
def launched(config: Config) -> Iterator[ReplayEngine]:
    """The same, but that its process begins at once; it ends with the block where the engine is never started."""
    engine = open_process(config)
    with engine.launched():
        yield ReplayEngine(engine)


def open_process(config: Config) -> ProcessEngine:
    """The process of that engine, with streams that end when it does."""
    settings = config.model_dump(mode="json", include=SECTIONS)
    recipe = Recipe(__name__, open_here.__name__, {"settings": settings}, explain_here.__name__)
    return ProcessEngine(recipe, policy(config.model))


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
