"""The microphone of this machine, through PortAudio. Needs the `microphone` extra."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from voxtral_streaming.audio.pcm import PcmDecoder
from voxtral_streaming.audio.units import SAMPLE_RATE, Samples
from voxtral_streaming.errors import EngineUnavailable

BLOCK = 512  # samples, 32 ms
REMEDY = "or pipe sound in: arecord -q -f S16_LE -r 16000 | voxtral listen -"


@asynccontextmanager
async def open_microphone() -> AsyncIterator[AsyncIterator[Samples]]:
    """Blocks of the default input device; raises `EngineUnavailable` with the remedy where there is none."""
    sounddevice = _sounddevice()
    loop, captured = asyncio.get_running_loop(), asyncio.Queue[bytes]()

    def capture(data: Any, n_frames: int, time: Any, status: Any) -> None:
        loop.call_soon_threadsafe(captured.put_nowait, bytes(data))

    try:
        stream = sounddevice.RawInputStream(
            samplerate=SAMPLE_RATE, blocksize=BLOCK, channels=1, dtype="int16", callback=capture
        )
    except sounddevice.PortAudioError as error:
        raise EngineUnavailable(f"the microphone cannot be opened: {error}; {REMEDY}") from error
    with stream:
        yield _blocks(captured)


def _sounddevice() -> Any:
    try:
        import sounddevice
    except ModuleNotFoundError as error:
        raise EngineUnavailable(
            f"no microphone support: pip install 'voxtral-streaming[microphone]', {REMEDY}"
        ) from error
    except OSError as error:
        raise EngineUnavailable(
            f"no microphone support: install PortAudio (Debian: libportaudio2), {REMEDY}"
        ) from error
    return sounddevice


async def _blocks(captured: asyncio.Queue[bytes]) -> AsyncIterator[Samples]:
    decoder = PcmDecoder("pcm_s16le", SAMPLE_RATE, 1)
    while True:
        yield decoder.feed(await captured.get())
