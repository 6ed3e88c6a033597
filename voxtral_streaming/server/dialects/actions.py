"""What every dialect translates from and to.

A client's frames become actions, which the live session carries out; notices are what the session
has to say, which the dialect writes as frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol, TypeAlias

from voxtral_streaming.audio.pcm import Encoding
from voxtral_streaming.audio.units import SAMPLE_RATE
from voxtral_streaming.engines.base import Capabilities, StreamOptions
from voxtral_streaming.errors import VoxtralError
from voxtral_streaming.transcript import Cleared, Final, Heard, Partial, SpeechStarted, SpeechStopped

Frame: TypeAlias = str | bytes


@dataclass(frozen=True, slots=True)
class AudioFormat:
    """The layout of a client's audio: interleaved PCM."""

    encoding: Encoding = "pcm_s16le"
    sample_rate: int = SAMPLE_RATE
    channels: int = 1


@dataclass(frozen=True, slots=True)
class Turns:
    """When utterances begin and end; None: as configured."""

    detect: bool = True  # False: an utterance ends only at a `Flush`, or where it grows too long
    silence_ms: int | None = None  # silence that commits an utterance
    speech_probability: float | None = None  # from which on it is speech
    pre_roll_ms: int | None = None  # audio before the speech that belongs to the utterance


@dataclass(frozen=True, slots=True)
class Start:
    """Begin to recognise; once, before any action but `KeepAlive`, `Close`, `Reply` and `Rejected`."""

    options: StreamOptions
    audio: AudioFormat
    turns: Turns = Turns()
    is_resumable: bool = False  # the client may come back to the session when its connection is lost


@dataclass(frozen=True, slots=True)
class Audio:
    """The next bytes of audio, cut anywhere."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Flush:
    """End the open utterance here; answered by `Flushed` with the same `id`."""

    id: str | None


@dataclass(frozen=True, slots=True)
class Clear:
    """Forget the open utterance: nothing more comes of it. Answered by `Cleared`."""


@dataclass(frozen=True, slots=True)
class Tick:
    """Answered by `Heard`, once everything that came before was heard and told."""


@dataclass(frozen=True, slots=True)
class KeepAlive:
    """Nothing, but the client is still there."""


@dataclass(frozen=True, slots=True)
class Acknowledge:
    """The client of a session that it may come back to has every frame up to this one, counted from 0."""

    seq: int


@dataclass(frozen=True, slots=True)
class Close:
    """No more audio: give the last final and end."""


@dataclass(frozen=True, slots=True)
class Reply:
    """The dialect's own answer to a message, given in its turn among the notices: an action and then a notice."""

    frame: Frame


@dataclass(frozen=True, slots=True)
class Rejected:
    """What a message asked for is not done, and the session goes on: an action and then a notice."""

    error: VoxtralError
    event_id: str | None = None  # the client's name for its message


Action: TypeAlias = Start | Audio | Flush | Clear | Tick | KeepAlive | Acknowledge | Close | Reply | Rejected


@dataclass(frozen=True, slots=True)
class Opened:
    """The session is open."""


@dataclass(frozen=True, slots=True)
class Started:
    """Recognition has begun as `start` says."""

    start: Start


@dataclass(frozen=True, slots=True)
class Acked:
    """So much of what the client sent was received: bytes of audio, and messages that ask for something else."""

    n_bytes: int
    n_messages: int
    lag_s: float  # how long ago the audio came whose final is awaited


@dataclass(frozen=True, slots=True)
class Flushed:
    """Every final up to the flush was sent."""

    id: str | None


@dataclass(frozen=True, slots=True)
class Warned:
    """Something was mended or left out; the session goes on."""

    code: str
    message: str
    param: str | None = None
    lag_s: float | None = None  # of `overloaded`: how late finals are
    retry_after_s: int | None = None  # of `overloaded`: when to come back, should the connection be closed


@dataclass(frozen=True, slots=True)
class Failed:
    """The session ends with an error."""

    error: VoxtralError


@dataclass(frozen=True, slots=True)
class Closed:
    """The session ends in order. Counts are samples at 16 kHz; received = consumed + dropped."""

    received: int
    consumed: int
    dropped: int
    sanitized: int
    utterances: int


Notice: TypeAlias = (
    Opened
    | Started
    | Acked
    | SpeechStarted
    | Partial
    | SpeechStopped
    | Final
    | Flushed
    | Cleared
    | Heard
    | Reply
    | Rejected
    | Warned
    | Failed
    | Closed
)


@dataclass(frozen=True, slots=True)
class SessionFacts:
    """What a dialect must know of the session that it speaks for."""

    id: str
    capabilities: Capabilities
    language: str | None  # in force where the client names none
    idle_timeout_s: float
    max_utterance_s: float
    turns: Turns = Turns()  # as configured
    resume_s: float = 0.0  # how long a client may be away; 0: not at all
    token: str = ""  # what it must know to come back


class Dialect(Protocol):
    """One client's language: holds the state of one session, does no I/O, is used from one task each way."""

    subprotocols: ClassVar[tuple[str, ...]]
    """Names under which a WebSocket speaks it; of those that a client offers the first is accepted."""

    def receive(self, frame: Frame) -> Sequence[Action]:
        """What a frame of the client asks for.

        Raises `ProtocolError`, `AudioError` and `UnsupportedOption`; all end the session, as `Rejected` does not.
        """

    def encode(self, notice: Notice) -> Sequence[Frame]:
        """How the client is told; in the order in which the frames are sent."""

    def close_code(self, error: VoxtralError) -> int:
        """The WebSocket close code after this error."""
