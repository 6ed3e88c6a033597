"""What a Voxtral Realtime model fixes: facts that its files state, and facts that never vary.

Sources: `params.json` (Mistral's own layout) and `config.json` (Hugging Face layout). A number that a file must state
is never assumed: the rotary bases and windows of these files differ from the defaults of libraries that read them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voxtral_streaming.audio.units import exact_div
from voxtral_streaming.errors import WeightsError

N_MELS = 128
HOP = 160  # samples from one mel frame to the next
WINDOW = 400  # samples under one mel frame, and points of its Fourier transform
MEL_FRAMES_PER_TOKEN = 8  # 80 ms
ENCODER_FRAMES_PER_TOKEN = exact_div(MEL_FRAMES_PER_TOKEN, 2)  # the second convolution has stride 2
SAMPLES_PER_TOKEN = HOP * MEL_FRAMES_PER_TOKEN
WINDOW_PER_TOKEN = SAMPLES_PER_TOKEN - HOP + WINDOW  # samples under the eight mel frames of one token
MS_PER_TOKEN = exact_div(SAMPLES_PER_TOKEN, 16)

CONV_KERNEL = 3
CONDITION_DIM = 32  # width of the delay conditioning between its two layers


@dataclass(frozen=True, slots=True)
class StackFacts:
    """A stack of transformer layers: the encoder or the decoder."""

    dim: int
    n_layers: int
    n_heads: int
    n_kv_heads: int
    head_dim: int
    ffn_dim: int
    rope_theta: float
    window: int  # positions that a query sees, its own included
    norm_eps: float

    @property
    def cache_elements(self) -> int:
        """Numbers that one position occupies in the cache: keys and values of every layer."""
        return 2 * self.n_layers * self.n_kv_heads * self.head_dim


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """The shapes of a Voxtral Realtime model."""

    encoder: StackFacts
    decoder: StackFacts
    vocab_size: int

    @property
    def projector_in(self) -> int:
        """Width of the encoder frames of one token, side by side."""
        return self.encoder.dim * ENCODER_FRAMES_PER_TOKEN


class Section:
    """A part of a JSON file; a missing or unusable number is an error that names the file and the key."""

    def __init__(self, file: Path, data: Any, path: str = "") -> None:
        if not isinstance(data, Mapping):
            raise WeightsError(f"{file}: `{path or 'the file'}` is not an object")
        self.file, self.data, self.path = file, data, path

    def section(self, key: str) -> Section:
        """The object under `key`."""
        return Section(self.file, self._get(key), self._named(key))

    def int(self, key: str) -> int:
        """The whole number under `key`; Mistral writes some of them as text."""
        try:
            return int(self._get(key))
        except (TypeError, ValueError) as error:
            raise WeightsError(f"{self.file}: `{self._named(key)}` is not a whole number") from error

    def float(self, key: str) -> float:
        """The number under `key`."""
        try:
            return float(self._get(key))
        except (TypeError, ValueError) as error:
            raise WeightsError(f"{self.file}: `{self._named(key)}` is not a number") from error

    def require(self, key: str, fact: object) -> None:
        """Raise unless `key`, where the file states it, has the one value that this engine is made for."""
        if key in self.data and self.data[key] != fact:
            raise WeightsError(f"{self.file}: `{self._named(key)}` is {self.data[key]!r}; this engine needs {fact!r}")

    def _get(self, key: str) -> Any:
        if self.data.get(key) is None:
            raise WeightsError(f"{self.file}: `{self._named(key)}` is missing")
        return self.data[key]

    def _named(self, key: str) -> str:
        return f"{self.path}.{key}" if self.path else key


def read_json(file: Path) -> Section:
    """The root of a JSON file of a model."""
    try:
        return Section(file, json.loads(file.read_text("utf-8")))
    except OSError as error:
        raise WeightsError(f"{file}: {error.strerror or error}") from error
    except ValueError as error:
        raise WeightsError(f"{file}: not JSON: {error}") from error


def from_params(root: Section) -> ModelFacts:
    """Facts of a `params.json`: the decoder at the top, the encoder under `multimodal`."""
    whisper = root.section("multimodal").section("whisper_model_args")
    whisper.section("downsample_args").require("downsample_factor", ENCODER_FRAMES_PER_TOKEN)
    encoder = whisper.section("encoder_args")
    if "audio_encoding_args" in encoder.data:
        _check_front_end(encoder.section("audio_encoding_args"))
    root.require("ada_rms_norm_t_cond_dim", CONDITION_DIM)
    return ModelFacts(
        encoder=_mistral_stack(encoder, "n_heads"),
        decoder=_mistral_stack(root, "n_kv_heads"),
        vocab_size=root.int("vocab_size"),
    )


def _mistral_stack(part: Section, kv_heads: str) -> StackFacts:
    return StackFacts(
        dim=part.int("dim"),
        n_layers=part.int("n_layers"),
        n_heads=part.int("n_heads"),
        n_kv_heads=part.int(kv_heads),
        head_dim=part.int("head_dim"),
        ffn_dim=part.int("hidden_dim"),
        rope_theta=part.float("rope_theta"),
        window=part.int("sliding_window"),
        norm_eps=part.float("norm_eps"),
    )


def _check_front_end(audio: Section) -> None:
    for key, fact in (("num_mel_bins", N_MELS), ("hop_length", HOP), ("window_size", WINDOW)):
        audio.require(key, fact)


def from_config(root: Section) -> ModelFacts:
    """Facts of a `config.json`."""
    root.require("model_type", "voxtral_realtime")
    root.require("downsample_factor", ENCODER_FRAMES_PER_TOKEN)
    encoder, decoder = root.section("audio_config"), root.section("text_config")
    encoder.require("num_mel_bins", N_MELS)
    return ModelFacts(
        encoder=_hugging_face_stack(encoder, "num_attention_heads"),
        decoder=_hugging_face_stack(decoder, "num_key_value_heads"),
        vocab_size=decoder.int("vocab_size"),
    )


def _hugging_face_stack(part: Section, kv_heads: str) -> StackFacts:
    part.require("hidden_act", "silu")
    rotary = part.section("rope_parameters") if "rope_parameters" in part.data else part
    rotary.require("rope_type", "default")
    return StackFacts(
        dim=part.int("hidden_size"),
        n_layers=part.int("num_hidden_layers"),
        n_heads=part.int("num_attention_heads"),
        n_kv_heads=part.int(kv_heads),
        head_dim=part.int("head_dim"),
        ffn_dim=part.int("intermediate_size"),
        rope_theta=rotary.float("rope_theta"),
        window=part.int("sliding_window"),
        norm_eps=part.float("rms_norm_eps"),
    )
