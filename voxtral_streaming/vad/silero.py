"""Silero VAD, version 6: a small recurrent network that hears speech also in noise.

The network (https://github.com/snakers4/silero-vad, MIT) ships inside the faster-whisper package.
It takes `input` [n_frames, CONTEXT + FRAME], each frame behind the samples just before it, and the
state of its LSTM, `h` and `c` [1, 1, HIDDEN]; it gives the probabilities [n_frames] and the next
state. Its first axis is time: one call takes many frames of one stream, never several streams.
"""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

import numpy as np
import onnxruntime  # type: ignore[import-untyped]
from numpy.typing import NDArray

from voxtral_streaming.errors import WeightsError
from voxtral_streaming.packages import folder_of
from voxtral_streaming.vad.frames import FRAME, Frames, Probabilities, rms

CONTEXT = 64  # samples before a frame that the network wants to see
HIDDEN = 128  # width of the LSTM
SPAN = 32  # frames (1 s) after which a memory of nothing but noise is dampened; also the most in one call
NEAR_SPEECH = 0.35  # a probability
MEMORY = 30.0  # cell state, in any unit of the LSTM, after some seconds of noise
QUIET = 32  # frames (1 s) below the floor that are still asked: shorter quiet is part of quiet speech

PACKAGE = "faster_whisper"
FILE = "assets/silero_vad_v6.onnx"
SHA256 = "4cbf549b8326f60f80f2536d9eefeb450a9abe83365a098031c89719f1be17d2"
REMEDY = "install faster-whisper 1.2.1 again, or set `vad.detector: energy`"


class SileroDetector:
    """The network's judgement of one stream.

    Left alone with minutes of noise, the cell state of its LSTM grows into the hundreds, and the next onset
    is heard up to a second late. So the stream is taken in spans of `SPAN` frames, and after each in which
    nothing was near speech the cell state is scaled to `MEMORY`. (A fresh state is no remedy: it takes more
    sounds for speech.)

    Once the level has stayed below `silence_floor` (RMS) for `QUIET` frames, further frames below it are
    silence without asking, and leave the network as it is.

    Raises `WeightsError` if the network's file is missing or altered.
    """

    def __init__(self, silence_floor: float) -> None:
        self._network = network()
        self._silence_floor = silence_floor
        self._n_quiet = 0  # frames below the floor, up to now
        self._n_heard = 0  # frames of the span
        self._is_idle = True  # nothing in the span was near speech
        self._context = np.zeros(CONTEXT, np.float32)
        self._h = self._c = np.zeros((1, 1, HIDDEN), np.float32)

    def probabilities(self, frames: Frames) -> Probabilities:
        """How likely each of the next frames [n_frames, FRAME] is speech."""
        probabilities = np.zeros(len(frames), np.float32)
        is_asked = self._count_quiet(rms(frames)) <= QUIET
        windows = self._windows(frames)
        start = 0
        while start < len(frames):
            part = slice(start, start + SPAN - self._n_heard)  # what the span still lacks
            probabilities[part][is_asked[part]] = self._ask(windows[part][is_asked[part]])
            self._end_part(probabilities[part])
            start = part.stop
        return probabilities

    def _count_quiet(self, levels: NDArray[np.float32]) -> NDArray[np.int64]:
        """How many frames in a row, up to and with each [n_frames], are below the floor."""
        numbers = np.arange(1, len(levels) + 1)
        is_quiet = levels < self._silence_floor
        last_loud = np.maximum.accumulate(np.where(is_quiet, -self._n_quiet, numbers))
        n_quiet: NDArray[np.int64] = numbers - last_loud
        self._n_quiet = int(n_quiet[-1]) if len(levels) else self._n_quiet
        return n_quiet

    def _windows(self, frames: Frames) -> NDArray[np.float32]:
        """Each frame behind its context: [n_frames, FRAME] to [n_frames, CONTEXT + FRAME]."""
        samples = np.concatenate([self._context, frames.reshape(-1)])
        self._context = samples[-CONTEXT:].copy()
        starts = np.arange(0, frames.size, FRAME)
        return samples[starts[:, None] + np.arange(CONTEXT + FRAME)]

    def _ask(self, windows: NDArray[np.float32]) -> Probabilities:
        if not len(windows):
            return np.zeros(0, np.float32)
        probabilities: Probabilities
        inputs = {"input": windows, "h": self._h, "c": self._c}
        probabilities, self._h, self._c = self._network.run(None, inputs)
        return probabilities

    def _end_part(self, probabilities: Probabilities) -> None:
        """Take note of the next frames of the span; at its end dampen the memory if it was idle."""
        self._n_heard += len(probabilities)
        self._is_idle &= bool((probabilities < NEAR_SPEECH).all())
        if self._n_heard < SPAN:
            return
        if self._is_idle:
            self._c = self._c * np.float32(MEMORY / max(MEMORY, float(np.abs(self._c).max())))
        self._n_heard, self._is_idle = 0, True


@cache
def network() -> onnxruntime.InferenceSession:
    """The network, loaded once per process; it holds no stream's state and may be run by many threads.

    Raises `WeightsError` if its file is missing or altered.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(read(find()), options, providers=["CPUExecutionProvider"])


def find(package: str = PACKAGE) -> Path:
    """Where the network's file lies; the package that carries it is not imported."""
    folder = folder_of(package)
    if folder is None:
        raise WeightsError(f"the package {package}, which carries the speech detector, is missing: {REMEDY}")
    return folder / FILE


def read(path: Path) -> bytes:
    """The file's bytes, if they are those of the network that this version knows."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise WeightsError(f"{path} cannot be read ({error.strerror}): {REMEDY}") from error
    if hashlib.sha256(content).hexdigest() != SHA256:
        raise WeightsError(f"{path} is not the file that this version knows (SHA-256 {SHA256}): {REMEDY}")
    return content
