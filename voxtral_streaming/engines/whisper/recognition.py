"""Recognising the audio of whole utterances and of unfinished ones, batched. On the calling thread."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from voxtral_streaming.audio.units import Samples
from voxtral_streaming.engines.whisper.model import Decoded, Encoded, Whisper
from voxtral_streaming.engines.whisper.windows import LONGEST

SURE = 0.8  # probability at which a language other than the expected one is believed
SURE_AFTER = 32_000  # samples, 2 s: with less audio the expected language stands


FINAL_BEAM = 5  # hypotheses that the decoder of a final follows; partials are decoded greedily


@dataclass(frozen=True, slots=True)
class Request:
    """The audio of an utterance so far."""

    samples: Samples
    window: int  # frames
    language: str | None  # None: detect
    likely_language: str | None  # what earlier utterances were in


@dataclass(frozen=True, slots=True)
class Result:
    """What a request was decoded to, and from."""

    request: Request
    encoded: Encoded
    decoded: Decoded
    is_final: bool


def recognise_batch(model: Whisper, requests: Sequence[Request], *, final: bool) -> list[Result]:
    """The results of requests that share a window; each is what it would be alone."""
    encoded = [model.encode(request.samples, request.window) for request in requests]
    languages = [language_of(model, request, window) for request, window in zip(requests, encoded, strict=True)]
    return _decoded(model, requests, encoded, languages, final=final)


def finalise_batch(model: Whisper, results: Sequence[Result]) -> list[Result]:
    """What `recognise_batch` would have made of the requests as finals, without encoding them again."""
    languages = [result.decoded.language for result in results]
    return _decoded(model, [one.request for one in results], [one.encoded for one in results], languages, final=True)


def _decoded(
    model: Whisper, requests: Sequence[Request], encoded: Sequence[Encoded], languages: Sequence[str], *, final: bool
) -> list[Result]:
    texts = model.decode(encoded, languages, FINAL_BEAM if final else 1)
    results = [Result(*parts, is_final=final) for parts in zip(requests, encoded, texts, strict=True)]
    return [_mended(model, result) if result.decoded.is_suspect else result for result in results]


def language_of(model: Whisper, request: Request, encoded: Encoded) -> str:
    """The language that was given, or the one that the audio is in."""
    if request.language or not model.is_multilingual:
        return request.language or "en"
    language, probability = model.detect(encoded)[0]
    is_sure = probability >= SURE and encoded.n_samples >= SURE_AFTER
    return language if is_sure or request.likely_language is None else request.likely_language


def _mended(model: Whisper, result: Result) -> Result:
    """A final that came out as a loop, decoded again in the longest window.

    What is a loop even then keeps its first words, up to the first repetition. What is not final is only cut.
    """
    if result.is_final and result.encoded.window < LONGEST:
        encoded = model.encode(result.request.samples, LONGEST)
        [decoded] = model.decode([encoded], [result.decoded.language], FINAL_BEAM)
        result = replace(result, encoded=encoded, decoded=decoded)
        if not decoded.is_suspect:
            return result
    return replace(result, decoded=model.cut(result.decoded, n_before_repeats(result.decoded.words)))


def n_before_repeats(words: Sequence[str]) -> int:
    """How many leading words there are before a phrase comes three times in a row, its first time included."""
    for start in range(len(words)):
        for length in range(1, (len(words) - start) // 3 + 1):
            phrase = words[start : start + length]
            if phrase == words[start + length : start + 2 * length] == words[start + 2 * length : start + 3 * length]:
                return start + length
    return len(words)
