"""What a decoder gives up before it looks at a stranger's bytes. It cannot be undone."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

STATM = Path("/proc/self/statm")  # sizes in pages, the first one the whole address space


def confine(cpu_seconds: int, memory_bytes: int) -> None:
    """Take from this process what decoding does not need.

    Afterwards it opens no file and no socket (no new descriptor), writes no file, starts no process or
    thread, leaves no core, uses at most `cpu_seconds` of processor time and, on Linux, the only system
    that enforces it, at most `memory_bytes` more address space than it has now.
    """
    if sys.platform == "linux":
        _limit(resource.RLIMIT_AS, _address_space() + memory_bytes)
    _limit(resource.RLIMIT_CPU, cpu_seconds)
    for gone in (resource.RLIMIT_CORE, resource.RLIMIT_FSIZE, resource.RLIMIT_NPROC, resource.RLIMIT_NOFILE):
        _limit(gone, 0)


def _limit(which: int, value: int) -> None:
    resource.setrlimit(which, (value, value))


def _address_space() -> int:
    return int(STATM.read_text().split()[0]) * resource.getpagesize()
