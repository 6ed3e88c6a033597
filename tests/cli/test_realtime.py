"""Voxtral Realtime at the command line, with the small model of its tests."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

WORDS = "hello world one two three stop please yes nine zero"
ON_CPU = {"VOXTRAL_MODEL__DEVICE": "cpu", "OMP_NUM_THREADS": "1"}

pytestmark = pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="the extra is not installed")


@pytest.fixture
def tiny(root: Path) -> Path:
    """The folder of the small model, with `words.wav`, in which `WORDS` are said."""
    return root / "tests" / "data" / "voxtral_realtime_tiny"


@pytest.mark.parametrize("int8", ["false", "true"])
def test_a_recording_is_transcribed(voxtral: Any, tiny: Path, int8: str) -> None:
    result = voxtral("transcribe", tiny / "words.wav", "--model", tiny, **ON_CPU, VOXTRAL_MODEL__VOXTRAL_INT8=int8)
    assert (result.returncode, result.stderr.decode()) == (0, "")
    assert result.stdout.decode().split() == WORDS.split()


def test_the_model_may_be_a_folder_below_this_one(voxtral: Any, tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "tiny").symlink_to(tiny)
    result = voxtral("transcribe", tiny / "words.wav", "--model", "models/tiny", **ON_CPU)
    assert result.stdout.decode().split() == WORDS.split()


def test_check_says_that_it_would_run_and_why(voxtral: Any, tiny: Path) -> None:
    result = voxtral("check", "--json", "--model", tiny, **ON_CPU)
    engine = next(one for one in json.loads(result.stdout)["findings"] if one["what"] == "engine")
    assert (result.returncode, engine["state"]) == (0, "ok")
    assert engine["detail"].startswith("voxtral_realtime, as the files of the model are Voxtral Realtime's, with ")


def test_what_it_does_not_take_is_refused(voxtral: Any, tiny: Path) -> None:
    result = voxtral("transcribe", tiny / "words.wav", "--model", tiny, "--prompt", "names", **ON_CPU)
    assert result.returncode != 0
    assert "prompt" in result.stderr.decode()
