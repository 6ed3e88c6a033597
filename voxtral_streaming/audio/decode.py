"""The doors through which recordings enter: a URL, a path, base64 text or bytes become `Samples`.

    async with open_path("talk.mp3", SourcePolicy.trusted(audio)) as audio:
        async for block in audio:
            ...

Whatever the door, the bytes are decoded by a confined process (see `decoder`) as they are read: a
reader that pauses makes it wait, and leaving the context ends it.
"""

from __future__ import annotations

import asyncio
import math
import os
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import BinaryIO

import anyio
import numpy as np

from voxtral_streaming.audio.decoder.launch import decoder
from voxtral_streaming.audio.decoder.wire import HEADER, Done, Job, Message, Opened, Refused, decode, header
from voxtral_streaming.audio.encoded import decode_base64
from voxtral_streaming.audio.fetch import fetch
from voxtral_streaming.audio.paths import open_any, open_below
from voxtral_streaming.audio.source import SourcePolicy
from voxtral_streaming.audio.units import Samples
from voxtral_streaming.config import AudioConfig
from voxtral_streaming.errors import (
    AudioError,
    AudioTooLarge,
    AudioTooLong,
    CorruptAudio,
    EmptyAudio,
    SourceForbidden,
    UnsupportedMedia,
)

DECODER_MEMORY = 192 * 2**20  # bytes: the tables of a MP4 of hours take a fifth of it
REFUSALS: dict[str, type[AudioError]] = {
    refusal.code: refusal for refusal in (UnsupportedMedia, CorruptAudio, EmptyAudio, AudioTooLong)
}


class AudioReader:
    """A recording as blocks of `Samples` of about half a second; iterate once.

    `duration` is what its container claims, in seconds, or None: good for a progress bar, not for trust.
    `n_samples` counts what was read. Complete when the iteration has ended: `sanitized`, values that were
    NaN, infinite or outside [-1, 1] and were replaced, and `damaged`, packets that did not decode.

    Iterating raises `CorruptAudio`, `EmptyAudio`, `AudioTooLong` and `UnsupportedMedia`.
    """

    def __init__(self, messages: asyncio.StreamReader, timeout_s: float) -> None:
        """Read a decoder's messages; all the waiting for them together may take `timeout_s`."""
        self._messages = messages
        self._timeout_s = timeout_s
        self._waited_s = 0.0
        self._is_done = False
        self.duration: float | None = None
        self.n_samples = 0
        self.sanitized = 0
        self.damaged = 0

    async def open(self) -> None:
        """Wait until the container is open; once, before the iteration."""
        match await self._receive():
            case Opened(duration):
                self.duration = duration
            case other:
                raise CorruptAudio(f"the decoder began with {type(other).__name__}")

    def __aiter__(self) -> AudioReader:
        return self

    async def __anext__(self) -> Samples:
        if self._is_done:
            raise StopAsyncIteration
        match await self._receive():
            case np.ndarray() as samples:
                self.n_samples += len(samples)
                return samples
            case Done(sanitized, damaged):
                self.sanitized, self.damaged, self._is_done = sanitized, damaged, True
                raise StopAsyncIteration
            case other:
                raise CorruptAudio(f"the decoder answered with {type(other).__name__}")

    async def _receive(self) -> Message | Samples:
        """The next message within what is left of the deadline; a refusal is raised."""
        started = time.monotonic()
        try:
            with anyio.fail_after(self._timeout_s - self._waited_s):
                message = await _read_message(self._messages)
        except TimeoutError as error:
            raise CorruptAudio(f"the audio did not decode within {self._timeout_s:g} s") from error
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            raise CorruptAudio("the decoder failed on this audio") from error
        finally:
            self._waited_s += time.monotonic() - started
        if isinstance(message, Refused):
            raise REFUSALS[message.code](message.message)
        return message


async def _read_message(messages: asyncio.StreamReader) -> Message | Samples:
    kind, length = header(await messages.readexactly(HEADER.size))
    return decode(kind, await messages.readexactly(length))


@asynccontextmanager
async def open_url(url: str, policy: SourcePolicy) -> AsyncIterator[AudioReader]:
    """Fetch a URL, within the policy's limits, and decode it.

    Raises `SourceForbidden`, `FetchError`, `FetchTimeout`, `AudioTooLarge`, and what decoding raises.
    """
    with await fetch(url, policy) as file:
        async with _open_file(file, policy.audio) as audio:
            yield audio


@asynccontextmanager
async def open_path(path: str | os.PathLike[str], policy: SourcePolicy) -> AsyncIterator[AudioReader]:
    """Decode a local file: any for a trusted caller, below `audio.allowed_dirs` for a remote one.

    Raises `AudioError` (trusted) or `SourceForbidden` (remote) if it cannot be opened.
    """
    with open_any(path) if policy.is_trusted else open_below(policy.audio.allowed_dirs, os.fspath(path)) as file:
        async with _open_file(file, policy.audio) as audio:
            yield audio


@asynccontextmanager
async def open_base64(text: str, policy: SourcePolicy) -> AsyncIterator[AudioReader]:
    """Decode base64 text or a `data:` URI; raises `InvalidBase64` and what `open_bytes` raises."""
    async with open_bytes(decode_base64(text, policy.max_bytes), policy) as audio:
        yield audio


@asynccontextmanager
async def open_bytes(data: bytes, policy: SourcePolicy) -> AsyncIterator[AudioReader]:
    """Decode a file's bytes; raises `AudioTooLarge` for more than the policy takes."""
    if len(data) > policy.max_bytes:
        raise AudioTooLarge(f"the audio is larger than {policy.max_bytes} bytes")
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.flush()
        async with _open_file(file, policy.audio) as audio:
            yield audio


def open_audio(
    source: str | os.PathLike[str] | bytes, policy: SourcePolicy
) -> AbstractAsyncContextManager[AudioReader]:
    """Decode whatever a trusted caller names: bytes, a path, or a string that is told by how it begins.

    `http://` and `https://` are fetched, `data:` is decoded, and all else, `file://` too, is a path.
    """
    if not policy.is_trusted:
        raise SourceForbidden("a remote caller must say what a source is: a URL, a path, base64 or bytes")
    if isinstance(source, bytes):
        return open_bytes(source, policy)
    if isinstance(source, str) and source.lower().startswith(("http://", "https://")):
        return open_url(source, policy)
    if isinstance(source, str) and source[:5].lower() == "data:":
        return open_base64(source, policy)
    return open_path(source, policy)


@asynccontextmanager
async def _open_file(file: BinaryIO, audio: AudioConfig) -> AsyncIterator[AudioReader]:
    job = Job(audio.max_seconds, math.ceil(audio.decode_timeout_s), DECODER_MEMORY)
    async with decoder(file, job) as messages:
        reader = AudioReader(messages, audio.decode_timeout_s)
        await reader.open()
        yield reader
