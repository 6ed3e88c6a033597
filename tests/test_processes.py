"""A server is three processes, and each loads what it needs and nothing that only another one does."""

from __future__ import annotations

import subprocess
import sys

import pytest

WEB = {"fastapi", "starlette", "uvicorn", "websockets"}
RECOGNITION = {"ctranslate2", "faster_whisper", "onnx", "torch", "tokenizers"}
DETECTION = {"voxtral_streaming.vad.silero"}


@pytest.mark.parametrize(
    ("modules", "foreign"),
    [
        ("voxtral_streaming.cli.serving", RECOGNITION | {"av"}),
        (
            "voxtral_streaming.engines.process.host, voxtral_streaming.engines.isolated, "
            "voxtral_streaming.engines.whisper.engine",
            WEB | DETECTION | {"ctranslate2", "torch", "av"},
        ),
        ("voxtral_streaming.audio.decoder.process", WEB | DETECTION | RECOGNITION | {"onnxruntime", "pydantic"}),
    ],
    ids=["server", "engine", "decoder"],
)
def test_a_process_loads_nothing_that_only_another_needs(modules: str, foreign: set[str]) -> None:
    loaded = subprocess.run(
        [sys.executable, "-c", f"import sys, {modules}; print(*sys.modules)"],
        check=True, capture_output=True, text=True, timeout=60,
    ).stdout.split()  # fmt: skip
    assert foreign.isdisjoint(loaded)
