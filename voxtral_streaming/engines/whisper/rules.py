"""Which token Whisper may say next. Pure: numpy, no model.

The rules of openai/whisper decoding.py (`SuppressTokens`, `SuppressBlank`, `ApplyTimestampRules`), as CTranslate2 has
them: a text begins with a time, times come in pairs except before its end, and do not go back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LATEST_FIRST = 50  # times of 0.02 s: the text begins within the first second

Logits = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Rules:
    """The numbers of a model's special tokens, and what it must not say."""

    end: int  # of the text; what is below is text
    silence: int  # no speech
    first_time: int  # the time 0; all above are times
    never: tuple[int, ...]  # tokens that are never said
    start: int  # of a prompt
    languages: Mapping[str, int]  # tokens behind it, by code

    def is_time(self, token: int) -> bool:
        """Whether the token says when."""
        return token >= self.first_time

    def is_closing(self, tokens: Sequence[int]) -> bool:
        """Whether the last of a text's tokens says when a piece ends."""
        return len(tokens) > 1 and self.is_time(tokens[-1]) and not self.is_time(tokens[-2])

    def no_speech(self, logits: Logits) -> float:
        """The probability of silence, by the logits [n_vocabulary] behind the first token of the prompt."""
        return float(np.exp(logits[self.silence] - log_sum(logits)))

    def likeliest(self, logits: Logits, before: Sequence[int], n: int) -> list[tuple[int, float]]:
        """The best allowed tokens behind those of the text, `n` at most, with log probabilities among the allowed.

        Takes logits [n_vocabulary], which are changed.
        """
        logits[list(self.never)] = -np.inf
        text, times = logits[: self.first_time], logits[self.first_time :]
        self._allow(text, times, before)
        text_sum, times_sum = log_sum(text), log_sum(times)
        if times_sum > text.max():  # the sum of all times against the best of the others
            text[:] = text_sum = -np.inf
        total = np.logaddexp(text_sum, times_sum)
        found = list[tuple[int, float]]()
        while len(found) < n and np.isfinite(logits[token := int(logits.argmax())]):
            found.append((token, float(logits[token] - total)))
            logits[token] = -np.inf
        return found

    def _allow(self, text: Logits, times: Logits, before: Sequence[int]) -> None:
        if not before:
            text[:] = -np.inf
            times[LATEST_FIRST + 1 :] = -np.inf
            return
        if self.is_closing(before):
            text[: self.end] = -np.inf
        elif self.is_time(before[-1]):
            times[:] = -np.inf
        latest = max((n for n, token in enumerate(before) if self.is_time(token)), default=None)
        if latest is not None:
            may_repeat = latest == len(before) - 1
            times[: before[latest] - self.first_time + (not may_repeat)] = -np.inf


def log_sum(logits: Logits) -> float:
    """The logarithm of the sum of the exponentials."""
    most = logits.max()
    return float(most + np.log(np.exp(logits - most).sum())) if np.isfinite(most) else -np.inf
