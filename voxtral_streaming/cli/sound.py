"""Sound that `voxtral listen` hears: what a source of it is, and standard input as one."""

from __future__ import annotations

import asyncio
import io
import os
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol

from typer import BadParameter

BLOCK_BYTES = 4096
STDIN = 0


class Sound(Protocol):
    """16-bit PCM, little-endian, interleaved; iterate once."""

    @property
    def rate(self) -> int:
        """Samples per second."""

    @property
    def channels(self) -> int:
        """Samples in a frame."""

    def __aiter__(self) -> AsyncIterator[bytes]: ...

    def stop(self) -> None:
        """Let the sound end here: what was heard before still comes."""


@asynccontextmanager
async def open_standard_input(rate: int, channels: int) -> AsyncIterator[Sound]:
    """Raw PCM from standard input: from a pipe as it comes, from a file as fast as it is taken."""
    if os.isatty(STDIN):
        raise BadParameter("standard input is a terminal; pipe sound in, or leave - out", param_hint="-")
    mode = os.fstat(STDIN).st_mode
    if not (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)):
        yield FileSound(rate, channels)
        return
    reader = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), io.FileIO(STDIN, closefd=False)
    )
    try:
        yield PipedSound(rate, channels, reader, transport)
    finally:
        transport.close()


class PipedSound:
    """What comes through a pipe or a socket."""

    def __init__(
        self, rate: int, channels: int, reader: asyncio.StreamReader, transport: asyncio.ReadTransport
    ) -> None:
        self.rate = rate
        self.channels = channels
        self._reader = reader
        self._transport = transport

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while data := await self._reader.read(BLOCK_BYTES):
            yield data

    def stop(self) -> None:
        """Read no more; the transport tells the reader that this is the end."""
        self._transport.close()


class FileSound:
    """What stands in a file, or in a device whose reading never waits."""

    def __init__(self, rate: int, channels: int) -> None:
        self.rate = rate
        self.channels = channels
        self._is_stopped = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while not self._is_stopped and (data := os.read(STDIN, BLOCK_BYTES)):
            yield data

    def stop(self) -> None:
        """Read no more."""
        self._is_stopped = True
