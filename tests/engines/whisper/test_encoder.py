"""The encoder, on the real model and against CTranslate2's."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from voxtral_streaming.config import ModelConfig
from voxtral_streaming.engines.whisper import encoder as encoders
from voxtral_streaming.engines.whisper.checkpoint import Checkpoint, Tensor
from voxtral_streaming.engines.whisper.encoder import Encoder
from voxtral_streaming.engines.whisper.native import NativeEncoder, load_native
from voxtral_streaming.engines.whisper.sessions import LARGEST_IN_PAIRS
from voxtral_streaming.engines.whisper.weights import MODEL_FILE, builtin_models, model_folder
from voxtral_streaming.errors import WeightsError

WINDOWS = [400, 700, 1600]  # frames
N_MELS = 80
ROUNDED = 0.1  # mean difference that eight bits make: features are 0.8 large on average
NOTHING = 1e-4  # the same for float32


def spectrogram(window: int, seed: int = 1) -> Tensor:
    """As loud as speech, with silence behind it."""
    mel = np.random.default_rng(seed).normal(0, 0.3, (N_MELS, window)).astype(np.float32)
    mel[:, -window // 4 :] = -0.8
    return mel


@pytest.fixture(scope="module")
def encoder(base: Checkpoint) -> Encoder:
    return Encoder(base, is_int8=True, n_threads=2)


@pytest.fixture(scope="module")
def exact(base: Checkpoint) -> Encoder:
    return Encoder(base, is_int8=False, n_threads=1)


def native(name: str) -> NativeEncoder:
    config = ModelConfig(name=name, device="cpu", compute_type="float32")
    with model_folder(name) as folder:
        return NativeEncoder(load_native(folder, config))


def difference(found: Tensor, expected: Tensor) -> float:
    assert found.dtype == expected.dtype == np.float32
    assert found.shape == expected.shape
    return float(np.abs(found - expected).mean())


@pytest.mark.parametrize("name", builtin_models())
def test_in_float32_it_is_that_of_ctranslate2(name: str) -> None:
    with model_folder(name) as folder:
        own, other = Encoder(Checkpoint(folder / MODEL_FILE), is_int8=False, n_threads=1), native(name)
    for window in WINDOWS:
        mel = spectrogram(window)
        assert difference(own.encode(mel), other.encode(mel)) < NOTHING


@pytest.mark.parametrize("window", WINDOWS)
def test_in_eight_bits_it_is_nearly_that(encoder: Encoder, exact: Encoder, window: int) -> None:
    mel = spectrogram(window)
    assert NOTHING < difference(encoder.encode(mel), exact.encode(mel)) < ROUNDED


def test_where_pairs_are_added_up_in_16_bits_it_is_nearly_that(
    base: Checkpoint, exact: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoders, "weight_limit", lambda: LARGEST_IN_PAIRS)
    mel = spectrogram(400)
    assert NOTHING < difference(Encoder(base, is_int8=True, n_threads=1).encode(mel), exact.encode(mel)) < ROUNDED


@pytest.mark.parametrize("level", [-3.0, 0.0, 1.5])
def test_what_is_all_alike_is_encoded(encoder: Encoder, exact: Encoder, level: float) -> None:
    mel = np.full((N_MELS, 400), level, np.float32)
    assert difference(encoder.encode(mel), exact.encode(mel)) < ROUNDED


def test_threads_do_not_disturb_each_other(encoder: Encoder) -> None:
    mels = [spectrogram(window, seed) for seed, window in enumerate(WINDOWS * 2)]
    alone = [encoder.encode(mel) for mel in mels]
    with ThreadPoolExecutor(3) as threads:
        together = list(threads.map(encoder.encode, mels))
    for found, expected in zip(together, alone, strict=True):
        assert np.array_equal(found, expected)


def test_what_lies_in_memory_in_another_order_is_the_same(encoder: Encoder) -> None:
    mel = spectrogram(400)
    assert np.array_equal(encoder.encode(np.asfortranarray(mel)), encoder.encode(mel))


def test_what_is_no_encoder_is_told(base: Checkpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = {name: found for name, found in base._variables.items() if "encoder/conv2/bias" not in name}
    monkeypatch.setattr(base, "_variables", kept)
    with pytest.raises(WeightsError, match="the model has no encoder/conv2/bias: it is not a Whisper model"):
        Encoder(base, is_int8=True, n_threads=1)
