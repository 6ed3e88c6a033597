"""How fast the audio of a session comes."""

from __future__ import annotations

import pytest

from voxtral_streaming.audio.units import samples_from_seconds
from voxtral_streaming.pace import AHEAD_S, FORGIVEN, MOST_S, Pace


def hears(pace: Pace, audio_s: float, *, since: float, lasts: float, parts: int = 100) -> float:
    """So much audio, bit by bit in so many seconds; when that is over."""
    for n in range(1, parts + 1):
        pace.take(samples_from_seconds(audio_s / parts), since + lasts * n / parts)
    return since + lasts


@pytest.mark.parametrize(("speed", "is_ahead"), [(0.5, False), (1.0, False), (1.4, False), (2.0, True), (30.0, True)])
def test_who_goes_on_faster_than_anybody_speaks_is_ahead(speed: float, is_ahead: bool) -> None:
    pace = Pace(0.0)
    hears(pace, 120.0, since=0.0, lasts=120.0 / speed)
    assert pace.is_ahead == is_ahead


def test_what_the_network_held_back_is_not_ahead() -> None:
    pace, now = Pace(0.0), 0.0
    for _ in range(10):
        now += 5.0
        pace.take(samples_from_seconds(5.0), now)
        assert not pace.is_ahead
    pace.take(samples_from_seconds(AHEAD_S), now)
    assert not pace.is_ahead


def test_who_was_away_may_catch_up() -> None:
    pace = Pace(0.0)
    pace.take(samples_from_seconds(MOST_S), MOST_S)
    assert not pace.is_ahead
    pace.take(samples_from_seconds(MOST_S), MOST_S)
    assert pace.is_ahead


def test_who_goes_on_as_he_speaks_is_in_time_again() -> None:
    pace = Pace(0.0)
    pace.take(samples_from_seconds(3600.0), 0.0)
    assert pace.is_ahead
    hears(pace, MOST_S, since=0.0, lasts=MOST_S)
    assert pace.is_ahead
    soon = (MOST_S - AHEAD_S) / (FORGIVEN - 1) + 1
    hears(pace, soon - MOST_S, since=MOST_S, lasts=soon - MOST_S)
    assert not pace.is_ahead
