"""How much audio the encoder sees.

Whisper was trained on windows of 30 s, but its encoder takes less, and its cost grows faster than the window. A
window that ends with the speech makes the decoder repeat itself; with silence behind the speech, and with
timestamps in the decoded text, the word error rate is that of 30 s (see docs/performance.md).
Few window lengths exist, so that utterances of several streams fall into the same one and are decoded together.
"""

from __future__ import annotations

from voxtral_streaming.audio.units import SAMPLE_RATE, exact_div

FRAME_RATE = 100  # mel frames per second
HOP = exact_div(SAMPLE_RATE, FRAME_RATE)
LONGEST = 30 * FRAME_RATE  # frames: the window that Whisper was trained on
WINDOWS = (*(seconds * FRAME_RATE for seconds in (4, 6, 8, 10, 12, 14, 17, 20)), LONGEST)  # frames
SILENCE = exact_div(3 * SAMPLE_RATE, 2)  # samples of silence behind the speech, at least
MAX_WIDENING = 4 * FRAME_RATE  # frames by which a partial's window may grow to share a batch


def window_for(n_samples: int) -> int:
    """The shortest window, in frames, that holds the samples and the silence behind them."""
    return next((window for window in WINDOWS if n_samples + SILENCE <= window * HOP), LONGEST)
