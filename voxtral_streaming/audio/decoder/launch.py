"""The reader's side of the decoder process: start it when it is needed, hand it jobs."""

from __future__ import annotations

import asyncio
import atexit
import os
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import BinaryIO

from voxtral_streaming.audio.decoder.wire import QUIT, START, Job, encode

PACKAGE_ROOT = Path(__file__).parents[3]
BOOT = "import sys; sys.path[:] = sys.argv[1:]; from voxtral_streaming.audio.decoder.process import main; main()"
KEPT_ENVIRONMENT = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")  # how libraries are found; secrets stay here
SEND_BUFFER = 2**16  # bytes, a second of audio


class DecoderProcess:
    """The one decoder process of this process; started by the first job, ended with the interpreter.

    A process that ended (it was killed, or this is a fork that does not own it) is started again.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None

    @property
    def pid(self) -> int | None:
        """Its process id, while it runs."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    def submit(self, *descriptors: int) -> None:
        """Start a decoder on the file, the socket and the lifeline; the caller may close his own at once."""
        with self._lock:
            if self.pid is None or self._control is None:
                self._control = self._start()
            socket.send_fds(self._control, [START], descriptors)

    def close(self) -> None:
        """End the process and every decoder. Idempotent; the next job starts it again."""
        with self._lock:
            if self._process is None or self._control is None:
                return
            if self.pid is not None:  # else this is a fork, and the process is not its own
                self._control.send(QUIT)
                self._process.wait()
            self._control.close()
            self._control = self._process = None

    def _start(self) -> socket.socket:
        if self._control is not None:
            self._control.close()
        ours, theirs = socket.socketpair()
        path = [str(PACKAGE_ROOT), *filter(None, sys.path)]
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", BOOT, *path],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                env={name: os.environ[name] for name in KEPT_ENVIRONMENT if name in os.environ}
                | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},  # a process that forks has one thread
                start_new_session=True,  # no Ctrl-C of the terminal; the reader says when it is over
            )
        atexit.register(self.close)
        return ours


DECODER = DecoderProcess()


@asynccontextmanager
async def decoder(file: BinaryIO, job: Job) -> AsyncIterator[asyncio.StreamReader]:
    """A decoder at work on `file` (with a descriptor, seekable), and the stream of its messages.

    It waits while nobody reads. On exit it is killed, if it is not done.
    """
    ours, theirs = socket.socketpair()
    lifeline, held = os.pipe()
    with os.fdopen(held, "wb", buffering=0):
        with ours, theirs, os.fdopen(lifeline, "rb", buffering=0):
            theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
            DECODER.submit(file.fileno(), theirs.fileno(), lifeline)
            reader, writer = await asyncio.open_connection(sock=ours.dup())
        try:
            writer.write(encode(job))
            yield reader
        finally:
            writer.transport.abort()
