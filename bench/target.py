"""The server that is measured: one that runs already, or one started here."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO
from urllib.parse import urlsplit

import httpx

from bench.clips import ROOT
from bench.machine import listening_process

SERVE = (sys.executable, "-m", "voxtral_streaming.cli.main", "serve")
MAX_SESSIONS = "1000"  # more than the machine carries: how that shows is to be measured
READY_S = 120.0
STOP_S = 20.0
LOCAL = frozenset({"127.0.0.1", "::1", "localhost"})


@dataclass(frozen=True, slots=True)
class Target:
    """Where to connect, and the process to charge, where it can be seen."""

    url: str
    pid: int | None
    key: str | None = None


class ServerStartError(Exception):
    """The server ended, or was not ready in time; the message ends with what it said."""


def running(url: str, pid: int | None = None, key: str | None = None) -> Target:
    """A server that runs already; on this machine its process is found by the port."""
    address = urlsplit(url)
    if pid is None and address.hostname in LOCAL:
        pid = listening_process(address.port or (443 if address.scheme == "wss" else 80))
    return Target(url, pid, key)


@contextmanager
def started(settings: Mapping[str, str]) -> Iterator[Target]:
    """Start this project's server with the configuration overrides of `settings`; stopped at the end."""
    port = _free_port()
    environment = {"VOXTRAL_SERVER__MAX_SESSIONS": MAX_SESSIONS, **os.environ, **settings}
    environment["VOXTRAL_SERVER__PORT"] = str(port)
    with tempfile.TemporaryFile("w+", encoding="utf-8") as said:
        previous = signal.signal(signal.SIGTERM, signal.default_int_handler)  # told to stop, stop the server first
        process = subprocess.Popen(SERVE, cwd=ROOT, env=environment, stdout=said, stderr=subprocess.STDOUT)
        try:
            _await_ready(process, port, said)
            yield Target(f"ws://127.0.0.1:{port}/ws", process.pid)
        finally:
            _stop(process)
            signal.signal(signal.SIGTERM, previous)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _await_ready(process: subprocess.Popen[bytes], port: int, said: IO[str]) -> None:
    deadline = time.monotonic() + READY_S
    while not _is_ready(port):
        if process.poll() is not None or time.monotonic() > deadline:
            said.seek(0)
            raise ServerStartError(f"the server did not get ready; it said:\n{said.read()[-4000:]}")
        time.sleep(0.1)


def _is_ready(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/health/ready", timeout=5.0, trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
