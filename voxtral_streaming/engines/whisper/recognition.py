"""Recognising the audio of whole utterances and of unfinished ones, batched. On the calling thread."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from voxtral_streaming.audio.units import Samples
from voxtral_streaming.engines.whisper.model import Decoded, Encoded, Whisper
from voxtral_streaming.engines.whisper.windows import LONGEST

SURE = 0.8  # probability at which a language other than the expected one is believed
SURE_AFTER = 32_000  # samples, 2 s: with less audio the expected language stands


@dataclass(frozen=True, slots=True)
class Request:
    """The audio of an utterance so far."""

    samples: Samples
    window: int  # frames
    language: str | None  # None: detect
    likely_language: str | None  # what earlier utterances were in
    is_whole: bool  # not a partial: worth a second try


@dataclass(frozen=True, slots=True)
class Result:
    """The words of a request, and what they were decoded from."""

    encoded: Encoded
    decoded: Decoded


def recognise_batch(model: Whisper, requests: Sequence[Request]) -> list[Result]:
    """The results of requests that share a window; each is what it would be alone."""
    encoded = [model.encode(request.samples, request.window) for request in requests]
    languages = [language_of(model, request, window) for request, window in zip(requests, encoded, strict=True)]
    decoded = model.decode(encoded, languages)
    results = [Result(window, text) for window, text in zip(encoded, decoded, strict=True)]
    return [_mended(model, request, result) for request, result in zip(requests, results, strict=True)]


def language_of(model: Whisper, request: Request, encoded: Encoded) -> str:
    """The language that was given, or the one that the audio is in."""
    if request.language or not model.is_multilingual:
        return request.language or "en"
    language, probability = model.detect(encoded)[0]
    is_sure = probability >= SURE and encoded.n_samples >= SURE_AFTER
    return language if is_sure or request.likely_language is None else request.likely_language


def _mended(model: Whisper, request: Request, result: Result) -> Result:
    """A whole utterance that came out as a loop, decoded again in the longest window with a beam.

    What is a loop even then keeps its first words, up to the first repetition. A partial is only cut.
    """
    if not result.decoded.is_suspect:
        return result
    if request.is_whole:
        encoded = model.encode(request.samples, LONGEST)
        result = Result(encoded, model.decode([encoded], [result.decoded.language], beam_size=5)[0])
        if not result.decoded.is_suspect:
            return result
    n_words = n_before_repeats(result.decoded.words)
    return replace(result, decoded=model.cut(result.decoded, n_words))


def n_before_repeats(words: Sequence[str]) -> int:
    """How many leading words there are before a phrase comes three times in a row, its first time included."""
    for start in range(len(words)):
        for length in range(1, (len(words) - start) // 3 + 1):
            phrase = words[start : start + length]
            if phrase == words[start + length : start + 2 * length] == words[start + 2 * length : start + 3 * length]:
                return start + length
    return len(words)
