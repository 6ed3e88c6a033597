"""`voxtral listen`."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager

from voxtral_streaming.audio.pcm import PcmDecoder
from voxtral_streaming.audio.units import Samples
from voxtral_streaming.cli.captions import open_captions
from voxtral_streaming.config import Config
from voxtral_streaming.engines.base import StreamOptions
from voxtral_streaming.transcriber import Transcriber

BLOCK_BYTES = 4096


def run(config: Config, options: StreamOptions, pcm: tuple[int, int] | None, *, as_json: bool) -> None:
    """Caption standard input, `pcm` being its rate and channels, or the microphone, until it ends or Ctrl-C."""
    asyncio.run(_listen(config, options, pcm, as_json=as_json))


async def _listen(config: Config, options: StreamOptions, pcm: tuple[int, int] | None, *, as_json: bool) -> None:
    async with Transcriber(config) as transcriber, _sound(pcm) as blocks:
        with open_captions(as_json=as_json) as captions:
            async with aclosing(transcriber.stream(_until_interrupted(blocks), options=options)) as events:
                async for event in events:
                    captions.show(event)


@asynccontextmanager
async def _sound(pcm: tuple[int, int] | None) -> AsyncIterator[AsyncIterator[Samples]]:
    if pcm is not None:
        yield _standard_input(*pcm)
        return
    from voxtral_streaming.cli.microphone import open_microphone

    async with open_microphone() as blocks:
        yield blocks


async def _standard_input(rate: int, channels: int) -> AsyncIterator[Samples]:
    """Raw 16-bit PCM, as it comes."""
    decoder = PcmDecoder("pcm_s16le", rate, channels)
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin.buffer)
    while data := await reader.read(BLOCK_BYTES):
        yield decoder.feed(data)
    yield decoder.finish()


async def _until_interrupted(blocks: AsyncIterator[Samples]) -> AsyncIterator[Samples]:
    """The blocks, ending at Ctrl-C as if the sound had ended: what was said still gets its final."""
    loop, interrupted = asyncio.get_running_loop(), asyncio.Event()
    loop.add_signal_handler(signal.SIGINT, interrupted.set)
    stop = asyncio.create_task(interrupted.wait())
    try:
        while (block := await _next_unless(stop, blocks)) is not None:
            yield block
    finally:
        stop.cancel()
        loop.remove_signal_handler(signal.SIGINT)


async def _next_unless(stop: asyncio.Task[bool], blocks: AsyncIterator[Samples]) -> Samples | None:
    """The next block, or None at the end or when `stop` is done."""
    following = asyncio.ensure_future(anext(blocks, None))
    await asyncio.wait({stop, following}, return_when=asyncio.FIRST_COMPLETED)
    if following.done():
        return following.result()
    following.cancel()
    await asyncio.wait({following})
    return None
