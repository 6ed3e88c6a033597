"""Which part of a growing utterance its partials hear again. Pure: no model, no clock.

The words before a pause are settled: partials go on behind it, so that what they cost depends on how long ago the
speaker last paused, and not on how long he has been speaking. The final hears everything once more.
"""

from __future__ import annotations

from dataclasses import dataclass

from voxtral_streaming.audio.units import SAMPLE_RATE, exact_div

SHORTEST = 3 * SAMPLE_RATE  # samples of a passage that may be settled: with less, the model has too little context
LONG = 6 * SAMPLE_RATE  # samples of a passage that is better settled up to a pause in it, where there was one
BEHIND = exact_div(SAMPLE_RATE, 2)  # samples behind that pause, at least: enough to hear where its last word ends


@dataclass(frozen=True, slots=True)
class Passage:
    """A stretch of an utterance, from sample `start` to sample `end`, and the words before what is new in it."""

    start: int
    end: int
    before: tuple[str, ...] = ()
    pauses: tuple[int, ...] = ()  # samples of the utterance at which it may be settled once it is heard, the best first
    known: int = 0  # sample of the utterance up to which it is only heard again: its words are among those before

    @property
    def n_samples(self) -> int:
        """How long it is."""
        return self.end - self.start


class Passages:
    """The settled part of an utterance, and the passage behind it. Positions are samples of the utterance.

    One thread settles; `next` may be called by any.
    """

    def __init__(self) -> None:
        self._settled = Passage(0, 0)  # empty, where the settled part ends: replaced as a whole
        self._pauses: list[int] = []

    @property
    def start(self) -> int:
        """Where the passage begins."""
        return self._settled.start

    def pause(self, at: int) -> None:
        """The speaker seems to have paused at the end of what was fed."""
        if not self._pauses or self._pauses[-1] < at:
            self._pauses.append(at)

    def next(self, end: int) -> Passage:
        """What a partial hears of an utterance that is known up to `end`."""
        settled = self._settled
        first, last = settled.start + SHORTEST, end - BEHIND
        pauses = tuple(pause for pause in self._pauses[::-1] if first <= pause <= last)
        return Passage(settled.start, end, settled.before, pauses if end - settled.start > LONG else ())

    def heard(self, words: tuple[str, ...], passage: Passage) -> None:
        """All words up to the end of a passage are known: they are settled if the speaker paused there."""
        is_newest = passage.start == self.start
        if is_newest and passage.end in self._pauses and passage.n_samples >= SHORTEST:
            self.settle(words, passage.end)

    def settle(self, words: tuple[str, ...], end: int) -> None:
        """Take the words up to `end`, whatever was settled before."""
        self._settled = Passage(end, end, words)
        self._pauses = [pause for pause in self._pauses if pause > end]
