"""The command line as a user has it: another process, in an empty folder, with the small built-in model."""

from __future__ import annotations

import os
import pty
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TypeAlias

import pytest

PATIENCE_S = 90.0
PROGRAM = (sys.executable, "-W", "error", "-m", "voxtral_streaming.cli.main")

Result: TypeAlias = subprocess.CompletedProcess[bytes]
Run: TypeAlias = Callable[..., Result]
Start: TypeAlias = Callable[..., subprocess.Popen[bytes]]


def environment(settings: Mapping[str, str]) -> dict[str, str]:
    """Ours, without settings of whoever runs the tests."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("VOXTRAL_", "HF_"))}
    return inherited | {"VOXTRAL_MODEL__NAME": "whisper-tiny.en", "COLUMNS": "200", **settings}


@pytest.fixture
def voxtral(tmp_path: Path) -> Run:
    """`voxtral("check", "--json")` runs a command to its end; keywords are environment variables."""

    def run(*arguments: str | Path, stdin: bytes = b"", **settings: str) -> Result:
        return subprocess.run(
            [*PROGRAM, *map(str, arguments)],
            input=stdin,
            capture_output=True,
            cwd=tmp_path,
            env=environment(settings),
            timeout=PATIENCE_S,
        )

    return run


@pytest.fixture
def silenced(tmp_path: Path) -> Run:
    """The same as `voxtral`, with standard output closed."""

    def run(*arguments: str | Path) -> Result:
        closing = ["sh", "-c", 'exec "$@" >&-', "sh"]
        return subprocess.run(
            [*closing, *PROGRAM, *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            cwd=tmp_path,
            env=environment({}),
            timeout=PATIENCE_S,
        )

    return run


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """`start("serve")` starts a command, which ends with the test at the latest."""
    processes: list[subprocess.Popen[bytes]] = []

    def popen(
        *arguments: str, stdin: int = subprocess.PIPE, stdout: int = subprocess.PIPE, stderr: int = subprocess.PIPE
    ) -> subprocess.Popen[bytes]:
        command = [*PROGRAM, *arguments]
        process = subprocess.Popen(
            command, stdin=stdin, stdout=stdout, stderr=stderr, cwd=tmp_path, env=environment({"TERM": "xterm"})
        )
        processes.append(process)
        return process

    yield popen
    for process in processes:
        process.kill()
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None and not stream.closed:
                stream.close()
        process.wait()


class Terminal:
    """A terminal for a program to write to; `screen` is all that was written, read until nobody writes any more."""

    def __init__(self) -> None:
        self._ours, self.end = pty.openpty()

    def screen(self) -> str:
        os.close(self.end)
        seen = b""
        while data := self._read():
            seen += data
        os.close(self._ours)
        return seen.decode()

    def _read(self) -> bytes:
        try:
            return os.read(self._ours, 65536)
        except OSError:  # how Linux tells that the last writer is gone
            return b""


@pytest.fixture
def terminal() -> Terminal:
    return Terminal()


@pytest.fixture
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def speech(root: Path) -> Path:
    """The folder of recordings; tests/data/speech/README.md has what is said in them."""
    return root / "tests" / "data" / "speech"


@pytest.fixture
def short(speech: Path) -> Path:
    """Two and a half seconds: he might even have been made amiable himself."""
    return speech / "en_librivox_0930.flac"
