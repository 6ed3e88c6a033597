"""The state machine that makes utterances of judged frames. It knows positions, not samples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from voxtral_streaming.vad.activity import Endpoint, Pause, SpeechResumed, SpeechStarted, SpeechStopped
from voxtral_streaming.vad.frames import FRAME
from voxtral_streaming.vad.gap import GapFinder
from voxtral_streaming.vad.timing import Timing


@dataclass(frozen=True, slots=True)
class Span:
    """The samples from `start` to just before `end` belong to the utterance."""

    start: int
    end: int


Mark: TypeAlias = SpeechStarted | Span | Pause | SpeechStopped | SpeechResumed | Endpoint


@dataclass(slots=True)
class Candidate:
    """Speech that may become an utterance, once enough of it was heard before too much silence."""

    start: int  # of the utterance
    needed: int  # samples of speech still to come
    patience: int  # samples of silence that it outlives
    is_heard: bool = False  # speech was heard


@dataclass(slots=True)
class Utterance:
    """An open utterance."""

    start: int
    is_paused: bool = False  # the lull since its last speech was marked as a pause
    is_stopped: bool = False  # … and as the end of speech


class Segmenter:
    """Takes the frames of a stream one by one and marks the utterances.

        nothing ─ speech ─▶ candidate ─ timing.voice of it ─▶ utterance ─ silence, cut, flush ─▶ nothing

    Within an utterance every frame is marked at once, but for silence beyond `timing.pause`, which
    is marked only when speech resumes, and for the last `timing.hold` samples while a gap is looked
    for: what is marked is never taken back, so it must not reach beyond where the utterance will end.
    """

    def __init__(self, timing: Timing) -> None:
        self._timing = timing
        self._gaps = GapFinder(timing.hold)
        self._end = 0  # of the last frame
        self._speech_end = 0  # of the last frame of speech
        self._marked = 0  # end of the last span
        self._candidate: Candidate | None = None
        self._utterance: Utterance | None = None
        self._is_cut = False  # only a flush ends an utterance, and the last one was too long: the next goes on with it
        self._marks: list[Mark] = []

    @property
    def needs(self) -> int:
        """The first sample that may still be marked."""
        if self._utterance:
            return self._marked
        return self._candidate.start if self._candidate else self._before(self._end)

    def feed(self, probability: float, is_speech: bool) -> None:
        """Take the judgement of the next frame."""
        self._end += FRAME
        self._gaps.hear(probability, self._end)
        silence = self._lull - FRAME  # before the frame
        if is_speech:
            self._speech_end = self._end
        if self._utterance:
            self._go_on(self._utterance, silence)
        else:
            self._listen(is_speech)

    def flush(self, position: int) -> None:
        """End the utterance at its pause, if it pauses, else at `position`, less than a frame ahead.

        A candidate of which any speech was heard is an utterance.
        """
        if not self._utterance and self._candidate and self._candidate.is_heard:
            self._utterance = self._start(self._candidate)
        if self._utterance:
            if not self._utterance.is_paused:
                self._mark(position)
            self._stop(self._utterance)
            self._finish()
        self._candidate = None
        self._is_cut = False

    def take(self) -> list[Mark]:
        """What was marked since the last call."""
        marks, self._marks = self._marks, []
        return marks

    @property
    def _lull(self) -> int:
        """How long it has been silent since the last speech."""
        return self._end - self._speech_end

    def _is_silent_for(self, duration: int) -> bool:
        return self._lull > 0 and self._lull >= duration

    def _listen(self, is_speech: bool) -> None:
        """Nobody spoke so far."""
        if not self._candidate:
            if not is_speech:
                return
            start = self._before(self._end - FRAME)
            needed = 1 if self._is_cut else self._timing.voice
            self._candidate = Candidate(start, needed, patience=self._timing.voice)
        candidate = self._candidate
        if is_speech:
            candidate.is_heard = True
            candidate.needed -= FRAME
            if candidate.needed <= 0:
                self._utterance = self._start(candidate)
                self._go_on(self._utterance)
        else:
            candidate.patience -= FRAME
            if candidate.patience < 0:
                self._candidate = None

    def _before(self, speech: int) -> int:
        """Where an utterance begins whose speech begins at `speech`."""
        return max(speech - self._timing.pre_roll, self._marked)

    def _start(self, candidate: Candidate) -> Utterance:
        return self._open(max(candidate.start, self._end + FRAME - self._timing.limit))

    def _open(self, at: int) -> Utterance:
        self._candidate = None
        self._marked = at
        self._marks.append(SpeechStarted(at))
        return Utterance(at)

    def _go_on(self, utterance: Utterance, silence: int = 0) -> None:
        """Somebody speaks, or did just now; before that it had been silent."""
        if not self._lull:
            self._resume(utterance, silence)
        if self._end - utterance.start > self._timing.search:
            self._search(utterance)
            return
        self._mark(min(self._end, self._speech_end + self._timing.pause))
        if self._is_silent_for(self._timing.pause):
            self._pause(utterance)
        if self._is_silent_for(self._timing.stop):
            self._stop(utterance)
        if self._timing.silence_ends and self._is_silent_for(self._patience(utterance)):
            self._finish()

    def _patience(self, utterance: Utterance) -> int:
        """The silence that ends the utterance."""
        timing = self._timing
        return timing.endpoint if self._speech_end - utterance.start < timing.long else timing.long_endpoint

    def _search(self, utterance: Utterance) -> None:
        """The utterance is near its limit: end it when speech stops, or at the first gap that is clear enough."""
        timing = self._timing
        self._mark(min(self._end - timing.hold, self._speech_end + timing.pause))
        if self._is_silent_for(timing.stop):
            self._mark(self._speech_end + timing.pause)
            self._stop(utterance)
            self._finish()
            self._expect_more()
            return
        gap = self._gap(utterance)
        if gap is not None:
            self._cut(gap)

    def _gap(self, utterance: Utterance) -> int | None:
        length = self._end - utterance.start
        if length + FRAME > self._timing.limit:
            return self._gaps.force(self._marked)
        progress = (length - self._timing.search) / (self._timing.limit - self._timing.search)
        return self._gaps.find(self._marked, progress)

    def _cut(self, at: int) -> None:
        """End the utterance at `at`; what follows belongs to the next one, also if that is only about to begin."""
        self._mark(at)
        self._finish()
        if self._speech_end > at:
            self._utterance = self._open(at)
            self._go_on(self._utterance)
        else:
            self._expect_more()

    def _expect_more(self) -> None:
        """Speech that would have resumed in the utterance just ended starts the next one at once, where that ended.

        After so much silence that this would have ended it too, speech starts the next one as it starts any: but at
        once, where silence ends none.
        """
        self._is_cut = not self._timing.silence_ends
        if self._lull < self._timing.long_endpoint:
            self._candidate = Candidate(self._marked, needed=1, patience=self._timing.long_endpoint - self._lull - 1)

    def _mark(self, end: int) -> None:
        """Mark all up to `end` that is not yet marked."""
        if end <= self._marked:
            return
        start = self._marked
        if self._marks and isinstance(last := self._marks[-1], Span):
            self._marks.pop()
            start = last.start
        self._marks.append(Span(start, end))
        self._marked = end

    def _pause(self, utterance: Utterance) -> None:
        if not utterance.is_paused:
            utterance.is_paused = True
            self._marks.append(Pause(self._marked))

    def _stop(self, utterance: Utterance) -> None:
        if not utterance.is_stopped:
            utterance.is_stopped = True
            self._marks.append(SpeechStopped(self._marked))

    def _resume(self, utterance: Utterance, silence: int) -> None:
        if utterance.is_stopped:
            self._mark(self._before(self._end - FRAME))
            is_apart = self._timing.silence_ends and silence >= self._timing.long_endpoint
            self._marks.append(SpeechResumed(self._marked, is_apart))
        utterance.is_paused = utterance.is_stopped = False

    def _finish(self) -> None:
        self._utterance = None
        self._marks.append(Endpoint(self._marked))
