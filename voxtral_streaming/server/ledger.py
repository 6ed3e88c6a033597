"""What is counted of one live session, for its client and for the metrics."""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from time import monotonic

from voxtral_streaming.audio.units import seconds
from voxtral_streaming.server.dialects.actions import Closed
from voxtral_streaming.server.metrics import Metrics
from voxtral_streaming.transcript import Event, Final, Partial, SpeechStarted

MAX_ARRIVALS = 4096  # blocks of audio whose arrival is remembered


class Ledger:
    """Counts samples at 16 kHz, and how long after its audio each text comes."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._received = 0
        self._consumed = 0
        self._utterances = 0
        self._unheard: int | None = None  # start of the utterance that has no partial yet
        self._ends: deque[int] = deque(maxlen=MAX_ARRIVALS)  # of the blocks that arrived, in samples
        self._moments: deque[float] = deque(maxlen=MAX_ARRIVALS)

    def receive(self, n_samples: int) -> None:
        """So many samples came from the client."""
        self._received += n_samples
        self._ends.append(self._received)
        self._moments.append(monotonic())
        self._metrics.audio_seconds.labels("live").inc(seconds(n_samples))

    def consume(self, n_samples: int) -> None:
        """So many were taken by recognition."""
        self._consumed += n_samples

    def tell(self, event: Event) -> None:
        """The client is told of this."""
        match event:
            case SpeechStarted(at=at):
                self._unheard = at
            case Partial():
                self._metrics.partials.inc()
                if self._unheard is not None:
                    self._metrics.first_partial.observe(self._seconds_since(self._unheard))
                    self._unheard = None
            case Final(end_sample=end):
                self._utterances += 1
                self._metrics.finals.inc()
                self._metrics.final.observe(self._seconds_since(end))

    def closed(self, sanitized: int) -> Closed:
        """The counts at the end of the session."""
        dropped = self._received - self._consumed
        return Closed(self._received, self._consumed, dropped, sanitized, self._utterances)

    def lag_s(self, end: int | None) -> float:
        """How long ago the audio came whose final is awaited, `end` being where it ends; 0 where there is none."""
        return 0.0 if end is None or not self._moments else self._seconds_since(end)

    def _seconds_since(self, at: int) -> float:
        """How long ago the sample just before position `at` arrived; of old ones, at least how long."""
        index = min(bisect_left(self._ends, at), len(self._moments) - 1)
        return monotonic() - self._moments[index]
