"""The engine thread: it seats streams in rows, steps all rows that have something to hear, and answers requests.

There is no clock in it. A step takes every stream that has a whole window; while it runs more windows arrive, so that
the busier the machine is the more streams share a step, and a stream that fell behind catches up several at a time.
"""

from __future__ import annotations

import logging
from collections import deque
from dataclasses import dataclass
from queue import SimpleQueue
from typing import TypeAlias

import torch

from voxtral_streaming.audio.units import Samples
from voxtral_streaming.engines.voxtral.facts import WINDOW_PER_TOKEN
from voxtral_streaming.engines.voxtral.kernels import Kernel, attention
from voxtral_streaming.engines.voxtral.stepper import Mark, Stepper
from voxtral_streaming.engines.voxtral.transcription import Kind, Request, Transcription
from voxtral_streaming.errors import EngineFailed

log = logging.getLogger(__name__)

Voice: TypeAlias = Transcription[Mark]


@dataclass(frozen=True, slots=True)
class Opened:
    """A stream begins."""

    voice: Voice


@dataclass(frozen=True, slots=True, eq=False)
class Fed:
    """A stream hears more."""

    voice: Voice
    samples: Samples


@dataclass(frozen=True, slots=True)
class Asked:
    """A stream asks for a hypothesis."""

    voice: Voice
    request: Request


@dataclass(frozen=True, slots=True)
class Closed:
    """A stream is given up."""

    voice: Voice


@dataclass(frozen=True, slots=True)
class Stopped:
    """The engine closes."""


Message: TypeAlias = Opened | Fed | Asked | Closed | Stopped


class Worker:
    """Serves streams from `inbox` until it is told to stop. Rows 0 to `len(seated)` - 1 are in use."""

    def __init__(self, stepper: Stepper, kernel: Kernel) -> None:
        self.inbox: SimpleQueue[Message] = SimpleQueue()
        self.seated: list[Voice] = []
        self.waiting: deque[Voice] = deque()  # for a row
        self.largest = stepper.n_rows  # rows of a step; shrinks when memory runs out
        self._stepper = stepper
        self._kernel = kernel

    def run(self) -> None:
        """The life of the engine thread. What goes wrong reaches all who await something, and ends it."""
        try:
            with attention(self._kernel):
                self._serve()
        except Exception as error:
            log.exception("recognition failed")
            self._fail(f"recognition failed: {error}")

    def _serve(self) -> None:
        while self._receive():
            self._arrange()
            self._step()
            self._answer()
            self._arrange()

    def _receive(self) -> bool:
        """Take the messages that are there; wait for one where there is nothing else to do. False: stop."""
        idle = not any(voice.n_due for voice in self.seated)
        while idle or not self.inbox.empty():
            message = self.inbox.get()
            if isinstance(message, Stopped):
                return False
            self._take(message)
            idle = False
        return True

    def _take(self, message: Opened | Fed | Asked | Closed) -> None:
        match message:
            case Opened(voice):
                self.waiting.append(voice)
            case Fed(voice, samples):
                voice.feed(samples)
            case Asked(voice, request):
                voice.ask(request)
            case Closed(voice):
                self._leave(voice)

    def _arrange(self) -> None:
        """Decide who hears what in the next step."""
        self._seat()
        self._turn()

    def _seat(self) -> None:
        while self.waiting and len(self.seated) < self._stepper.n_rows:
            voice = self.waiting.popleft()
            self._stepper.join(len(self.seated), voice.n_delay)
            self.seated.append(voice)

    def _leave(self, voice: Voice) -> None:
        """Free a row; the last one moves into it."""
        if voice in self.waiting:
            self.waiting.remove(voice)
        elif voice in self.seated:
            row, last = self.seated.index(voice), self.seated.pop()
            if last is not voice:
                self._stepper.move(len(self.seated), row)
                self.seated[row] = last

    def _turn(self) -> None:
        """Streams whose whole text is asked for go on with silence; those that go on speaking come back from it."""
        for row, voice in enumerate(self.seated):
            if voice.must_return and (mark := voice.leave_ending()):
                self._stepper.rewind(row, mark)
            if voice.may_end:
                voice.begin_ending(self._stepper.mark(row))

    def _step(self) -> None:
        """One step of all rows, in as few parts as memory allows."""
        first = 0
        while first < len(self.seated):
            voices = self.seated[first : first + self.largest]
            try:
                self._advance(first, voices)
                first += len(voices)
            except torch.OutOfMemoryError:
                if len(voices) == 1:
                    raise
                self.largest = len(voices) // 2
                log.warning("out of memory: steps of %d streams from now on", self.largest)

    def _advance(self, first: int, voices: list[Voice]) -> None:
        most = max(voice.n_due for voice in voices)
        if most == 0:
            return
        n, q = self._stepper.shape(len(voices), most, first)
        windows = torch.zeros(n, q, WINDOW_PER_TOKEN)
        counts = [min(voice.n_due, q) for voice in voices] + [0] * (n - len(voices))
        for row, (voice, count) in enumerate(zip(voices, counts, strict=False)):
            if count:
                windows[row, :count] = torch.from_numpy(voice.windows(count).copy())
        for voice, predicted in zip(voices, self._stepper.step(windows, counts, first), strict=False):
            voice.took(predicted)

    def _answer(self) -> None:
        """Answer what can be answered; a finished stream leaves its row."""
        finished = []
        for row, voice in enumerate(self.seated):
            hypothesis, request = voice.answer(), voice.request
            if hypothesis is None or request is None:
                continue
            if request.kind is Kind.FINISH:
                finished.append(voice)
            elif mark := voice.leave_ending():
                self._stepper.rewind(row, mark)
            voice.shown(hypothesis)
            if request.answer.set_running_or_notify_cancel():
                request.answer.set_result(hypothesis)
        for voice in finished:
            self._leave(voice)

    def _fail(self, message: str) -> None:
        """Everybody hears of it, now and from now on."""
        for voice in (*self.seated, *self.waiting):
            if voice.request is not None:
                _refuse(voice.request, message)
        while not isinstance(received := self.inbox.get(), Stopped):
            if isinstance(received, Asked):
                _refuse(received.request, message)


def _refuse(request: Request, message: str) -> None:
    if request.answer.set_running_or_notify_cancel():
        request.answer.set_exception(EngineFailed(message))
