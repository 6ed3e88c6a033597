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
    texts = spellings(words, final.text)
    groups = [(final.start_sample, final.end_sample, 0)]  # where each begins and ends, and its first word
    for silence in silences:
        n_before = sum(word.start < seconds(silence.end) for word in words)
        if silence.is_long and groups[-1][2] < n_before < len(words):
            groups[-1] = (groups[-1][0], silence.start, groups[-1][2])
            groups.append((silence.end, final.end_sample, n_before))
    for (start, end, first), (_, _, behind) in pairwise([*groups, (0, 0, len(words))]):
        text = "".join(texts[first:behind]).strip() if len(groups) > 1 else final.text
        yield replace(final, start_sample=start, end_sample=end, text=text, words=words[first:behind])
