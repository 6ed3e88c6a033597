"""Words and how two sequences of them differ: on-screen words, word error rate."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from num2words import num2words
from rapidfuzz.distance import Levenshtein
from whisper_normalizer.basic import BasicTextNormalizer
from whisper_normalizer.english import EnglishTextNormalizer

UNSPACED = frozenset({"ja", "th", "zh"})
"""Languages written without spaces; their "words" are characters."""

LONGEST_REPEAT = 8
"""Longest run of words that is looked for when words are said twice."""

_ONE_SPELLING = {"hang up": "hangup"}


def tokens(text: str) -> list[str]:
    """The words of a text as a reader of captions tells them apart: without case and punctuation."""
    return re.findall(r"[^\W_]+(?:['\u2019][^\W_]+)*", text.casefold())


def normalise(text: str, language: str | None) -> list[str]:
    """The words of a text for the word error rate.

    English: OpenAI's English normaliser, then a lone "one" as a digit and neighbouring numbers as one
    ("1 2 3" and "123" are the same). Other languages: digits in words, then OpenAI's basic normaliser;
    where no spaces are written, characters.
    """
    for variant, spelling in _ONE_SPELLING.items():
        text = re.sub(rf"\b{variant}\b", spelling, text, flags=re.IGNORECASE)
    if language == "en":
        return _english(text)
    normaliser = BasicTextNormalizer(split_letters=language in UNSPACED)
    return str(normaliser(_spell_numbers(text, language))).split()


def _english(text: str) -> list[str]:
    merged: list[str] = []
    for word in str(_english_normaliser()(text)).split():
        digits = {"one": "1", "zero": "0"}.get(word, word)
        if digits.isdecimal() and merged and merged[-1].isdecimal():
            merged[-1] += digits
        else:
            merged.append(digits)
    return merged


@lru_cache(maxsize=1)
def _english_normaliser() -> EnglishTextNormalizer:
    return EnglishTextNormalizer()


def _spell_numbers(text: str, language: str | None) -> str:
    def spell(number: re.Match[str]) -> str:
        try:
            return f" {num2words(int(number[0]), lang=language)} "
        except NotImplementedError:  # a language that num2words does not know keeps its digits
            return number[0]

    return re.sub(r"\d+", spell, text)


@dataclass(frozen=True, slots=True)
class WordErrors:
    """What it takes to turn a reference into a hypothesis, in words."""

    reference: int = 0
    substituted: int = 0
    missing: int = 0
    inserted: int = 0
    doubled: int = 0  # of the inserted: words that repeat their neighbours

    def __add__(self, other: WordErrors) -> WordErrors:
        return WordErrors(
            self.reference + other.reference,
            self.substituted + other.substituted,
            self.missing + other.missing,
            self.inserted + other.inserted,
            self.doubled + other.doubled,
        )

    @property
    def errors(self) -> int:
        """All errors."""
        return self.substituted + self.missing + self.inserted

    @property
    def rate(self) -> float:
        """Errors per reference word; of an empty reference, infinite where anything was heard."""
        if self.reference:
            return self.errors / self.reference
        return float("inf") if self.errors else 0.0


def compare(reference: Sequence[str], hypothesis: Sequence[str]) -> WordErrors:
    """Count the errors of an alignment with the fewest."""
    counts = {"replace": 0, "delete": 0, "insert": 0, "equal": 0}
    doubled = 0
    for op in Levenshtein.opcodes(reference, hypothesis):
        counts[op.tag] += max(op.src_end - op.src_start, op.dest_end - op.dest_start)
        if op.tag == "insert" and _repeats(hypothesis, op.dest_start, op.dest_end):
            doubled += op.dest_end - op.dest_start
    return WordErrors(len(reference), counts["replace"], counts["delete"], counts["insert"], doubled)


def _repeats(words: Sequence[str], start: int, end: int) -> bool:
    length = end - start
    said = list(words[start:end])
    before, after = list(words[max(0, start - length) : start]), list(words[end : end + length])
    return length <= LONGEST_REPEAT and said in (before, after)


def pairs(reference: Sequence[str], hypothesis: Sequence[str]) -> list[tuple[int, int]]:
    """Indices of words that stand for each other, equal or substituted, in an alignment with the fewest errors."""
    return [
        (op.src_start + offset, op.dest_start + offset)
        for op in Levenshtein.opcodes(reference, hypothesis)
        if op.tag in ("equal", "replace")
        for offset in range(op.src_end - op.src_start)
    ]


def kept(reference: Sequence[str], hypothesis: Sequence[str]) -> set[int]:
    """Indices of the reference's words that stand unchanged in the hypothesis."""
    return {
        index
        for op in Levenshtein.opcodes(reference, hypothesis)
        if op.tag == "equal"
        for index in range(op.src_start, op.src_end)
    }
