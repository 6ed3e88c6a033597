from __future__ import annotations

from pathlib import Path

import pytest

from bench.clips import SHARED_SPEECH
from bench.record import (
    Cost,
    Counts,
    Distribution,
    Latencies,
    Level,
    Machine,
    Record,
    Settings,
    SpokenText,
    TimedText,
    Timeline,
)


@pytest.fixture(scope="session")
def shared_speech() -> Path:
    if not SHARED_SPEECH.is_dir():
        pytest.skip("the shared recordings are not here")
    return SHARED_SPEECH


def _level(streams: int) -> Level:
    seen = Distribution.of([0.2 * streams, 0.3 * streams, 0.7])
    counts = Counts(
        utterances=3, cut=1, nowhere=0, misplaced=0, stable_words=20, broken_words=1,
        reference_words=40, substituted=1, missing=1, inserted=0, doubled=0,
    )  # fmt: skip
    cost = Cost(
        audio_s=10.0 * streams, speech_s=8.0 * streams, wall_s=11.0, server_cpu_s=2.0, server_peak_mb=400.0,
        server_end_mb=390.0, client_cpu_s=0.2, other_cpu_s=0.1, send_late_p99_s=0.001, send_late_max_s=0.002,
    )  # fmt: skip
    latencies = Latencies(first_partial=seen, word=seen, text=seen, commit=seen, gap=seen, lag=Distribution())
    broken = ("commit p95 1.20 s, more than 1 s",) if streams > 2 else ()
    return Level(
        streams=streams, latencies=latencies, counts=counts, cost=cost, failures=(), broken_limits=broken,
        timeline=_timeline(),
    )  # fmt: skip


def _timeline() -> Timeline:
    return Timeline(
        envelope=(0.1, 0.9, 1.0, 0.2),
        envelope_start=-0.3,
        speech=(SpokenText(start=0.0, end=1.2),),
        words=(SpokenText(start=0.0, end=0.5, text="Go"), SpokenText(start=0.5, end=1.2, text="<forward>")),
        partials=(TimedText(time=0.4, stable="", tentative="goat"), TimedText(time=0.9, stable="Go", tentative=" for")),
        stopped=1.45,
        final=TimedText(time=1.7, stable="Go forward."),
    )


@pytest.fixture
def record() -> Record:
    """A run that nobody made."""
    return Record(
        started="2026-01-01T00:00:00+00:00",
        machine=Machine(
            cpu="A <fast> one", cores=2, memory_gb=8.0, system="Linux", python="3.11", packages={"x": "1"}, commit=None
        ),
        settings=Settings(
            label="A & B", command="python -m bench.load", dialect="native", engine="whisper", model="whisper-base",
            language=None, clips=("one",), seconds=60.0, block_ms=40, seed=1,
            commit_p95=1.0, gap=2.0,
        ),
        levels=tuple(_level(streams) for streams in (1, 2, 4)),
    )  # fmt: skip
