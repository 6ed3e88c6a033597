"""Recognising the audio of whole utterances and of unfinished ones, batched. On the calling thread."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from voxtral_streaming.audio.units import Samples
from voxtral_streaming.engines.whisper.model import Decoded, Encoded, Whisper
from voxtral_streaming.engines.whisper.passages import Passage
from voxtral_streaming.engines.whisper.windows import LONGEST, MEMORIES

SURE = 0.8  # probability at which a language other than the expected one is believed
SURE_AFTER = 32_000  # samples, 2 s: with less audio the expected language stands
BEAM = 2  # hypotheses that are followed where the greedy one leaves doubt: five find nothing more
SURE_LOGPROB = -0.35  # mean log probability of a token at which a beam finds nothing better (docs/performance.md)
MIN_DOUBLED = 4  # words: a shorter phrase may well be said twice


@dataclass(frozen=True, slots=True)
class Request:
    """The audio of an utterance so far, or of what follows its settled part."""

    samples: Samples
    window: int  # frames that are encoded
    memory: int  # frames that are decoded
    language: str | None  # None: detect
    likely_language: str | None  # what earlier utterances were in
    passage: Passage  # where they stand in the utterance


@dataclass(frozen=True, slots=True)
class Result:
    """What a request was decoded to, and from."""

    request: Request
    encoded: Encoded
    decoded: Decoded


def recognise_batch(model: Whisper, requests: Sequence[Request]) -> list[Result]:
    """The greedy results of requests; each is what it would be alone. Those with one length of memory share work."""
    encoded = [model.encode(request.samples, request.window) for request in requests]
    languages = [language_of(model, request, window) for request, window in zip(requests, encoded, strict=True)]
    decoded: dict[int, Decoded] = {}
    for memory in {request.memory for request in requests}:
        members = [n for n, request in enumerate(requests) if request.memory == memory]
        texts = model.decode([encoded[n] for n in members], [languages[n] for n in members], memory)
        decoded.update(zip(members, texts, strict=True))
    return [Result(request, encoded[n], _without_loop(model, decoded[n])) for n, request in enumerate(requests)]


def finalised(model: Whisper, result: Result) -> Result:
    """The result if it is sure, or what a beam finds; a loop is heard in a longer window, no speech in the longest."""
    if not _is_doubtful(result.decoded):
        return result
    if not result.decoded.words:
        return _heard_in(model, result, LONGEST, beam_size=1)  # a beam hears words in silence
    encoded, language = result.encoded, result.decoded.language
    [decoded] = model.decode([encoded], [language], encoded.window, BEAM)
    found = replace(result, decoded=_without_loop(model, decoded))
    is_loop = decoded.is_suspect or has_doubled(decoded.words)
    return _heard_longer(model, found) if is_loop and encoded.window < LONGEST else found


def _heard_longer(model: Whisper, result: Result) -> Result:
    """The same samples in the next longer of the windows that memories have."""
    window = next(memory for memory in MEMORIES if memory > result.encoded.window)
    return _heard_in(model, result, window, BEAM)


def _heard_in(model: Whisper, result: Result, window: int, beam_size: int) -> Result:
    """The same samples in another window."""
    encoded = model.encode(result.request.samples, window)
    [decoded] = model.decode([encoded], [result.decoded.language], window, beam_size)
    return replace(result, encoded=encoded, decoded=_without_loop(model, decoded))


def _is_doubtful(decoded: Decoded) -> bool:
    return decoded.is_suspect or decoded.logprob < SURE_LOGPROB or has_doubled(decoded.words)


def _without_loop(model: Whisper, decoded: Decoded) -> Decoded:
    """What is suspect keeps its first words, up to the first repetition."""
    return model.cut(decoded, n_before_repeats(decoded.words)) if decoded.is_suspect else decoded


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
