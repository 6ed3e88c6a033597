"""What the server counts, as Prometheus reads it; nothing that grows with the number of clients."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from voxtral_streaming.engines.base import Supervised

LATENCY_BUCKETS = (0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0)  # seconds


class Metrics:
    """The counters of one application, in a registry of its own."""

    def __init__(self, n_sessions: Callable[[], int], n_uploads: Callable[[], int]) -> None:
        """`n_sessions` and `n_uploads`: how many are open now."""
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._gauge("voxtral_open_sessions", "Live sessions that are open.", n_sessions)
        self._gauge("voxtral_open_uploads", "Recordings received, waiting or under recognition.", n_uploads)
        self.sessions = self._counter("voxtral_sessions_total", "Live sessions that were opened.")
        self.resumed = self._counter("voxtral_sessions_resumed_total", "Times that clients came back to a session.")
        self.audio_seconds = self._counter("voxtral_audio_seconds_total", "Audio taken in.", "door")
        self.partials = self._counter("voxtral_partials_total", "Partials of live sessions.")
        self.finals = self._counter("voxtral_finals_total", "Finals of live sessions.")
        self.sanitized = self._counter("voxtral_samples_sanitized_total", "Samples that were no number in [-1, 1].")
        self.errors = self._counter("voxtral_errors_total", "Errors that clients were told.", "code")
        self.first_partial = self._histogram(
            "voxtral_first_partial_seconds", "From the arrival of an utterance's first sample to its first partial."
        )
        self.final = self._histogram(
            "voxtral_final_seconds", "From the arrival of an utterance's last sample to its final."
        )

    def supervise(self, engine: Supervised) -> None:
        """Show how an engine is doing that may fail and come back."""
        self._gauge("voxtral_engine_up", "Whether the engine is there.", lambda: int(engine.is_there))
        self.registry.register(Restarts(engine))

    def _gauge(self, name: str, text: str, count: Callable[[], int]) -> None:
        Gauge(name, text, registry=self.registry).set_function(count)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str) -> Histogram:
        return Histogram(name, text, buckets=LATENCY_BUCKETS, registry=self.registry)


class Restarts(Collector):
    """How many times an engine was started again."""

    def __init__(self, engine: Supervised) -> None:
        self._engine = engine

    def collect(self) -> Iterator[CounterMetricFamily]:
        """Ask the engine, which counts."""
        text = "Times that the engine was started again after a failure."
        yield CounterMetricFamily("voxtral_engine_restarts", text, value=self._engine.n_restarts)
