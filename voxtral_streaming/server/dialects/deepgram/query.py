"""The options in a query of `/v1/listen`, by Deepgram's names: each honoured, warned of or refused by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from voxtral_streaming.audio.pcm import MAX_CHANNELS, Encoding
from voxtral_streaming.audio.resample import MAX_RATE
from voxtral_streaming.audio.units import samples_from_ms
from voxtral_streaming.engines.base import Capabilities, StreamOptions
from voxtral_streaming.engines.options import check_options
from voxtral_streaming.errors import UnsupportedOption
from voxtral_streaming.server.dialects.actions import AudioFormat, Start, Turns
from voxtral_streaming.server.dialects.native import MIN_LIVE_RATE
from voxtral_streaming.server.errors import InvalidRequest
from voxtral_streaming.server.fields import wrong_field
from voxtral_streaming.server.limits import MAX_PROMPT_CHARS

LEAST_ENDPOINTING_MS = 200  # words are no further apart within a phrase; cut there, they are misheard
ENCODINGS: Mapping[str, Encoding] = {
    "linear16": "pcm_s16le",
    "linear32": "pcm_f32le",
    "mulaw": "pcm_mulaw",
    "alaw": "pcm_alaw",
}

REFUSED: dict[str, str] = {
    "callback": "answers go to whoever asks",
    "callback_method": "answers go to whoever asks",
    "custom_intent": "texts are not analysed",
    "custom_intent_mode": "texts are not analysed",
    "custom_topic": "texts are not analysed",
    "custom_topic_mode": "texts are not analysed",
    "detect_entities": "texts are not analysed",
    "diarize": "speakers are not told apart",
    "diarize_model": "speakers are not told apart",
    "diarize_version": "speakers are not told apart",
    "intents": "texts are not analysed",
    "language_hint": "name one `language`, or `multi` to detect it",
    "multichannel": "channels are mixed into one",
    "ner": "texts are not analysed",
    "redact": "nothing is removed from texts",
    "replace": "nothing is replaced in texts",
    "search": "texts are not searched",
    "sentiment": "texts are not analysed",
    "summarize": "texts are not summarised",
    "topics": "texts are not analysed",
}
REFUSED_OF_RECORDINGS: dict[str, str] = REFUSED | {
    "channels": "a recording says it itself; leave it out",
    "encoding": "a recording says it itself; leave it out",
    "paragraphs": "texts are not cut into paragraphs; `utterances` are told",
    "sample_rate": "a recording says it itself; leave it out",
}
LEFT_TO_THE_MODEL: dict[str, str] = {
    "dictation": "spoken punctuation is written as the model writes it",
    "filler_words": "filler words are written where the model writes them",
    "measurements": "measurements are written as the model writes them",
    "numerals": "numbers are written as the model writes them",
    "profanity_filter": "no word is left out",
}

SEVERAL = frozenset({"extra", "keyterm", "keywords", "tag"})


def _truth(value: object) -> object:
    return {"true": True, "false": False}.get(value, value) if isinstance(value, str) else value


Truth = Annotated[bool, Field(strict=True), BeforeValidator(_truth)]
Ms = Annotated[int, Field(ge=0, le=60_000)]
Tag = Annotated[str, Field(pattern="^[A-Za-z]{2,3}([-_][A-Za-z0-9]{1,8})*$|^multi$")]
Query = TypeVar("Query", bound="_Query")


class _Query(BaseModel):
    """What live sessions and recordings share."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str = ""
    version: str = ""
    language: Tag | None = None
    keyterm: tuple[str, ...] = ()
    keywords: tuple[str, ...] = ()
    tag: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()
    punctuate: Truth = False
    smart_format: Truth = False
    no_delay: Truth = False
    mip_opt_out: Truth = False
    dictation: Truth = False
    filler_words: Truth = False
    measurements: Truth = False
    numerals: Truth = False
    profanity_filter: Truth = False


def _on_or_off(value: object) -> object:
    """`true` and `false` of an option that is a number otherwise."""
    return {"true": None, "false": False}.get(value, value) if isinstance(value, str) else value


class _LiveQuery(_Query):
    encoding: str | None = None
    sample_rate: int | None = Field(default=None, ge=MIN_LIVE_RATE, le=MAX_RATE)
    channels: int = Field(default=1, ge=1, le=MAX_CHANNELS)
    interim_results: Truth = False
    endpointing: Annotated[Literal[False] | Ms | None, BeforeValidator(_on_or_off)] = None
    utterance_end_ms: Ms | None = None
    vad_events: Truth = False


class _RecordingQuery(_Query):
    detect_language: Truth = False
    utterances: Truth = False
    utt_split: float | None = Field(default=None, ge=0, le=60)


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked of recognition, what is handed back as it came, and what the client must be told."""

    options: StreamOptions
    is_multilingual: bool
    tags: tuple[str, ...]
    extra: Mapping[str, str]
    warnings: tuple[Mapping[str, str], ...]


@dataclass(frozen=True, slots=True)
class Live:
    """What is asked of a live session."""

    asked: Asked
    start: Start
    has_endpoints: bool  # results say where speech ended
    has_speech_started: bool
    utterance_end: int | None  # silence after the last word, in samples, that is told


@dataclass(frozen=True, slots=True)
class Recording:
    """What is asked of a recording."""

    asked: Asked
    has_language: bool
    has_utterances: bool
    turns: Turns


def read_live(items: Iterable[tuple[str, str]], can: Capabilities, language: str | None) -> Live:
    """What a live session is to be, `language` where none is named; raises `InvalidRequest`, `UnsupportedOption`."""
    query = _read(items, _LiveQuery, REFUSED)
    audio = _audio(query)
    warnings = []
    if query.interim_results and not can.partials:
        warnings.append(_warning("interim_results", f"{can.name} has none"))
    if query.endpointing is not None and query.endpointing is not False and query.endpointing < LEAST_ENDPOINTING_MS:
        warnings.append(_warning("endpointing", f"{LEAST_ENDPOINTING_MS} ms are in force, the least"))
    asked = _asked(query, can, language, has_partials=query.interim_results and can.partials, warnings=warnings)
    end_ms = query.utterance_end_ms
    return Live(
        asked,
        Start(asked.options, audio, _turns(query)),
        has_endpoints=query.endpointing is not False,
        has_speech_started=query.vad_events,
        utterance_end=None if end_ms is None else samples_from_ms(end_ms),
    )


def read_recording(items: Iterable[tuple[str, str]], can: Capabilities, language: str | None) -> Recording:
    """What a recording is asked for; raises `InvalidRequest` and `UnsupportedOption`."""
    query = _read(items, _RecordingQuery, REFUSED_OF_RECORDINGS)
    if query.detect_language and not (can.detects_language and can.tells_language):
        raise UnsupportedOption(f"detect_language: {can.name} tells no language", param="detect_language")
    if query.detect_language:
        query, language = query.model_copy(update={"language": "multi"}), None
    asked = _asked(query, can, language, has_partials=False, warnings=[])
    split_ms = None if query.utt_split is None else round(1000 * query.utt_split)
    return Recording(asked, query.detect_language, query.utterances, Turns(silence_ms=split_ms))


def _read(items: Iterable[tuple[str, str]], kind: type[Query], refused: Mapping[str, str]) -> Query:
    fields: dict[str, Any] = {}
    for name, value in items:
        if name in refused:
            if value != "false":
                raise UnsupportedOption(f"{name}: {refused[name]}", param=name)
        elif name in SEVERAL:
            fields[name] = (*fields.get(name, ()), value)
        elif name in fields:
            raise InvalidRequest(f"{name[:80]}: stands twice", param=name[:80])
        else:
            fields[name] = value
    try:
        return kind.model_validate(fields)
    except ValidationError as error:
        raise wrong_field(error, InvalidRequest) from error


def _audio(query: _LiveQuery) -> AudioFormat:
    """The layout of live audio, which must be told: nothing but raw samples is taken."""
    choices = ", ".join(ENCODINGS)
    if query.encoding is None:
        raise InvalidRequest(f"encoding: live audio is raw; one of {choices} is needed", param="encoding")
    if query.encoding not in ENCODINGS:
        raise UnsupportedOption(f"encoding: live audio is one of {choices}", param="encoding")
    if query.sample_rate is None:
        raise InvalidRequest("sample_rate: needed beside `encoding`", param="sample_rate")
    return AudioFormat(ENCODINGS[query.encoding], query.sample_rate, query.channels)


def _turns(query: _LiveQuery) -> Turns:
    """`endpointing=false` only hides endpoints: an utterance without any would be as long as the engine can take."""
    if query.endpointing is None or query.endpointing is False:
        return Turns()
    return Turns(silence_ms=max(query.endpointing, LEAST_ENDPOINTING_MS))


def _asked(
    query: _Query, can: Capabilities, language: str | None, *, has_partials: bool, warnings: list[Mapping[str, str]]
) -> Asked:
    is_multilingual = query.language == "multi"
    if query.language is not None:
        language = None if is_multilingual else query.language.replace("_", "-").partition("-")[0].lower()
    options = StreamOptions(language=language, prompt=_prompt(query, can), partials=has_partials, words=can.has_words)
    check_options(options, can)
    warnings += [_warning(name, why) for name, why in LEFT_TO_THE_MODEL.items() if getattr(query, name)]
    if can.timestamps != "word":
        warnings.append(_warning("words", f"{can.name} has no word timestamps: they are estimated, if there are any"))
    if any(":" in keyword for keyword in query.keywords):
        warnings.append(_warning("keywords", "their weights count for nothing"))
    extra = {name: value for name, _, value in (pair.partition(":") for pair in query.extra)}
    return Asked(options, is_multilingual, query.tag, extra, tuple(warnings))


def _prompt(query: _Query, can: Capabilities) -> str | None:
    """The terms to expect."""
    terms = [*query.keyterm, *map(_keyword, query.keywords)]
    if not terms:
        return None
    name = "keyterm" if query.keyterm else "keywords"
    if not can.biasing:
        raise UnsupportedOption(f"{name}: {can.name} takes none", param=name)
    prompt = ", ".join(terms)
    if len(prompt) > MAX_PROMPT_CHARS:
        raise InvalidRequest(f"{name}: at most {MAX_PROMPT_CHARS} characters", param=name)
    return prompt


def _keyword(value: str) -> str:
    term, _, weight = value.rpartition(":")
    if weight.startswith("-"):
        raise UnsupportedOption("keywords: no word can be suppressed", param="keywords")
    return term or weight


def _warning(name: str, why: str) -> Mapping[str, str]:
    """In the shape of the warnings of Deepgram's metadata."""
    return {"parameter": name, "type": "unsupported_parameter", "message": f"{name}: {why}"}
