from __future__ import annotations

import pytest

from voxtral_streaming.server.errors import TooManyRequests
from voxtral_streaming.server.throttle import WINDOW_S, Throttle


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def throttle(clock: Clock) -> Throttle:
    return Throttle(3, "guesses", max_peers=4, clock=clock)


def test_so_many_are_let_through_and_no_more(throttle: Throttle) -> None:
    for _ in range(3):
        throttle.check("a")
        throttle.count("a")
    with pytest.raises(TooManyRequests, match="too many guesses"):
        throttle.check("a")
    throttle.check("b")


def test_the_refusal_says_when_the_minute_is_over(throttle: Throttle, clock: Clock) -> None:
    throttle.count("a")
    clock.now += 20.5
    throttle.count("a")
    throttle.count("a")
    with pytest.raises(TooManyRequests) as refused:
        throttle.check("a")
    assert refused.value.retry_after_s == 40
    clock.now += 40
    throttle.check("a")


def test_a_new_minute_counts_from_nothing(throttle: Throttle, clock: Clock) -> None:
    for _ in range(3):
        throttle.count("a")
    clock.now += WINDOW_S
    throttle.count("a")
    throttle.check("a")


def test_only_so_many_peers_are_remembered(throttle: Throttle, clock: Clock) -> None:
    for number in range(100):
        throttle.count(str(number))
        clock.now += 0.001
    assert len(throttle) == 4
    for _ in range(3):
        throttle.count("99")
    with pytest.raises(TooManyRequests):
        throttle.check("99")


def test_peers_of_long_ago_are_forgotten(throttle: Throttle, clock: Clock) -> None:
    for peer in "abc":
        throttle.count(peer)
    clock.now += WINDOW_S
    throttle.count("d")
    assert len(throttle) == 1
