"""The engine thread: it gives requests rows, prepares them piece by piece, and decodes all that are ready in steps.

Continuous batching: a request takes a free row at any time and leaves it when its answer ends; between two steps of
the others at most one piece of somebody's preparation is done, so that nobody's next token waits longer than a step
and a piece. There is no clock in it.

Finals go first, then whole texts, then partials, then recordings: in the order of preparing, and where all rows are
taken one of the latter two makes room. What it said so far is its draft when its turn comes again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator
from concurrent.futures import Future
from dataclasses import dataclass, field
from enum import IntEnum
from queue import SimpleQueue
from typing import TypeAlias

import torch
from torch import Tensor

from voxtral_streaming.engines.voxtral.kernels import Kernel, attention
from voxtral_streaming.engines.voxtral_offline.batch import Batch
from voxtral_streaming.engines.voxtral_offline.generation import Generation
from voxtral_streaming.errors import EngineFailed

log = logging.getLogger(__name__)


class Kind(IntEnum):
    """What a request is for; a smaller value goes first."""

    FINISH = 0  # an endpoint, or somebody with a question, waits for it
    FLUSH = 1  # the speech seems to be over
    PARTIAL = 2  # the utterance goes on
    RECORDED = 3  # of a recording, or of audio that comes faster than it is spoken: those go first who speak now


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request came to. `n_steps`: tokens that took a step of their own."""

    tokens: tuple[int, ...]
    is_cut: bool
    n_steps: int


@dataclass(slots=True, eq=False)
class Request:
    """A prompt to be answered; `mel` [n_windows, n_mels, n_mel_frames] is the audio that it speaks of."""

    kind: Kind
    prompt: list[int]
    mel: Tensor
    most: int  # tokens of the answer
    draft: tuple[int, ...] = ()
    said: list[int] = field(default_factory=list)  # so far; grows on the engine thread
    on_token: Callable[[], None] | None = None  # called there for every token
    answer: Future[Answer] = field(default_factory=Future)


class Stopped:
    """The engine closes."""


Message: TypeAlias = Request | Stopped


@dataclass(slots=True, eq=False)
class _Seat:
    """A request in a row. `preparing` does its next piece; None: it is being decoded."""

    request: Request
    generation: Generation
    preparing: Generator[None, None, None] | None


class Worker:
    """Serves requests from `inbox` until it is told to stop."""

    def __init__(self, batch: Batch, eos: int, kernel: Kernel) -> None:
        self.inbox: SimpleQueue[Message] = SimpleQueue()
        self.waiting: list[Request] = []
        self.seats: list[_Seat | None] = [None] * batch.n_rows
        self._batch = batch
        self._eos = eos
        self._kernel = kernel

    def run(self) -> None:
        """The life of the engine thread. What goes wrong reaches all who await something, and ends it."""
        try:
            with attention(self._kernel):
                while self._receive():
                    self.advance()
        except Exception as error:
            log.exception("recognition failed")
            self._fail(f"recognition failed: {error}")

    def advance(self) -> None:
        """Seat who waits, close gaps between rows, do one piece of preparation, decode one step."""
        self._drop()
        self._seat()
        self._close_up()
        self._prepare()
        self._decode()

    @property
    def is_idle(self) -> bool:
        """Whether there is nothing to do."""
        return not self.waiting and not any(self.seats)

    def _receive(self) -> bool:
        """Take the messages that are there; wait for one where there is nothing else to do. False: stop."""
        while self.is_idle or not self.inbox.empty():
            message = self.inbox.get()
            if isinstance(message, Stopped):
                return False
            self.waiting.append(message)
        return True

    def _drop(self) -> None:
        """Forget what nobody waits for any more."""
        self.waiting = [request for request in self.waiting if not request.answer.cancelled()]
        self.seats = [None if seat and seat.request.answer.cancelled() else seat for seat in self.seats]

    def _seat(self) -> None:
        self.waiting.sort(key=lambda request: request.kind)  # stable: the order of asking within a kind
        while self.waiting and (row := self._row_for(self.waiting[0])) is not None:
            request = self.waiting.pop(0)
            generation = Generation(request.prompt, request.draft, request.most, self._eos)
            request.said = generation.said
            self._batch.begin(row)
            self.seats[row] = _Seat(request, generation, self._preparation(row, request, generation))

    def _row_for(self, request: Request) -> int | None:
        """The first free row, or the last one that somebody less urgent gives up for a final or a whole text."""
        if None in self.seats:
            return self.seats.index(None)
        taken = [(seat.request.kind, row) for row, seat in enumerate(self.seats) if seat]
        kind, row = max(taken)
        if request.kind >= Kind.PARTIAL or kind < Kind.PARTIAL:
            return None
        if seat := self.seats[row]:
            seat.request.draft = tuple(seat.request.said) or seat.request.draft
            self.waiting.append(seat.request)
        return row

    def _close_up(self) -> None:
        """Move the last rows that decode into free ones before them: a step goes over the rows up to the last."""
        while (ready := self._ready()) and None in self.seats[: ready[-1]]:
            free = self.seats.index(None)
            self._batch.move(ready[-1], free)
            self.seats[free], self.seats[ready[-1]] = self.seats[ready[-1]], None

    def _ready(self) -> list[int]:
        """The rows that can be given their next token."""
        return [row for row, seat in enumerate(self.seats) if seat and not seat.preparing]

    def _prepare(self) -> None:
        """The next piece of the most urgent request that is not ready."""
        preparing = [(seat, seat.preparing) for seat in self.seats if seat and seat.preparing]
        if not preparing:
            return
        seat, pieces = min(preparing, key=lambda one: one[0].request.kind)
        try:
            next(pieces)
        except StopIteration:
            seat.preparing = None
            self._tell(seat)
        except torch.OutOfMemoryError as error:  # the others have their memory already
            log.warning("out of memory: a request of %d windows was refused", len(seat.request.mel))
            self.seats[self.seats.index(seat)] = None
            _refuse(seat.request, f"recognition failed: {error}")

    def _preparation(self, row: int, request: Request, generation: Generation) -> Generator[None, None, None]:
        """Hear the audio, read the prompt and the draft, and keep of the draft what the model confirms."""
        heard = []
        for mel in request.mel:
            heard.append((yield from self._batch.encode(mel)))
        model = self._batch.model
        audio = (
            torch.cat(heard)
            if heard
            else torch.zeros(0, model.facts.decoder.dim, dtype=model.dtype, device=model.device)
        )
        predicted = yield from self._batch.prefill(row, generation.read, audio, generation.n_predicted)
        self._batch.rewind(row, generation.verify(predicted))

    def _decode(self) -> None:
        """One step of all rows that are ready."""
        if not (ready := self._ready()):
            return
        tokens = [self._next(row) for row in range(ready[-1] + 1)]
        predicted = self._batch.step(tokens)
        for row in ready:
            if seat := self.seats[row]:
                seat.generation.take(predicted[row])
                self._tell(seat)

    def _next(self, row: int) -> int | None:
        seat = self.seats[row]
        return seat.generation.next if seat and not seat.preparing else None

    def _tell(self, seat: _Seat) -> None:
        """Tell that something was said, and free the row where that was all."""
        generation, request = seat.generation, seat.request
        if request.on_token:
            request.on_token()
        if generation.is_over:
            self.seats[self.seats.index(seat)] = None
            if request.answer.set_running_or_notify_cancel():
                request.answer.set_result(Answer(tuple(generation.said), generation.is_cut, generation.n_steps))

    def _fail(self, message: str) -> None:
        """Everybody hears of it, now and from now on."""
        for request in [seat.request for seat in self.seats if seat] + self.waiting:
            _refuse(request, message)
        while not isinstance(received := self.inbox.get(), Stopped):
            _refuse(received, message)


def _refuse(request: Request, message: str) -> None:
    if request.answer.set_running_or_notify_cancel():
        request.answer.set_exception(EngineFailed(message))
