"""How much audio the encoder sees, and how long the decoder's memory of it is.

Whisper was trained on windows of 30 s, but its encoder takes less, and its cost grows faster than the window. A
window that ends with the speech makes the decoder repeat itself: with silence behind the speech, and with timestamps in
the decoded text, the word error rate is that of 30 s. Little of that silence must be encoded. What the encoder made of
the last of it, put behind the window again and again, is silence to the decoder as well (see docs/performance.md).

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
STEP = FRAME_RATE // 5  # frames from one window to the next: an even number, as the encoder makes one of two
WINDOWS = range(4 * FRAME_RATE, LONGEST + 1, STEP)
MEMORIES = (10 * FRAME_RATE, 17 * FRAME_RATE, LONGEST)  # frames
SILENCE = exact_div(7 * SAMPLE_RATE, 10)  # samples of silence that are encoded behind the speech, at least
LAST = FRAME_RATE // 2  # frames at the end of a window: no more than the silence
HEARD = exact_div(23 * SAMPLE_RATE, 10)  # samples of silence that the decoder hears behind the speech, at least
MOST = LONGEST * HOP - exact_div(3 * SAMPLE_RATE, 2)  # samples of speech: 28.5 s


def window_for(n_samples: int) -> int:
    """The shortest window, in frames, that holds the samples and the silence behind them."""
    return next((window for window in WINDOWS if n_samples + SILENCE <= window * HOP), LONGEST)


def with_silence(window: int, n_samples: int) -> int:
    """Frames that the decoder hears of so many samples: a window and, where it ends too soon, silence behind it."""
    n_frames = 2 * -(-(n_samples + HEARD) // (2 * HOP))  # the encoder makes one of two
    return max(window, min(n_frames, LONGEST))


def memory_for(n_frames: int) -> int:
    """The length of the memories among which what the decoder hears belongs: both in frames."""
    return next(memory for memory in MEMORIES if n_frames <= memory)
