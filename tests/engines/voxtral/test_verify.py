from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from voxtral_streaming.audio.units import Samples
from voxtral_streaming.engines.voxtral.checkpoint import load_model
from voxtral_streaming.engines.voxtral.files import Checkpoint, open_checkpoint
from voxtral_streaming.engines.voxtral.verify import verify
from voxtral_streaming.errors import EngineUnavailable

MODULE = "voxtral_streaming.engines.voxtral.verify"
CPU = torch.device("cpu")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_the_tiny_model_is_proved(tiny: Path, clip: Samples, words: str, dtype: torch.dtype) -> None:
    pytest.importorskip("transformers")
    verification = verify(tiny, clip, dtype=dtype, device=CPU)
    assert verification.first_difference is None
    assert verification.text == verification.oracle_text == words
    assert 0 < verification.logit_difference < (1e-3 if dtype == torch.float32 else 1)
    assert str(verification).startswith(f"equal: all {verification.n_tokens} tokens")


def test_a_difference_is_shown(
    tiny: Path, tmp_path: Path, clip: Samples, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ours reads other weights than theirs."""
    pytest.importorskip("transformers")
    for name in ("config.json", "tekken.json"):
        shutil.copy(tiny / name, tmp_path)
    weights = load_file(tiny / "model.safetensors")
    weights["multi_modal_projector.linear_2.weight"] *= 0.5
    save_file(weights, tmp_path / "model.safetensors")
    changed = open_checkpoint(tmp_path)
    monkeypatch.setattr(f"{MODULE}.load_model", lambda _, dtype, device: load_model(changed, dtype, device))
    verification = verify(tiny, clip, dtype=torch.float32, device=CPU)
    assert verification.first_difference is not None
    assert verification.logit_difference > 0.1
    assert f"transformers: {words}" in str(verification)


def test_a_folder_that_transformers_cannot_read_is_refused(
    checkpoint: Checkpoint, clip: Samples, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = replace(checkpoint, layout="mistral")
    monkeypatch.setattr(f"{MODULE}.open_checkpoint", lambda _: found)
    with pytest.raises(EngineUnavailable, match="transformers reads"):
        verify(found.folder, clip, dtype=torch.float32, device=CPU)
