"""Cuts a transcript into captions as viewers are used to them: two short lines, on screen long enough to be read.

words ─▶ pieces, none wider than a line ─▶ cues, cut where it costs least ─▶ their lines, likewise ─▶ no two overlap
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import inf
from typing import TypeAlias

from voxtral_streaming.transcript import Segment, Transcript, Word, spellings

MAX_LINES = 2
MAX_COLUMNS = 42  # per line; a character of Chinese, Japanese or Korean takes two
MIN_MS = 1_000  # a cue is shown so long, unless the next one comes sooner
MAX_MS = 7_000
PAUSE_MS = 500  # between words: as good a place to cut as a comma

CLOSING = "\"')]}\N{RIGHT SINGLE QUOTATION MARK}\N{RIGHT DOUBLE QUOTATION MARK}»」』"  # after the end of a sentence
ENDS_SENTENCE = tuple(".?!。")
TITLES = frozenset(
    {"Mr.", "Mrs.", "Ms.", "Dr.", "Prof.", "St.", "M.", "Sr.", "Sra."}
)  # end no sentence: a name follows
CLAUSE_COST = 0.5  # of a cut between clauses, where one between sentences costs nothing and any other 1
ENDS_CLAUSE = tuple(",;:\N{EN DASH}\N{EM DASH}、")


@dataclass(frozen=True, slots=True)
class Cue:
    """Lines to be shown from `start_ms` until before `end_ms`, in milliseconds since the stream began."""

    start_ms: int
    end_ms: int
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Piece:
    """What is never cut: a word with the space behind it, or part of a word that is too long for a line."""

    text: str
    start_ms: int
    end_ms: int
    columns: int  # with the space
    ink: int  # columns without it
    break_cost: float  # of a cut behind it, by its punctuation


_Ends: TypeAlias = Callable[[Sequence[_Piece], int], Iterator[int]]
_Cost: TypeAlias = Callable[[Sequence[_Piece], int, int], float]


def cues(transcript: Transcript) -> list[Cue]:
    """The captions of a transcript, in order; none is empty, and none overlaps another.

    Where a segment has words, its cues have at most `MAX_LINES` and last at most `MAX_MS`; without words it is
    one cue.
    """
    return _apart([cue for segment in transcript.segments for cue in _cues(segment)])


def _cues(segment: Segment) -> Iterator[Cue]:
    text = " ".join(segment.text.split())
    if not segment.words:
        pieces = _pieces([Word(part, segment.start, segment.end, 1.0) for part in text.split()], text)
        if pieces:
            yield Cue(pieces[0].start_ms, pieces[-1].end_ms, _lines(pieces))
        return
    for group in _cut(_pieces(segment.words, text), _cue_ends, _cue_cost):
        start_ms = group[0].start_ms
        yield Cue(start_ms, min(group[-1].end_ms, start_ms + MAX_MS), _lines(group))


def _pieces(words: Sequence[Word], text: str) -> list[_Piece]:
    timed = zip(words, spellings(words, text), strict=True)
    whole = [_piece(spelling, _ms(word.start), _ms(word.end)) for word, spelling in timed if spelling.strip()]
    return [part for piece in whole for part in _parts(piece)]


def _ms(seconds: float) -> int:
    return round(seconds * 1000)


def _piece(text: str, start_ms: int, end_ms: int) -> _Piece:
    ink = text.rstrip()
    return _Piece(text, start_ms, end_ms, _columns(text), _columns(ink), _punctuation_cost(ink))


def _punctuation_cost(text: str) -> float:
    """Of a cut behind the text, in whatever width its marks are written."""
    bare = unicodedata.normalize("NFKC", text).rstrip(CLOSING)
    if bare.endswith(ENDS_SENTENCE) and bare not in TITLES:
        return 0.0
    return CLAUSE_COST if bare.endswith(ENDS_CLAUSE) else 1.0


def _columns(text: str) -> int:
    if text.isascii():
        return len(text)
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)


def _parts(piece: _Piece) -> Iterator[_Piece]:
    """The piece in parts that fit on a line, each with its share of the time."""
    edges, columns, duration_ms = [0], 0, piece.end_ms - piece.start_ms
    if piece.ink > MAX_COLUMNS:
        for index, character in enumerate(piece.text.rstrip()):
            width = _columns(character)
            if columns + width > MAX_COLUMNS:
                edges.append(index)
                columns = 0
            columns += width
    for begin, end in pairwise([*edges, len(piece.text)]):
        times = (piece.start_ms + duration_ms * edge // len(piece.text) for edge in (begin, end))
        yield _piece(piece.text[begin:end], *times)


def _cut(pieces: Sequence[_Piece], ends: _Ends, cost: _Cost) -> list[Sequence[_Piece]]:
    """The cutting into groups that costs least, found from the front (dynamic programming)."""
    costs = [0.0, *(inf for _ in pieces)]  # of the best cutting of the first n pieces
    starts = [0] * len(costs)  # of its last group
    for start in range(len(pieces)):
        for end in ends(pieces, start):
            total = costs[start] + cost(pieces, start, end)
            if total < costs[end]:
                costs[end], starts[end] = total, start
    groups, end = [], len(pieces)
    while end:
        groups.append(pieces[starts[end] : end])
        end = starts[end]
    return groups[::-1]


def _cue_ends(pieces: Sequence[_Piece], start: int) -> Iterator[int]:
    """Where a cue that begins with piece `start` may end: after one piece at least, while its bounds hold."""
    line, used = 1, 0
    for index in range(start, len(pieces)):
        piece = pieces[index]
        if used + piece.ink > MAX_COLUMNS:
            line, used = line + 1, 0
        used += piece.columns
        if index > start and (line > MAX_LINES or piece.end_ms - pieces[start].start_ms > MAX_MS):
            return
        yield index + 1


def _cue_cost(pieces: Sequence[_Piece], start: int, end: int) -> float:
    """Few cues cost less than many, even ones less than uneven ones, long ones less than hasty ones."""
    duration_ms = pieces[end - 1].end_ms - pieces[start].start_ms
    haste = max(0, MIN_MS - duration_ms) / MIN_MS
    return 1 + _break_cost(pieces, end) + 2 * haste + (duration_ms / MAX_MS) ** 2 / 2


def _line_ends(pieces: Sequence[_Piece], start: int) -> Iterator[int]:
    """Where a line that begins with piece `start` may end."""
    used = 0
    for index in range(start, len(pieces)):
        if used + pieces[index].ink > MAX_COLUMNS:
            return
        used += pieces[index].columns
        yield index + 1


def _line_cost(pieces: Sequence[_Piece], start: int, end: int) -> float:
    """As few lines as will do, and among these cuttings the more even, with its breaks at a comma."""
    columns = sum(piece.columns for piece in pieces[start:end])
    return 10 + _break_cost(pieces, end) + 2 * (columns / MAX_COLUMNS) ** 2


def _break_cost(pieces: Sequence[_Piece], end: int) -> float:
    """Of a cut in front of piece `end`."""
    if end == len(pieces):
        return 0.0
    is_pause = pieces[end].start_ms - pieces[end - 1].end_ms >= PAUSE_MS
    return min(pieces[end - 1].break_cost, CLAUSE_COST if is_pause else 1.0)


def _lines(pieces: Sequence[_Piece]) -> tuple[str, ...]:
    return tuple("".join(piece.text for piece in line).rstrip() for line in _cut(pieces, _line_ends, _line_cost))


def _apart(crowded: Sequence[Cue]) -> list[Cue]:
    """The cues, short ones shown longer where there is room; each ends before the next begins."""
    apart: list[Cue] = []
    for cue in crowded:
        start_ms = max(cue.start_ms, 0)
        if apart:
            before = apart[-1]
            start_ms = max(start_ms, before.start_ms + 1)
            apart[-1] = replace(before, end_ms=min(before.end_ms, start_ms))
        apart.append(Cue(start_ms, max(cue.end_ms, start_ms + MIN_MS), cue.lines))
    return apart
