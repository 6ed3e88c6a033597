"""What a caller may read: the policy that every door into the package asks.

A trusted caller, the user of the library or of the command line, may read what his account can
read. A remote caller, a client of the server, may read what the operator allows.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Container, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import TypeAlias

import httpcore

from voxtral_streaming.audio.guard import Address, is_public
from voxtral_streaming.config import AudioConfig

Resolver: TypeAlias = Callable[[str, int], Awaitable[Sequence[Address]]]
"""Host and port to addresses; raises OSError for a host that does not exist."""

WEB_PORTS = frozenset({80, 443})
ALL_PORTS = range(1, 65536)
UNCOMPRESSED_BYTES_PER_SECOND = 48_000 * 2 * 2  # 16-bit stereo at 48 kHz


async def resolve_host(host: str, port: int) -> Sequence[Address]:
    """Ask the system's resolver, without blocking the event loop."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    return [ip_address(sockaddr[0]) for *_, sockaddr in found]


def _any_address(address: Address) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class SourcePolicy:
    """What a caller may read, and how much of it. Made by `trusted` or `remote`."""

    audio: AudioConfig
    is_trusted: bool
    max_bytes: int  # of what comes over a network
    may_dial: Callable[[Address], bool]
    ports: Container[int]
    resolve: Resolver = resolve_host
    network: httpcore.AsyncNetworkBackend = field(default_factory=httpcore.AnyIOBackend)

    @classmethod
    def trusted(cls, audio: AudioConfig) -> SourcePolicy:
        """Any readable file and any URL; fetched bytes up to uncompressed audio of the longest recording."""
        max_bytes = int(audio.max_seconds * UNCOMPRESSED_BYTES_PER_SECOND)
        return cls(audio, is_trusted=True, max_bytes=max_bytes, may_dial=_any_address, ports=ALL_PORTS)

    @classmethod
    def remote(cls, audio: AudioConfig) -> SourcePolicy:
        """Only what the section `audio` of the configuration allows; public addresses, ports 80 and 443."""
        return cls(audio, is_trusted=False, max_bytes=audio.max_bytes, may_dial=is_public, ports=WEB_PORTS)
