"""Where to cut an utterance that grows too long: at the gap between words."""

from __future__ import annotations

import math
from collections import deque

from voxtral_streaming.vad.frames import FRAME

SPAN = 7  # frames (224 ms) whose mean counts: longer than the closure of a stop inside a word
CERTAIN = 1e-4  # a probability this near 0 or 1 is as good as 0 or 1

# Mean log odds of speech that pass for a gap: when the search begins, and at the limit.
CLEAR_GAP, FAINT_GAP = -1.0, 4.0


class GapFinder:
    """Scores the middles of the last `SPAN` frames by how unlikely speech is around them.

    The detector's doubt finds the gaps between words better than the level does, which is as low in
    the closures inside them: docs/detector.md has the figures.
    """

    def __init__(self, n_samples: int) -> None:
        """`n_samples`: how far back a gap may lie."""
        self._log_odds: deque[float] = deque(maxlen=SPAN)
        self._scores: deque[tuple[float, int]] = deque(maxlen=n_samples // FRAME + 1)  # (score, position)

    def hear(self, probability: float, end: int) -> None:
        """Take the detector's judgement of the frame that ends at sample `end`."""
        certain = min(max(probability, CERTAIN), 1 - CERTAIN)
        self._log_odds.append(math.log(certain / (1 - certain)))
        if len(self._log_odds) == SPAN:
            self._scores.append((math.fsum(self._log_odds) / SPAN, end - SPAN * FRAME // 2))

    def find(self, start: int, progress: float) -> int | None:
        """The clearest gap at or after `start`, if it is clear enough and does not grow clearer still.

        `progress`, 0 to 1, is how far the search has come; it grows less choosy on its way.
        """
        scores = self._scores_from(start)
        enough = CLEAR_GAP + progress * (FAINT_GAP - CLEAR_GAP)
        if not scores or min(scores) == scores[-1] or min(scores)[0] > enough:
            return None
        return min(scores)[1]

    def force(self, start: int) -> int:
        """The clearest gap at or after `start`, however faint; `SPAN` frames after it must have been heard."""
        return min(self._scores_from(start))[1]

    def _scores_from(self, start: int) -> list[tuple[float, int]]:
        return [scored for scored in self._scores if scored[1] >= start]
