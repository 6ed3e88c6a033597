"""When words were spoken, by the decoder's attention to the audio. Pure: numpy, no model.

The method of openai/whisper timing.py: attention of a few heads that follow the audio, normalised and smoothed, and the
cheapest path through it (dynamic time warping).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

import numpy as np
from numpy.typing import NDArray

from voxtral_streaming.engines.whisper.checkpoint import Tensor

FRAMES_PER_SECOND = 50  # of what the encoder makes
SMOOTHED = 7  # frames, of which the middle one counts


@dataclass(frozen=True, slots=True, eq=False)
class Attention:
    """Where the decoder looked for each token of a text, and behind the last for its end."""

    weights: Tensor  # [n_heads, n_tokens + 1, n_frames]
    probabilities: tuple[float, ...]  # of the tokens

    def before(self, n_tokens: int) -> Attention:
        """Of the first tokens, and of the end that is behind them now."""
        return Attention(self.weights[:, : n_tokens + 1], self.probabilities[:n_tokens])

    def within(self, n_frames: int) -> Attention:
        """To the first frames alone."""
        return Attention(self.weights[:, :, : max(1, n_frames)], self.probabilities)

    def spans(self, n_tokens: Sequence[int]) -> list[tuple[float, float, float]]:
        """Start and end in seconds, and probability, of words of so many tokens each."""
        return spans(_cheapest_path(-_smooth(self.weights)), self.probabilities, n_tokens)


def spans(
    path: Sequence[tuple[int, int]], probabilities: Sequence[float], n_tokens: Sequence[int]
) -> list[tuple[float, float, float]]:
    """Start and end in seconds, and probability, of words of so many tokens each, by the path from token to frame.

    The path goes to the end of the text, behind its last token.
    """
    starts = _first_frames(path)
    return [
        (
            starts[first] / FRAMES_PER_SECOND,
            starts[behind] / FRAMES_PER_SECOND,
            float(np.mean(probabilities[first:behind])),
        )
        for first, behind in pairwise([0, *accumulate(n_tokens)])
    ]


def _smooth(weights: Tensor) -> NDArray[np.float64]:
    """The mean over the heads [n_tokens + 1, n_frames] of what stands out among the tokens, without outliers."""
    shares = weights / weights.sum(2, keepdims=True)
    outstanding = (shares - shares.mean(1, keepdims=True)) / (shares.std(1, keepdims=True) + np.float32(1e-9))
    half = SMOOTHED // 2
    if outstanding.shape[2] > half:
        padded = np.pad(outstanding, ((0, 0), (0, 0), (half, half)), mode="reflect")
        windows = np.lib.stride_tricks.sliding_window_view(padded, SMOOTHED, axis=2)
        outstanding = np.partition(windows, half, axis=-1)[..., half]
    mean: NDArray[np.float64] = outstanding.mean(0, dtype=np.float64)
    return mean


def _cheapest_path(cost: NDArray[np.float64]) -> list[tuple[int, int]]:
    """From the first token and frame to the last ones, one on in either or in both at a time: (token, frame) in order.

    A row's totals in one go: to come from the left is to pay what lies between, so that the best place to enter is the
    least of totals above less the sum of the costs before it.
    """
    n_tokens, n_frames = cost.shape
    totals = np.full((n_tokens + 1, n_frames + 1), np.inf)
    totals[0, 0] = 0
    for n, row in enumerate(cost):
        entered = np.minimum(totals[n, :-1], totals[n, 1:])
        sums = np.cumsum(row)
        totals[n + 1, 1:] = sums + np.minimum.accumulate(entered - (sums - row))
    path = [(n_tokens, n_frames)]
    while path[-1] != (1, 1):
        token, frame = path[-1]
        came_from = [(token - 1, frame - 1), (token - 1, frame), (token, frame - 1)]
        path.append(min(came_from, key=totals.__getitem__))
    return [(token - 1, frame - 1) for token, frame in reversed(path)]


def _first_frames(path: Sequence[tuple[int, int]]) -> dict[int, int]:
    """The frame at which the path comes to each token."""
    first: dict[int, int] = {}
    for token, frame in path:
        first.setdefault(token, frame)
    return first
