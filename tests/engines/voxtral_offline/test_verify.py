from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from voxtral_streaming.audio.units import Samples
from voxtral_streaming.config import ModelConfig
from voxtral_streaming.engines import verify as verify_any
from voxtral_streaming.engines.voxtral_offline.checkpoint import load_model, open_checkpoint
from voxtral_streaming.engines.voxtral_offline.verify import verify

MODULE = "voxtral_streaming.engines.voxtral_offline.verify"
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def oracle_is_installed() -> None:
    pytest.importorskip("transformers")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_the_tiny_model_is_proved(tiny: Path, clip: Samples, words: str, dtype: torch.dtype) -> None:
    verification = verify(tiny, clip, language="en", dtype=dtype, device=CPU)
    assert verification.first_difference is None
    assert verification.text == verification.oracle_text == words
    assert 0 < verification.logit_difference < (1e-3 if dtype == torch.float32 else 1)


def test_a_difference_is_shown(
    tiny: Path, tmp_path: Path, clip: Samples, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ours reads other weights than theirs."""
    for name in ("config.json", "tekken.json"):
        shutil.copy(tiny / name, tmp_path)
    weights = load_file(tiny / "model.safetensors")
    weights["multi_modal_projector.linear_2.weight"] *= -1
    save_file(weights, tmp_path / "model.safetensors")
    changed = open_checkpoint(tmp_path)
    monkeypatch.setattr(f"{MODULE}.load_model", lambda _, dtype, device: load_model(changed, dtype, device))
    verification = verify(tiny, clip, language=None, dtype=torch.float32, device=CPU)
    assert verification.first_difference is not None
    assert verification.logit_difference > 0.1
    assert f"transformers: {words}" in str(verification)


def test_the_files_of_a_model_choose_what_is_proved(tiny: Path, clip: Samples, words: str) -> None:
    model: Any = ModelConfig(name=str(tiny), device="cpu", torch_dtype="float32")
    is_equal, report = verify_any(model, clip)
    assert is_equal
    assert report.endswith(f"text: {words}")
