from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from voxtral_streaming.engines.voxtral.facts import SAMPLES_PER_TOKEN, WINDOW_PER_TOKEN
from voxtral_streaming.engines.voxtral.framer import LEAD, Framer

RAMP = np.arange(1, 20_000, dtype=np.float32)


@given(st.lists(st.integers(0, 3000), max_size=12))
def test_windows_are_the_same_however_the_samples_come(lengths: list[int]) -> None:
    framer, windows, at = Framer(), [], 0
    for length in lengths:
        framer.feed(RAMP[at : at + length])
        at = min(at + length, len(RAMP))
        if n := framer.n_ready:
            windows += [window.copy() for window in framer.peek(n)]
            framer.take(n)
        assert framer.n_ready == 0
    heard = np.concatenate((np.zeros(LEAD, np.float32), RAMP[:at]))
    for n, window in enumerate(windows):
        assert np.array_equal(window, heard[n * SAMPLES_PER_TOKEN :][:WINDOW_PER_TOKEN])
    assert len(heard) - len(windows) * SAMPLES_PER_TOKEN < WINDOW_PER_TOKEN


def test_the_end_is_filled_with_silence_to_whole_tokens() -> None:
    framer = Framer()
    framer.feed(RAMP[:2000])
    assert framer.n_padded(17) == 2 + 17
    windows = framer.padded(framer.n_padded(17))
    assert windows.shape == (19, WINDOW_PER_TOKEN)
    assert set(windows[2:].flat) <= {0.0, *RAMP[:2000].tolist()}
    assert not windows[4:].any()


def test_what_was_fed_is_copied() -> None:
    framer, block = Framer(), RAMP[:1300].copy()
    framer.feed(block)
    block[:] = 0
    assert framer.peek(1)[0, LEAD] == 1
