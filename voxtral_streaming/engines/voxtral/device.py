"""Where the Voxtral engines run, and what memory there is."""

from __future__ import annotations

import torch

from voxtral_streaming.engines.voxtral.memory import free_memory
from voxtral_streaming.engines.voxtral.plan import LIBRARY_BYTES
from voxtral_streaming.errors import EngineUnavailable


def choose_device(asked: str) -> torch.device:
    """The device of `model.device`. Raises `EngineUnavailable` where it is not there."""
    if asked == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    device = torch.device(asked)
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        n_gpus = torch.cuda.device_count()
        raise EngineUnavailable(f"model.device is {asked}; torch sees {n_gpus} GPUs on this machine")
    return device


def free_bytes(device: torch.device) -> int:
    """Memory that an engine may plan with."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0] - LIBRARY_BYTES
    return free_memory() - LIBRARY_BYTES
