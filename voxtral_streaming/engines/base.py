"""What an engine is. The rest of the package knows engines only by these types."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

from voxtral_streaming.audio.units import Samples
from voxtral_streaming.errors import EngineUnavailable
from voxtral_streaming.transcript import Hypothesis

TimestampGrade = Literal["word", "segment", "none"]
"""What an engine tells times of. `segment`: of stretches of speech only; the words of a final have times all the same,
which were worked out from those and may be off by some tenths of a second."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What an engine can really do; whoever offers an option to a client asks here first."""

    name: str  # the engine: "whisper"
    model: str  # the model that it runs: "whisper-base"
    partials: bool  # text before the end of an utterance
    timestamps: TimestampGrade  # the finest grade that is honest
    languages: tuple[str, ...]  # ISO 639-1 codes
    detects_language: bool
    delay_ms: tuple[int, ...] = ()  # the look-ahead values that a session may choose; none: no such option
    biasing: bool = False  # takes a prompt or key words
    max_utterance_s: float = 30.0  # longer utterances must be cut by the endpointer
    tells_language: bool = True  # hypotheses say which language was detected
    max_streams: int | None = None  # streams at once; None: as many as it has time for
    hears_together: bool = False  # recordings in long utterances, which the times of words tell apart again
    converses_s: float = 0.0  # takes a conversation about a recording of up to so many seconds; 0: transcribes only

    @property
    def has_words(self) -> bool:
        """Whether finals have words with times; only where `timestamps` is `word` were these measured."""
        return self.timestamps != "none"


@dataclass(frozen=True, slots=True)
class Turn:
    """What somebody said in a conversation about the audio; None among the parts is where the audio stands."""

    role: Literal["user", "assistant"]
    parts: tuple[str | None, ...]


@dataclass(frozen=True, slots=True)
class StreamOptions:
    """What a client asks of recognition; checked against `Capabilities` when a stream is opened."""

    language: str | None = None  # None: detect
    likely_language: str | None = None  # what earlier utterances were in; stands where the audio leaves doubt
    prompt: str | None = None  # names and words to expect
    delay_ms: int | None = None  # look-ahead of a streaming model
    partials: bool = True  # False: only `finish` decodes
    is_live: bool = True  # False: a recording, which lets those go first who speak now
    is_ahead: bool = False  # live, but faster than it is spoken: it lets them go first, too
    words: bool = True  # finals have words with times
    conversation: tuple[Turn, ...] = ()  # to be answered, instead of transcribing; the audio stands in it once
    most_tokens: int | None = None  # of the answer; None: as many as there is room for

    @property
    def is_spoken(self) -> bool:
        """Whether somebody speaks now, and waits."""
        return self.is_live and not self.is_ahead


class Stream(Protocol):
    """One utterance. Opened, fed, finished, closed.

    `feed` never waits: the audio that a stream may hold is bounded by the longest utterance.
    At most one of `partial`, `flush` and `finish` is awaited at a time; cancelling the awaiting
    of `partial` or `flush` loses no audio, and whichever is asked next answers for all of it.
    """

    def feed(self, samples: Samples) -> None:
        """Take the next samples of the utterance."""

    async def partial(self) -> Hypothesis:
        """The next hypothesis, once the engine has heard more than at the last one.

        The engine chooses the pace: under load hypotheses become rarer, never older than needed.
        """

    async def flush(self) -> Hypothesis:
        """The whole text of all that was fed, at once: the speech seems to be over.

        More may be fed afterwards. If nothing is, `finish` returns the same text for free.
        """

    async def finish(self) -> Hypothesis:
        """The final text of all that was fed, with its words; everything is stable.

        A pure function of the samples fed and the options, `is_ahead` left out: neither blocks nor load change it.
        """

    def close(self) -> None:
        """Give up the stream's resources; whatever is awaited on it is cancelled. Idempotent."""


class Engine(Protocol):
    """A recogniser that serves many streams at once."""

    @property
    def capabilities(self) -> Capabilities:
        """What this engine can do."""

    async def start(self) -> None:
        """Load what is needed and get ready; errors name the remedy. Called once."""

    def open(self, options: StreamOptions, at: int) -> Stream:
        """Open a stream for an utterance whose first sample stands at position `at`.

        Raises `UnsupportedOption` for what `capabilities` excludes.
        """

    async def close(self) -> None:
        """Stop, giving up open streams."""


@runtime_checkable
class Supervised(Protocol):
    """What an engine has besides, that may fail and comes back by itself."""

    @property
    def is_there(self) -> bool:
        """Whether it can be asked now; else those who ask wait for it."""

    @property
    def n_restarts(self) -> int:
        """How many times it was started again."""

    @property
    def trouble(self) -> EngineUnavailable | None:
        """Why it is not expected back soon, if it is not; those who ask hear it."""
