"""One stream as the worker sees it: what it heard, what it is asked, and what it still has to hear. No torch."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass
from enum import Enum, auto
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from voxtral_streaming.audio.units import Samples
from voxtral_streaming.engines.voxtral.framer import Framer
from voxtral_streaming.engines.voxtral.tekken import Tekken
from voxtral_streaming.engines.voxtral.words import Predicted, Writer, timed, whole
from voxtral_streaming.transcript import Hypothesis

MarkT = TypeVar("MarkT")
Windows = NDArray[np.float32]  # [n_windows, window]


class Kind(Enum):
    """What a stream may ask for."""

    PARTIAL = auto()
    FLUSH = auto()
    FINISH = auto()


@dataclass(frozen=True, slots=True, eq=False)
class Request:
    """A hypothesis that somebody awaits."""

    kind: Kind
    answer: Future[Hypothesis]


@dataclass(slots=True)
class _Ending(Generic[MarkT]):
    """The silence after the audio, on trial: the row goes back to `mark` unless the stream is over."""

    mark: MarkT
    n_samples: int  # heard before it
    windows: Windows
    writer: Writer
    n_taken: int = 0
    text: str = ""


class Transcription(Generic[MarkT]):
    """Hears windows of audio; when all of it is asked for, silence after it, from which it can come back.

    The worker takes `n_due` windows with `windows`, runs them and hands the tokens to `took`. The final has words if
    `words` asks for them; their times count from `at`, the position of the first sample.
    """

    def __init__(self, tekken: Tekken, n_delay: int, *, at: int = 0, words: bool = True) -> None:
        self.n_delay = n_delay
        self.text = ""  # it only grows
        self.request: Request | None = None
        self._n_right_pad = tekken.n_right_pad(n_delay)
        self._at, self._has_words = at, words
        self._framer = Framer()
        self._writer = Writer(tekken)
        self._n_prompt = n_delay + 1  # predictions before the prompt's end: nobody reads them
        self._n_asked = 0  # samples that the answer must cover
        self._shown = ""
        self._ending: _Ending[MarkT] | None = None
        self._ended: tuple[int, Hypothesis] | None = None  # the whole of it, and after how many samples

    def feed(self, samples: Samples) -> None:
        """Hear more."""
        self._framer.feed(samples)

    def ask(self, request: Request) -> None:
        """At most one request is open; a new one takes the place of one that was given up."""
        self.request, self._n_asked = request, self._framer.n_samples

    @property
    def _awaits_all(self) -> bool:
        """Whether the whole text is asked for."""
        asked = self.request
        return asked is not None and asked.kind is not Kind.PARTIAL and not asked.answer.cancelled()

    @property
    def must_return(self) -> bool:
        """Whether the silence on trial is no longer wanted."""
        return self._ending is not None and not (self._awaits_all and self._ending.n_samples >= self._n_asked)

    @property
    def may_end(self) -> bool:
        """Whether all audio was heard and the whole text is asked for, and not known yet."""
        is_new = self._ending is None and self.answer() is None
        return self._awaits_all and is_new and self._framer.n_ready == 0

    def begin_ending(self, mark: MarkT) -> None:
        """Go on with silence; `mark` is where the row stands."""
        windows = self._framer.padded(self._framer.n_padded(self._n_right_pad))
        self._ending = _Ending(mark, self._framer.n_samples, windows, self._writer.fork())

    def leave_ending(self) -> MarkT | None:
        """Give the silence up; answers the mark to return to, if there was any."""
        ending, self._ending = self._ending, None
        return ending.mark if ending else None

    @property
    def n_due(self) -> int:
        """Windows that can be run now."""
        if self._ending is not None:
            return len(self._ending.windows) - self._ending.n_taken
        return self._framer.n_ready

    def windows(self, n_windows: int) -> Windows:
        """The next windows, [n_windows, window]; they stay due until they are taken."""
        if self._ending is not None:
            return self._ending.windows[self._ending.n_taken :][:n_windows]
        return self._framer.peek(n_windows)

    def took(self, predicted: Predicted) -> None:
        """As many windows as there are tokens were run; each token was predicted after one."""
        n_tokens = len(predicted.tokens)
        if (ending := self._ending) is None:
            self.text += self._written(self._writer, predicted, self._framer.n_taken)
            if not self._has_words:
                del self._writer.words[:-1]
            self._framer.take(n_tokens)
            return
        ending.text += self._written(ending.writer, predicted, self._framer.n_taken + ending.n_taken)
        ending.n_taken += n_tokens
        if ending.n_taken == len(ending.windows):
            self._ended = ending.n_samples, self._whole(ending)

    def _written(self, writer: Writer, predicted: Predicted, n_windows: int) -> str:
        """The text of what was predicted after the first `n_windows` windows of the stream; a prompt's is not read."""
        n_given = max(0, self._n_prompt - n_windows)
        read = Predicted(predicted.tokens[n_given:], predicted.probabilities[n_given:])
        return writer.write(read, n_windows + n_given - self._n_prompt)

    def _whole(self, ending: _Ending[MarkT]) -> Hypothesis:
        tail = ending.text + ending.writer.finish()
        if not self._has_words:
            return Hypothesis(self.text, tail)
        words = timed(whole(self._writer.words, ending.writer.words), self._at, ending.n_samples)
        return Hypothesis(self.text, tail, words)

    def answer(self) -> Hypothesis | None:
        """The answer to what is asked, where it is known."""
        if self.request is None:
            return None
        if self.request.kind is Kind.PARTIAL:
            return Hypothesis(self.text) if self.text != self._shown else None
        if self._ended is None or self._ended[0] < self._n_asked:
            return None
        ended = self._ended[1]
        if self.request.kind is Kind.FINISH:
            return Hypothesis(ended.stable + ended.tentative, "", ended.words)
        return Hypothesis(ended.stable, ended.tentative)

    def shown(self, hypothesis: Hypothesis) -> None:
        """The answer was given; the next partial waits for other text."""
        self._shown, self.request = hypothesis.stable, None
