"""Which part of a growing utterance its partials hear again. Pure: no model, no clock.

What was recognised up to a pause is settled: partials go on behind it, so that what they cost depends on how long
ago the speaker last paused, and not on how long he has been speaking. The final hears everything once more.
"""

from __future__ import annotations

from voxtral_streaming.audio.units import SAMPLE_RATE

SHORTEST = 3 * SAMPLE_RATE  # samples of a passage that may be settled: with less, the model has too little context
LONG = 6 * SAMPLE_RATE  # samples of a passage that is better heard up to a pause in it, where there was one


class Passages:
    """The settled part of an utterance, and the passage behind it. Positions are samples of the utterance."""

    def __init__(self) -> None:
        self.words: tuple[str, ...] = ()  # of the settled part
        self.start = 0  # of the passage: where the settled part ends
        self._pauses: list[int] = []

    def pause(self, at: int) -> None:
        """The speaker seems to have paused at the end of what was fed."""
        if not self._pauses or self._pauses[-1] < at:
            self._pauses.append(at)

    def next(self, end: int) -> tuple[int, int]:
        """From where to where a partial hears, of an utterance that is known up to `end`."""
        if end - self.start > LONG:
            end = max((pause for pause in self._pauses if pause - self.start >= SHORTEST), default=end)
        return self.start, end

    def settle(self, words: tuple[str, ...], end: int) -> None:
        """Take the words that were recognised up to `end`, if the speaker paused there and said enough."""
        if end in self._pauses and end - self.start >= SHORTEST:
            self.words, self.start = words, end
            self._pauses = [pause for pause in self._pauses if pause > end]

    def continued(self, words: tuple[str, ...]) -> tuple[str, ...]:
        """The settled words, and those of the passage behind them.

        The model ends with a full stop where the speaker paused; it goes where the sentence goes on in lower case.
        """
        settled = self.words
        if settled and words and settled[-1].endswith(".") and words[0].lstrip()[:1].islower():
            settled = (*settled[:-1], settled[-1].rstrip("."))
        return (*settled, *words)
