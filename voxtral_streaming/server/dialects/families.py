"""The models that clients of Mistral's and of vLLM's interfaces may name, where only one is loaded."""

from __future__ import annotations

from voxtral_streaming.server.errors import ModelNotFound


def check_model(name: str | None, loaded: str) -> None:
    """Raise `ModelNotFound` unless `name` means the loaded model; None does, and any Voxtral or Whisper."""
    if name is None or name == loaded or is_voxtral(name) or _model(name).startswith("whisper"):
        return
    raise ModelNotFound(f"the model {name!r} does not exist here; {loaded!r} is loaded", param="model")


def is_voxtral(name: str) -> bool:
    """Whether a name is that of one of Mistral's models for audio."""
    return _model(name).startswith("voxtral")


def _model(name: str) -> str:
    """The name without that of the owner."""
    return name.rpartition("/")[2].lower()
