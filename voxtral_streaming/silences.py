"""What silence within an utterance says of its words. Pure: no audio, no clock.

Engines find when words were spoken by what they heeded, and let one last until the next begins; the detector knows
where nobody spoke.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from voxtral_streaming.audio.clock import seconds
from voxtral_streaming.transcript import Final, Word, spellings


@dataclass(frozen=True, slots=True)
class Silence:
    """Nobody spoke from sample `start` to sample `end`."""

    start: int
    end: int
    is_long: bool  # it would have ended the utterance, had anybody waited for its text


def outside(word: Word, silence: Silence) -> Word:
    """The word without what of it lies in the silence; one that reaches across stays where there is more of it."""
    start, end = seconds(silence.start), seconds(silence.end)
    if word.end <= start or word.start >= end:
        return word
    if word.start < start and start - word.start >= word.end - end:
        return replace(word, end=start)
    return replace(word, start=end, end=max(end, word.end))


def apart(final: Final, silences: Sequence[Silence]) -> Iterator[Final]:
    """What was said on each side of every long silence, none of it without a word; all words outside the silences.

    A final without words stays whole.
    """
    words = final.words
    for silence in silences:
        words = tuple(outside(word, silence) for word in words)
    whole, cuts = replace(final, words=words), list(_cuts(words, silences))
    if not cuts:
        yield whole
        return
    texts = spellings(words, final.text)
    starts = [final.start_sample, *(silence.end for _, silence in cuts)]
    ends = [*(silence.start for _, silence in cuts), final.end_sample]
    edges = pairwise([0, *(n_before for n_before, _ in cuts), len(words)])
    for start, end, (first, behind) in zip(starts, ends, edges, strict=True):
        text = "".join(texts[first:behind]).strip()
        yield replace(whole, start_sample=start, end_sample=end, text=text, words=words[first:behind])


def _cuts(words: Sequence[Word], silences: Sequence[Silence]) -> Iterator[tuple[int, Silence]]:
    """The long silences that have words on both sides, the first between two words, and how many stand before each."""
    n_cut = 0
    for silence in silences:
        n_before = sum(word.start < seconds(silence.end) for word in words)
        if silence.is_long and n_cut < n_before < len(words):
            n_cut = n_before
            yield n_before, silence
