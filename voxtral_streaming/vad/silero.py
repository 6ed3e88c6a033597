"""Silero VAD, version 6: a small recurrent network that hears speech also in noise.

The network (https://github.com/snakers4/silero-vad, MIT) ships inside the faster-whisper package.
It takes `input` [n_frames, CONTEXT + FRAME], each frame behind the samples just before it, and the
state of its LSTM, `h` and `c` [1, 1, HIDDEN]; it gives the probabilities [n_frames] and the next
state. Its first axis is time: one call takes many frames of one stream, never several streams.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
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
QUIET_FRAMES = 32  # a second; shorter quiet is part of quiet speech, and the network must hear it

PACKAGE = "faster_whisper"
FILE = "assets/silero_vad_v6.onnx"
SHA256 = "4cbf549b8326f60f80f2536d9eefeb450a9abe83365a098031c89719f1be17d2"
REMEDY = "install faster-whisper 1.2.1 again, or set `vad.detector: energy`"


class SileroDetector:
    """The network's judgement of one stream.

    Once the level has stayed below `silence_floor` (RMS) for `QUIET_FRAMES`, further frames below it
    are silence without asking, and the network starts anew when the level is back: it then hears an
    onset as soon as in a fresh stream.

    Raises `WeightsError` if the network's file is missing or altered.
    """

    def __init__(self, silence_floor: float) -> None:
        self._network = network()
        self._silence_floor = silence_floor
        self._n_quiet = 0  # frames below the floor, up to now
        self._context = np.zeros(CONTEXT, np.float32)
        self._forget()

    def probabilities(self, frames: Frames) -> Probabilities:
        """How likely each of the next frames [n_frames, FRAME] is speech."""
        probabilities = np.zeros(len(frames), np.float32)
        windows = self._windows(frames)
        is_asked = self._count_quiet(rms(frames)) <= QUIET_FRAMES
        for batch in batches(is_asked):
            if is_asked[batch[0]]:
                probabilities[batch] = self._ask(windows[batch])
            else:
                self._forget()
        return probabilities

    def _count_quiet(self, levels: NDArray[np.float32]) -> NDArray[np.int64]:
        """How many frames in a row, up to and with each [n_frames], are below the floor."""
        numbers = np.arange(1, len(levels) + 1)
        is_quiet = levels < self._silence_floor
        last_loud = np.maximum.accumulate(np.where(is_quiet, -self._n_quiet, numbers))
        n_quiet: NDArray[np.int64] = numbers - last_loud
        self._n_quiet = int(n_quiet[-1]) if len(levels) else self._n_quiet
        return n_quiet

    def _forget(self) -> None:
        self._h = self._c = np.zeros((1, 1, HIDDEN), np.float32)

    def _windows(self, frames: Frames) -> NDArray[np.float32]:
        """Each frame behind its context: [n_frames, FRAME] to [n_frames, CONTEXT + FRAME]."""
        samples = np.concatenate([self._context, frames.reshape(-1)])
        self._context = samples[-CONTEXT:].copy()
        starts = np.arange(0, frames.size, FRAME)
        return samples[starts[:, None] + np.arange(CONTEXT + FRAME)]

    def _ask(self, windows: NDArray[np.float32]) -> Probabilities:
        probabilities: Probabilities
        inputs = {"input": windows, "h": self._h, "c": self._c}
        probabilities, self._h, self._c = self._network.run(None, inputs)
        return probabilities


def batches(is_asked: NDArray[np.bool_]) -> Iterator[NDArray[np.int64]]:
    """The frames [n_frames] in order, cut where asking begins or ends and after `MAX_FRAMES`: their numbers."""
    edges = np.flatnonzero(np.diff(is_asked)) + 1
    for run in np.split(np.arange(len(is_asked)), edges):
        yield from (run[start : start + MAX_FRAMES] for start in range(0, len(run), MAX_FRAMES))


@cache
def network() -> onnxruntime.InferenceSession:
    """The network, loaded once per process; it holds no stream's state and may be run by many threads.

    Raises `WeightsError` if its file is missing or altered.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(read(find()), options, providers=["CPUExecutionProvider"])


def find(package: str = PACKAGE) -> Path:
    """Where the network's file lies; the package that carries it is not imported, which takes seconds."""
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise WeightsError(f"the package {package}, which carries the speech detector, is missing: {REMEDY}")
    return Path(spec.origin).parent / FILE


def read(path: Path) -> bytes:
    """The file's bytes, if they are those of the network that this version knows."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise WeightsError(f"{path} cannot be read ({error.strerror}): {REMEDY}") from error
    if hashlib.sha256(content).hexdigest() != SHA256:
        raise WeightsError(f"{path} is not the file that this version knows (SHA-256 {SHA256}): {REMEDY}")
    return content
