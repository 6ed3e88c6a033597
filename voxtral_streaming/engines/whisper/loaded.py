"""What stands beside a model's weights, as libraries load it: tokenizers, and two modules of faster-whisper alone.

The package faster-whisper imports PyAV, by which it reads recordings: 17 MB of memory, and a part of each start. Here
another process reads them.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from functools import cache
from importlib.util import module_from_spec, spec_from_file_location
from inspect import signature
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import tokenizers

from voxtral_streaming.errors import WeightsError
from voxtral_streaming.packages import folder_of

if TYPE_CHECKING:
    from faster_whisper.feature_extractor import FeatureExtractor
    from faster_whisper.tokenizer import Tokenizer

PACKAGE = "faster_whisper"
MULTILINGUAL = 51865  # openai/whisper model.py: tokens that a model for more than English has at least
START, TRANSLATE = "<|startoftranscript|>", "<|translate|>"  # between them stand the tokens of the languages


@dataclass(frozen=True, slots=True, eq=False)
class Loaded:
    """What a model hears and speaks with."""

    is_multilingual: bool
    vocabulary: tokenizers.Tokenizer
    spectrogram: FeatureExtractor

    @property
    def languages(self) -> dict[str, int]:
        """The languages that the model was trained on, and their tokens; none where it knows English alone."""
        start, behind = (self.vocabulary.token_to_id(token) for token in (START, TRANSLATE))
        if not self.is_multilingual or start is None or behind is None:
            return {}
        tokens = range(start + 1, behind)
        return {str(self.vocabulary.id_to_token(token))[2:-2]: token for token in tokens}

    def tokenizer(self, language: str) -> Tokenizer:
        """For texts in that language."""
        return _part("tokenizer").Tokenizer(self.vocabulary, self.is_multilingual, task="transcribe", language=language)


def load(folder: Path, n_vocabulary: int) -> Loaded:
    """Load from a folder, which is not needed afterwards. Raises `WeightsError`."""
    vocabulary = _vocabulary(folder / "tokenizer.json")
    return Loaded(n_vocabulary >= MULTILINGUAL, vocabulary, _spectrogram(folder / "preprocessor_config.json"))


def _vocabulary(file: Path) -> tokenizers.Tokenizer:
    try:
        return tokenizers.Tokenizer.from_file(str(file))
    except Exception as error:  # the library raises no other kind
        raise WeightsError(f"{file}: {error}", param="model.name") from error


def _spectrogram(file: Path) -> FeatureExtractor:
    """As the model's file asks for it; without one as the models before large-v3 have it."""
    kind = _part("feature_extractor").FeatureExtractor
    try:
        asked = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
        return kind(**{name: value for name, value in asked.items() if name in signature(kind).parameters})
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise WeightsError(f"{file}: {error}", param="model.name") from error


@cache
def _part(name: str) -> ModuleType:
    """A module of faster-whisper that needs no other one of its modules. Raises `ModuleNotFoundError`."""
    folder = folder_of(PACKAGE)
    if folder is None:
        raise ModuleNotFoundError(f"No module named {PACKAGE!r}", name=PACKAGE)
    full = f"{__name__}.{name}"
    spec: Any = spec_from_file_location(full, folder / f"{name}.py")
    module = sys.modules[full] = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
