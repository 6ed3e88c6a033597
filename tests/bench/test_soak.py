from __future__ import annotations

from bench.client import StreamLog
from bench.dialects.base import Committed, Shown
from bench.soak import memory_at
from voxtral_streaming.audio.units import SAMPLE_RATE


def test_memory_is_told_where_the_finals_had_come_to() -> None:
    log = StreamLog()
    for minute in range(1, 11):  # ten minutes of audio in ten seconds
        log.observations.append((minute - 0.5, Shown(str(minute), "a", "b")))
        end = minute * 60 * SAMPLE_RATE
        log.observations.append((float(minute), Committed(str(minute), "a b", (end - SAMPLE_RATE, end))))
    readings = [(0.5 * index, 100.0 + index) for index in range(24)]
    assert memory_at(log, readings, duration=600.0) == [102.0, 106.0, 110.0, 116.0, 120.0]


def test_a_stream_that_ends_in_silence_is_told_to_its_last_final() -> None:
    log = StreamLog([(1.0, Committed("0", "a", (0, 300 * SAMPLE_RATE)))])
    assert memory_at(log, [(0.0, 100.0), (1.0, 200.0), (9.0, 900.0)], duration=600.0) == [200.0] * 5
