"""Silero VAD, version 6: a small recurrent network that hears speech also in noise.

The network (https://github.com/snakers4/silero-vad, MIT) ships inside the faster-whisper package.
It takes `input` [n_frames, CONTEXT + FRAME], each frame behind the samples just before it, and the
state of its LSTM, `h` and `c` [1, 1, HIDDEN]; it gives the probabilities [n_frames] and the next
state. Its first axis is time: one call takes many frames of one stream, never several streams.
"""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnxruntime  # type: ignore[import-untyped]
from numpy.typing import NDArray

from voxtral_streaming.errors import WeightsError
from voxtral_streaming.vad.frames import FRAME, Frames, Probabilities, rms

CONTEXT = 64  # samples before a frame that the network wants to see
HIDDEN = 128  # width of the LSTM
MAX_FRAMES = 64  # frames in one call: more are no faster, and the arena stays small
QUIET_FRAMES = 16  # half a second; shorter quiet is part of quiet speech, and the network must hear it

PACKAGE = "faster_whisper"
FILE = "assets/silero_vad_v6.onnx"
SHA256 = "4cbf549b8326f60f80f2536d9eefeb450a9abe83365a098031c89719f1be17d2"
REMEDY = "install faster-whisper 1.2.1 again, or set `vad.detector: energy`"


class SileroDetector:
    """The network's judgement of one stream.

    Once the level has stayed below `silence_floor` (RMS) for `QUIET_FRAMES`, further frames below it
    are silence without asking, and the network's state stays as it is until the level is back.

    Raises `WeightsError` if the network's file is missing or altered.
    """

    def __init__(self, silence_floor: float) -> None:
        self._network = network()
        self._silence_floor = silence_floor
        self._n_quiet = 0  # frames below the floor, up to now
        self._context = np.zeros(CONTEXT, np.float32)
        self._h = np.zeros((1, 1, HIDDEN), np.float32)
        self._c = np.zeros((1, 1, HIDDEN), np.float32)

    def probabilities(self, frames: Frames) -> Probabilities:
        """How likely each of the next frames [n_frames, FRAME] is speech."""
        if not len(frames):
            return np.zeros(0, np.float32)
        asked = np.flatnonzero(self._is_worth_asking(rms(frames)))
        windows = self._windows(frames)
        probabilities = np.zeros(len(frames), np.float32)
        for start in range(0, len(asked), MAX_FRAMES):
            batch = asked[start : start + MAX_FRAMES]
            probabilities[batch] = self._ask(windows[batch])
        return probabilities

    def _is_worth_asking(self, levels: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Whether each frame is loud, or at most the `QUIET_FRAMES`th quiet one in a row."""
        numbers = np.arange(1, len(levels) + 1)
        is_quiet = levels < self._silence_floor
        last_loud = np.maximum.accumulate(np.where(is_quiet, -self._n_quiet, numbers))
        n_quiet = numbers - last_loud  # [n_frames], quiet frames up to and with each
        self._n_quiet = int(n_quiet[-1])
        is_worth_it: NDArray[np.bool_] = n_quiet <= QUIET_FRAMES
        return is_worth_it

    def _windows(self, frames: Frames) -> NDArray[np.float32]:
        """Each frame behind its context: [n_frames, FRAME] to [n_frames, CONTEXT + FRAME]."""
        samples = np.concatenate([self._context, frames.reshape(-1)])
        self._context = samples[-CONTEXT:].copy()
        return np.lib.stride_tricks.sliding_window_view(samples, CONTEXT + FRAME)[::FRAME]

    def _ask(self, windows: NDArray[np.float32]) -> Probabilities:
        probabilities: Probabilities
        inputs = {"input": windows, "h": self._h, "c": self._c}
        probabilities, self._h, self._c = self._network.run(None, inputs)
        return probabilities


@cache
def network() -> onnxruntime.InferenceSession:
    """The network, loaded once per process; it holds no stream's state and may be run by many threads.

    Raises `WeightsError` if its file is missing or altered.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(weights(), options, providers=["CPUExecutionProvider"])


def weights() -> bytes:
    """The network's file, checked; found without importing the package that carries it."""
    spec = find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise WeightsError(f"the package {PACKAGE}, which carries the speech detector, is missing: {REMEDY}")
    path = Path(spec.origin).parent / FILE
    try:
        content = path.read_bytes()
    except OSError as error:
        raise WeightsError(f"{path} cannot be read ({error.strerror}): {REMEDY}") from error
    if hashlib.sha256(content).hexdigest() != SHA256:
        raise WeightsError(f"{path} is not the file that this version knows (SHA-256 {SHA256}): {REMEDY}")
    return content
