"""When partial text is stable: LocalAgreement over successive hypotheses.

Words on which two hypotheses in a row agree are promised to the reader and shown again as they were promised,
whatever later hypotheses make of them (Macháček, Dabre and Bojar 2023, "Turning Whisper into Real-Time
Transcription System", section 3.1). The last word that both agree on is held back: it may be cut off by the
end of the audio.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence


def normalise(word: str) -> str:
    """The word without case and punctuation: what two hypotheses must share to agree."""
    return "".join(char for char in word.casefold() if unicodedata.category(char)[0] in "LMN")


def n_agreeing(first: Sequence[str], second: Sequence[str]) -> int:
    """How many leading words agree."""
    n = 0
    for one, other in zip(first, second, strict=False):
        if normalise(one) != normalise(other):
            break
        n += 1
    return n


def covered(promised: Sequence[str], words: Sequence[str]) -> int:
    """How many leading `words` say what `promised` says: the prefix at the smallest edit distance.

    Of equal distances the longest prefix not longer than `promised` wins, so that nothing is shown twice.
    """
    row = list(range(len(words) + 1))  # distance of no promised word to each prefix of words
    for n_promised, target in enumerate(promised, start=1):
        row = _next_row(row, n_promised, normalise(target), words)
    return min(range(len(row)), key=lambda n: (row[n], abs(n - len(promised))))


def _next_row(row: Sequence[int], n_promised: int, target: str, words: Sequence[str]) -> list[int]:
    """One row of the Levenshtein table."""
    following = [n_promised]
    for n, word in enumerate(words, start=1):
        following.append(min(row[n] + 1, following[n - 1] + 1, row[n - 1] + (normalise(word) != target)))
    return following


class LocalAgreement:
    """The stable and the tentative part of the hypotheses of one utterance."""

    def __init__(self) -> None:
        self._previous: Sequence[str] = ()
        self._heard = 0  # samples that it was made from
        self._stable: list[str] = []

    def update(self, words: Sequence[str], heard: int) -> tuple[list[str], list[str]]:
        """Take the words of the next hypothesis; return those that are stable and those that are not.

        `heard`: how many samples it was made from; what was made from the same ones is no second opinion.
        Words keep the space before them (`" word"`), so that joining them gives the text.
        """
        agreed = n_agreeing(self._previous, words) - 1 if heard > self._heard else 0
        if n_agreeing(self._stable, words) == len(self._stable) < agreed:
            self._stable.extend(words[len(self._stable) : agreed])
        self._previous, self._heard = tuple(words), heard
        return list(self._stable), list(words[covered(self._stable, words) :])
