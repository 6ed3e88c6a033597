"""Latencies of one stream, counted from what was truly spoken when."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from bench.schedule import Schedule
from bench.screen import Utterance, broken_promises, text_settled, words_settled
from bench.truth import Run, SpokenWord
from bench.words import pairs, tokens
from voxtral_streaming.audio.units import samples_from_ms, seconds

EDGE = samples_from_ms(200)  # an utterance that begins or ends farther inside a run of speech was cut there
TOUCH = samples_from_ms(50)  # less overlap than this is none
MISPLACED_S = 0.5  # a word on screen so long before it was spoken was paired with the wrong one


@dataclass
class Measures:
    """Seconds, one value for each thing measured; counts besides."""

    first_partial: list[float] = field(default_factory=list)  # speech begins → some text on screen
    word: list[float] = field(default_factory=list)  # a word's end → on screen for good
    text: list[float] = field(default_factory=list)  # last speech sample → whole text on screen for good
    commit: list[float] = field(default_factory=list)  # last speech sample → final
    gap: list[float] = field(default_factory=list)  # longest time without a partial while speaking, each utterance
    lag: list[float] = field(default_factory=list)  # age of the newest sample that a partial has heard
    utterances: int = 0  # committed with text
    cut: int = 0  # of these: ended inside speech, so that no end of speech can be timed
    nowhere: int = 0  # of these: where nobody spoke
    misplaced: int = 0  # words left out because they were on screen before they were spoken
    stable_words: int = 0
    broken_words: int = 0  # stable words that the final did not keep

    def __add__(self, other: Measures) -> Measures:
        return Measures(**{name: getattr(self, name) + getattr(other, name) for name in self.__dataclass_fields__})


@dataclass(frozen=True, slots=True)
class Place:
    """The speech that an utterance covers: the time it begins and ends, `None` where it was cut inside speech."""

    begins: float | None
    ends: float | None


@dataclass(frozen=True, slots=True)
class Placed:
    """A committed utterance with text, the spoken word behind each of its words, and the speech behind the whole."""

    utterance: Utterance
    heard: list[SpokenWord | None]
    place: Place | None  # None: nobody spoke there


def place(utterances: Sequence[Utterance], schedule: Schedule) -> list[Placed]:
    """Find the speech behind a stream's utterances; those without a final or without text are left out."""
    done = [utterance for utterance in utterances if utterance.committed is not None and tokens(utterance.text)]
    return [
        Placed(utterance, heard, locate(utterance.span or _span(heard), schedule.runs))
        for utterance, heard in zip(done, _pair_words(done, schedule.words), strict=True)
    ]


def measure(found: Sequence[Placed]) -> Measures:
    """Measure a stream's utterances. What was never committed shows up as missing words elsewhere."""
    measures = Measures(utterances=len(found))
    for one in found:
        _add_words(measures, one.utterance, one.heard)
        stable, broken = broken_promises(one.utterance)
        measures.stable_words += stable
        measures.broken_words += broken
        if one.place is None:
            measures.nowhere += 1
        else:
            _add_utterance(measures, one.utterance, one.place)
    return measures


def _pair_words(done: Sequence[Utterance], spoken: Sequence[SpokenWord]) -> Iterator[list[SpokenWord | None]]:
    """For each utterance the spoken word behind each of its words, found over the whole stream at once."""
    places = [word for word in spoken for _ in tokens(word.text)]
    said = [token for word in spoken for token in tokens(word.text)]
    texts = [tokens(utterance.text) for utterance in done]
    partners = {theirs: ours for ours, theirs in pairs(said, [token for text in texts for token in text])}
    first = 0
    for text in texts:
        found = (partners.get(index) for index in range(first, first + len(text)))
        yield [None if index is None else places[index] for index in found]
        first += len(text)


def _span(heard: Sequence[SpokenWord | None]) -> tuple[int, int] | None:
    words = [word for word in heard if word is not None]
    return (words[0].start, words[-1].end) if words else None


def locate(span: tuple[int, int] | None, runs: Sequence[Run]) -> Place | None:
    """The speech inside a span of samples; `None` where there is none."""
    if span is None:
        return None
    inside = [run for run in runs if min(run[1], span[1]) - max(run[0], span[0]) >= TOUCH]
    if not inside:
        return None
    first, last = inside[0], inside[-1]
    begins = seconds(first[0]) if first[0] >= span[0] - EDGE else None
    ends = seconds(last[1]) if last[1] <= span[1] + EDGE else None
    return Place(begins, ends)


def _add_words(measures: Measures, utterance: Utterance, heard: Sequence[SpokenWord | None]) -> None:
    for settled, word in zip(words_settled(utterance.states), heard, strict=True):
        if word is None:
            continue
        latency = settled - seconds(word.end)
        if latency < -MISPLACED_S:
            measures.misplaced += 1
        else:
            measures.word.append(latency)


def _add_utterance(measures: Measures, utterance: Utterance, place: Place) -> None:
    states = utterance.states
    shown = [time for time, words in states if words]
    if place.begins is not None:
        measures.first_partial.append(shown[0] - place.begins)
    measures.lag += [screen.time - seconds(screen.at) for screen in utterance.screens if screen.at is not None]
    measures.gap.append(longest_gap(shown, place.begins, place.ends))
    if place.ends is None:
        measures.cut += 1
    else:
        measures.text.append(text_settled(states) - place.ends)
        measures.commit.append(states[-1][0] - place.ends)


def longest_gap(shown: Sequence[float], begins: float | None, ends: float | None) -> float:
    """The longest time without anything new on screen, from the beginning of speech to its end, or to the last text."""
    first = shown[0] if begins is None else begins
    last = shown[-1] if ends is None else ends
    marks = [first, *(time for time in shown if first < time < last), last]
    return max(later - earlier for earlier, later in pairwise(marks))
