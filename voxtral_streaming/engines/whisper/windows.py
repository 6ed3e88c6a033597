"""How much audio the encoder sees, and how long the decoder's memory of it is.

Whisper was trained on windows of 30 s, but its encoder takes less, and its cost grows faster than the window. A
window that ends with the speech makes the decoder repeat itself; with silence behind the speech, and with
timestamps in the decoded text, the word error rate is that of 30 s (see docs/performance.md).

CTranslate2's decoder, which a GPU has, can only batch memories of one length. What the encoder made of silence, put
behind what it made of a window, changes no more than any other rounding does: so a window is encoded as short as it
can be, and decoded there in the company of others. The length depends on the window alone, and a text never on the
company.
"""

from __future__ import annotations

from voxtral_streaming.audio.units import SAMPLE_RATE, exact_div

FRAME_RATE = 100  # mel frames per second
HOP = exact_div(SAMPLE_RATE, FRAME_RATE)
LONGEST = 30 * FRAME_RATE  # frames: the window that Whisper was trained on
WINDOWS = (*range(4 * FRAME_RATE, 20 * FRAME_RATE, FRAME_RATE), *range(20 * FRAME_RATE, LONGEST + 1, 2 * FRAME_RATE))
MEMORIES = (10 * FRAME_RATE, 16 * FRAME_RATE, LONGEST)  # frames
SILENCE = exact_div(3 * SAMPLE_RATE, 2)  # samples of silence behind the speech, at least


def window_for(n_samples: int) -> int:
    """The shortest window, in frames, that holds the samples and the silence behind them."""
    return next((window for window in WINDOWS if n_samples + SILENCE <= window * HOP), LONGEST)


def memory_for(window: int) -> int:
    """The length, in frames, of the memories among which a window belongs."""
    return next(memory for memory in MEMORIES if window <= memory)
