"""Whisper itself: samples → encoded window → tokens → words, on the calling thread. Knows no streams."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import ctranslate2
import numpy as np
from faster_whisper import WhisperModel
from faster_whisper.tokenizer import Tokenizer
from numpy.typing import NDArray

from voxtral_streaming.audio.units import SAMPLE_RATE, Samples
from voxtral_streaming.config import ModelConfig
from voxtral_streaming.engines.whisper.windows import HOP
from voxtral_streaming.errors import EngineUnavailable
from voxtral_streaming.transcript import Word

UNSPACED = frozenset({"zh", "ja", "th", "lo", "my", "yue"})  # languages written without spaces
MAX_TOKENS_PER_SECOND = 11  # of fast speech, timestamps included; more is a loop
MAX_TOKENS_BASE = 12
MAX_COMPRESSION = 2.4  # openai/whisper transcribe.py: text that compresses better repeats itself
MIN_LOGPROB = -1.0  # openai/whisper transcribe.py: mean log probability of a token
MAX_NO_SPEECH = 0.6  # openai/whisper transcribe.py


@dataclass(frozen=True, slots=True)
class Encoded:
    """What the encoder made of a window: [1, window / 2, d_model]."""

    features: ctranslate2.StorageView
    window: int  # frames
    n_samples: int  # of audio; the rest of the window is silence


@dataclass(frozen=True, slots=True)
class Decoded:
    """What the decoder made of an encoded window."""

    tokens: tuple[int, ...]  # of text, without timestamps
    words: tuple[str, ...]  # with the space before them: joined they are the text
    language: str
    logprob: float  # of a token, on average
    is_suspect: bool  # a loop, nothing that the model believes in, or no speech


class Whisper:
    """The loaded model. Every method may be called from several threads at once."""

    def __init__(self, folder: Path, config: ModelConfig) -> None:
        """Load the model from its folder, which is not needed afterwards."""
        device, _, index = config.device.partition(":")
        try:
            self._model = WhisperModel(
                str(folder),
                device=device,
                device_index=int(index or 0),
                compute_type=config.compute_type,
                cpu_threads=1,
                num_workers=config.workers,
            )
        except (RuntimeError, ValueError) as error:
            raise EngineUnavailable(f"{config.name} on {config.device}: {error}", param="model.device") from error
        self.is_multilingual: bool = self._model.model.is_multilingual
        self.languages: tuple[str, ...] = tuple(self._model.supported_languages)
        self.tokenizer = lru_cache(maxsize=None)(self._tokenizer)
        self._silence = lru_cache(maxsize=None)(self._encode_silence)

    def _tokenizer(self, language: str) -> Tokenizer:
        return Tokenizer(self._model.hf_tokenizer, self.is_multilingual, task="transcribe", language=language)

    def encode(self, samples: Samples, window: int) -> Encoded:
        """Encode samples [n_samples] in a window of so many frames, silence behind them."""
        samples = samples[: window * HOP]
        padded = np.pad(samples, (0, window * HOP - len(samples)))  # [window * HOP]
        mel = self._model.feature_extractor(padded)[:, :window]  # [n_mels, window]
        return Encoded(self._model.encode(mel), window, len(samples))

    def _encode_silence(self, window: int) -> NDArray[np.float32]:
        """What the encoder makes of silence: [1, window / 2, d_model]."""
        return np.asarray(self.encode(np.zeros(0, np.float32), window).features)

    def detect(self, encoded: Encoded) -> list[tuple[str, float]]:
        """Languages and their probabilities, the likeliest first."""
        ranked = self._model.model.detect_language(encoded.features)[0]
        return [(token[2:-2], probability) for token, probability in ranked]

    def decode(
        self, batch: Sequence[Encoded], languages: Sequence[str], memory: int, beam_size: int = 1
    ) -> list[Decoded]:
        """Decode windows together, from memories of so many frames; each comes out as it would alone."""
        tokenizers = [self.tokenizer(language) for language in languages]
        limits = [_max_tokens(encoded) for encoded in batch]
        results = self._model.model.generate(
            self._memories(batch, memory),
            [tokenizer.sot_sequence for tokenizer in tokenizers],
            beam_size=beam_size,
            max_length=2 * max(limits),  # CTranslate2 generates at most half of it
            return_scores=True,
            return_no_speech_prob=True,
        )
        return [
            self._decoded(tokenizer, language, result, limit)
            for tokenizer, language, result, limit in zip(tokenizers, languages, results, limits, strict=True)
        ]

    def _memories(self, batch: Sequence[Encoded], memory: int) -> ctranslate2.StorageView:
        """The windows, filled up with silence: [n, memory / 2, d_model]."""
        rows = [self._filled(np.asarray(encoded.features), memory) for encoded in batch]
        return ctranslate2.StorageView.from_array(np.concatenate(rows))

    def _filled(self, row: NDArray[np.float32], memory: int) -> NDArray[np.float32]:
        """[1, window / 2, d_model] to [1, memory / 2, d_model]."""
        n_frames = row.shape[1]
        return row if n_frames == memory // 2 else np.concatenate([row, self._silence(memory)[:, n_frames:]], axis=1)

    def _decoded(
        self,
        tokenizer: Tokenizer,
        language: str,
        result: ctranslate2.models.WhisperGenerationResult,
        limit: int,
    ) -> Decoded:
        ids = result.sequences_ids[0]
        tokens = tuple(token for token in ids if token < tokenizer.eot)
        if result.no_speech_prob > MAX_NO_SPEECH and result.scores[0] < MIN_LOGPROB:
            return Decoded((), (), language, result.scores[0], is_suspect=True)
        pieces = tokenizer.split_to_word_tokens([*tokens, tokenizer.eot])[0][:-1]
        words = tuple("".join(pieces[n] for n in group) for group in grouped(pieces, language))
        text = "".join(words)
        is_suspect = len(ids) >= limit or result.scores[0] < MIN_LOGPROB or compression(text) > MAX_COMPRESSION
        return Decoded(tokens, words, language, result.scores[0], is_suspect)

    def cut(self, decoded: Decoded, n_words: int) -> Decoded:
        """The first words of a text."""
        words = decoded.words[:n_words]
        tokens = tuple(self.tokenizer(decoded.language).encode("".join(words)))
        return replace(decoded, tokens=tokens, words=words)

    def align(self, encoded: Encoded, decoded: Decoded) -> list[Word]:
        """When the words were spoken, in seconds since the first sample, by cross-attention.

        The dynamic time warping of openai/whisper timing.py, as CTranslate2 and faster-whisper have it.
        """
        tokenizer = self.tokenizer(decoded.language)
        n_frames = encoded.n_samples // HOP
        if not decoded.tokens or not n_frames:
            return []
        found = self._model.find_alignment(tokenizer, [list(decoded.tokens)], encoded.features, n_frames)[0]
        groups = grouped([piece["word"] for piece in found], decoded.language)
        return [_word([found[n] for n in group]) for group in groups]


def _word(pieces: Sequence[dict[str, Any]]) -> Word:
    return Word(
        "".join(piece["word"] for piece in pieces).strip(),
        float(pieces[0]["start"]),
        float(pieces[-1]["end"]),
        float(np.mean([piece["probability"] for piece in pieces])),
    )


def compression(text: str) -> float:
    """How many times shorter zlib makes the text: loops compress well."""
    data = text.encode()
    return len(data) / len(zlib.compress(data)) if data else 0.0


def _max_tokens(encoded: Encoded) -> int:
    return min(224, int(encoded.n_samples / SAMPLE_RATE * MAX_TOKENS_PER_SECOND) + MAX_TOKENS_BASE)


def grouped(pieces: Sequence[str], language: str) -> list[list[int]]:
    """Which pieces make a word: `[" don", "'t", " stop", "!"]` → `[[0, 1], [2, 3]]`.

    A word begins with a space; in scripts without spaces it begins anywhere but before punctuation.
    """
    groups: list[list[int]] = []
    for n, piece in enumerate(pieces):
        goes_on = not any(char.isalnum() for char in piece) if language in UNSPACED else not piece.startswith(" ")
        if groups and goes_on:
            groups[-1].append(n)
        else:
            groups.append([n])
    return groups
