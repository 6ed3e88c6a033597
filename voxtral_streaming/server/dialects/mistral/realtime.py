"""Mistral's realtime transcription, `/v1/audio/transcriptions/realtime`, as their clients speak it.

An error ends the session: their clients stop at the first one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

from pydantic import Field

from voxtral_streaming.audio.encoded import decode_base64
from voxtral_streaming.audio.pcm import Encoding
from voxtral_streaming.audio.resample import MAX_RATE
from voxtral_streaming.audio.units import SAMPLE_RATE, seconds
from voxtral_streaming.engines.base import StreamOptions
from voxtral_streaming.errors import ProtocolError, VoxtralError
from voxtral_streaming.server.dialects.actions import (
    Action,
    Audio,
    AudioFormat,
    Close,
    Closed,
    Failed,
    Flush,
    Frame,
    Notice,
    Opened,
    Reply,
    SessionFacts,
    Start,
)
from voxtral_streaming.server.dialects.closing import close_code
from voxtral_streaming.server.dialects.mistral.events import Message, Telling
from voxtral_streaming.server.dialects.mistral.options import Terms, check, prompt, refuse_lacking
from voxtral_streaming.server.dialects.native import MIN_LIVE_RATE
from voxtral_streaming.server.dialects.strict_json import dump_object
from voxtral_streaming.server.dialects.typed import read_typed
from voxtral_streaming.server.errors import problem
from voxtral_streaming.server.fields import Fields, Language
from voxtral_streaming.server.limits import MAX_FRAME_BYTES
from voxtral_streaming.transcript import Final, Partial


class _AudioFields(Fields):
    encoding: Encoding = "pcm_s16le"
    sample_rate: int = Field(default=SAMPLE_RATE, ge=MIN_LIVE_RATE, le=MAX_RATE)


class _SessionFields(Fields):
    """What a session may be told; null is left out."""

    audio_format: _AudioFields | None = None
    target_streaming_delay_ms: int | None = None
    language: Language | None = None
    context_bias: Terms | None = None
    diarize: bool | None = None
    speaker_references: dict[str, str] | None = None
    turn_detection: dict[str, Any] | None = None


class _Update(Fields):
    type: Literal["session.update"]
    session: _SessionFields


class _Append(Fields):
    type: Literal["input_audio.append"]
    audio: str


class _Flush(Fields):
    type: Literal["input_audio.flush"]


class _End(Fields):
    type: Literal["input_audio.end"]


_MESSAGES: Mapping[object, type[Fields]] = {
    "session.update": _Update,
    "input_audio.append": _Append,
    "input_audio.flush": _Flush,
    "input_audio.end": _End,
}


class MistralRealtime:
    """One session's side of the protocol."""

    subprotocols: ClassVar[tuple[str, ...]] = ("realtime",)

    def __init__(self, facts: SessionFacts) -> None:
        self._facts = facts
        self._asked = _SessionFields()
        self._is_started = False
        self._is_ended = False
        self._telling = Telling(facts.capabilities.model)

    def receive(self, frame: Frame) -> Sequence[Action]:
        """What a frame asks for; whatever follows the end is ignored."""
        if self._is_ended:
            return ()
        if isinstance(frame, bytes):
            raise ProtocolError("audio comes as base64 in `input_audio.append`")
        match read_typed(frame, _MESSAGES, audio="input_audio.append", configures="session.update"):
            case _Update(session=asked):
                return [self._update(asked)]
            case _Append(audio=text):
                return self._in_session(Audio(decode_base64(text, MAX_FRAME_BYTES)))
            case _Flush():
                return self._in_session(Flush(None))
            case _:
                self._is_ended = True
                return [Close()]

    def _update(self, asked: _SessionFields) -> Reply:
        if self._is_started:
            raise ProtocolError("session: its fields cannot be changed after audio has started", param="session")
        self._asked = self._asked.model_copy(update=dict(_given(asked)))
        self._options()
        return Reply(dump_object({"type": "session.updated", "session": self._session()}))

    def _in_session(self, action: Action) -> Sequence[Action]:
        """The action, after the start if it is the first."""
        if self._is_started:
            return [action]
        self._is_started = True
        return [Start(self._options(), AudioFormat(**self._audio_format().model_dump())), action]

    def _audio_format(self) -> _AudioFields:
        return self._asked.audio_format or _AudioFields()

    def _options(self) -> StreamOptions:
        """What was asked for; raises `UnsupportedOption` for what the engine lacks."""
        asked, can = self._asked, self._facts.capabilities
        refuse_lacking(
            diarize=asked.diarize, speaker_references=asked.speaker_references, turn_detection=asked.turn_detection
        )
        options = StreamOptions(
            language=asked.language or self._facts.language,
            prompt=prompt(asked.context_bias),
            delay_ms=asked.target_streaming_delay_ms,
            partials=can.partials,
            words=False,
        )
        check(options, can)
        return options

    def _session(self) -> dict[str, Any]:
        return {
            "request_id": self._facts.id,
            "model": self._facts.capabilities.model,
            "audio_format": self._audio_format().model_dump(),
            "target_streaming_delay_ms": self._asked.target_streaming_delay_ms,
            "language": self._asked.language or self._facts.language,
            "context_bias": self._asked.context_bias,
        }

    def encode(self, notice: Notice) -> Sequence[Frame]:
        """The messages for a notice; none for what this protocol has no word for."""
        if isinstance(notice, Reply):
            return [notice.frame]
        return [dump_object(message) for message in self._messages(notice)]

    def _messages(self, notice: Notice) -> list[Message]:
        match notice:
            case Opened():
                return [{"type": "session.created", "session": self._session()}]
            case Partial():
                return self._telling.partial(notice)
            case Final():
                return self._telling.final(notice)
            case Failed(error):
                return [{"type": "error", "error": self._problem(error)}]
            case Closed(consumed=consumed):
                return [self._telling.done(seconds(consumed))]
            case _:
                return []

    def _problem(self, error: VoxtralError) -> dict[str, Any]:
        """As Mistral's clients read it: `code` is a number, here that with which the socket is closed."""
        ours = problem(error)
        return {**ours, "type": ours["code"], "code": self.close_code(error)}

    def close_code(self, error: VoxtralError) -> int:
        """As in the native protocol."""
        return close_code(error)


def _given(fields: Fields) -> list[tuple[str, Any]]:
    return [(name, value) for name, value in fields if value is not None]
