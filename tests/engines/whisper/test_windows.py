from __future__ import annotations

import pytest

from voxtral_streaming.engines.whisper.windows import HOP, LONGEST, SILENCE, WINDOWS, window_for


@pytest.mark.parametrize("window", WINDOWS)
def test_a_window_is_left_when_the_silence_behind_the_speech_no_longer_fits(window: int) -> None:
    fitting = window * HOP - SILENCE
    assert window_for(fitting) == window
    assert window_for(fitting + 1) == min((other for other in WINDOWS if other > window), default=LONGEST)
