"""Samples of a stream to windows of one token, however the samples come."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from voxtral_streaming.audio.units import Samples
from voxtral_streaming.engines.voxtral.facts import SAMPLES_PER_TOKEN, WINDOW_PER_TOKEN

LOOK_AHEAD = WINDOW_PER_TOKEN - SAMPLES_PER_TOKEN - 200  # samples that a window reaches beyond its token
LEAD = WINDOW_PER_TOKEN - LOOK_AHEAD  # samples of silence under the first window: it is that of the token before


class Framer:
    """Holds what was fed and not yet taken.

    Windows are counted from the last token of the silence before the audio, whose window ends in the audio.
    """

    def __init__(self) -> None:
        self._pending: Samples = np.zeros(LEAD, np.float32)
        self._blocks: list[Samples] = []
        self.n_samples = 0  # fed
        self.n_taken = 0  # windows

    def feed(self, samples: Samples) -> None:
        """Take the next samples; they are copied."""
        self._blocks.append(samples.copy())
        self.n_samples += len(samples)

    @property
    def n_ready(self) -> int:
        """Windows that are whole."""
        return max(0, (self._held - WINDOW_PER_TOKEN) // SAMPLES_PER_TOKEN + 1)

    def peek(self, n_windows: int) -> NDArray[np.float32]:
        """The next windows, [n_windows, window]; they must be ready."""
        return self._windows(self._joined(), n_windows)

    def take(self, n_windows: int) -> None:
        """Be done with the next windows."""
        self._pending = self._joined()[n_windows * SAMPLES_PER_TOKEN :]
        self.n_taken += n_windows

    def n_padded(self, n_right_pad: int) -> int:
        """Windows to the end if the audio ended here, with `n_right_pad` tokens of silence after it.

        The audio is filled up to whole tokens; the last token of the silence is not needed: no token follows it.
        """
        n_audio = -(-self.n_samples // SAMPLES_PER_TOKEN)
        return n_audio + n_right_pad - self.n_taken

    def padded(self, n_windows: int) -> NDArray[np.float32]:
        """The next windows with silence after what was fed, [n_windows, window]; nothing is taken."""
        silence = np.zeros(n_windows * SAMPLES_PER_TOKEN + WINDOW_PER_TOKEN, np.float32)
        return self._windows(np.concatenate((self._joined(), silence)), n_windows)

    @property
    def _held(self) -> int:
        return LEAD + self.n_samples - self.n_taken * SAMPLES_PER_TOKEN

    def _joined(self) -> Samples:
        if self._blocks:
            self._pending = np.concatenate((self._pending, *self._blocks))
            self._blocks.clear()
        return self._pending

    @staticmethod
    def _windows(samples: Samples, n_windows: int) -> NDArray[np.float32]:
        windows = np.lib.stride_tricks.sliding_window_view(samples, WINDOW_PER_TOKEN)
        return windows[::SAMPLES_PER_TOKEN][:n_windows]
