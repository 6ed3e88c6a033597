from __future__ import annotations

import subprocess
import sys

import pytest

PREPARE = "import os, signal, socket, sys; from voxtral_streaming.audio.decoder.confine import confine; "


def confined(then: str, cpu_seconds: int = 5) -> subprocess.CompletedProcess[str]:
    """Run code in a process that was confined to 64 MiB more than it had."""
    code = f"{PREPARE}confine({cpu_seconds}, 64 * 2**20)\n{then}"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=20)


@pytest.mark.parametrize(
    "then",
    [
        "open(os.devnull)",
        "open(os.devnull, 'w')",
        "socket.socket()",
        "socket.socket(socket.AF_INET, socket.SOCK_DGRAM)",
        "os.pipe()",
    ],
)
def test_it_opens_nothing(then: str) -> None:
    assert "Too many open files" in confined(then).stderr


@pytest.mark.skipif(sys.platform != "linux", reason="no other system limits the address space")
def test_it_has_no_more_memory_than_it_may() -> None:
    assert "MemoryError" in confined("bytes(4 * 2**30)").stderr
    assert confined("bytes(32 * 2**20)").returncode == 0


def test_it_spins_no_longer_than_it_may() -> None:
    assert confined("while True: pass", cpu_seconds=1).returncode < 0


def test_it_still_speaks() -> None:
    assert confined("print('hello')").stdout == "hello\n"
