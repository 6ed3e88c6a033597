from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxtral_streaming.engines.whisper.windows import (
    HEARD,
    HOP,
    LAST,
    LONGEST,
    MEMORIES,
    MOST,
    SILENCE,
    WINDOWS,
    memory_for,
    window_for,
    with_silence,
)


@pytest.mark.parametrize("window", WINDOWS)
def test_a_window_is_left_when_the_silence_behind_the_speech_no_longer_fits(window: int) -> None:
    fitting = window * HOP - SILENCE
    assert window_for(fitting) == window
    assert window_for(fitting + 1) == min((other for other in WINDOWS if other > window), default=LONGEST)


def test_a_window_ends_in_silence() -> None:
    assert LAST * HOP <= SILENCE
    assert MOST + SILENCE <= LONGEST * HOP


@given(st.integers(0, MOST))
def test_the_decoder_hears_enough_silence_in_a_window_it_was_trained_on(n_samples: int) -> None:
    window = window_for(n_samples)
    heard = with_silence(window, n_samples)
    assert window <= heard <= LONGEST
    assert heard % 2 == 0
    assert heard == LONGEST or heard * HOP >= n_samples + HEARD
    assert heard == window or (heard - 2) * HOP < n_samples + HEARD


@pytest.mark.parametrize("n_frames", [WINDOWS[0], *MEMORIES, *(memory - 1 for memory in MEMORIES), MEMORIES[0] + 1])
def test_a_memory_holds_what_is_heard(n_frames: int) -> None:
    memory = memory_for(n_frames)
    assert memory >= n_frames
    assert not [shorter for shorter in MEMORIES if n_frames <= shorter < memory]
