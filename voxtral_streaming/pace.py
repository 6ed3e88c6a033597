"""How fast the audio of a session comes. Pure: the clock is given."""

from __future__ import annotations

from voxtral_streaming.audio.units import seconds

AHEAD_S = 10.0  # of audio that came before its time: more is not spoken now
MOST_S = 30.0  # that count, either way: who was away so long may catch up, who hurried so far is soon forgiven
FORGIVEN = 1.5  # seconds for each that passes: who goes on as he speaks comes to be in time again


class Pace:
    """How far a session's audio is ahead of the time in which it could be spoken."""

    def __init__(self, now: float) -> None:
        """Begin at the time `now`, in seconds of any clock that only goes on."""
        self._ahead_s = 0.0
        self._now = now

    @property
    def is_ahead(self) -> bool:
        """Whether it comes faster than anybody speaks, for so long that it is no matter of the network."""
        return self._ahead_s > AHEAD_S

    def take(self, n_samples: int, now: float) -> None:
        """Hear that so many samples came at the time `now`."""
        rested = max(-MOST_S, self._ahead_s - FORGIVEN * (now - self._now))
        self._ahead_s = min(MOST_S, rested + seconds(n_samples))
        self._now = now
