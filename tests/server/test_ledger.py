from __future__ import annotations

import time

from voxtral_streaming.server.dialects.actions import Closed
from voxtral_streaming.server.ledger import Ledger
from voxtral_streaming.server.metrics import Metrics
from voxtral_streaming.transcript import Final, Partial, SpeechStarted


def latencies(metrics: Metrics, name: str) -> tuple[float, float]:
    """How many were observed, and their sum."""
    count, total = (metrics.registry.get_sample_value(f"{name}_{part}") for part in ("count", "sum"))
    assert count is not None
    assert total is not None
    return count, total


def test_counts_add_up() -> None:
    ledger = Ledger(Metrics(lambda: 0, lambda: 0))
    ledger.receive(100)
    ledger.receive(50)
    ledger.consume(100)
    ledger.tell(Final(0, 0, 10, ""))
    assert ledger.closed(sanitized=3) == Closed(received=150, consumed=100, dropped=50, sanitized=3, utterances=1)


def test_latencies_are_measured_from_the_arrival_of_the_audio() -> None:
    metrics = Metrics(lambda: 0, lambda: 0)
    ledger = Ledger(metrics)
    ledger.receive(1600)
    time.sleep(0.05)
    ledger.receive(1600)
    ledger.tell(SpeechStarted(0, 800))
    ledger.tell(Partial(0, 3200, "a", ""))
    ledger.tell(Partial(0, 3200, "ab", ""))
    ledger.tell(Final(0, 800, 3200, "ab"))
    count, total = latencies(metrics, "voxtral_first_partial_seconds")
    assert count == 1
    assert total >= 0.05
    count, total = latencies(metrics, "voxtral_final_seconds")
    assert count == 1
    assert total < 0.05


def test_forgets_what_is_long_past() -> None:
    metrics = Metrics(lambda: 0, lambda: 0)
    ledger = Ledger(metrics)
    for _ in range(5000):
        ledger.receive(1)
    ledger.tell(Final(0, 0, 1, ""))
    assert latencies(metrics, "voxtral_final_seconds")[0] == 1
