"""CTranslate2, as on a GPU, here on the CPU."""

from __future__ import annotations

import re

import numpy as np
import pytest
from faster_whisper import WhisperModel

from voxtral_streaming.audio.units import Samples
from voxtral_streaming.config import ModelConfig
from voxtral_streaming.engines.whisper import model as models
from voxtral_streaming.engines.whisper.engine import load_whisper
from voxtral_streaming.engines.whisper.model import Encoded, Whisper
from voxtral_streaming.engines.whisper.native import NativeDecoder
from voxtral_streaming.engines.whisper.texts import Text
from voxtral_streaming.engines.whisper.weights import model_folder
from voxtral_streaming.engines.whisper.windows import memory_for, window_for
from voxtral_streaming.transcript import Word

SENTENCE = ["he", "might", "even", "have", "been", "made", "amiable", "himself"]


@pytest.fixture(scope="module")
def whole() -> WhisperModel:
    with model_folder("whisper-base") as folder:
        return WhisperModel(str(folder), device="cpu", compute_type="int8", cpu_threads=1)


@pytest.fixture(scope="module")
def decoder(model: Whisper, whole: WhisperModel) -> NativeDecoder:
    return NativeDecoder(whole.model, lambda window: model.encode(np.zeros(0, np.float32), window).features)


def text(model: Whisper) -> Text:
    return Text(tuple(model.tokenizer("en").sot_sequence), 99, model.first_time + 1500)


def words(model: Whisper, one: Text) -> list[str]:
    said = model.tokenizer("en").decode(one.tokens)
    return re.findall(r"[a-z]+", re.sub(r"<\|.*?\|>", "", said).lower())


def test_windows_come_out_in_company_as_alone(model: Whisper, decoder: NativeDecoder, clips: list[Samples]) -> None:
    samples = [*clips, np.concatenate([clips[0], clips[2]])]
    batch: list[Encoded] = [model.encode(one, window_for(len(one))) for one in samples]
    windows = [encoded.window for encoded in batch]
    assert len(set(windows)) == len(windows) > len({memory_for(window) for window in windows}) > 1
    together = [text(model) for _ in batch]
    decoder.decode([encoded.features for encoded in batch], together)
    for one, encoded in zip(together, batch, strict=True):
        alone = text(model)
        decoder.decode([encoded.features], [alone])
        assert words(model, one) == words(model, alone)
        assert one.is_ended
        assert not one.is_cut
        assert one.attention is None
    assert words(model, together[2]) == SENTENCE


def test_a_beam_and_the_language(model: Whisper, decoder: NativeDecoder, clips: list[Samples]) -> None:
    features = model.encode(clips[2], window_for(len(clips[2]))).features
    assert words(model, decoder.search(features, text(model), 2)) == SENTENCE
    ranked = decoder.detect(features)
    assert ranked[0][0] == "en"
    assert sum(probability for _, probability in ranked) == pytest.approx(1, abs=1e-3)


def test_a_model_on_a_gpu_is_all_of_ctranslate2(
    model: Whisper, clips: list[Samples], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(models, "takes_gpu", lambda device: True)
    native = load_whisper(ModelConfig(name="whisper-base", device="cpu"))
    assert native.gains_by_company
    assert (native.languages, native.is_multilingual) == (model.languages, True)
    own, found = (dated(one, clips[2]) for one in (model, native))
    assert [word.text for word in found] == [word.text for word in own]
    assert [word.start for word in found] == pytest.approx([word.start for word in own], abs=0.2)
    assert [word.end for word in found] == pytest.approx([word.end for word in own], abs=0.2)


def dated(model: Whisper, samples: Samples) -> list[Word]:
    encoded = model.encode(samples, window_for(len(samples)))
    [decoded] = model.decode([encoded], ["en"])
    return model.align(encoded, decoded)
