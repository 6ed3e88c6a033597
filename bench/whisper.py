"""Whisper run plainly, offline, by faster-whisper on the built-in weights: the yardstick."""

from __future__ import annotations

from faster_whisper import WhisperModel

from voxtral_streaming.engines.whisper.weights import model_folder


def load(name: str = "whisper-base", compute_type: str = "int8", threads: int = 0) -> WhisperModel:
    """Load a built-in model, or one that `model.name` may name; `threads` 0: as many as CTranslate2 chooses."""
    with model_folder(name) as folder:
        return WhisperModel(str(folder), device="cpu", compute_type=compute_type, cpu_threads=threads)
