from __future__ import annotations

import asyncio
import zlib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from bench.endurance import verdict
from bench.endurance.__main__ import started
from bench.endurance.clients import speak, upload
from bench.endurance.speech import Audit, Speech
from bench.endurance.tally import Reading, Tally
from bench.endurance.wire import Wire
from voxtral_streaming.client import Closed


@pytest.fixture(scope="module")
def speech() -> Speech:
    return Speech.of(seed=5, n_bursts=4)


def final(speech: Speech, start: int, end: int, step: int = 5120) -> str:
    """The text of the accounting engine."""
    parts = [(at, min(step, end - at)) for at in range(start, end, step)]
    return " ".join(f"{at}+{n}:{zlib.crc32(speech.samples(at, n).tobytes()):08x}" for at, n in parts)


def heard(speech: Speech, *spans: tuple[int, int]) -> list[str]:
    audit = Audit(speech)
    for start, end in spans:
        audit.take(final(speech, start, end))
    audit.finish(2 * len(speech))
    return audit.faults


class TestAudit:
    def test_all_of_two_rounds_is_fine(self, speech: Speech) -> None:
        spans = [speech.burst(number) for number in range(8)]
        assert spans[4][0] == spans[0][0] + len(speech)
        assert heard(speech, *((start - 4000, end + 8000) for start, end in spans)) == []

    def test_a_burst_that_is_missing(self, speech: Speech) -> None:
        spans = [speech.burst(number) for number in range(8)]
        assert "is not whole in a final" in heard(speech, *spans[:3], *spans[4:])[0]
        assert "was not heard" in heard(speech, *spans[:7])[0]

    def test_a_burst_without_its_end(self, speech: Speech) -> None:
        spans = [speech.burst(number) for number in range(8)]
        spans[2] = (spans[2][0], spans[2][1] - 1)
        assert "is not whole" in heard(speech, *spans)[0]

    def test_a_burst_that_is_heard_twice(self, speech: Speech) -> None:
        spans = [speech.burst(number) for number in range(8)]
        assert "heard twice" in heard(speech, *spans[:2], *spans[1:])[0]

    def test_a_hole_in_a_final(self, speech: Speech) -> None:
        audit = Audit(speech)
        ranges = final(speech, *speech.burst(0)).split()
        audit.take(" ".join([*ranges[:1], *ranges[2:]]))
        assert "a range begins at" in audit.faults[0]

    def test_other_samples(self, speech: Speech) -> None:
        audit = Audit(speech)
        audit.take(final(Speech(-speech.pcm, speech.bursts), *speech.burst(0)))
        assert "are not those that were sent" in audit.faults[0]

    @pytest.mark.parametrize("closed", [None, Closed(100, 99, 1, 0, 0), Closed(99, 99, 0, 0, 0)])
    def test_counts(self, speech: Speech, closed: Closed | None) -> None:
        audit = Audit(speech)
        audit.check_counts(100, closed)
        assert len(audit.faults) == 1
        audit.check_counts(100, Closed(100, 100, 0, 0, 0))
        assert len(audit.faults) == 1


def reading(hours: float, rss_mb: float, n_descriptors: int = 10) -> Reading:
    return Reading(3600 * hours, rss_mb, rss_mb, n_descriptors, 4, hours)


class TestVerdict:
    def judged(self, tally: Tally, readings: list[Reading], **after: int) -> set[str]:
        """The promises that were not kept."""
        end = reading(24, 100, after.get("n_descriptors", 10))
        promises = verdict.judge(tally, readings, reading(0, 100), end, after.get("n_open", 0))
        assert all(promise.name in verdict.page(promises, tally, 1, 1) for promise in promises)
        return {promise.name for promise in promises if promise.is_kept is False}

    def test_all_is_well(self) -> None:
        readings = [reading(hour, 100 + np.sin(hour)) for hour in range(24)]
        assert self.judged(Tally(Counter(closed=1000)), readings) == set()

    def test_what_is_wrong_is_named(self) -> None:
        tally = Tally()
        tally.sessions.update({"closed": 998, "connection_lost": 2})
        tally.lose(["a burst"])
        tally.wonder("a 500")
        kept_by_accident = self.judged(tally, [reading(h, 100 + 2 * h) for h in range(24)], n_descriptors=20, n_open=1)
        assert kept_by_accident == {
            "no sample lost or doubled",
            "sessions end in order",
            "no answer that ought not to be",
            "memory does not grow",
            "memory has no slope",
            "descriptors come back",
            "nobody is left inside",
        }

    def test_a_minute_says_nothing_of_a_slope(self) -> None:
        tally = Tally(Counter(closed=1))
        assert "memory has no slope" not in self.judged(tally, [reading(h / 1000, 100 + h / 100) for h in range(9)])


async def test_a_wire_that_is_cut_resets_both_ends() -> None:
    ended = asyncio.Event()

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(100):
                writer.write(data)
        except ConnectionError:
            pass
        writer.close()
        ended.set()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    wire = Wire(server.sockets[0].getsockname()[1])
    async with server, wire.open() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"hello")
        assert await reader.readexactly(5) == b"hello"
        wire.cut()
        with pytest.raises(ConnectionError):
            await reader.readexactly(1)
        await asyncio.wait_for(ended.wait(), 5)
        writer.close()


async def test_a_session_and_a_recording_of_the_server_under_test(tmp_path: Path, speech: Speech) -> None:
    tally = Tally()
    with (tmp_path / "log").open("w") as log:
        async with started(log) as (door, _):
            await speak(door, door.live, speech, tally, lambda: True)
            await upload(door, speech, tally)
    assert (tally.sessions, tally.uploads) == ({"closed": 1}, {"transcribed": 1})
    assert tally.lost == []
    assert tally.n_finals == 4
    assert tally.n_samples == len(speech)
