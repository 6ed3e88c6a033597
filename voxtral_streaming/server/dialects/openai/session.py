"""What a client of OpenAI's Realtime API asks of a transcription session, and what is in force of it.

Both shapes are read: the present one, nested (`session.update`), and the older flat one
(`transcription_session.update`). An update changes what it names; null switches off or takes the default.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field, model_validator

from voxtral_streaming.audio.pcm import Encoding
from voxtral_streaming.audio.resample import MAX_RATE
from voxtral_streaming.engines.base import Capabilities, StreamOptions
from voxtral_streaming.engines.options import check_options
from voxtral_streaming.errors import UnsupportedOption
from voxtral_streaming.server.dialects.actions import AudioFormat, SessionFacts, Start, Turns
from voxtral_streaming.server.dialects.native import MIN_LIVE_RATE
from voxtral_streaming.server.dialects.openai.models import check_model
from voxtral_streaming.server.fields import Fields, Language, Prompt

Json: TypeAlias = dict[str, Any]

RATE = 24_000  # hertz, of PCM unless another one is told
TELEPHONE_RATE = 8_000
ENCODINGS: dict[str, Encoding] = {"audio/pcm": "pcm_s16le", "audio/pcmu": "pcm_mulaw", "audio/pcma": "pcm_alaw"}
FLAT_FORMATS: dict[str, Json] = {
    "pcm16": {"type": "audio/pcm", "rate": RATE},
    "g711_ulaw": {"type": "audio/pcmu"},
    "g711_alaw": {"type": "audio/pcma"},
}
LOGPROBS = "item.input_audio_transcription.logprobs"
INPUT = "session.audio.input"
PARAMS = {
    "language": f"{INPUT}.transcription.language",
    "prompt": f"{INPUT}.transcription.prompt",
    "delay_ms": f"{INPUT}.transcription.delay",
}
DELAYS = ("minimal", "low", "medium", "high", "xhigh")
MAX_KEYWORDS = 256

Keyword: TypeAlias = Annotated[str, Field(max_length=128)]


class _Format(Fields):
    type: Literal["audio/pcm", "audio/pcmu", "audio/pcma"] = "audio/pcm"
    rate: int | None = Field(default=None, ge=MIN_LIVE_RATE, le=MAX_RATE)

    @model_validator(mode="after")
    def _telephone(self) -> _Format:
        if self.type != "audio/pcm" and self.rate not in (None, TELEPHONE_RATE):
            raise ValueError(f"the rate of {self.type} is {TELEPHONE_RATE}")
        return self


class _NoiseReduction(Fields):
    type: Literal["near_field", "far_field"] | None = None
    strength: float | None = None


class _Transcription(Fields):
    model: Annotated[str, Field(max_length=128)] | None = None
    language: Language | None = None
    languages: Annotated[list[Language], Field(max_length=128)] | None = None
    prompt: Prompt | None = None
    keywords: Annotated[list[Keyword], Field(max_length=MAX_KEYWORDS)] | None = None
    delay: Literal["minimal", "low", "medium", "high", "xhigh"] | None = None


class _TurnDetection(Fields):
    type: Literal["server_vad", "semantic_vad"] = "server_vad"
    threshold: float | None = Field(default=None, gt=0, lt=1)
    prefix_padding_ms: int | None = Field(default=None, ge=0, le=5_000)
    silence_duration_ms: int | None = Field(default=None, ge=0, le=10_000)
    eagerness: Literal["low", "medium", "high", "auto"] | None = None
    create_response: bool | None = None
    interrupt_response: bool | None = None
    idle_timeout_ms: None = None


class _Input(Fields):
    format: _Format | None = None
    noise_reduction: _NoiseReduction | None = None
    transcription: _Transcription = _Transcription()
    turn_detection: _TurnDetection | None = _TurnDetection()


class _Audio(Fields):
    input: _Input = _Input()


class SessionFields(Fields):
    """A session in the present shape."""

    type: Literal["transcription"] = "transcription"
    audio: _Audio = _Audio()
    include: list[Literal["item.input_audio_transcription.logprobs"]] | None = None


class FlatFields(Fields):
    """A session in the older, flat shape."""

    input_audio_format: Literal["pcm16", "g711_ulaw", "g711_alaw"] = "pcm16"
    input_audio_noise_reduction: _NoiseReduction | None = None
    input_audio_transcription: _Transcription = _Transcription()
    turn_detection: _TurnDetection | None = _TurnDetection()
    include: list[Literal["item.input_audio_transcription.logprobs"]] | None = None

    def nested(self) -> Json:
        """What was said, in the present shape."""
        said = self.model_dump(exclude_unset=True)
        names = {
            "input_audio_noise_reduction": "noise_reduction",
            "input_audio_transcription": "transcription",
            "turn_detection": "turn_detection",
        }
        heard = {name: said[flat] for flat, name in names.items() if flat in said}
        if "input_audio_format" in said:
            heard["format"] = FLAT_FORMATS[said["input_audio_format"]]
        return {"audio": {"input": heard}, **({"include": said["include"]} if "include" in said else {})}


def merged(old: Mapping[str, Any], new: Mapping[str, Any]) -> Json:
    """`old` with what `new` names; what is of another `type` replaces the old whole."""
    result = dict(old)
    for name, value in new.items():
        before = result.get(name)
        if isinstance(before, Mapping) and isinstance(value, Mapping) and _is_same_kind(before, value):
            value = merged(before, value)
        result[name] = value
    return result


def _is_same_kind(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    return "type" not in new or old.get("type") == new["type"]


@dataclass(frozen=True, slots=True)
class InForce:
    """A session as it is carried out."""

    start: Start
    logprobs: bool
    shape: Json  # as the client is told, without ids
    warnings: Sequence[Json]  # of what was asked for and is not done: [{"param", "message"}]

    @property
    def bytes_per_second(self) -> int:
        """Of the client's audio."""
        audio = self.start.audio
        return audio.sample_rate * (2 if audio.encoding == "pcm_s16le" else 1)

    def check(self, can: Capabilities) -> None:
        """Raise `UnsupportedOption` for what the engine cannot honour."""
        try:
            check_options(self.start.options, can)
        except UnsupportedOption as error:
            raise UnsupportedOption(error.message, param=PARAMS[error.param or ""]) from error

    @property
    def flat_shape(self) -> Json:
        """As a client of the older shape is told."""
        heard = self.shape["audio"]["input"]
        formats = {written["type"]: name for name, written in FLAT_FORMATS.items()}
        return {
            "input_audio_format": formats[heard["format"]["type"]],
            "input_audio_noise_reduction": heard["noise_reduction"],
            "input_audio_transcription": heard["transcription"],
            "turn_detection": heard["turn_detection"],
            "include": self.shape["include"],
        }


def in_force(asked: SessionFields, facts: SessionFacts) -> InForce:
    """What becomes of a session that is asked for.

    What the session can do without is left out with a warning. Raises `ModelNotFound`; what else would change
    the text and cannot be had is refused by `InForce.check`.
    """
    heard, can = asked.audio.input, facts.capabilities
    check_model(heard.transcription.model, can.model, f"{INPUT}.transcription.model")
    written = heard.format or _Format()
    rate = (written.rate or RATE) if written.type == "audio/pcm" else TELEPHONE_RATE
    logprobs = bool(asked.include) and can.has_words
    options = _options(heard.transcription, facts, words=logprobs)
    turns = _turns(heard.turn_detection)
    start = Start(options, AudioFormat(ENCODINGS[written.type], rate), turns)
    shape = {
        "type": "transcription",
        "audio": {
            "input": {
                "format": {"type": written.type, **({"rate": rate} if written.type == "audio/pcm" else {})},
                "noise_reduction": None,
                "transcription": {"model": can.model, "language": options.language, "prompt": options.prompt},
                "turn_detection": _shape_of(turns, facts.turns) if turns.detect else None,
            }
        },
        "include": [LOGPROBS] if logprobs else [],
    }
    return InForce(start, logprobs, shape, [_warning(*one) for one in _left_out(asked, can)])


def _options(asked: _Transcription, facts: SessionFacts, *, words: bool) -> StreamOptions:
    can = facts.capabilities
    names = ", ".join(asked.keywords or ())
    only = asked.languages[0] if asked.languages and len(asked.languages) == 1 else None
    return StreamOptions(
        language=asked.language or only or facts.language,
        prompt=" ".join(part for part in (asked.prompt, names) if part) or None,
        delay_ms=_delay_ms(asked.delay, can.delay_ms),
        partials=can.partials,
        words=words,
    )


def _delay_ms(delay: str | None, choices: Sequence[int]) -> int | None:
    """The engine's look-ahead that stands as far up its list as `delay` stands up OpenAI's."""
    if delay is None or not choices:
        return None
    return sorted(choices)[round(DELAYS.index(delay) / (len(DELAYS) - 1) * (len(choices) - 1))]


def _turns(asked: _TurnDetection | None) -> Turns:
    if asked is None:
        return Turns(detect=False)
    return Turns(
        silence_ms=asked.silence_duration_ms,
        speech_probability=asked.threshold,
        pre_roll_ms=asked.prefix_padding_ms,
    )


def _shape_of(turns: Turns, configured: Turns) -> Json:
    return {
        "type": "server_vad",
        "threshold": turns.speech_probability or configured.speech_probability,
        "prefix_padding_ms": configured.pre_roll_ms if turns.pre_roll_ms is None else turns.pre_roll_ms,
        "silence_duration_ms": configured.silence_ms if turns.silence_ms is None else turns.silence_ms,
    }


def _left_out(asked: SessionFields, can: Capabilities) -> list[tuple[str, str]]:
    """What is asked for and not done: its name, and why."""
    heard, turn = asked.audio.input, asked.audio.input.turn_detection
    text = heard.transcription
    reasons = {
        "noise_reduction": (
            heard.noise_reduction is not None,
            "the detector and the models work on noisy audio as it is",
        ),
        "transcription.delay": (text.delay is not None and not can.delay_ms, f"{can.name} has no choice of delays"),
        "transcription.languages": (len(text.languages or ()) > 1, "name one; several cannot be told apart from all"),
        "turn_detection.type": (turn is not None and turn.type != "server_vad", "turns end with silence: `server_vad`"),
        "turn_detection.create_response": (turn is not None and bool(turn.create_response), "there are no responses"),
    }
    left_out = [(f"{INPUT}.{name}", reason) for name, (is_asked, reason) in reasons.items() if is_asked]
    if asked.include and not can.has_words:
        left_out.append(("session.include", f"{can.name} tells no probabilities"))
    return left_out


def _warning(param: str, reason: str) -> Json:
    return {"param": param, "message": f"{param} is not in force: {reason}"}
