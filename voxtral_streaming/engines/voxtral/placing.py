"""A model's weights, read to where the configuration wants them and in the form that it wants."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import nn

from voxtral_streaming.config import ModelConfig, memory_bytes
from voxtral_streaming.engines.voxtral.device import free_bytes
from voxtral_streaming.engines.voxtral.linears import pack, quantize

ModelT = TypeVar("ModelT", bound=nn.Module)


def limit_bytes(config: ModelConfig, device: torch.device) -> int:
    """What the model and its caches may take of the device."""
    return min(memory_bytes(config.max_memory_per_gpu), free_bytes(device))


def place(load: Callable[[torch.dtype, torch.device], ModelT], config: ModelConfig, device: torch.device) -> ModelT:
    """The model that `load` reads: in 8 bits, or packed where the CPU has kernels for that, or as it is."""
    dtype: torch.dtype = getattr(torch, config.torch_dtype)
    if config.voxtral_int8:
        model = load(dtype, torch.device("cpu"))  # whole, it might not fit on the device
        quantize(model)
        return model.to(device)
    model = load(dtype, device)
    pack(model)
    return model
