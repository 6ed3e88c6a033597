"""`voxtral listen`."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, aclosing, contextmanager

from voxtral_streaming.audio.pcm import PcmDecoder
from voxtral_streaming.audio.units import Samples
from voxtral_streaming.cli.captions import open_captions
from voxtral_streaming.cli.microphone import open_microphone
from voxtral_streaming.cli.output import check_standard_output
from voxtral_streaming.cli.sound import Sound, open_standard_input
from voxtral_streaming.config import Config, LoggingConfig
from voxtral_streaming.engines.base import StreamOptions
from voxtral_streaming.engines.options import check_options
from voxtral_streaming.logs import set_up_logging
from voxtral_streaming.transcriber import Transcriber

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def run(config: Config, options: StreamOptions, pcm: tuple[int, int] | None, *, as_json: bool) -> None:
    """Caption standard input, `pcm` being its rate and channels, or the microphone, until it ends or Ctrl-C."""
    check_standard_output()
    set_up_logging(LoggingConfig(level="warning", file=None))
    sound = open_standard_input(*pcm) if pcm else open_microphone()
    asyncio.run(_listen(config, options, sound, as_json=as_json))


async def _listen(
    config: Config, options: StreamOptions, opening: AbstractAsyncContextManager[Sound], *, as_json: bool
) -> None:
    """The sound is opened first: what is said while the model is loaded waits."""
    async with opening as sound, Transcriber(config) as transcriber:
        capabilities = transcriber.engine.capabilities
        check_options(transcriber.options(options), capabilities)
        if sys.stderr.isatty():
            sys.stderr.write(f"voxtral: listening ({capabilities.model}); Ctrl-C ends\n")
        with _stopped_by_signals(sound), open_captions(as_json=as_json) as captions:
            async with aclosing(transcriber.stream(_samples(sound), options=options)) as events:
                async for event in events:
                    captions.show(event)


async def _samples(sound: Sound) -> AsyncIterator[Samples]:
    decoder = PcmDecoder("pcm_s16le", sound.rate, sound.channels)
    async for data in sound:
        yield decoder.feed(data)
    yield decoder.finish()


@contextmanager
def _stopped_by_signals(sound: Sound) -> Iterator[None]:
    """Let the sound end at the first signal, so that what was said still gets its final; the second one ends all."""
    loop = asyncio.get_running_loop()

    def stop() -> None:
        forget()
        sound.stop()

    def forget() -> None:
        for number in STOP_SIGNALS:
            loop.remove_signal_handler(number)

    for number in STOP_SIGNALS:
        loop.add_signal_handler(number, stop)
    try:
        yield
    finally:
        forget()
