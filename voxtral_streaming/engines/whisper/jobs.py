"""What streams ask of the engine."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar

from voxtral_streaming.engines.whisper.passages import Passage
from voxtral_streaming.engines.whisper.recognition import Request, Result
from voxtral_streaming.engines.whisper.scheduler import Kind
from voxtral_streaming.engines.whisper.windows import memory_for, window_for, with_silence
from voxtral_streaming.transcript import Word

if TYPE_CHECKING:
    from voxtral_streaming.engines.whisper.stream import WhisperStream


AnswerT = TypeVar("AnswerT")


class InVain(Exception):
    """Nobody waits any more for what is being done."""


@dataclass(slots=True, eq=False)
class _Asked(Generic[AnswerT]):
    """What a stream asks for."""

    kind: Kind
    stream: WhisperStream
    future: Future[AnswerT] = field(default_factory=Future, init=False)
    is_in_vain: bool = field(default=False, init=False)  # it ends at its next step, if it has begun

    @property
    def waited(self) -> int:
        """Samples that its stream was fed since it last had a hypothesis."""
        return self.stream.waited

    def drop(self) -> None:
        """Nobody waits for it any more."""
        self.is_in_vain = True
        self.future.cancel()


@dataclass(slots=True, eq=False)
class Recognition(_Asked[Result]):
    """A job: recognise what `heard` says when the job's turn comes."""

    heard: Callable[[], Passage]

    @property
    def memory(self) -> int:
        """Frames of the memory of the audio, by which jobs keep company."""
        n_samples = self.heard().n_samples
        return memory_for(with_silence(window_for(n_samples), n_samples))

    def request(self) -> Request:
        """What to recognise now."""
        return self.stream.request(self.heard())


@dataclass(slots=True, eq=False)
class Completion(_Asked[tuple[Result, list[Word]]]):
    """A job: make a result final, and find when its words were spoken, if that is wanted.

    In vain it answers the result as it is, without words.
    """

    result: Result
    wants_words: bool


def always(passage: Passage) -> Callable[[], Passage]:
    """To hear that passage, whatever was fed meanwhile."""
    return lambda: passage
