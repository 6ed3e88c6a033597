"""The models that a client of OpenAI's interface may name: the one that is loaded, by its name or by one of theirs."""

from __future__ import annotations

from voxtral_streaming.server.errors import ModelNotFound

ALIASES = (
    "whisper-1",
    "gpt-transcribe",
    "gpt-live-transcribe",
    "gpt-4o-transcribe",
    "gpt-4o-mini-transcribe",
    "gpt-4o-mini-transcribe-2025-12-15",
    "gpt-realtime-whisper",
)
"""OpenAI's names for transcription; all of them mean the loaded model."""


def check_model(name: str | None, loaded: str, param: str) -> None:
    """Raise `ModelNotFound` unless `name` means the loaded model; None does."""
    if name is not None and name != loaded and name not in ALIASES:
        raise ModelNotFound(f"the model {name!r} does not exist here; {loaded!r} is loaded", param=param)
