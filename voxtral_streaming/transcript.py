"""What comes out of recognition: words, hypotheses, events and whole transcripts.

Positions (`at`, `start_sample`, `end_sample`) are samples at 16 kHz since the stream began;
`start` and `end` of words and segments are seconds since the stream began.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

from voxtral_streaming.audio.clock import seconds


@dataclass(frozen=True, slots=True)
class Word:
    """One word; `text` carries its punctuation and no surrounding space."""

    text: str
    start: float
    end: float
    probability: float


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """What an engine makes of an utterance so far.

    `stable` only grows while the utterance lasts; `tentative` follows it and may be rewritten.
    `words` and `language` are filled by `Stream.finish` where the engine can. `is_cut`: an answer to a question that
    would have gone on.
    """

    stable: str = ""
    tentative: str = ""
    words: tuple[Word, ...] = ()
    language: str | None = None
    is_cut: bool = False

    @property
    def text(self) -> str:
        """The whole text, stable and tentative."""
        return f"{self.stable}{self.tentative}".strip()


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    """Somebody began to speak at sample `at`."""

    utterance: int
    at: int


@dataclass(frozen=True, slots=True)
class Partial:
    """The text of an unfinished utterance, heard up to sample `at`."""

    utterance: int
    at: int
    stable: str
    tentative: str


@dataclass(frozen=True, slots=True)
class SpeechStopped:
    """The speech stopped at sample `at`; it may resume until the utterance is committed."""

    utterance: int
    at: int


@dataclass(frozen=True, slots=True)
class Final:
    """The committed text of an utterance; it never changes. `text` may be empty."""

    utterance: int
    start_sample: int
    end_sample: int
    text: str
    words: tuple[Word, ...] = ()
    language: str | None = None


@dataclass(frozen=True, slots=True)
class Flushed:
    """The answer to a `Flush` among the audio: every final of what came before it was given."""


@dataclass(frozen=True, slots=True)
class Cleared:
    """The answer to a `Clear` among the audio: nothing more comes of the utterance that was open."""


@dataclass(frozen=True, slots=True)
class Heard:
    """The answer to a `Tick` among the audio: all up to sample `at` was heard, and what was told came before this."""

    at: int


Answer: TypeAlias = Flushed | Cleared | Heard
"""To what is asked among the audio, in its turn: after the finals of all utterances that began before it."""

Event: TypeAlias = SpeechStarted | Partial | SpeechStopped | Final | Answer
"""All that a client hears, besides errors. Utterances are numbered from 0 and come in order."""


@dataclass(frozen=True, slots=True)
class Segment:
    """One utterance of a finished transcript."""

    id: int
    start: float
    end: float
    text: str
    words: tuple[Word, ...] = ()
    language: str | None = None

    @classmethod
    def of(cls, final: Final, number: int) -> Segment:
        """A final as the segment of that number."""
        start, end = seconds(final.start_sample), seconds(final.end_sample)
        return cls(number, start, end, final.text, final.words, final.language)


@dataclass(frozen=True, slots=True)
class Transcript:
    """A finished transcript; `duration` is the length of the audio in seconds."""

    text: str
    segments: tuple[Segment, ...]
    language: str | None
    duration: float

    @classmethod
    def of(cls, segments: Sequence[Segment], duration: float) -> Transcript:
        """All segments as one text; the language is that of most of the speech."""
        spoken: dict[str, float] = {}
        for segment in segments:
            if segment.language:
                spoken[segment.language] = spoken.get(segment.language, 0.0) + segment.end - segment.start
        language = max(spoken, key=lambda name: spoken[name]) if spoken else None
        return cls(" ".join(segment.text for segment in segments), tuple(segments), language, duration)


def spellings(words: Sequence[Word], text: str) -> list[str]:
    """The text cut in front of each word but the first; where the words are not those of the text, the words."""
    bare = [" ".join(word.text.split()) for word in words]
    starts, position = [], 0
    for word in bare:
        found = text.find(word, position)
        if found < 0:
            return [f"{word} " for word in bare]
        starts.append(found)
        position = found + len(word)
    edges = [*starts, len(text)]
    edges[0] = 0
    return [text[start:end] for start, end in pairwise(edges)]
