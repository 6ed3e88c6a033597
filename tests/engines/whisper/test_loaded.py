"""What libraries make of a model's files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from voxtral_streaming.config import ModelConfig
from voxtral_streaming.engines.whisper.loaded import load
from voxtral_streaming.engines.whisper.model import Whisper
from voxtral_streaming.engines.whisper.weights import model_folder
from voxtral_streaming.errors import WeightsError

CONFIG = ModelConfig(name="whisper-tiny.en", device="cpu")
N_ENGLISH = 51864  # tokens


@pytest.fixture
def tiny() -> Iterator[Path]:
    """The smallest model, to be spoilt."""
    with model_folder(CONFIG.name) as folder:
        yield folder


def test_a_model_knows_the_languages_that_it_has_tokens_for(model: Whisper) -> None:
    assert len(model.languages) == 99
    assert {"en", "zh", "su"} <= set(model.languages)
    assert "yue" not in model.languages  # which only large-v3 and its kin know


def test_a_model_of_english_knows_english(tiny: Path) -> None:
    assert not load(tiny, N_ENGLISH).languages
    assert Whisper(tiny, CONFIG).languages == ("en",)


def test_the_spectrogram_is_what_the_model_asks_for(tiny: Path) -> None:
    (tiny / "preprocessor_config.json").write_text('{"feature_size": 128, "processor_class": "WhisperProcessor"}')
    assert load(tiny, N_ENGLISH).spectrogram(np.zeros(16_000, np.float32)).shape[0] == 128


@pytest.mark.parametrize("name", ["tokenizer.json", "preprocessor_config.json"])
@pytest.mark.parametrize("content", ["{", "[]"])
def test_a_file_that_is_no_good_is_named(tiny: Path, name: str, content: str) -> None:
    (tiny / name).write_text(content)
    with pytest.raises(WeightsError, match=f"{tiny / name}: "):
        load(tiny, N_ENGLISH)
