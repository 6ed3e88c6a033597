"""`tekken.json`: what the tokenizer's file says about audio, and tokens to text."""

from __future__ import annotations

import base64
import binascii
import codecs
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from voxtral_streaming.audio.units import SAMPLE_RATE
from voxtral_streaming.engines.voxtral.facts import HOP, MS_PER_TOKEN, N_MELS, WINDOW, Section, read_json
from voxtral_streaming.errors import WeightsError

BOS, STREAMING_PAD, STREAMING_WORD = "<s>", "[STREAMING_PAD]", "[STREAMING_WORD]"
BUFFER_TOKENS = 10  # room for the last word after the delay, as mistral-common pads a recording
DELAYS_MS = (*range(80, 1201, 80), 2400)  # what the model was trained for


def delay_tokens(delay_ms: int) -> int:
    """A delay in tokens of 80 ms."""
    return delay_ms // MS_PER_TOKEN


@dataclass(frozen=True)
class Vocabulary:
    """What each token spells."""

    n_special: int
    pieces: tuple[bytes, ...]  # of the ordinary tokens, by id less `n_special`

    def piece(self, token: int) -> bytes:
        """The bytes of a token; none for a special one."""
        return self.pieces[token - self.n_special] if token >= self.n_special else b""


@dataclass(frozen=True)
class Tekken(Vocabulary):
    """The facts of a tokenizer file that live transcription needs."""

    bos: int
    streaming_pad: int
    n_left_pad: int  # tokens of silence before the audio
    delay_ms: int  # the look-ahead of a session that asks for none
    streaming_word: int  # stands before a word

    def prompt_length(self, n_delay: int) -> int:
        """Tokens that are given, not generated: the beginning, the left padding and the delay."""
        return 1 + self.n_left_pad + n_delay

    def n_right_pad(self, n_delay: int) -> int:
        """Tokens of silence after the audio, within which its last words come out."""
        return n_delay + 1 + BUFFER_TOKENS


def read_tekken(file: Path) -> Tekken:
    """Read a `tekken.json` with the `audio` section of a streaming model."""
    root = read_json(file)
    audio = read_front_end(root)
    audio.require("transcription_format", "streaming")
    vocabulary, special = read_vocabulary(root), special_tokens(root)
    return Tekken(
        n_special=vocabulary.n_special,
        pieces=vocabulary.pieces,
        bos=special(BOS),
        streaming_pad=special(STREAMING_PAD),
        n_left_pad=audio.int("streaming_n_left_pad_tokens"),
        delay_ms=_delay(audio),
        streaming_word=special(STREAMING_WORD),
    )


def read_front_end(root: Section) -> Section:
    """The `audio` section, which must be of the one front end that these models have."""
    audio = root.section("audio")
    audio.require("sampling_rate", SAMPLE_RATE)
    spectrogram = audio.section("audio_encoding_config")
    for key, fact in (("num_mel_bins", N_MELS), ("hop_length", HOP), ("window_size", WINDOW)):
        spectrogram.require(key, fact)
    return audio


def _delay(audio: Section) -> int:
    delay_ms = audio.int("transcription_delay_ms")
    if delay_ms not in DELAYS_MS:
        raise WeightsError(f"{audio.file}: `audio.transcription_delay_ms` is {delay_ms}; known are {DELAYS_MS}")
    return delay_ms


def special_tokens(root: Section) -> Callable[[str], int]:
    """Looks up the id of a special token; raises `WeightsError` where there is none of that name."""
    ids = {token["token_str"]: int(token["rank"]) for token in root.data.get("special_tokens") or ()}

    def look_up(name: str) -> int:
        if name not in ids:
            raise WeightsError(f"{root.file}: no special token {name}: not the tokenizer of this kind of model")
        return ids[name]

    return look_up


def read_vocabulary(root: Section) -> Vocabulary:
    """What the tokens spell."""
    n_special = root.section("config").int("default_num_special_tokens")
    n_pieces = root.section("config").int("default_vocab_size") - n_special
    vocab = root.data.get("vocab") or []
    if len(vocab) < n_pieces:
        raise WeightsError(f"{root.file}: {len(vocab)} entries in `vocab`, {n_pieces} are needed")
    try:
        return Vocabulary(n_special, tuple(base64.b64decode(entry["token_bytes"]) for entry in vocab[:n_pieces]))
    except (KeyError, TypeError, binascii.Error) as error:
        raise WeightsError(f"{root.file}: `vocab` does not hold base64 bytes") from error


class Detokenizer:
    """Tokens to text, as soon as their bytes make whole characters."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def feed(self, tokens: Iterable[int]) -> str:
        """The text that these tokens complete."""
        return self._decoder.decode(b"".join(map(self._vocabulary.piece, tokens)))

    def finish(self) -> str:
        """What an unfinished character leaves behind: U+FFFD, or nothing."""
        return self._decoder.decode(b"", final=True)

    def fork(self) -> Detokenizer:
        """A detokenizer that goes on from here by itself."""
        fork = Detokenizer(self._vocabulary)
        fork._decoder.setstate(self._decoder.getstate())
        return fork
