"""The dialect of this server, `/ws`: see `docs/protocol.md`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from voxtral_streaming.audio.encoded import decode_base64
from voxtral_streaming.audio.pcm import MAX_CHANNELS, Encoding
from voxtral_streaming.audio.resample import MAX_RATE
from voxtral_streaming.audio.units import SAMPLE_RATE, seconds
from voxtral_streaming.engines.base import StreamOptions
from voxtral_streaming.engines.options import check_options
from voxtral_streaming.errors import ProtocolError, UnsupportedOption, VoxtralError
from voxtral_streaming.server.dialects.actions import (
    Acked,
    Acknowledge,
    Action,
    Audio,
    AudioFormat,
    Close,
    Closed,
    Failed,
    Flush,
    Flushed,
    Frame,
    KeepAlive,
    Notice,
    Opened,
    Rejected,
    Reply,
    SessionFacts,
    Start,
    Started,
    Warned,
)
from voxtral_streaming.server.dialects.closing import close_code
from voxtral_streaming.server.dialects.strict_json import dump_object
from voxtral_streaming.server.dialects.typed import read_typed
from voxtral_streaming.server.errors import InvalidConfig, problem
from voxtral_streaming.server.fields import Fields, Language, Prompt
from voxtral_streaming.server.limits import MAX_FRAME_BYTES, MAX_ID_CHARS
from voxtral_streaming.transcript import Cleared, Final, Heard, Partial, SpeechStarted, SpeechStopped

EVENT_TYPES = {SpeechStarted: "speech_started", Partial: "partial", SpeechStopped: "speech_stopped"}
Seq = Annotated[int, Field(ge=-1, lt=2**63)]  # -1: nothing was heard yet
MIN_LIVE_RATE = 8_000  # hertz: that of the telephone; less is a mistake of the client's


class _AudioFields(Fields):
    encoding: Encoding = "pcm_s16le"
    sample_rate: int = Field(default=SAMPLE_RATE, ge=MIN_LIVE_RATE, le=MAX_RATE)
    channels: int = Field(default=1, ge=1, le=MAX_CHANNELS)


class _StartMessage(Fields):
    type: Literal["start"]
    audio: _AudioFields = _AudioFields()
    language: Language | None = None
    prompt: Prompt | None = None
    delay_ms: int | None = None
    partials: bool = True
    words: bool = True
    resume: bool = False


class _AudioMessage(Fields):
    type: Literal["audio"]
    audio: str


class _FlushMessage(Fields):
    type: Literal["flush"]
    id: Annotated[str, Field(max_length=MAX_ID_CHARS)] | None = None


class _KeepAliveMessage(Fields):
    type: Literal["keepalive"]


class _AckMessage(Fields):
    type: Literal["ack"]
    seq: Seq


class _CloseMessage(Fields):
    type: Literal["close"]


class ResumeMessage(Fields):
    """The first message of a connection that goes on with a session: what its client has heard of it."""

    type: Literal["resume"]
    id: Annotated[str, Field(max_length=MAX_ID_CHARS)]
    token: Annotated[str, Field(max_length=MAX_ID_CHARS)]
    seq: Seq


_MESSAGES: Mapping[object, type[Fields]] = {
    "start": _StartMessage,
    "audio": _AudioMessage,
    "flush": _FlushMessage,
    "keepalive": _KeepAliveMessage,
    "ack": _AckMessage,
    "close": _CloseMessage,
}
_FIRST_MESSAGES: Mapping[object, type[Fields]] = {"resume": ResumeMessage}  # where there is a session already


class Native:
    """One session's side of the native protocol."""

    subprotocols: ClassVar[tuple[str, ...]] = ("voxtral",)  # for browsers, which must be told one if they offered any

    def __init__(self, facts: SessionFacts) -> None:
        self._facts = facts
        self._is_started = False
        self._is_closed = False
        self._n_sent = 0

    def receive(self, frame: Frame) -> Sequence[Action]:
        """What a frame asks for; of what follows `close` only acknowledgements count."""
        if self._is_closed:
            return _acknowledgement(frame)
        if isinstance(frame, bytes):
            return self._in_session(Audio(frame))
        match _read(frame):
            case _AckMessage(seq=seq):
                return [Acknowledge(seq)]
            case _StartMessage() as message:
                return [self._start(message)]
            case _AudioMessage(audio=text):
                return self._in_session(Audio(decode_base64(text, MAX_FRAME_BYTES)))
            case _FlushMessage(id=id_):
                return self._in_session(Flush(id_))
            case _CloseMessage():
                self._is_closed = True
                return [Close()]
            case _:
                return [KeepAlive()]

    def _start(self, message: _StartMessage) -> Start:
        if self._is_started:
            raise ProtocolError("start: only once, before any audio", param="type")
        self._is_started = True
        can = self._facts.capabilities
        options = StreamOptions(
            language=message.language or self._facts.language,
            prompt=message.prompt,
            delay_ms=message.delay_ms,
            partials=message.partials and can.partials,
            words=message.words and can.has_words,
        )
        try:
            check_options(options, can)
        except UnsupportedOption as error:
            raise InvalidConfig(error.message, param=error.param) from error
        is_resumable = message.resume and self._facts.resume_s > 0
        return Start(options, AudioFormat(**message.audio.model_dump()), is_resumable=is_resumable)

    def _in_session(self, action: Action) -> Sequence[Action]:
        """The action, after the start with its defaults if the client sent none."""
        if self._is_started:
            return [action]
        return [self._start(_StartMessage(type="start")), action]

    def encode(self, notice: Notice) -> Sequence[Frame]:
        """One message for each notice."""
        message = self._message(notice)
        kind = message.pop("type")
        numbered = {"type": kind, "seq": self._n_sent, **message}
        self._n_sent += 1
        return [dump_object(numbered)]

    def _message(self, notice: Notice) -> dict[str, Any]:
        match notice:
            case Opened():
                return {"type": "session", **self._session()}
            case Started(start):
                resume = {"token": self._facts.token, "window_s": self._facts.resume_s} if start.is_resumable else None
                return {
                    "type": "started",
                    "audio": asdict(start.audio),
                    **_in_force(start.options),
                    "resume": resume,
                }
            case Acked(n_bytes, n_messages, lag_s):
                received = {"received_bytes": n_bytes, "received_messages": n_messages}
                return {"type": "ack", **received, "lag_s": round(lag_s, 3)}
            case SpeechStarted() | Partial() | SpeechStopped() | Final():
                return event_message(notice)
            case Flushed(id_):
                return {"type": "flushed", "id": id_}
            case Warned(code, text, param):
                lag = {"lag_s": round(notice.lag_s, 3), "retry_after_s": notice.retry_after_s} if notice.lag_s else {}
                return {"type": "warning", "code": code, "message": text, "param": param, **lag}
            case Failed(error):
                return {"type": "error", "error": problem(error), "fatal": True}
            case Closed():
                counts = asdict(notice)
                utterances = counts.pop("utterances")
                return {
                    "type": "closed",
                    **{f"{name}_samples": count for name, count in counts.items()},
                    "utterances": utterances,
                }
            case Cleared() | Heard() | Reply() | Rejected():
                raise TypeError(f"this dialect never asks for {type(notice).__name__}")

    def _session(self) -> dict[str, Any]:
        facts = self._facts
        engine = asdict(facts.capabilities)
        for known_here in ("max_utterance_s", "tells_language", "hears_together", "converses_s", "max_streams"):
            del engine[known_here]
        limits = {
            "max_frame_bytes": MAX_FRAME_BYTES,
            "idle_timeout_s": facts.idle_timeout_s,
            "max_utterance_s": facts.max_utterance_s,
        }
        return {"id": facts.id, "engine": engine, "limits": limits}

    def close_code(self, error: VoxtralError) -> int:
        """See the table of close codes in the protocol page."""
        return close_code(error)


def _in_force(options: StreamOptions) -> dict[str, Any]:
    return {name: getattr(options, name) for name in ("language", "prompt", "delay_ms", "partials", "words")}


def event_message(event: SpeechStarted | Partial | SpeechStopped | Final) -> dict[str, Any]:
    """What happened, as a message that has no `seq` yet."""
    if isinstance(event, Final):
        times = {"start": seconds(event.start_sample), "end": seconds(event.end_sample)}
        return {"type": "final", **asdict(event), **times}
    return {"type": EVENT_TYPES[type(event)], **asdict(event), "seconds": seconds(event.at)}


def _acknowledgement(frame: Frame) -> Sequence[Action]:
    """What a frame acknowledges, if that is what it does."""
    with suppress(ProtocolError):
        if isinstance(frame, str) and isinstance(message := _read(frame), _AckMessage):
            return [Acknowledge(message.seq)]
    return ()


def read_resume(frame: Frame) -> ResumeMessage:
    """The first message of a connection that goes on with a session."""
    message = _read(frame, _FIRST_MESSAGES) if isinstance(frame, str) else None
    if not isinstance(message, ResumeMessage):
        raise ProtocolError("the first message here is `resume`", param="type")
    return message


def resumed(seq: int, n_bytes: int, n_messages: int) -> Frame:
    """The answer: what of the client's was received. It repeats `seq`, since it is no message of the session."""
    return dump_object({"type": "resumed", "seq": seq, "received_bytes": n_bytes, "received_messages": n_messages})


def refused(error: VoxtralError) -> Frame:
    """The first and only message of a connection that gets no session."""
    return dump_object({"type": "error", "seq": 0, "error": problem(error), "fatal": True})


def _read(text: str, messages: Mapping[object, type[Fields]] = _MESSAGES) -> Fields:
    return read_typed(text, messages, audio="audio", configures="start")
