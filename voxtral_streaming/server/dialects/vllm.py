"""vLLM's `/v1/realtime`: flat messages, and a commit that begins a transcription before its audio comes.

A message that is wrong is answered with an error, and the session goes on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, ValidationError

from voxtral_streaming.audio.encoded import decode_base64
from voxtral_streaming.engines.base import StreamOptions
from voxtral_streaming.engines.options import check_options
from voxtral_streaming.errors import AudioError, ProtocolError, VoxtralError
from voxtral_streaming.server.dialects.actions import (
    Action,
    Audio,
    AudioFormat,
    Closed,
    Failed,
    Flush,
    Flushed,
    Frame,
    KeepAlive,
    Notice,
    Rejected,
    SessionFacts,
    Start,
)
from voxtral_streaming.server.dialects.closing import close_code
from voxtral_streaming.server.dialects.deltas import RunningText
from voxtral_streaming.server.dialects.families import check_model
from voxtral_streaming.server.dialects.strict_json import dump_object, parse_object
from voxtral_streaming.server.errors import InvalidJson, ModelNotFound, entry_for, problem
from voxtral_streaming.server.fields import Fields, wrong_field
from voxtral_streaming.server.limits import MAX_FRAME_BYTES, MAX_ID_CHARS
from voxtral_streaming.transcript import Final, Partial


class UnknownEvent(ProtocolError):
    """A message of a type that is not known."""

    code = "unknown_event"


class ModelNotValidated(ProtocolError):
    """A commit before the model was named."""

    code = "model_not_validated"


CODES: Mapping[type[VoxtralError], str] = {
    InvalidJson: "invalid_json",
    UnknownEvent: "unknown_event",
    ModelNotValidated: "model_not_validated",
    ModelNotFound: "model_not_found",
    AudioError: "invalid_audio",
    ProtocolError: "invalid_event",
    VoxtralError: "processing_error",
}


class _Update(Fields):
    type: Literal["session.update"]
    model: Annotated[str, Field(max_length=MAX_ID_CHARS)]


class _Append(Fields):
    type: Literal["input_audio_buffer.append"]
    audio: str


class _Commit(Fields):
    type: Literal["input_audio_buffer.commit"]
    final: bool = False


_MESSAGES: Mapping[object, type[Fields]] = {
    "session.update": _Update,
    "input_audio_buffer.append": _Append,
    "input_audio_buffer.commit": _Commit,
}


class VllmRealtime:
    """One session's side of the protocol, after the greeting.

    A transcription goes from a commit to the commit that is final; another may follow. Audio that comes
    before its commit is recognised at once all the same.
    """

    subprotocols: ClassVar[tuple[str, ...]] = ()

    def __init__(self, facts: SessionFacts) -> None:
        self._facts = facts
        self._has_model = False
        self._is_started = False
        self._text = RunningText()
        self._finals: list[str] = []

    def receive(self, frame: Frame) -> Sequence[Action]:
        """What a frame asks for."""
        try:
            return self._receive(frame)
        except (ProtocolError, AudioError, ModelNotFound) as error:
            return [Rejected(error)]

    def _receive(self, frame: Frame) -> Sequence[Action]:
        if isinstance(frame, bytes):
            raise ProtocolError("audio comes as base64 in `input_audio_buffer.append`")
        match _read(frame):
            case _Update(model=name):
                check_model(name, self._facts.capabilities.model)
                self._has_model = True
                return [KeepAlive()]
            case _Append(audio=text):
                return self._in_session(Audio(_audio(text)))
            case _ if not self._has_model:
                raise ModelNotValidated("name the model in a `session.update` before the first commit")
            case _Commit(final=True):
                return self._in_session(Flush(None))
            case _:
                return self._in_session(KeepAlive())

    def _in_session(self, action: Action) -> Sequence[Action]:
        """The action, after the start if it is the first."""
        if self._is_started:
            return [action]
        can = self._facts.capabilities
        options = StreamOptions(language=self._facts.language, partials=can.partials, words=False)
        check_options(options, can)
        self._is_started = True
        return [Start(options, AudioFormat()), action]

    def encode(self, notice: Notice) -> Sequence[Frame]:
        """The messages for a notice; none for what this protocol has no word for."""
        return [dump_object(message) for message in self._messages(notice)]

    def _messages(self, notice: Notice) -> list[dict[str, Any]]:
        match notice:
            case Partial(stable=stable):
                return _delta(self._text.grow(stable))
            case Final(text=text):
                self._finals += [text] if text else []
                return _delta(self._text.settle(text))
            case Flushed():
                return [self._done()]
            case Closed() if self._finals:
                return [self._done()]
            case Rejected(error) | Failed(error):
                return [{"type": "error", "error": problem(error)["message"], "code": _code(error)}]
            case _:
                return []

    def _done(self) -> dict[str, Any]:
        """The whole text; tokens are not counted here."""
        text = " ".join(self._finals)
        self._text, self._finals = RunningText(), []
        return {"type": "transcription.done", "text": text, "usage": None}

    def close_code(self, error: VoxtralError) -> int:
        """As in the native protocol."""
        return close_code(error)


def _audio(text: str) -> bytes:
    data = decode_base64(text, MAX_FRAME_BYTES)
    if not data:
        raise AudioError("audio: there is none in it", param="audio")
    return data


def _delta(text: str) -> list[dict[str, Any]]:
    return [{"type": "transcription.delta", "delta": text}] if text else []


def _code(error: VoxtralError) -> str:
    return entry_for(error, CODES)


def _read(text: str) -> Fields:
    """The message that a text frame holds, its fields checked."""
    message = parse_object(text)
    kind = message.get("type")
    if not isinstance(kind, str) or kind not in _MESSAGES:
        raise UnknownEvent(f"type: must be one of {', '.join(map(str, _MESSAGES))}", param="type")
    try:
        return _MESSAGES[kind].model_validate(message)
    except ValidationError as error:
        raise wrong_field(error, ProtocolError) from error
