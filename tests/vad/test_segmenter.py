"""The state machine, drawn: a sign is a frame, `#` speech, `.` silence."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest

from voxtral_streaming.audio.units import Samples
from voxtral_streaming.vad.activity import Activity, Endpointer

Open = Callable[..., Endpointer]
Sound = Callable[[str], Samples]
Tell = Callable[[Iterable[Activity]], str]


@pytest.fixture
def hear(open_energy: Open, sound: Sound, tell: Tell) -> Callable[..., str]:
    """What a drawing gives, with no flush behind it."""
    return lambda drawing, **settings: tell(open_energy(**settings).feed(sound(drawing)))


@pytest.fixture
def hear_all(open_energy: Open, sound: Sound, tell: Tell) -> Callable[..., str]:
    """What a drawing gives, with a flush behind it."""

    def listen(drawing: str, **settings: float) -> str:
        endpointer = open_energy(**settings)
        return tell([*endpointer.feed(sound(drawing)), *endpointer.flush()])

    return listen


@pytest.mark.parametrize(
    ("drawing", "heard"),
    [
        ("." * 40, ""),
        ("...###" + "." * 30, ""),  # too short
        ("...####", "start@1 1-7"),  # with 2 frames of pre-roll
        ("#####", "start@0 0-5"),  # no pre-roll before the stream
        ("...####..", "start@1 1-9"),  # a lull is emitted
        ("...####...", "start@1 1-10 pause@10"),  # until it is a pause
        ("...####......", "start@1 1-10 pause@10"),  # then it is held back
        ("...####.......", "start@1 1-10 pause@10 stop@10"),
        ("...####......#", "start@1 1-10 pause@10 10-14"),  # until speech resumes
        ("...####" + "." * 15, "start@1 1-10 pause@10 stop@10"),
        ("...####" + "." * 16, "start@1 1-10 pause@10 stop@10 end@10"),
        ("...####" + "." * 15 + "#", "start@1 1-10 pause@10 stop@10 10-20 resume@20 20-23"),
        ("...####" + "." * 8 + "#" + "." * 7, "start@1 1-10 pause@10 stop@10 10-13 resume@13 13-19 pause@19 stop@19"),
        ("...####" + "." * 16 + "####", "start@1 1-10 pause@10 stop@10 end@10 start@21 21-27"),
        ("#.#.#.#", "start@0 0-7"),  # short lulls do not undo what was heard
        ("##.....##", ""),  # more silence than was asked of speech does
        ("##....##", "start@0 0-8"),
    ],
)
def test_what_starts_pauses_stops_and_ends(drawing: str, heard: str, hear: Callable[..., str]) -> None:
    assert hear(drawing) == heard


@pytest.mark.parametrize(
    ("drawing", "heard"),
    [
        ("." * 40, ""),
        ("...####", "start@1 1-7 stop@7 end@7"),
        ("...####..", "start@1 1-9 stop@9 end@9"),
        ("...####.....", "start@1 1-10 pause@10 stop@10 end@10"),  # after a pause nothing is added
        ("...####........", "start@1 1-10 pause@10 stop@10 end@10"),
        ("...#", "start@1 1-4 stop@4 end@4"),  # too short, but it was speech
        ("...#..", "start@1 1-6 stop@6 end@6"),
        ("...#.....", ""),  # given up before
    ],
)
def test_a_flush_ends_what_is_open(drawing: str, heard: str, hear_all: Callable[..., str]) -> None:
    assert hear_all(drawing) == heard


def test_a_flush_takes_the_frame_that_is_not_complete(open_energy: Open, sound: Sound, tell: Tell) -> None:
    endpointer = open_energy()
    samples = sound("#####")[: 4 * 512 + 256]
    assert tell([*endpointer.feed(samples), *endpointer.flush()]) == "start@0 0-4.5 stop@4.5 end@4.5"


def test_speech_goes_on_without_a_gap_after_a_flush(open_energy: Open, sound: Sound, tell: Tell) -> None:
    endpointer = open_energy()
    samples = sound("#" * 10)
    cut = 4 * 512 + 256
    first = [*endpointer.feed(samples[:cut]), *endpointer.flush()]
    assert tell(first) == "start@0 0-4.5 stop@4.5 end@4.5"
    assert tell(endpointer.feed(samples[cut:])) == "start@4.5 4.5-10"


def test_a_second_flush_has_nothing_to_end(open_energy: Open, sound: Sound) -> None:
    endpointer = open_energy()
    endpointer.feed(sound("#####"))
    assert endpointer.flush()
    assert endpointer.flush() == []


@pytest.mark.parametrize(
    ("settings", "drawing", "heard"),
    [
        ({"min_voice_duration_ms": 0}, "..#", "start@0 0-3"),
        ({"min_voice_duration_ms": 100}, "..###", ""),  # 96 ms
        ({"min_voice_duration_ms": 100}, "..####", "start@0 0-6"),
        ({"pre_roll_ms": 0}, "...####", "start@3 3-7"),
        ({"pre_roll_ms": 16}, "...####", "start@2.5 2.5-7"),
        ({"pause_ms": 0}, "####.", "start@0 0-4 pause@4"),
        ({"pause_ms": 48}, "####..", "start@0 0-5.5 pause@5.5"),
        ({"pause_ms": 600}, "####......", "start@0 0-10"),
        ({"pause_ms": 600}, "####.......", "start@0 0-11 pause@11 stop@11"),
        ({"min_silence_duration_ms": 0}, "####.", "start@0 0-4 pause@4 stop@4"),
        ({"min_silence_duration_ms": 512}, "####" + "." * 16, "start@0 0-7 pause@7 stop@7 end@7"),
        ({"endpoint_silence_ms": 224}, "####" + "." * 7, "start@0 0-7 pause@7 stop@7 end@7"),
        ({"pre_roll_ms": 960}, "####" + "." * 16 + "####", "start@0 0-7 pause@7 stop@7 end@7 start@7 7-24"),
    ],
)
def test_settings(settings: dict[str, float], drawing: str, heard: str, hear: Callable[..., str]) -> None:
    assert hear(drawing, **settings) == heard


def test_hysteresis_keeps_what_was(hear: Callable[..., str]) -> None:
    assert hear("....--------") == ""
    assert hear("####--------") == "start@0 0-12"
    assert hear("####.------------------------") == "start@0 0-7 pause@7 stop@7 end@7"


@pytest.mark.parametrize(
    ("drawing", "heard"),
    [
        ("." * 40, ""),  # silence makes no utterance, also not when it is flushed
        ("...#", "start@1 1-4 stop@4 end@4"),
        ("...#.....", ""),  # what is too short starts none
        ("...####" + "." * 40, "start@1 1-10 pause@10 stop@10 end@10"),
        (
            "...####" + "." * 40 + "##",
            "start@1 1-10 pause@10 stop@10 10-45 resume@45 45-49 stop@49 end@49",
        ),  # silence does not end it
    ],
)
def test_without_turns_only_a_flush_ends_an_utterance(drawing: str, heard: str, hear_all: Callable[..., str]) -> None:
    assert hear_all(drawing, detect_turns=False) == heard


def test_without_turns_an_utterance_is_still_cut_where_it_grows_too_long(
    open_energy: Open, sound: Sound, tell: Tell
) -> None:
    endpointer = open_energy(detect_turns=False, engine_limit_s=2.0)  # 62.5 frames
    heard = tell(endpointer.feed(sound("#" * 10 + "." * 200 + "#" * 10)))
    assert heard == "start@0 0-13 pause@13 stop@13 end@13 start@208 208-220"


@pytest.mark.parametrize(
    ("drawing", "heard"),
    [
        ("####" + "." * 15 + "#", "start@0 0-7 pause@7 stop@7 7-17 resume@17 17-20"),
        ("####" + "." * 16 + "#", "start@0 0-7 pause@7 stop@7 7-18 apart@18 18-21"),  # would have ended it live
        ("####" + "." * 31 + "#", "start@0 0-7 pause@7 stop@7 7-33 apart@33 33-36"),
        ("####" + "." * 32 + "#", "start@0 0-7 pause@7 stop@7 end@7"),
    ],
)
def test_what_is_recorded_goes_on_behind_more_silence(drawing: str, heard: str, hear: Callable[..., str]) -> None:
    assert hear(drawing, is_live=False) == heard


def test_what_is_recorded_ends_where_it_would_live_when_it_is_long(hear: Callable[..., str]) -> None:
    settings = {"engine_limit_s": 16.0, "is_live": False}  # half of it are 250 frames
    assert hear("#" * 249 + "." * 16, **settings) == "start@0 0-252 pause@252 stop@252"
    assert hear("#" * 250 + "." * 16, **settings) == "start@0 0-253 pause@253 stop@253 end@253"


def test_a_recording_never_waits_less_than_live_audio(hear: Callable[..., str]) -> None:
    drawing = "####" + "." * 16
    assert hear(drawing, is_live=False, recording_silence_ms=0) == hear(drawing)
