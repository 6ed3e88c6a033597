"""What was decoded of an utterance before, for the decoder to check. Pure: no model, no clock.

A draft may be wrong in any way: it changes how long the decoder takes, and never its text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from voxtral_streaming.audio.units import SAMPLE_RATE, exact_div
from voxtral_streaming.engines.whisper.windows import HOP, LONGEST

NEAR = 25  # times of 0.02 s: so far apart two hearings date the same moment
TIME_STEP = exact_div(SAMPLE_RATE, 50)  # samples from one of Whisper's times to the next
N_TIMES = exact_div(LONGEST * HOP, TIME_STEP) + 1


class Drafts:
    """Tokens, by the sample of the utterance at which what they were decoded from began.

    One thread tells what was heard; any may ask.
    """

    def __init__(self, first_time: int) -> None:
        """Take the token of the time 0; those above are later times."""
        self._first_time = first_time
        self._pieces: dict[int, tuple[int, ...]] = {}  # replaced as a whole

    def heard(self, start: int, end: int, tokens: Sequence[int]) -> None:
        """Take what was decoded from `start` to `end`, instead of what was before."""
        before = {at: self._up_to(start - at, piece) for at, piece in self._pieces.items() if at < start}
        behind = {at: piece for at, piece in self._pieces.items() if at >= end}
        self._pieces = {**before, start: tuple(tokens), **behind}

    def divide(self, at: int, rest: Sequence[int], start: int) -> None:
        """What was decoded last, from `start` on, is two pieces now: `rest` of it begins at `at`."""
        piece = self._pieces[start]
        pieces = {start: piece[: len(piece) - len(rest)], at: self._moved(rest, start - at)}
        self._pieces = {**self._pieces, **pieces}

    def stand(self, behind: Mapping[int, Sequence[int]], start: int, end: int) -> None:
        """What was decoded from `start` to `end` is in pieces now: what is `behind` each of these samples, in order.

        All before them is forgotten.
        """
        n_behind = [*map(len, behind.values()), 0][1:]
        pieces = {
            at: self._moved(tokens[: len(tokens) - n], start - at)
            for (at, tokens), n in zip(behind.items(), n_behind, strict=True)
        }
        self._pieces = {at: piece for at, piece in self._pieces.items() if at >= end} | pieces

    def behind(self, start: int) -> tuple[int, ...]:
        """What may be decoded from `start` on."""
        following = sorted((at, piece) for at, piece in self._pieces.items() if at >= start)
        return tuple(token for at, piece in following for token in self._moved(piece, at - start))

    def _up_to(self, n_samples: int, tokens: tuple[int, ...]) -> tuple[int, ...]:
        """The tokens up to the time after so many samples; all, where a sentence lies across it."""
        there = self._first_time + round(n_samples / TIME_STEP) - NEAR
        n = next((n for n, token in enumerate(tokens) if n and token >= there), len(tokens))
        return tokens[: n + 1]

    def _moved(self, tokens: Sequence[int], by: int) -> tuple[int, ...]:
        """The tokens, their times so many samples later, within what a window has."""
        steps = round(by / TIME_STEP)
        first = self._first_time
        return tuple(
            token if token < first else min(max(first, token + steps), first + N_TIMES - 1) for token in tokens
        )
