"""A network between client and server that can be cut."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

CHUNK = 2**16  # bytes that are passed on at once
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: on, for no time, so that closing sends RST and not FIN


class Wire:
    """Passes bytes on, both ways, until it is cut: then both ends of every connection are reset."""

    def __init__(self, port: int) -> None:
        """`port`: the server's."""
        self._port = port
        self._writers: set[asyncio.StreamWriter] = set()
        self._connections: set[asyncio.Task[None] | None] = set()

    @asynccontextmanager
    async def open(self) -> AsyncIterator[int]:
        """Listen while the context lasts, on the port that comes out."""
        server = await asyncio.start_server(self._connect, "127.0.0.1", 0)
        async with server:
            yield int(server.sockets[0].getsockname()[1])
            self.cut()
            await asyncio.gather(*filter(None, self._connections))

    def cut(self) -> int:
        """Reset every connection; how many ends there were."""
        writers = tuple(self._writers)
        for writer in writers:
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            writer.transport.abort()
        return len(writers)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        self._connections.add(task)
        with suppress(OSError):
            there, back = await asyncio.open_connection("127.0.0.1", self._port)
            await asyncio.gather(self._pass_on(reader, back), self._pass_on(there, writer))
        writer.close()
        self._connections.discard(task)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while data := await reader.read(CHUNK):
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            writer.transport.abort()
        finally:
            writer.close()
            self._writers.discard(writer)
