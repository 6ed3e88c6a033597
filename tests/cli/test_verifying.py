"""`voxtral verify`: this engine against transformers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from voxtral_streaming.cli import verifying
from voxtral_streaming.config import Config, load_config

WORDS = "hello world one two three stop please yes nine zero"


@pytest.fixture
def tiny(root: Path) -> Path:
    """The folder of a small Voxtral Realtime model, with a recording of `WORDS`."""
    return root / "tests" / "data" / "voxtral_realtime_tiny"


@pytest.fixture
def config(tiny: Path) -> Config:
    return load_config(None, {"VOXTRAL_MODEL__NAME": str(tiny), "VOXTRAL_MODEL__DEVICE": "cpu"})


def test_equal_tokens_are_told(config: Config, tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    assert verifying.run(config, str(tiny / "words.wav")) == 0
    told, noise = capsys.readouterr()
    assert told.startswith("equal: all ")
    assert told.endswith(f"text: {WORDS}\n")
    assert noise == ""


def test_without_a_recording_a_hum_is_compared(config: Config, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    assert verifying.run(config, None) == 0
    told, note = capsys.readouterr()
    assert told.startswith("equal: all ")
    assert "speech proves more" in note
    assert 0.05 < np.abs(verifying.hum()).max() < 1


def test_a_difference_is_a_failure(
    config: Config, tiny: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verifying, "verify", lambda _model, _samples: (False, "different"))
    assert verifying.run(config, str(tiny / "words.wav")) == 1
    assert capsys.readouterr().out == "different\n"


def test_a_model_that_is_not_here_is_named(voxtral: Any, tiny: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    result = voxtral("verify", "nobody/nothing", tiny / "words.wav", HF_HUB_CACHE=str(tmp_path))
    assert (result.returncode, result.stdout) == (3, b"")
    assert result.stderr.decode().startswith("voxtral: nobody/nothing: no such folder")
