"""A hang is told from slow work; no clock is waited for."""

from __future__ import annotations

from dataclasses import replace

from voxtral_streaming.engines.process.watchdog import Policy, Vitals, Watchdog

POLICY = Policy(beat_s=1, silence_s=10, stall_s=30, slow_s=300)


def look(watchdog: Watchdog, start: int, stop: int, *, beats: bool = True, cpu: float = 0.01) -> str | None:
    """The first verdict of looking every second; `cpu` is the part of a core that the child uses."""
    for now in range(start, stop):
        if beats:
            watchdog.hear(now)
        if verdict := watchdog.verdict(now, Vitals(cpu * now, 10**8)):
            return f"{now}: {verdict}"
    return None


def test_who_beats_and_is_asked_for_nothing_may_be_quiet_for_ever() -> None:
    assert look(Watchdog(POLICY, 0), 0, 1000) is None


def test_who_gives_no_sign_of_life_is_given_up() -> None:
    verdict = look(Watchdog(POLICY, 0), 0, 100, beats=False)
    assert verdict == "11: it gave no sign of life for 10 s"


def test_who_is_asked_and_answers_nobody_hangs() -> None:
    watchdog = Watchdog(POLICY, 0)
    look(watchdog, 0, 100)
    watchdog.ask(100)
    watchdog.ask(110)
    assert look(watchdog, 100, 200) == "131: it was asked for 2 texts and answered nobody for 30 s"


def test_who_answers_somebody_is_only_slow() -> None:
    watchdog = Watchdog(POLICY, 0)
    watchdog.ask(0)
    for now in range(0, 300, 20):
        watchdog.progress(now)
        assert look(watchdog, now, now + 20) is None


def test_who_computes_is_waited_for_longer() -> None:
    watchdog = Watchdog(POLICY, 0)
    look(watchdog, 0, 100, cpu=2)
    watchdog.ask(100)
    assert look(watchdog, 100, 1000, cpu=2) == "401: it was asked for 1 texts and answered nobody for 300 s"


def test_who_computed_before_and_does_nothing_now_hangs() -> None:
    watchdog = Watchdog(POLICY, 0)
    look(watchdog, 0, 100, cpu=2)
    watchdog.ask(100)
    watchdog.hear(131)
    verdicts = [watchdog.verdict(now, Vitals(200, 10**8)) for now in range(100, 132)]
    assert verdicts == [None] * 31 + ["it was asked for 1 texts and answered nobody for 30 s"]


def test_what_was_answered_or_given_up_is_not_waited_for() -> None:
    watchdog = Watchdog(POLICY, 0)
    watchdog.ask(0)
    watchdog.settle()
    assert look(watchdog, 0, 100) is None
    watchdog.ask(100)
    assert look(watchdog, 100, 129) is None


def test_who_was_stopped_himself_suspects_nobody() -> None:
    watchdog = Watchdog(POLICY, 0)
    watchdog.ask(0)
    look(watchdog, 0, 5)
    assert watchdog.verdict(500, None) is None
    assert look(watchdog, 501, 600, beats=False) == "511: it gave no sign of life for 10 s"


def test_who_takes_too_much_memory_is_given_up() -> None:
    watchdog = Watchdog(replace(POLICY, max_bytes=500_000_000), 0)
    assert watchdog.verdict(1, Vitals(0, 500_000_000)) is None
    assert watchdog.verdict(2, Vitals(0, 600_000_000)) == "it took 600 MB of memory, and may take 500"
    assert watchdog.verdict(3, None) is None
