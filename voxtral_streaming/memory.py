"""How the C library hands out memory, where it is glibc; elsewhere nothing here does anything."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable

M_ARENA_MAX = -8  # malloc.h of glibc


def share_one_heap() -> None:
    """Let all threads allocate from one heap, before they start.

    Recognition allocates tens of megabytes for milliseconds, on whichever thread has its turn; a heap for each
    thread keeps that many times over. Measured with whisper-base: 430 MB instead of 520, at the same speed.
    """
    mallopt = _of_glibc("mallopt")
    if mallopt is not None:
        mallopt(M_ARENA_MAX, 1)


def give_back() -> None:
    """Return free memory to the system, also what lies between memory in use; milliseconds, if there is much.

    A model as it was read is three times as large as a model that is loaded, and hours of speech leave gaps.
    """
    trim = _of_glibc("malloc_trim")
    if trim is not None:
        trim(0)


def _of_glibc(name: str) -> Callable[..., int] | None:
    return getattr(ctypes.CDLL(None), name, None) if sys.platform == "linux" else None
