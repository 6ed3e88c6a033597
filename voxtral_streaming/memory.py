"""What the process keeps in memory: how the C library hands it out, where that is glibc, and what can lie in a file."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from tempfile import TemporaryFile
from typing import Any

import numpy as np
from numpy.typing import NDArray

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8  # malloc.h of glibc
LARGE = 4 * 2**20  # bytes of what is taken from the system by itself, and goes back to it when it is free
SPARE = 16 * 2**20  # bytes that stay at the end of the heap for what comes next


def hold_little() -> None:
    """Let all threads allocate from one heap, and from the system what is large; before the threads start.

    Recognition allocates tens of megabytes for milliseconds, on whichever thread has its turn. A heap for each thread
    keeps that many times over, and glibc raises by itself what it takes for large, until all of it stays in the heap.
    docs/performance.md says what this saves, and costs.
    """
    mallopt = _of_glibc("mallopt")
    if mallopt is not None:
        mallopt(M_ARENA_MAX, 1)
        mallopt(M_MMAP_THRESHOLD, LARGE)
        mallopt(M_TRIM_THRESHOLD, SPARE)


def give_back() -> None:
    """Return free memory to the system, also what lies between memory in use; milliseconds, if there is much.

    A model as it was read is three times as large as a model that is loaded, and hours of speech leave gaps.
    """
    trim = _of_glibc("malloc_trim")
    if trim is not None:
        trim(0)


def in_a_file(array: NDArray[Any]) -> NDArray[Any]:
    """The same array in a temporary file without a name, for what is large and rarely read. Raises `OSError`.

    Only what was read of it is in memory, and the system takes that back where it must.
    """
    with TemporaryFile(prefix="voxtral-") as file:
        file.write(np.ascontiguousarray(array).data)
        file.flush()
        return np.memmap(file, array.dtype, "r", shape=array.shape).view(np.ndarray)


def _of_glibc(name: str) -> Callable[..., int] | None:
    return getattr(ctypes.CDLL(None), name, None) if sys.platform == "linux" else None
