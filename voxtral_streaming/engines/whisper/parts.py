"""Where a live utterance that grows long is parted: where a sentence ends. Pure: no model, no clock.

A window of the encoder ends somewhere, and a recogniser that is made to stop between two words hears the last and the
next one badly. So a part is recognised up to a lull, but only its whole sentences stand; the rest is heard again, at
the head of the next part. If little is left behind the last part when the utterance is over, the last sentences of that
part are heard once more with it: what is short is heard badly too. All of it depends on the samples alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from voxtral_streaming.audio.units import Samples, samples_from_ms, samples_from_seconds
from voxtral_streaming.transcript import Word

LONGEST_PART = samples_from_seconds(14.5)  # with the silence behind it, what a memory of 17 s holds
LATE = samples_from_seconds(22.0)  # of an utterance, before it is long
LONG = samples_from_seconds(24.0)  # of an utterance: it may have been ended at any gap, and is wanted at once
SHORTEST_LATE = samples_from_seconds(6.0)  # of a part that ends there: what is behind less is soon made final
SHORT_REST = samples_from_seconds(8.0)  # behind the last part: with less, sentences before it are heard again
LEAST_AGAIN = 0.85  # of the words of a sentence and what was heard behind it: with fewer, more is lost than won
SEARCHED = samples_from_seconds(4.0)  # the end of it, in which the lull is looked for
LULL = samples_from_ms(120)  # whose level counts: as long as most gaps between words
STEP = samples_from_ms(10)  # from one place that may be the lull to the next

LEAST_S = 3.0  # of sentences that stand: with less the next part would not be shorter than this one
UNSURE_S = 0.3  # before the lull: what ends there may go on behind it
NEAR_S = 6.0  # before the lull: where to part if no sentence ends
SENTENCE_ENDS = frozenset(".?!…。？！।؟")  # noqa: RUF001
CLAUSE_ENDS = frozenset(",;:、，；：،")  # noqa: RUF001
CLOSING = "\"'»”’)]」』"  # noqa: RUF001
ABBREVIATED = 3  # letters at most of what a full stop shortens: Mr., Dr., St.


@dataclass(frozen=True, slots=True)
class Sentence:
    """One that stands, and may be heard again."""

    start: int  # sample of the utterance
    n_words: int  # that were heard from here to the end of the part, those that do not stand included


@dataclass(frozen=True, slots=True)
class Parted:
    """The parts of an utterance that stand."""

    words: tuple[str, ...] = ()  # with the space before them
    timed: tuple[Word, ...] = ()  # the same, in seconds since the utterance began
    end: int = 0  # samples of the utterance
    language: str | None = None  # that the first part is in
    sentences: tuple[Sentence, ...] = ()  # of the last part

    def rest(self, n_samples: int) -> int:
        """From which sample on the rest of an utterance of so many is heard, once it is over.

        That is the end of the parts; what is short is heard behind as many of the last sentences as there is room for,
        if there is time for that.
        """
        is_short = n_samples - self.end < SHORT_REST and n_samples < LONG
        near = (one.start for one in self.sentences if is_short and n_samples - one.start <= LONGEST_PART)
        return next(near, self.end)

    def loses(self, start: int, n_words: int) -> bool:
        """Whether so many words are clearly fewer than were heard from that sentence on before."""
        return any(one.start == start and n_words < LEAST_AGAIN * one.n_words for one in self.sentences)

    def followed_by(self, words: Sequence[str], timed: Sequence[Word]) -> tuple[tuple[str, ...], tuple[Word, ...]]:
        """All words up to the end of the next part: its own `words`, and the same timed."""
        joined = continued(self.words, words)
        texts = [word.strip() for word in joined]
        all_timed = (*self.timed, *timed[is_heard_again(self.words, words) :])
        if len(texts) == len(all_timed):
            all_timed = tuple(replace(word, text=text) for word, text in zip(all_timed, texts, strict=True))
        return joined, all_timed


def reach(start: int) -> int:
    """How far a part that begins at this sample of an utterance is heard."""
    end = start + LONGEST_PART
    return LATE if start + SHORTEST_LATE <= LATE < end else end


def lull(samples: Samples) -> int:
    """Where to stop hearing a part that is made of these samples: in the middle of the quietest place near the end."""
    first = max(0, len(samples) - SEARCHED)
    power = np.concatenate([[0.0], np.cumsum(np.square(samples[first:], dtype=np.float64))])
    energies = power[LULL::STEP] - power[:-LULL:STEP]
    return first + int(np.argmin(energies)) * STEP + LULL // 2


def n_standing(words: Sequence[Word], duration: float) -> int:
    """How many of the words that were heard in so many seconds stand, 0 to all of them.

    Those up to the last end of a sentence; else of a clause, near the end; else up to the longest gap there.
    """
    places = [n for n in range(1, len(words)) if words[n].start >= LEAST_S and words[n - 1].end <= duration - UNSURE_S]
    near = [n for n in places if words[n].start >= duration - NEAR_S]
    sentences = [n for n in places if ends_sentence(words[n - 1].text)]
    clauses = [n for n in near if words[n - 1].text[-1:] in CLAUSE_ENDS]
    if sentences or clauses:
        return (sentences or clauses)[-1]
    return max(near, key=lambda n: words[n].start - words[n - 1].end, default=len(words))


def begun(words: Sequence[Word], n: int) -> list[int]:
    """Which of the first `n` words begin a sentence."""
    return [at for at in range(n) if at == 0 or ends_sentence(words[at - 1].text)]


def place(words: Sequence[Word], n: int) -> int:
    """The sample between the first `n` words and those behind them: in the middle of the gap."""
    return samples_from_seconds((words[n - 1].end + words[n].start) / 2) if n else 0


def ends_sentence(word: str) -> bool:
    """Whether a sentence ends with the word, and not only an abbreviation."""
    bare = word.rstrip(CLOSING)
    name = bare[:-1]
    is_short = bare.endswith(".") and name.isalpha() and name[:1].isupper() and len(name) <= ABBREVIATED
    return bare[-1:] in SENTENCE_ENDS and bool(name) and not is_short


def continued(before: Sequence[str], words: Sequence[str]) -> tuple[str, ...]:
    """The words of a text, and those behind it.

    The model ends with a full stop what ends; it goes where the sentence goes on in lower case. A word that is heard
    on both sides comes once.
    """
    words = words[is_heard_again(before, words) :]
    if before and words and before[-1].endswith(".") and words[0].lstrip()[:1].islower():
        before = (*before[:-1], before[-1].rstrip("."))
    return (*before, *words)


def is_heard_again(before: Sequence[str], words: Sequence[str]) -> bool:
    """Whether the last word of a text is the first one behind it as well: what is parted within a word hears it twice.

    Numbers are said twice, and so is what stands behind punctuation, or in scripts without spaces.
    """
    if not before or not words:
        return False
    last, first = before[-1], words[0]
    return last.startswith(" ") and last[1:].isalpha() and last.lower() == first.rstrip(".,").lower()


def moved(word: Word, by: float) -> Word:
    """The word so many seconds later."""
    return replace(word, start=word.start + by, end=word.end + by)
