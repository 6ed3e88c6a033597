"""What the tests of audio share: policies, a site to fetch from, and sounds in every container."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.video.stream import VideoStream

from voxtral_streaming.audio.guard import Address
from voxtral_streaming.audio.source import ALL_PORTS, SourcePolicy
from voxtral_streaming.audio.units import SAMPLE_RATE, Samples
from voxtral_streaming.config import AudioConfig

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@pytest.fixture
def config() -> AudioConfig:
    return AudioConfig(sample_rate=16000)


@pytest.fixture
def trusted(config: AudioConfig) -> SourcePolicy:
    return SourcePolicy.trusted(config)


@pytest.fixture
def remote(config: AudioConfig) -> SourcePolicy:
    return SourcePolicy.remote(config)


@pytest.fixture
def to_site() -> Callable[[SourcePolicy], SourcePolicy]:
    """A policy's copy for which every host is the test's own machine, and may be dialled."""

    async def resolve(host: str, port: int) -> Sequence[Address]:
        return [ip_address("127.0.0.1")]

    return lambda policy: replace(policy, may_dial=lambda address: True, ports=ALL_PORTS, resolve=resolve)


@dataclass
class Site:
    """A web server that answers each path as it is told, byte for byte."""

    port: int = 0
    answers: dict[str, Handler | bytes] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)

    def url(self, path: str, host: str = "public.test") -> str:
        return f"http://{host}:{self.port}{path}"

    def serve(self, path: str, body: bytes) -> str:
        """Answer a path with a body; its URL."""
        self.answers[path] = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body
        return self.url(path)

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = (await reader.readuntil(b"\r\n\r\n")).decode()
            self.requests.append(request)
            answer = self.answers[request.split()[1]]
            if isinstance(answer, bytes):
                writer.write(answer)
                await writer.drain()
            else:
                await answer(reader, writer)
        except ConnectionError:
            return
        finally:
            writer.close()


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    site = Site()
    server = await asyncio.start_server(site.handle, "127.0.0.1", 0)
    site.port = server.sockets[0].getsockname()[1]
    yield site
    server.close()


@pytest.fixture(scope="session")
def speech() -> Samples:
    """Two seconds at 16 kHz that rise and fall like speech: a gliding voice in syllables."""
    t = np.arange(2 * SAMPLE_RATE) / SAMPLE_RATE
    phase = 2 * np.pi * np.cumsum(140 + 30 * np.sin(2 * np.pi * 0.7 * t)) / SAMPLE_RATE
    voice = sum(np.sin(k * phase) / k for k in range(1, 12))
    syllables = np.clip(np.sin(2 * np.pi * 3 * t), 0, 1)
    return (0.2 * voice * syllables).astype(np.float32)


@dataclass(frozen=True)
class Recipe:
    """How to write a recording: container, codec, rate, channels, and whether a picture goes with it."""

    container: str
    codec: str
    rate: int = SAMPLE_RATE
    layout: str = "mono"
    has_video: bool = False


@pytest.fixture(scope="session")
def record(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Samples, Recipe], Path]:
    """Write samples at 16 kHz as a recipe says; the path of the file."""
    folder = tmp_path_factory.mktemp("recordings")

    def write(samples: Samples, recipe: Recipe) -> Path:
        path = folder / f"{recipe.codec}-{recipe.rate}-{recipe.layout}-{len(samples)}.{recipe.container}"
        strict = {"strict": "-2"}  # the encoder of Vorbis calls itself experimental
        with av.open(str(path), "w", format=recipe.container) as container:
            stream = container.add_stream(recipe.codec, rate=recipe.rate, layout=recipe.layout, options=strict)
            assert isinstance(stream, AudioStream)
            video = add_video(container) if recipe.has_video else None
            for packet in encoded(stream, samples):
                container.mux(packet)
            for packet in [] if video is None else pictures(video):
                container.mux(packet)
        return path

    return write


def encoded(stream: AudioStream, samples: Samples) -> list[av.Packet[Any]]:
    resampler = av.AudioResampler(format=stream.format, layout=stream.layout, rate=stream.rate)
    every_channel = np.repeat(samples, stream.layout.nb_channels)[None, :]
    frame = av.AudioFrame.from_ndarray(every_channel, format="flt", layout=stream.layout)
    frame.sample_rate = SAMPLE_RATE
    frames = [*resampler.resample(frame), *resampler.resample(None)]
    return [packet for part in [*frames, None] for packet in stream.encode(part)]


def add_video(container: OutputContainer) -> VideoStream:
    stream = container.add_stream("mpeg4", rate=25)
    stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
    return stream


def pictures(stream: VideoStream) -> list[av.Packet[Any]]:
    frames = [av.VideoFrame(64, 48, "yuv420p") for _ in range(50)]
    return [packet for part in [*frames, None] for packet in stream.encode(part)]


@pytest.fixture
def hour(tmp_path: Path) -> Iterator[Path]:
    """An hour of silence, a sparse file."""
    path = tmp_path / "hour.wav"
    n_bytes = 3600 * SAMPLE_RATE * 2
    head = b"RIFF" + (n_bytes + 36).to_bytes(4, "little") + b"WAVEfmt " + (16).to_bytes(4, "little")
    head += b"\1\0\1\0" + SAMPLE_RATE.to_bytes(4, "little") + (2 * SAMPLE_RATE).to_bytes(4, "little") + b"\2\0\x10\0"
    path.write_bytes(head + b"data" + n_bytes.to_bytes(4, "little"))
    os.truncate(path, n_bytes + 44)
    yield path
    path.unlink()


@pytest.fixture(scope="session")
def hostile() -> Path:
    """A folder of hostile files and case tables, beside the repository; skips where there is none."""
    folder = Path(__file__).parents[3] / "shared" / "hostile"
    if not folder.is_dir():
        pytest.skip("no hostile corpus beside the repository")
    return folder


@pytest.fixture(scope="session")
def recipe() -> type[Recipe]:
    return Recipe
