"""Whisper itself: samples → encoded window → tokens → words, on the calling thread. Knows no streams."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from voxtral_streaming.audio.units import SAMPLE_RATE, Samples
from voxtral_streaming.config import ModelConfig
from voxtral_streaming.engines.whisper.alignment import Attention
from voxtral_streaming.engines.whisper.checkpoint import Checkpoint, Tensor
from voxtral_streaming.engines.whisper.decoder import Decoder
from voxtral_streaming.engines.whisper.decoder_graph import shape_of
from voxtral_streaming.engines.whisper.device import encoder_threads, takes_gpu
from voxtral_streaming.engines.whisper.drafts import N_TIMES, TIME_STEP
from voxtral_streaming.engines.whisper.encoder import Encoder
from voxtral_streaming.engines.whisper.loaded import load
from voxtral_streaming.engines.whisper.rules import Rules
from voxtral_streaming.engines.whisper.texts import MOST_AGAIN, Breath, Text, TextDecoder, no_breath
from voxtral_streaming.engines.whisper.weights import MODEL_FILE
from voxtral_streaming.engines.whisper.windows import HOP, LAST, with_silence
from voxtral_streaming.transcript import Word

if TYPE_CHECKING:
    from voxtral_streaming.engines.whisper.native import NativeDecoder

UNSPACED = frozenset({"zh", "ja", "th", "lo", "my", "yue"})  # languages written without spaces
MAX_TOKENS_PER_SECOND = 11  # of fast speech, timestamps included; more is a loop
MAX_TOKENS_BASE = 12
LATE = 5  # times of 0.02 s: what begins so much behind the end of the audio was not said
LATE_END = 100  # the same, of what begins before the end, and ends so much behind it
MAX_COMPRESSION = 2.4  # openai/whisper transcribe.py: text that compresses better repeats itself
MIN_LOGPROB = -1.0  # openai/whisper transcribe.py: mean log probability of a token
MAX_NO_SPEECH = 0.6  # openai/whisper transcribe.py


@dataclass(frozen=True, slots=True, eq=False)
class Encoded:
    """What the encoder made of a window."""

    features: Tensor  # [1, n_frames / 2, width], of the window and silence behind it
    window: int  # frames
    n_samples: int  # of audio; the rest of the window is silence


@dataclass(frozen=True, slots=True)
class Decoded:
    """What the decoder made of an encoded window."""

    tokens: tuple[int, ...]  # of text, without timestamps
    words: tuple[str, ...]  # with the space before them: joined they are the text
    n_tokens: tuple[int, ...]  # of each word
    draft: tuple[int, ...]  # all tokens that were decoded, timestamps included
    until: int  # samples up to which it goes, by its last time
    language: str
    logprob: float  # of a token, on average
    is_suspect: bool  # a loop, nothing that the model believes in, or no speech
    attention: Attention | None = field(default=None, compare=False)  # of the tokens to the audio, where it is known

    def draft_behind(self, n_words: int) -> tuple[int, ...]:
        """All tokens behind the first words."""
        return self.draft[self._place(sum(self.n_tokens[:n_words])) :]

    def draft_of(self, n_words: int) -> tuple[int, ...]:
        """All tokens up to the end of the first words."""
        return self.draft[: self._place(sum(self.n_tokens[:n_words]))]

    def draft_before(self, least: float) -> tuple[int, ...]:
        """All tokens up to the first of text with less than that probability; none where it is not known."""
        if self.attention is None:
            return ()
        n_likely = sum(1 for _ in takewhile(lambda one: one >= least, self.attention.probabilities))
        return self.draft[: self._place(n_likely)]

    def _place(self, n_tokens: int) -> int:
        """Where in the draft so many tokens of text have come."""
        n_met = 0
        for at, token in enumerate(self.draft):
            if n_met == n_tokens:
                return at
            n_met += token == self.tokens[n_met]
        return len(self.draft)

    def cut(self, n_words: int) -> Decoded:
        """The first words."""
        n_tokens = self.n_tokens[:n_words]
        n = sum(n_tokens)
        attention = self.attention.before(n) if self.attention else None
        words = self.words[:n_words]
        return replace(self, tokens=self.tokens[:n], words=words, n_tokens=n_tokens, attention=attention)


class Whisper:
    """The loaded model. Every method may be called from several threads at once.

    On a CPU our own encoder and decoder; on a GPU those of CTranslate2.
    """

    def __init__(self, folder: Path, config: ModelConfig) -> None:
        """Load from a folder, which is not needed afterwards. Raises `EngineUnavailable`, `WeightsError`."""
        weights = Checkpoint(folder / MODEL_FILE)
        self._loaded = load(folder, shape_of(weights).n_vocabulary)
        self.is_multilingual = self._loaded.is_multilingual
        self.languages: tuple[str, ...] = tuple(sorted(self._loaded.languages)) or ("en",)
        self.tokenizer = lru_cache(maxsize=None)(self._loaded.tokenizer)
        self.gains_by_company = takes_gpu(config.device)  # on a CPU most of the text of who waits is drafted
        self._encoder: Callable[[Tensor], Tensor]  # spectrogram [n_mels, n_frames] → [1, n_frames / 2, width]
        self._decoder: TextDecoder
        self._native: NativeDecoder | None = None
        if self.gains_by_company:
            self._load_native(folder, config)
        else:
            self._load_own(folder, weights, config)

    def _load_own(self, folder: Path, weights: Checkpoint, config: ModelConfig) -> None:
        asked, is_int8 = json.loads((folder / "config.json").read_text()), config.compute_type == "int8"
        n_threads = encoder_threads(config.encoder_threads, config.workers)
        self._encoder = Encoder(weights, is_int8=is_int8, n_threads=n_threads).encode
        self._decoder = Decoder(weights, self._rules(asked), asked.get("alignment_heads"), is_int8=is_int8)

    def _load_native(self, folder: Path, config: ModelConfig) -> None:
        from voxtral_streaming.engines.whisper.native import NativeDecoder, NativeEncoder, load_native

        model = load_native(folder, config)
        self._encoder = NativeEncoder(model).encode
        self._decoder = self._native = NativeDecoder(model, lru_cache(maxsize=None)(self._encode_silence))

    def _rules(self, asked: Mapping[str, Any]) -> Rules:
        """By the model's tokens, and what its `config.json` asks for."""
        tokenizer = self.tokenizer("en")
        never = (*asked.get("suppress_ids", ()), tokenizer.no_speech, tokenizer.no_timestamps)
        end, first_time = tokenizer.eot, tokenizer.timestamp_begin
        languages = self._loaded.languages
        return Rules(end, tokenizer.no_speech, first_time, tuple(sorted(never)), tokenizer.sot, languages)

    @property
    def first_time(self) -> int:
        """The token of the time 0; those above are later times, in steps of 0.02 s."""
        first: int = self.tokenizer("en").timestamp_begin
        return first

    def encode(self, samples: Samples, window: int) -> Encoded:
        """Encode samples [n_samples] in a window of so many frames, silence behind them."""
        samples = samples[: window * HOP]
        padded = np.pad(samples, (0, window * HOP - len(samples)))  # [window * HOP]
        mel = self._loaded.spectrogram(padded)[:, :window]  # [n_mels, window]
        n_heard = with_silence(window, len(samples))
        return Encoded(_silenced(self._encoder(mel), n_heard), window, len(samples))

    def _encode_silence(self, window: int) -> Tensor:
        """What the encoder makes of silence: [1, window / 2, width]."""
        return self.encode(np.zeros(0, np.float32), window).features

    def detect(self, encoded: Encoded) -> list[tuple[str, float]]:
        """Languages and their probabilities, the likeliest first."""
        return self._decoder.detect(encoded.features)

    def decode(
        self,
        batch: Sequence[Encoded],
        languages: Sequence[str],
        drafts: Sequence[Sequence[int]] = (),
        breathe: Breath = no_breath,
    ) -> list[Decoded]:
        """Decode windows together, greedily; each comes out as it would alone, and without the draft of its tokens.

        `breathe` is called between two steps.
        """
        known = drafts or [()] * len(batch)
        texts = [self._text(*one) for one in zip(batch, languages, known, strict=True)]
        self._decoder.decode([encoded.features for encoded in batch], texts, breathe)
        return [self._decoded(language, text) for language, text in zip(languages, texts, strict=True)]

    def search(
        self,
        encoded: Encoded,
        language: str,
        beam_size: int,
        beginning: Sequence[int] = (),
        breathe: Breath = no_breath,
    ) -> Decoded:
        """Decode a window and follow so many hypotheses, all of which have the beginning of the greedy text.

        `breathe` is called between two steps.
        """
        begun = self._text(encoded, language, beginning)
        text = replace(begun, most_again=2 * MOST_AGAIN)  # somebody may well say it twice
        return self._decoded(language, self._decoder.search(encoded.features, text, beam_size, breathe))

    def _text(self, encoded: Encoded, language: str, draft: Sequence[int] = ()) -> Text:
        last_time = self.first_time + -(-encoded.n_samples // TIME_STEP) + LATE
        known = [token for token in draft if token < self.first_time + N_TIMES]
        return Text(tuple(self.tokenizer(language).sot_sequence), _max_tokens(encoded), last_time, known)

    def _decoded(self, language: str, text: Text) -> Decoded:
        tokenizer, ids, score = self.tokenizer(language), tuple(text.tokens), text.score
        if text.no_speech > MAX_NO_SPEECH and score < MIN_LOGPROB:
            return Decoded((), (), (), ids, 0, language, score, is_suspect=True)
        end = text.last_time - LATE
        said = ids[: n_said(ids, self.first_time, end)]
        until = reaches(said, self.first_time, end) * TIME_STEP
        tokens = tuple(token for token in said if token < tokenizer.eot)
        pieces, by_piece = tokenizer.split_to_word_tokens([*tokens, tokenizer.eot])
        groups = grouped(pieces[:-1], language)
        words = tuple("".join(pieces[n] for n in group) for group in groups)
        n_tokens = tuple(sum(len(by_piece[n]) for n in group) for group in groups)
        is_suspect = text.is_cut or score < MIN_LOGPROB or compression("".join(words)) > MAX_COMPRESSION
        attention = text.attention.before(len(tokens)) if text.attention else None
        return Decoded(tokens, words, n_tokens, ids, until, language, score, is_suspect, attention)

    def align(self, encoded: Encoded, decoded: Decoded) -> list[Word]:
        """When the words were spoken, in seconds since the first sample, by cross-attention.

        By what the decoder heeded; CTranslate2 is asked once more.
        """
        n_frames = encoded.n_samples // HOP
        if not decoded.tokens or not n_frames:
            return []
        if self._native is not None:
            prompt = self.tokenizer(decoded.language).sot_sequence
            found = self._native.spans(encoded.features, prompt, decoded.tokens, decoded.n_tokens, n_frames)
        elif decoded.attention is not None:
            found = decoded.attention.within(n_frames // 2).spans(decoded.n_tokens)
        else:
            raise AssertionError("our own decoder keeps what it heeded")
        return [Word(word.strip(), *span) for word, span in zip(decoded.words, found, strict=True)]


def _silenced(features: Tensor, n_frames: int) -> Tensor:
    """A window [1, window / 2, width], with its end behind it again and again: [1, n_frames / 2, width]."""
    own, last = features.shape[1], LAST // 2
    return np.take(features, [*range(own), *np.resize(range(own - last, own), n_frames // 2 - own)], axis=1)


def n_said(tokens: Sequence[int], first_time: int, end: int) -> int:
    """How many tokens stand before a last piece that ends long behind the audio, whose end is the time `end`.

    Such a piece says again, in the silence behind the speech, what was said before. All, where there is no piece
    before it.
    """
    behind = next((n for n in range(len(tokens), 0, -1) if tokens[n - 1] < first_time), 0)  # the last word
    start = next((n for n in range(behind - 1, 0, -1) if tokens[n] >= first_time), 0)
    is_late = behind < len(tokens) and tokens[behind] > end + LATE_END
    return start if start and is_late else len(tokens)


def reaches(tokens: Sequence[int], first_time: int, end: int) -> int:
    """The time at which the last piece ends, in steps since the first; that of `end`, where none is told."""
    return tokens[-1] - first_time if tokens and tokens[-1] >= first_time else end - first_time


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
