"""Whisper's encoder on the CPU, for windows of any length."""

from __future__ import annotations

import numpy as np

from voxtral_streaming.engines.whisper.checkpoint import Checkpoint, Tensor
from voxtral_streaming.engines.whisper.encoder_graph import encoder_graph
from voxtral_streaming.engines.whisper.sessions import session, weight_limit


class Encoder:
    """May be called from several threads at once; each call takes, beside its own, the threads that are idle."""

    def __init__(self, weights: Checkpoint, *, is_int8: bool, n_threads: int) -> None:
        """Build the graph. Raises `WeightsError`."""
        self._session = session(encoder_graph(weights, weight_limit() if is_int8 else None), n_threads)

    def encode(self, mel: Tensor) -> Tensor:
        """A spectrogram [n_mels, n_frames] → [1, n_frames / 2, width]."""
        [features] = self._session.run(None, {"mel": np.ascontiguousarray(mel.T)})
        found: Tensor = features
        return found
