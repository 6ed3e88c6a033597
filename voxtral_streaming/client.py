"""A client of live sessions: audio goes out, events come in, over the server's WebSocket (docs/protocol.md).

async with connect("ws://127.0.0.1:8000/ws", language="en") as session:
    sending = asyncio.create_task(send_audio(session))  # session.send(...) as it is spoken, then session.finish()
    async for event in session:
        if isinstance(event, Final):
            print(event.text)
    await sending
"""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any, TypeAlias, TypeVar

import anyio
import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError
from websockets.asyncio import client as websocket
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI

from voxtral_streaming.audio.pcm import DTYPES, Encoding
from voxtral_streaming.audio.units import SAMPLE_RATE
from voxtral_streaming.engines.base import Capabilities, StreamOptions
from voxtral_streaming.errors import ProtocolError
from voxtral_streaming.transcript import Event, Final, Flushed, Partial, SpeechStarted, SpeechStopped

OPEN_TIMEOUT_S = 10.0
FRAME_BYTES = 65_536  # longer audio is sent in several frames; the server takes 16 times as much in one
FULL_SCALE = 32_768  # of 16-bit samples

logger = logging.getLogger(__name__)


class SessionError(ProtocolError):
    """The server refused the session, or it ended too early; `code` is one of the protocol's, or one of these.

    `handshake_failed`: no WebSocket of this kind is there; `connection_lost`: nobody said why. `retry_after_s`
    is set where the error may pass by itself.
    """

    def __init__(
        self, code: str, message: str, *, param: str | None = None, retry_after_s: float | None = None
    ) -> None:
        super().__init__(message, param=param)
        self.code = code
        self.retry_after_s = retry_after_s


@dataclass(frozen=True, slots=True)
class Limits:
    """What the server takes in a session."""

    max_frame_bytes: int
    idle_timeout_s: float
    max_utterance_s: float


@dataclass(frozen=True, slots=True)
class Opened:
    """The server's first message: which session this is, and what its engine can do."""

    id: str
    engine: Capabilities
    limits: Limits


@dataclass(frozen=True, slots=True)
class Warned:
    """Something was mended, or is about to happen; the session goes on."""

    code: str
    message: str
    param: str | None = None


@dataclass(frozen=True, slots=True)
class Closed:
    """The session ended in order. Samples are counted at 16 kHz; received = consumed + dropped."""

    received_samples: int
    consumed_samples: int
    dropped_samples: int
    sanitized_samples: int
    utterances: int


@dataclass(frozen=True, slots=True)
class _Problem:
    code: str
    message: str
    param: str | None = None
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class _Failed:
    """An error, as it is told over HTTP and over the WebSocket."""

    error: _Problem


Message: TypeAlias = Event | Opened | StreamOptions | Warned | Closed
MessageT = TypeVar("MessageT", Opened, StreamOptions)

_FAILED = TypeAdapter(_Failed)
_MESSAGES: dict[str, TypeAdapter[Any]] = {
    "session": TypeAdapter(Opened),
    "started": TypeAdapter(StreamOptions),
    "speech_started": TypeAdapter(SpeechStarted),
    "partial": TypeAdapter(Partial),
    "speech_stopped": TypeAdapter(SpeechStopped),
    "final": TypeAdapter(Final),
    "flushed": TypeAdapter(Flushed),
    "warning": TypeAdapter(Warned),
    "closed": TypeAdapter(Closed),
    "error": _FAILED,
}


def decode(frame: str | bytes) -> Message | None:
    """What a message of the server says; nothing, if its type is not known here (the server may be newer).

    `StreamOptions` are those in force. Raises `SessionError` where the message is an error, and `ProtocolError`
    where it is none of the protocol's.
    """
    try:
        fields = json.loads(frame)
        adapter = _MESSAGES.get(fields["type"])
        message: Message | _Failed | None = adapter and adapter.validate_python(fields)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ProtocolError(f"not a message of the protocol: {frame[:200]!r}") from error
    if isinstance(message, _Failed):
        raise SessionError(**asdict(message.error))
    return message


def encode(samples: NDArray[Any], encoding: Encoding, channels: int = 1) -> bytes:
    """Samples [n_frames] or [n_frames, n_channels] as interleaved linear PCM: floats in [-1, 1], or 16-bit integers.

    NaN and infinity become 0, and what is outside [-1, 1] is clipped.
    """
    if encoding not in DTYPES:
        raise ValueError(f"samples are encoded as {', '.join(DTYPES)}; send {encoding} as bytes")
    if samples.ndim > 1 and samples.shape[1:] != (channels,):
        raise ValueError(f"samples of the shape {samples.shape} are not [n_frames, {channels}]")
    if samples.dtype == np.int16:
        samples = samples / FULL_SCALE
    elif samples.dtype.kind != "f":
        raise TypeError(f"samples are floats or 16-bit integers, not {samples.dtype}")
    samples = np.clip(np.where(np.isfinite(samples), samples, 0), -1, 1)
    dtype = DTYPES[encoding]
    if dtype.kind == "i":
        full_scale = 2.0 ** (8 * dtype.itemsize - 1)
        samples = np.minimum(np.round(samples.astype(np.float64) * full_scale), full_scale - 1)
    return samples.astype(dtype).tobytes()


class Session:
    """An open session: audio is sent, `finish` tells that there is no more, iterating gives the events to the last.

    Send and iterate at the same time, in two tasks: a server whose events are not read gives the client up.
    Everything here raises `SessionError` when the session ends too early.
    """

    def __init__(
        self,
        socket: websocket.ClientConnection,
        opened: Opened,
        options: StreamOptions,
        encoding: Encoding,
        channels: int,
    ) -> None:
        self._socket = socket
        self._encoding = encoding
        self._channels = channels
        self.id = opened.id
        self.capabilities = replace(opened.engine, max_utterance_s=opened.limits.max_utterance_s)
        self.limits = opened.limits
        self.options = options  # those in force
        self.closed: Closed | None = None  # the counts of the session, once it has ended in order

    async def send(self, audio: bytes | NDArray[Any]) -> None:
        """Send the next audio, of any length: bytes in the encoding of the session, or samples as `encode` takes them.

        Waits while the server has enough to do.
        """
        data = audio if isinstance(audio, bytes) else encode(audio, self._encoding, self._channels)
        for start in range(0, len(data), FRAME_BYTES):
            await _say(self._socket, data[start : start + FRAME_BYTES])

    async def flush(self) -> None:
        """End the open utterance here: its final follows, if one is open, and then `Flushed`."""
        await _say(self._socket, '{"type": "flush"}')

    async def keep_alive(self) -> None:
        """Keep the session open while there is nothing to send for longer than `limits.idle_timeout_s`."""
        await _say(self._socket, '{"type": "keepalive"}')

    async def finish(self) -> None:
        """Tell that there is no more audio: the last finals follow, and the iteration ends."""
        await _say(self._socket, '{"type": "close"}')

    def __aiter__(self) -> Session:
        return self

    async def __anext__(self) -> Event:
        while self.closed is None:
            match await _hear(self._socket):
                case Closed() as closed:
                    self.closed = closed
                case Warned(code, message):
                    logger.warning("%s: %s", code, message)
                case SpeechStarted() | Partial() | SpeechStopped() | Final() | Flushed() as event:
                    return event
        raise StopAsyncIteration


@asynccontextmanager
async def connect(
    url: str,
    *,
    sample_rate: int = SAMPLE_RATE,
    encoding: Encoding = "pcm_s16le",
    channels: int = 1,
    language: str | None = None,
    prompt: str | None = None,
    delay_ms: int | None = None,
    partials: bool = True,
    words: bool = True,
    api_key: str | None = None,
) -> AsyncGenerator[Session, None]:
    """Open a live session at the `/ws` of a server; leaving the context closes it, finished or not.

    `sample_rate`, `encoding` and `channels` are those of the audio that will be sent; the other options are those of
    `start` in the protocol. Raises `SessionError` where the server refuses, OSError and TimeoutError where none is.
    """
    audio = {"encoding": encoding, "sample_rate": sample_rate, "channels": channels}
    options = {"language": language, "prompt": prompt, "delay_ms": delay_ms, "partials": partials, "words": words}
    start = {"type": "start", "audio": audio, **options}
    async with await _open(url, api_key) as socket:
        with anyio.fail_after(OPEN_TIMEOUT_S):
            opened = await _expect(socket, Opened)
            await _say(socket, json.dumps(start))
            in_force = await _expect(socket, StreamOptions)
        yield Session(socket, opened, in_force, encoding, channels)


async def _open(url: str, api_key: str | None) -> websocket.ClientConnection:
    """A WebSocket whose server need not answer pings: one that has enough to do reads none, and no audio either."""
    headers = {"Authorization": f"Bearer {api_key}"} if api_key else None
    try:
        return await websocket.connect(
            url, additional_headers=headers, compression=None, open_timeout=OPEN_TIMEOUT_S, ping_timeout=None
        )
    except InvalidStatus as refusal:
        raise _refused(refusal) from refusal
    except (InvalidHandshake, InvalidURI) as error:
        raise SessionError("handshake_failed", str(error)) from error


def _refused(refusal: InvalidStatus) -> SessionError:
    """The error in an answer over HTTP."""
    try:
        return SessionError(**asdict(_FAILED.validate_json(refusal.response.body or b"").error))
    except ValidationError:
        return SessionError("handshake_failed", str(refusal))


async def _expect(socket: websocket.ClientConnection, kind: type[MessageT]) -> MessageT:
    message = await _hear(socket)
    if not isinstance(message, kind):
        raise ProtocolError(f"the server said {message}, where {kind.__name__} was due")
    return message


async def _say(socket: websocket.ClientConnection, frame: str | bytes) -> None:
    try:
        await socket.send(frame)
    except ConnectionClosed as end:
        raise _lost(end) from end


async def _hear(socket: websocket.ClientConnection) -> Message | None:
    try:
        return decode(await socket.recv())
    except ConnectionClosed as end:
        raise _lost(end) from end


def _lost(end: ConnectionClosed) -> SessionError:
    """The reason of a close is the code of the error, if the server had time to say one."""
    reason = end.rcvd.reason if end.rcvd else ""
    return SessionError(reason or "connection_lost", f"the session has ended: {end}")
