"""The microphone of this machine, through PortAudio. Needs the `microphone` extra."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import anyio

from voxtral_streaming.errors import EngineUnavailable

BLOCK_MS = 32
MAX_WAITING_S = 60  # of sound: while the model is loaded, and while recognition is behind
ALTERNATIVE = "or pipe sound in: arecord -q -f S16_LE -r 16000 | voxtral listen -"

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class InputDevice:
    """The microphone that the system offers first."""

    name: str
    rate: int  # at which it records of its own accord: some know no other


def default_device() -> InputDevice:
    """Raises `EngineUnavailable` with the remedy where there is no microphone, or nothing to reach it by."""
    sounddevice = _sounddevice()
    try:
        device = sounddevice.query_devices(kind="input")
    except (sounddevice.PortAudioError, ValueError) as error:
        raise EngineUnavailable(f"there is no microphone: {error}; connect one, {ALTERNATIVE}") from error
    return InputDevice(device["name"], round(device["default_samplerate"]))


def _sounddevice() -> Any:
    try:
        import sounddevice
    except ModuleNotFoundError as error:
        remedy = f"pip install 'voxtral-streaming[microphone]', {ALTERNATIVE}"
        raise EngineUnavailable(f"sounddevice is not installed: {remedy}") from error
    except OSError as error:
        remedy = f"install it (Debian: libportaudio2), {ALTERNATIVE}"
        raise EngineUnavailable(f"PortAudio is missing: {remedy}") from error
    return sounddevice


@asynccontextmanager
async def open_microphone() -> AsyncIterator[Microphone]:
    """Record from the default device until the context is left. Raises `EngineUnavailable` with the remedy."""
    device, sounddevice, loop = default_device(), _sounddevice(), asyncio.get_running_loop()
    with Microphone(device.rate) as microphone:

        def capture(data: Any, n_frames: int, time: Any, status: Any) -> None:
            """Called by PortAudio's own thread."""
            loop.call_soon_threadsafe(microphone.take, bytes(data), bool(status.input_overflow))

        try:
            stream = sounddevice.RawInputStream(
                samplerate=device.rate,
                blocksize=device.rate * BLOCK_MS // 1000,
                channels=microphone.channels,
                dtype="int16",
                callback=capture,
            )
        except sounddevice.PortAudioError as error:
            raise EngineUnavailable(f"{device.name} cannot be opened: {error}; {ALTERNATIVE}") from error
        with stream:
            yield microphone


class Microphone:
    """Blocks of sound on their way from the device; those that find no room are lost, and the log says so once."""

    channels = 1

    def __init__(self, rate: int) -> None:
        self.rate = rate
        n_blocks = MAX_WAITING_S * 1000 // BLOCK_MS
        self._inlet, self._blocks = anyio.create_memory_object_stream[bytes](n_blocks)
        self._is_stopped = False
        self._has_lost = False

    def __enter__(self) -> Microphone:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()
        self._blocks.close()

    def take(self, block: bytes, is_after_loss: bool) -> None:
        """Take the next block; `is_after_loss`: the system lost sound before it."""
        if self._is_stopped:
            return
        try:
            self._inlet.send_nowait(block)
        except anyio.WouldBlock:
            is_after_loss = True
        if is_after_loss and not self._has_lost:
            self._has_lost = True
            log.warning("sound from the microphone was lost: this machine is too busy for the model")

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for block in self._blocks:
            yield block

    def stop(self) -> None:
        """Take no more blocks; those that wait are still given."""
        self._is_stopped = True
        self._inlet.close()
