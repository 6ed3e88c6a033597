from __future__ import annotations

import pytest

from voxtral_streaming.engines.whisper.windows import HOP, LONGEST, MEMORIES, SILENCE, WINDOWS, memory_for, window_for


@pytest.mark.parametrize("window", WINDOWS)
def test_a_window_is_left_when_the_silence_behind_the_speech_no_longer_fits(window: int) -> None:
    fitting = window * HOP - SILENCE
    assert window_for(fitting) == window
    assert window_for(fitting + 1) == min((other for other in WINDOWS if other > window), default=LONGEST)


@pytest.mark.parametrize("window", WINDOWS)
def test_a_memory_holds_its_window(window: int) -> None:
    memory = memory_for(window)
    assert memory >= window
    assert not [shorter for shorter in MEMORIES if window <= shorter < memory]
