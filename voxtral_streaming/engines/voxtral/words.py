"""Tokens to text and to words with times. No torch.

The model writes a word when it has heard its end, `n_delay` tokens late: `[STREAMING_WORD]`, which carries no text,
and then the word. So the step of a word's first token tells when the word ended. Nothing tells when it began: it is
placed as long before its end as such a word takes, and not before the end of the word in front of it. Words that the
model writes in one go, without the marker between them, are told apart by their spaces, the later ones a little late.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from voxtral_streaming.audio.units import seconds
from voxtral_streaming.engines.voxtral.facts import SAMPLES_PER_TOKEN
from voxtral_streaming.engines.voxtral.tekken import Detokenizer, Tekken
from voxtral_streaming.transcript import Word

S_PER_WORD = 0.1  # how long words take when nobody hurries: so much, and so much for each letter
S_PER_LETTER = 0.06
S_PER_WIDE_LETTER = 0.2  # of Chinese, Japanese and Korean, most of which are syllables


class Predicted(NamedTuple):
    """Consecutive tokens, and what the model gave each of them of all probability."""

    tokens: list[int]
    probabilities: list[float]


@dataclass(frozen=True, slots=True)
class Written:
    """A word as it was written: `step` counts tokens after the prompt, up to the word's first."""

    step: int
    text: str = ""
    n_tokens: int = 0
    probability: float = 0.0  # sum over its tokens

    def longer(self, text: str, probability: float) -> Written:
        """The word with another token."""
        return Written(self.step, self.text + text, self.n_tokens + 1, self.probability + probability)


class Writer:
    """Writes tokens down, and remembers of every word when it came."""

    def __init__(self, tekken: Tekken) -> None:
        self.words: list[Written] = []
        self._tekken = tekken
        self._detokenizer = Detokenizer(tekken)
        self._is_marked = True  # a word begins

    def write(self, predicted: Predicted, step: int) -> str:
        """The text that these tokens complete, the first of which is token `step` after the prompt."""
        return "".join(self._write(step + n, *one) for n, one in enumerate(zip(*predicted, strict=True)))

    def finish(self) -> str:
        """What an unfinished character leaves behind."""
        rest = self._detokenizer.finish()
        if rest and self.words:
            self.words[-1] = replace(self.words[-1], text=self.words[-1].text + rest)
        return rest

    def fork(self) -> Writer:
        """A writer that goes on from here; of the words it has the last one only, which may grow."""
        fork = Writer(self._tekken)
        fork.words = self.words[-1:]
        fork._detokenizer = self._detokenizer.fork()
        fork._is_marked = self._is_marked
        return fork

    def _write(self, step: int, token: int, probability: float) -> str:
        if not self._tekken.piece(token):
            self._is_marked |= token == self._tekken.streaming_word
            return ""
        text = self._detokenizer.feed((token,))
        if self._is_marked or text[:1].isspace():
            self.words.append(Written(step))
            self._is_marked = False
        self.words[-1] = self.words[-1].longer(text, probability)
        return text


def timed(written: Iterable[Written], at: int, n_samples: int) -> tuple[Word, ...]:
    """The words of an utterance of `n_samples` samples that begins at sample `at`, in seconds since the stream began.

    Times never go back. A word's probability is the mean of its tokens'.
    """
    words: list[Word] = []
    first, last = seconds(at), seconds(at + n_samples)
    for one in written:
        if text := one.text.strip():
            end = min(max(seconds(at + _heard(one.step)), first), last)
            start = max(first, end - _duration(text))
            words.append(Word(text, round(start, 3), round(end, 3), round(one.probability / one.n_tokens, 3)))
            first = end
    return tuple(words)


def _heard(step: int) -> int:
    """The middle of the token in which a word ended whose first text is token `step` after the prompt, in samples.

    Token 0 after the prompt is the answer to the first 80 ms; the marker comes before the text.
    """
    return step * SAMPLES_PER_TOKEN - SAMPLES_PER_TOKEN // 2


def _duration(text: str) -> float:
    n_wide = sum(unicodedata.east_asian_width(letter) in "WF" for letter in text)
    return S_PER_WORD + n_wide * S_PER_WIDE_LETTER + (len(text) - n_wide) * S_PER_LETTER


def whole(begun: Sequence[Written], ended: Sequence[Written]) -> list[Written]:
    """The words of a writer and of its fork, which repeats the last of them."""
    return [*begun[:-1], *ended]
