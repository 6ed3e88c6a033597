"""Opens live sessions."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress

from websockets.exceptions import ConnectionClosed

from voxtral_streaming.audio.pcm import Encoding
from voxtral_streaming.audio.units import SAMPLE_RATE
from voxtral_streaming.client.messages import Opened, Started
from voxtral_streaming.client.pcm import Source
from voxtral_streaming.client.session import Session
from voxtral_streaming.client.socket import Server, expect, give_up_when_dead


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
    resume: bool = True,
    live: bool = False,
) -> AsyncGenerator[Session, None]:
    """Open a live session at the `/ws` of a server; leaving the context closes it, finished or not.

    `sample_rate`, `encoding` and `channels` are those of the audio that will be sent; the other options are those of
    `start` in the protocol. `resume`: come back when the connection is lost, so that nothing is lost with it. `live`:
    the audio comes from somebody who speaks now, and cannot wait when there is no room for it any more. Raises
    `SessionError` where the server refuses, OSError and TimeoutError where none is.
    """
    source = Source(encoding, sample_rate, channels, live)
    audio = {"encoding": encoding, "sample_rate": sample_rate, "channels": channels}
    options = {"language": language, "prompt": prompt, "delay_ms": delay_ms, "partials": partials, "words": words}
    server = Server(url, api_key)
    async with await server.open() as socket:
        _, opened = await expect(socket, Opened)
        with suppress(ConnectionClosed):  # which is noticed when the answer is awaited
            await socket.send(json.dumps({"type": "start", "audio": audio, **options, "resume": resume}))
        started = await expect(socket, Started)
        session = Session(server, socket, source, opened, started)
        if session.options.resume is not None:
            give_up_when_dead(socket)
        writing = asyncio.create_task(session.write())
        try:
            yield session
        finally:
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)
            await session.close()
