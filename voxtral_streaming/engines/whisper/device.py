"""Where the built-in engine runs."""

from __future__ import annotations

import ctypes
import os
import sys

DRIVERS = {"linux": "libcuda.so.1", "win32": "nvcuda.dll"}  # of NVIDIA's GPUs
MOST_THREADS = 4  # of an encoder: a window of a few seconds is no work for more


def takes_gpu(asked: str, n_gpus: int | None = None) -> bool:
    """Whether CTranslate2 takes a GPU where `asked` is configured; `n_gpus` is what it finds here."""
    if asked != "auto":
        return asked.startswith("cuda")
    return bool(_n_gpus() if n_gpus is None else n_gpus)


def _n_gpus() -> int:
    """That CTranslate2 can use; it is not loaded, which takes 11 MB, where there is no driver."""
    try:
        ctypes.CDLL(DRIVERS[sys.platform])
    except (KeyError, OSError):
        return 0
    import ctranslate2

    n: int = ctranslate2.get_cuda_device_count()
    return n


def encoder_threads(asked: int | str, n_workers: int, n_cores: int | None = None) -> int:
    """How many threads encode a window where `asked` is configured, with so many cores for this process.

    As many for each worker as there are cores for it: threads that wait for each other cost a short window up to half
    as much again (docs/performance.md). What is encoded does not depend on their number.
    """
    if isinstance(asked, int):
        return asked
    return max(1, min(MOST_THREADS, (n_cores or _n_cores()) // n_workers))


def _n_cores() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS and Windows
        return os.cpu_count() or 1


def explain_device(asked: str, n_gpus: int | None = None) -> str:
    """The device that CTranslate2 takes where `asked` is configured, and why; `n_gpus` is what it finds here."""
    if asked != "auto":
        return f"{asked} (asked for)"
    return (
        "cuda (auto: it can be used here)"
        if takes_gpu(asked, n_gpus)
        else "cpu (auto: CTranslate2 finds no CUDA device)"
    )
