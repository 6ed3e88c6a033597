"""Laws of every stream, whatever is in it and however it is cut."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from voxtral_streaming.audio.units import SAMPLE_RATE, Samples, samples_from_seconds
from voxtral_streaming.errors import CorruptAudio
from voxtral_streaming.vad.activity import Activity, Endpoint, Endpointer, Speech, SpeechStarted
from voxtral_streaming.vad.frames import FRAME

Open = Callable[..., Endpointer]
Sound = Callable[[str], Samples]
Tell = Callable[[Iterable[Activity]], str]
Check = Callable[[Sequence[Activity], Samples, float], None]

runs = st.tuples(st.sampled_from("..##-o"), st.integers(1, 40)).map(lambda run: run[0] * run[1])
drawings = st.lists(runs, min_size=1, max_size=12).map("".join)
milliseconds = st.integers(0, 1000)
limits_s = st.floats(1.0, 6.0)
timings = st.fixed_dictionaries(
    {
        "min_voice_duration_ms": milliseconds,
        "min_silence_duration_ms": milliseconds,
        "pre_roll_ms": milliseconds,
        "pause_ms": milliseconds,
        "endpoint_silence_ms": milliseconds,
        "recording_silence_ms": milliseconds,
        "engine_limit_s": limits_s,
        "detect_turns": st.booleans(),
        "is_live": st.booleans(),
    }
)
UNTIL_FLUSHED = {
    "min_voice_duration_ms": 33,
    "min_silence_duration_ms": 0,
    "pre_roll_ms": 0,
    "pause_ms": 0,
    "endpoint_silence_ms": 0,
    "recording_silence_ms": 0,
    "engine_limit_s": 1.0,
    "detect_turns": False,
    "is_live": True,
}
block_lengths = st.lists(st.integers(0, 2000), max_size=30)

thoroughly = settings(max_examples=100, deadline=None)


def blocks(samples: Samples, lengths: Sequence[int]) -> list[Samples]:
    """The samples cut into blocks of these lengths and a last one with the rest."""
    return np.split(samples, np.minimum(np.cumsum([0, *lengths])[1:], len(samples)))


def listen(endpointer: Endpointer, *pieces: Samples) -> list[Activity]:
    """What the pieces bring, with a flush behind each."""
    return [activity for piece in pieces for activity in [*endpointer.feed(piece), *endpointer.flush()]]


def emitted(activities: Iterable[Activity], n_samples: int) -> np.ndarray:
    """Which samples [n_samples] are in an utterance."""
    is_emitted = np.zeros(n_samples, bool)
    for activity in activities:
        if isinstance(activity, Speech):
            is_emitted[activity.at : activity.at + len(activity.samples)] = True
    return is_emitted


@given(drawing=drawings, timing=timings, lengths=block_lengths)
@thoroughly
def test_blocks_change_nothing(
    open_energy: Open, sound: Sound, tell: Tell, drawing: str, timing: dict[str, float], lengths: list[int]
) -> None:
    samples = sound(drawing)
    whole, cut = open_energy(**timing), open_energy(**timing)
    activities = [activity for block in blocks(samples, lengths) for activity in cut.feed(block)]
    assert tell([*activities, *cut.flush()]) == tell(listen(whole, samples))
    assert cut.position == whole.position == len(samples)


@given(drawing=drawings, timing=timings, lengths=block_lengths)
@thoroughly
def test_utterances_are_in_order_contiguous_bounded_and_exact(
    open_energy: Open, sound: Sound, check_laws: Check, drawing: str, timing: dict[str, float], lengths: list[int]
) -> None:
    samples = sound(drawing)
    activities = listen(open_energy(**timing), *blocks(samples, lengths))
    check_laws(activities, samples, timing["engine_limit_s"])


@example(drawing="##" + "." * 14 + "#..", timing=UNTIL_FLUSHED)
@given(drawing=drawings, timing=timings)
@thoroughly
def test_a_limit_loses_no_speech(open_energy: Open, sound: Sound, drawing: str, timing: dict[str, float]) -> None:
    most = {"min_voice_duration_ms": 400, "pre_roll_ms": 100}  # what stands before a start must fit into a second
    timing = {**timing, **{name: min(timing[name], limit) for name, limit in most.items()}}
    is_short = slice(20 * SAMPLE_RATE // FRAME)  # where no limit of 28 s is felt
    samples = sound(drawing.replace("-", ".")[is_short])
    is_speech = samples != 0
    limited = emitted(listen(open_energy(**timing), samples), len(samples))
    free = emitted(listen(open_energy(**{**timing, "engine_limit_s": 28.0}), samples), len(samples))
    assert np.array_equal(limited & is_speech, free & is_speech)


@given(drawing=drawings, timing=timings)
@thoroughly
def test_little_is_held_back(open_energy: Open, sound: Sound, drawing: str, timing: dict[str, float]) -> None:
    endpointer = open_energy(**timing)
    samples = sound(drawing)
    hold = samples_from_seconds(timing["engine_limit_s"]) // 4
    quiet = max(timing["min_silence_duration_ms"], timing["endpoint_silence_ms"]) * 16
    if not timing["detect_turns"]:  # silence ends nothing before the limit does
        quiet = timing["engine_limit_s"] * SAMPLE_RATE
    open_until: int | None = None
    for position in range(0, len(samples), FRAME):
        for activity in endpointer.feed(samples[position : position + FRAME]):
            is_over = isinstance(activity, Endpoint)
            open_until = None if is_over else activity.at + len(getattr(activity, "samples", ()))
        if open_until is not None:
            assert position + FRAME - open_until <= quiet + hold


def test_what_is_kept_does_not_grow(open_energy: Open, sound: Sound) -> None:
    minute = sound("." * 100 + "#" * 900 + "." * 10 + "#" * 865)
    endpointer = open_energy()
    endpointer.feed(minute)
    tracemalloc.start()
    for _ in range(20):
        endpointer.feed(minute)
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert endpointer.position == 21 * len(minute)
    assert kept < 100_000


def test_speech_does_not_change_with_the_block_that_it_came_in(open_energy: Open, sound: Sound) -> None:
    endpointer = open_energy()
    block = sound("####")
    speech = [activity for activity in endpointer.feed(block) if isinstance(activity, Speech)]
    block[:] = 0.0
    assert np.array_equal(np.concatenate([activity.samples for activity in speech]), sound("####"))


def test_positions_count_what_was_fed(open_energy: Open) -> None:
    endpointer = open_energy()
    for length, position in [(0, 0), (7, 7), (600, 607), (0, 607), (16_000, 16_607)]:
        endpointer.feed(np.zeros(length, np.float32))
        assert endpointer.position == position


def test_utterances_of_an_endless_talk_follow_without_gap(open_energy: Open, sound: Sound) -> None:
    activities = listen(open_energy(engine_limit_s=5.0), sound("#" * 3000))
    bounds = [activity.at for activity in activities if isinstance(activity, SpeechStarted | Endpoint)]
    assert bounds[0] == 0
    assert bounds[-1] == 3000 * FRAME
    assert all(end == start for end, start in list(pairwise(bounds))[1::2])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_is_refused(open_energy: Open, value: float) -> None:
    samples = np.zeros(1000, np.float32)
    samples[500] = value
    with pytest.raises(CorruptAudio):
        open_energy().feed(samples)
