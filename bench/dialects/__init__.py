"""The WebSocket dialects of servers that can be measured: plain translators without I/O."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from bench.dialects.base import Dialect, SessionOptions
from bench.dialects.deepgram import Deepgram
from bench.dialects.native import Native
from bench.dialects.openai import OpenAI
from bench.dialects.vllm import Vllm

DIALECTS: Mapping[str, Callable[[SessionOptions], Dialect]] = MappingProxyType(
    {"native": Native, "openai": OpenAI, "vllm": Vllm, "deepgram": Deepgram}
)
"""By name; each call gives the translator of one session."""

__all__ = ["DIALECTS", "Dialect", "SessionOptions"]
