"""Recognising the audio of whole utterances and of unfinished ones, batched. On the calling thread."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from voxtral_streaming.audio.units import Samples, samples_from_seconds, seconds
from voxtral_streaming.engines.whisper.model import Decoded, Encoded, Whisper
from voxtral_streaming.engines.whisper.passages import Passage
from voxtral_streaming.engines.whisper.texts import Breath, no_breath
from voxtral_streaming.engines.whisper.windows import LONGEST, MEMORIES
from voxtral_streaming.transcript import Word

SURE = 0.8  # probability at which a language other than the expected one is believed
SURE_AFTER = 32_000  # samples, 2 s: with less audio the expected language stands
BEAM = 5  # hypotheses that are followed where the greedy one leaves doubt
SURE_LOGPROB = -0.35  # mean log probability of a token at which a beam finds nothing better (docs/performance.md)
SURE_TOKEN = 0.5  # probability of a token at which a beam has nothing better to start with
LEAST_HEARD = samples_from_seconds(1.0)  # of a text that ends long before its audio
MOST_UNHEARD = samples_from_seconds(2.0)  # of audio behind a text: with more, the rest is recognised alone
EARLY_S = 0.05  # before the place where a pause was noticed: a word that begins so much earlier was said before it
MIN_DOUBLED = 4  # words: a shorter phrase may well be said twice


@dataclass(frozen=True, slots=True)
class Request:
    """The audio of an utterance so far, or of what follows its settled part."""

    samples: Samples
    window: int  # frames that are encoded
    language: str | None  # None: detect
    likely_language: str | None  # what earlier utterances were in
    passage: Passage  # where they stand in the utterance
    n_fed: int  # samples of the utterance that there were, those behind the passage included
    draft: tuple[int, ...] = ()  # what may come of it


@dataclass(frozen=True, slots=True)
class Settled:
    """How much of a passage may stand for partials: all before a pause."""

    n_words: int
    at: int  # sample of the utterance


@dataclass(frozen=True, slots=True)
class Result:
    """What a request was decoded to, and from."""

    request: Request
    encoded: Encoded
    decoded: Decoded
    settled: Settled | None = None
    n_known: int = 0  # of its words, those that were heard before: the first

    @property
    def words(self) -> tuple[str, ...]:
        """What is heard for the first time, with the space before each."""
        return self.decoded.words[self.n_known :]

    @property
    def n_heard(self) -> int:
        """Samples of the passage that it goes up to: all, but for those that a text ends long before."""
        n, until = self.request.passage.n_samples, self.decoded.until
        is_early = self.decoded.words and LEAST_HEARD <= until < n - MOST_UNHEARD
        return until if is_early else n


def recognise_batch(model: Whisper, requests: Sequence[Request], breathe: Breath = no_breath) -> list[Result]:
    """The greedy results of requests; each is what it would be alone. `breathe` is called between two steps."""
    encoded = list[Encoded]()
    for request in requests:
        breathe()
        encoded.append(model.encode(request.samples, request.window))
    languages = [language_of(model, request, window) for request, window in zip(requests, encoded, strict=True)]
    decoded = model.decode(encoded, languages, [request.draft for request in requests], breathe)
    return [
        _result(model, request, encoded[n], _without_loop(decoded[n]), settled(model, request, encoded[n], decoded[n]))
        for n, request in enumerate(requests)
    ]


def _result(
    model: Whisper, request: Request, encoded: Encoded, decoded: Decoded, found: Settled | None = None
) -> Result:
    passage, n_known = request.passage, 0
    if passage.start < passage.known:
        n_known = _n_before(model.align(encoded, decoded), passage.known - passage.start)
    return Result(request, encoded, decoded, found, n_known)


def settled(model: Whisper, request: Request, encoded: Encoded, decoded: Decoded) -> Settled | None:
    """What was said before the best pause that has words on both sides; None where there is none, or a loop."""
    if not request.passage.pauses or decoded.is_suspect:
        return None
    words = model.align(encoded, decoded)
    for at in request.passage.pauses:
        n = _n_before(words, at - request.passage.start)
        if 0 < n < len(words):
            return Settled(n, at)
    return None


def _n_before(words: Sequence[Word], at: int) -> int:
    """How many words begin before a pause at that sample."""
    return sum(word.start < seconds(at) - EARLY_S for word in words)


def finalised(model: Whisper, result: Result, breathe: Breath = no_breath) -> Result:
    """The result if it is sure, or what a beam finds; a loop, or no words, are heard again in a longer window.

    `breathe` is called between two steps.
    """
    decoded = result.decoded
    if not _is_doubtful(decoded):
        return result
    has_words = bool(decoded.words)  # else a beam would hear some in silence
    if has_words and not _is_loop(decoded):
        decoded = _searched(model, result, breathe)
    if (not has_words or _is_loop(decoded)) and result.encoded.window < LONGEST:
        result = _heard_again(model, result, breathe)
        decoded = result.decoded
        if has_words and _is_doubtful(decoded):
            decoded = _searched(model, result, breathe)
    return _result(model, result.request, result.encoded, _without_loop(decoded))


def _searched(model: Whisper, result: Result, breathe: Breath) -> Decoded:
    """What a beam finds behind what is known or beyond doubt; instead of a loop, from the start."""
    decoded = result.decoded
    known, likely = decoded.draft_of(result.n_known), decoded.draft_before(SURE_TOKEN)
    beginning = () if _is_loop(decoded) else max(known, likely, key=len)
    return model.search(result.encoded, decoded.language, BEAM, beginning, breathe)


def _heard_again(model: Whisper, result: Result, breathe: Breath) -> Result:
    """The same samples in a longer window."""
    window = next(memory for memory in MEMORIES if memory > result.encoded.window)
    encoded = model.encode(result.request.samples, window)
    [decoded] = model.decode([encoded], [result.decoded.language], [result.decoded.draft], breathe)
    return _result(model, result.request, encoded, decoded)


def _is_loop(decoded: Decoded) -> bool:
    return decoded.is_suspect or has_doubled(decoded.words)


def _is_doubtful(decoded: Decoded) -> bool:
    return _is_loop(decoded) or decoded.logprob < SURE_LOGPROB


def _without_loop(decoded: Decoded) -> Decoded:
    """What is suspect keeps its first words, up to the first repetition."""
    return decoded.cut(n_before_repeats(decoded.words)) if decoded.is_suspect else decoded


def language_of(model: Whisper, request: Request, encoded: Encoded) -> str:
    """The language that was given, or the one that the audio is in."""
    if request.language or not model.is_multilingual:
        return request.language or "en"
    language, probability = model.detect(encoded)[0]
    is_sure = probability >= SURE and encoded.n_samples >= SURE_AFTER
    return language if is_sure or request.likely_language is None else request.likely_language


def n_before_repeats(words: Sequence[str]) -> int:
    """How many leading words there are before a phrase comes three times in a row, its first time included."""
    for start in range(len(words)):
        for length in range(1, (len(words) - start) // 3 + 1):
            if _repeats(words, start, length) and _repeats(words, start + length, length):
                return start + length
    return len(words)


def has_doubled(words: Sequence[str]) -> bool:
    """Whether a phrase of some length comes twice in a row: a loop, or somebody who says it twice."""
    longest = len(words) // 2
    return any(
        _repeats(words, start, length)
        for length in range(MIN_DOUBLED, longest + 1)
        for start in range(len(words) - 2 * length + 1)
    )


def _repeats(words: Sequence[str], start: int, length: int) -> bool:
    """Whether the phrase that begins at `start` comes again right behind itself."""
    return words[start : start + length] == words[start + length : start + 2 * length]
