"""Where the built-in engine runs."""

from __future__ import annotations

import ctranslate2


def takes_gpu(asked: str, n_gpus: int | None = None) -> bool:
    """Whether CTranslate2 takes a GPU where `asked` is configured; `n_gpus` is what it finds here."""
    if asked != "auto":
        return asked.startswith("cuda")
    return bool(ctranslate2.get_cuda_device_count() if n_gpus is None else n_gpus)


def explain_device(asked: str, n_gpus: int | None = None) -> str:
    """The device that CTranslate2 takes where `asked` is configured, and why; `n_gpus` is what it finds here."""
    if asked != "auto":
        return f"{asked} (asked for)"
    return (
        "cuda (auto: it can be used here)"
        if takes_gpu(asked, n_gpus)
        else "cpu (auto: CTranslate2 finds no CUDA device)"
    )
