"""Keys and values that the decoder attends to: of the audio, and of the tokens so far. Pure: numpy, no model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from voxtral_streaming.engines.whisper.checkpoint import Tensor

NEVER = np.float32(-1e9)  # added to a score of attention, its key is not seen
GRAIN = 64  # keys that are added up in one step, at most
PLACES = 1  # the axis of what is kept for each token
FRAMES = (4, 3)  # the axes of what is kept of the audio, in keys and in values


class Cache:
    """The keys and values of the audio and of the tokens so far, of one or several rows.

    Each token has the place of its position, and places come in grains, as frames do: the rest is hidden. So sums over
    them are added in the same order, and come out alike, whatever company a row has and however its tokens came.
    """

    def __init__(self, cross: list[Tensor], cross_bias: Tensor, past: list[Tensor], n_taken: NDArray[np.int64]) -> None:
        """Take keys and values, alternately and by layer: see `token_graph` for the shapes."""
        self.cross = cross
        self.cross_bias = cross_bias  # [n_windows, 1, 1, 1, n_frames]
        self.past = past
        self.n_taken = n_taken  # tokens, by row: what lies behind them is written over

    @property
    def n_places(self) -> int:
        """For tokens, those to come included."""
        n: int = self.past[0].shape[PLACES]
        return n

    @property
    def n_frames(self) -> int:
        """Of the audio, those that only company needs included."""
        n: int = self.cross_bias.shape[-1]
        return n

    def positions(self, n_new: int) -> NDArray[np.int64]:
        """Of so many tokens to come: [n_rows, n_new]. There are places for them afterwards."""
        n_places = in_grains(int(self.n_taken.max()) + n_new)
        if n_places > self.n_places:
            self.past = [_stacked(np.split(one, len(one)), n_places, PLACES) for one in self.past]
        return self.n_taken[:, None] + np.arange(n_new)

    def bias(self, positions: NDArray[np.int64]) -> Tensor:
        """A token sees itself and what is before it: [n_rows, n_new, 1, 1, n_places]."""
        hidden = np.arange(self.n_places) > positions[..., None, None, None]
        return np.where(hidden, NEVER, np.float32(0))

    def choose(self, rows: Sequence[int]) -> None:
        """Forget the other rows."""
        self.branch(rows)
        self.cross, self.cross_bias = [one[rows] for one in self.cross], self.cross_bias[rows]

    def branch(self, parents: Sequence[int]) -> None:
        """Have rows that go on behind those rows, all from the same audio."""
        self.past, self.n_taken = [one[parents] for one in self.past], self.n_taken[parents]


def places(positions: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where the cache takes tokens at positions [n_rows, n_new]: row and position of each, [n_rows, n_new, 2]."""
    rows = np.broadcast_to(np.arange(len(positions))[:, None], positions.shape)
    return np.stack([rows, positions], axis=-1)


def window_bias(n_frames: int) -> Tensor:
    """What hides the frames that fill up the last grain: [1, 1, 1, 1, n]."""
    return np.where(np.arange(in_grains(n_frames)) < n_frames, np.float32(0), NEVER)[None, None, None, None]


def empty_past(n_layers: int, n_heads: int, head: int) -> list[Tensor]:
    """Keys and values of no tokens."""
    return [np.zeros((1, GRAIN, 1, n_heads, head), np.float32)] * (2 * n_layers)


def joined(caches: Sequence[Cache]) -> Cache:
    """Rows together. Takes what is in the caches out of them, so that it is not held twice."""
    if len(caches) == 1:
        return caches[0]
    n_frames = max(cache.n_frames for cache in caches)
    n_places = max(cache.n_places for cache in caches)
    arrays = range(len(caches[0].past))
    return Cache(
        [_stacked([cache.cross.pop(0) for cache in caches], n_frames, FRAMES[n % 2]) for n in arrays],
        np.concatenate([_hidden_behind(cache.cross_bias, n_frames) for cache in caches]),
        [_stacked([cache.past.pop(0) for cache in caches], n_places, PLACES) for _ in arrays],
        np.concatenate([cache.n_taken for cache in caches]),
    )


def in_grains(n: int) -> int:
    """The least multiple of a grain that is not less."""
    return -(-n // GRAIN) * GRAIN


def _stacked(rows: Sequence[Tensor], n: int, axis: int) -> Tensor:
    """Rows [1, ...] together, with 0 behind what is shorter than `n` along an axis."""
    shape = [len(rows), *rows[0].shape[1:]]
    shape[axis] = n
    stacked: Tensor = np.zeros(shape, np.float32)
    for into, [row] in zip(stacked, rows, strict=True):
        into[tuple(slice(length) for length in row.shape)] = row
    return stacked


def _hidden_behind(bias: Tensor, n: int) -> Tensor:
    """[1, 1, 1, 1, fewer] → [1, 1, 1, 1, n]."""
    return np.pad(bias, (*[(0, 0)] * 4, (0, n - bias.shape[-1])), constant_values=NEVER)
