"""Utterances that grow too long. The limit is 3 s, 93.75 frames, searched from 46.9; 15.6 frames are held back."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest

from voxtral_streaming.audio.units import SAMPLE_RATE, Samples
from voxtral_streaming.vad.activity import Activity, Endpoint, Endpointer, Pause, Speech, SpeechStarted
from voxtral_streaming.vad.frames import FRAME
from voxtral_streaming.vad.gap import GapFinder

Open = Callable[..., Endpointer]
Sound = Callable[[str], Samples]
Tell = Callable[[Iterable[Activity]], str]

LIMIT_S = 3.0


@pytest.fixture
def hear(open_energy: Open, sound: Sound, tell: Tell) -> Callable[..., str]:
    return lambda drawing, **settings: tell(open_energy(engine_limit_s=LIMIT_S, **settings).feed(sound(drawing)))


def test_a_clear_gap_is_taken_early(hear: Callable[..., str]) -> None:
    assert hear("#" * 75 + "....." + "#" * 10).startswith("start@0 0-76.5 end@76.5 start@76.5 76.5-")


def test_of_two_gaps_in_reach_the_clearer_is_taken(hear: Callable[..., str]) -> None:
    assert hear("#" * 72 + "o" + "#" * 4 + "oooo" + "#" * 14).startswith("start@0 0-77.5 end@77.5 start@77.5")


def test_without_any_gap_the_limit_cuts(hear: Callable[..., str]) -> None:
    start, speech, end, restart, rest = hear("#" * 100).split()
    assert (start, rest.split("-")[1]) == ("start@0", "100")
    assert speech.split("-")[1] == end.split("@")[1] == restart.split("@")[1] == rest.split("-")[0]
    assert 75 < float(end.split("@")[1]) <= LIMIT_S * SAMPLE_RATE / FRAME


def test_speech_that_stops_in_the_search_ends_the_utterance(hear: Callable[..., str]) -> None:
    ended = "start@0 0-77 stop@77 end@77"
    settings = {"pause_ms": 64, "min_silence_duration_ms": 96}
    assert hear("#" * 75 + "...", **settings) == ended
    assert hear("#" * 75 + "." * 30, **settings) == ended


def test_speech_that_resumes_soon_starts_the_next_at_once_and_nothing_between_is_lost(hear: Callable[..., str]) -> None:
    settings = {"pause_ms": 64, "min_silence_duration_ms": 96}
    ended = "start@0 0-77 stop@77 end@77"
    assert hear("#" * 75 + "." * 15 + "#", **settings) == f"{ended} start@77 77-91"
    assert hear("#" * 75 + "." * 16 + "#", **settings) == ended


def test_a_pause_before_the_search_is_left_when_the_search_begins(hear: Callable[..., str]) -> None:
    assert hear("#" * 43 + "." * 7, endpoint_silence_ms=3000) == "start@0 0-46 pause@46 stop@46 end@46"


def test_speech_is_emitted_at_once_and_a_search_holds_little_back(open_energy: Open, sound: Sound) -> None:
    endpointer = open_energy(engine_limit_s=LIMIT_S)
    samples = sound("#" * 300)
    emitted = 0
    start = 0
    for position in range(0, len(samples), FRAME):
        for activity in endpointer.feed(samples[position : position + FRAME]):
            if isinstance(activity, SpeechStarted):
                start = activity.at
            if isinstance(activity, Speech):
                emitted = activity.at + len(activity.samples)
        held = position + FRAME - emitted
        is_searching = position + FRAME - start > LIMIT_S * SAMPLE_RATE / 2
        assert held <= (SAMPLE_RATE / 2 if is_searching else 0 if position >= 3 * FRAME else 4 * FRAME)


@pytest.mark.parametrize(("engine_s", "user_s"), [(2.0, 10.0), (10.0, 2.0)])
def test_no_utterance_is_longer_than_the_shorter_limit(
    engine_s: float, user_s: float, open_energy: Open, sound: Sound
) -> None:
    endpointer = open_energy(engine_limit_s=engine_s, max_utterance_s=user_s)
    activities = [*endpointer.feed(sound("#" * 500)), *endpointer.flush()]
    starts = [activity.at for activity in activities if isinstance(activity, SpeechStarted)]
    ends = [activity.at for activity in activities if isinstance(activity, Endpoint)]
    assert len(starts) > 6
    assert all(end - start <= 2 * SAMPLE_RATE for start, end in zip(starts, ends, strict=True))
    assert starts[1:] == ends[:-1]


def test_a_limit_without_room_for_a_search_is_refused(open_energy: Open) -> None:
    with pytest.raises(ValueError, match=r"max_utterance_s: 0\.5: at least 1"):
        open_energy(engine_limit_s=0.5)


def test_no_pause_is_told_while_a_search_goes_on(open_energy: Open, sound: Sound) -> None:
    activities = open_energy(engine_limit_s=LIMIT_S).feed(sound("#" * 75 + "...." + "#" * 5))
    assert not any(isinstance(activity, Pause) for activity in activities)


def test_the_finder_is_ever_less_choosy() -> None:
    finder = GapFinder(8000)
    for frame, probability in enumerate([0.99] * 9 + [0.6] * 7 + [0.99] * 9, start=1):
        finder.hear(probability, frame * FRAME)
    assert finder.find(0, 0.0) is None
    assert finder.find(0, 0.5) == 12.5 * FRAME
    assert finder.force(0) == 12.5 * FRAME
    assert finder.force(14 * FRAME) == 14.5 * FRAME
