"""The configuration: what may be set, checked once at the edge."""

from voxtral_streaming.config.load import dump, load_config
from voxtral_streaming.config.sections import (
    AudioConfig,
    Config,
    LoggingConfig,
    ModelConfig,
    Section,
    ServerConfig,
    SpectrogramConfig,
    StreamingConfig,
    VadConfig,
)
from voxtral_streaming.config.values import BUILT_IN_MODELS, Milliseconds, is_loopback, memory_bytes

__all__ = [
    "BUILT_IN_MODELS",
    "AudioConfig",
    "Config",
    "LoggingConfig",
    "Milliseconds",
    "ModelConfig",
    "Section",
    "ServerConfig",
    "SpectrogramConfig",
    "StreamingConfig",
    "VadConfig",
    "dump",
    "is_loopback",
    "load_config",
    "memory_bytes",
]
