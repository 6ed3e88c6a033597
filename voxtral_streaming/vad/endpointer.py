"""From samples to activities: detector and segmenter, and the samples that they still need."""

from __future__ import annotations

import numpy as np

from voxtral_streaming.audio.units import Samples, samples_from_ms
from voxtral_streaming.config import StreamingConfig, VadConfig
from voxtral_streaming.errors import CorruptAudio
from voxtral_streaming.vad.activity import Activity, Endpointer, Speech
from voxtral_streaming.vad.detector import Hysteresis, SpeechDetector, open_detector, open_hysteresis
from voxtral_streaming.vad.frames import FRAME, Frames
from voxtral_streaming.vad.segmenter import Mark, Segmenter, Span
from voxtral_streaming.vad.timing import Timing


def open_endpointer(
    vad: VadConfig,
    streaming: StreamingConfig,
    max_utterance_s: float,
    *,
    detect_turns: bool = True,
    is_live: bool = True,
) -> Endpointer:
    """The endpointer of one stream; `max_utterance_s` is the engine's limit, the user's may be shorter.

    Without `detect_turns` an utterance lasts until it is flushed, or too long; silence before and behind its
    speech still does not belong to it. That of a recording, which is not `is_live`, hears more of it together.

    The first one of a process loads the detector's network, in some hundredths of a second. Raises
    `WeightsError` if its file is missing or altered, `ValueError` if the limit is less than a second.
    """
    timing = Timing.of(vad, streaming, max_utterance_s)
    if not is_live:
        timing = timing.of_recordings(samples_from_ms(streaming.recording_silence_ms))
    if not detect_turns:
        timing = timing.until_flushed()
    return FrameEndpointer(open_detector(vad), open_hysteresis(vad), timing)


class FrameEndpointer:
    """The endpointer that judges frame by frame, on the caller's thread.

    It keeps a copy of the samples that may still be emitted: the pre-roll, what a lull or a search for
    a gap holds back, and less than a frame that is not yet judged.
    """

    def __init__(self, detector: SpeechDetector, hysteresis: Hysteresis, timing: Timing) -> None:
        self._detector = detector
        self._hysteresis = hysteresis
        self._segmenter = Segmenter(timing)
        self._samples: Samples = np.zeros(0, np.float32)
        self._at = 0  # position of the first of them
        self._judged = 0  # position up to which frames were judged

    @property
    def position(self) -> int:
        """How many samples were fed."""
        return self._at + len(self._samples)

    def feed(self, samples: Samples) -> list[Activity]:
        """Take the next samples [n_samples]; answer what they brought.

        Raises `CorruptAudio` if a sample is not a finite number: the detector would never recover from one.
        """
        if not np.isfinite(samples).all():
            raise CorruptAudio("every sample must be a finite number")
        self._samples = np.concatenate([self._samples, samples])
        probabilities = self._detector.probabilities(self._next_frames()).tolist()
        for probability, is_speech in zip(probabilities, self._hysteresis.judge(probabilities), strict=True):
            self._segmenter.feed(probability, is_speech)
        return self._take()

    def flush(self) -> list[Activity]:
        """End the open utterance here, if there is one; speech too short to have started one counts."""
        self._segmenter.flush(self.position)
        return self._take()

    def _next_frames(self) -> Frames:
        """The complete frames that were not judged yet: [n_frames, FRAME]."""
        start = self._judged
        self._judged += (self.position - start) // FRAME * FRAME
        return self._between(start, self._judged).reshape(-1, FRAME)

    def _take(self) -> list[Activity]:
        activities = [self._activity(mark) for mark in self._segmenter.take()]
        self._drop_before(min(self._segmenter.needs, self._judged))
        return activities

    def _activity(self, mark: Mark) -> Activity:
        return Speech(mark.start, self._between(mark.start, mark.end)) if isinstance(mark, Span) else mark

    def _between(self, start: int, end: int) -> Samples:
        return self._samples[start - self._at : end - self._at]

    def _drop_before(self, position: int) -> None:
        self._samples = self._samples[position - self._at :].copy()  # a view would keep the whole block alive
        self._at = position
