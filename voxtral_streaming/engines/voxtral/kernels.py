"""What makes a step faster without changing it: attention kernels, compilation, 8-bit weights."""

from __future__ import annotations

import logging
from contextlib import AbstractContextManager
from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import linear

from voxtral_streaming.engines.voxtral.facts import WINDOW_PER_TOKEN
from voxtral_streaming.engines.voxtral.model import RealtimeModel
from voxtral_streaming.engines.voxtral.stepper import CATCH_UP, Stepper

log = logging.getLogger(__name__)

Kernel: TypeAlias = Literal["auto", "flash", "cudnn", "efficient", "math"]
BY_PREFERENCE: dict[Kernel, SDPBackend] = {
    "flash": SDPBackend.FLASH_ATTENTION,
    "cudnn": SDPBackend.CUDNN_ATTENTION,
    "efficient": SDPBackend.EFFICIENT_ATTENTION,
    "math": SDPBackend.MATH,
}


def attention(preferred: Kernel) -> AbstractContextManager[None]:
    """A scope in which attention tries the preferred kernel first, and the others where that one cannot.

    On a GPU the flash kernel takes no mask, and a step over many streams needs one: there cuDNN's is next.
    """
    first = [BY_PREFERENCE[preferred]] if preferred != "auto" else []
    others = [kernel for kernel in BY_PREFERENCE.values() if kernel not in first]
    scope: AbstractContextManager[None] = sdpa_kernel(first + others, set_priority=True)
    return scope


def compile_steps(stepper: Stepper) -> bool:
    """Compile the step for every shape that it may be asked for; False, with a warning, where that fails.

    Done before the first session, so that none waits for a compiler; on a GPU each shape becomes a CUDA graph. The
    compiled step must predict the same tokens as the plain one.
    """
    plain = stepper.advance
    mode = "reduce-overhead" if stepper.model.device.type == "cuda" else "default"
    expected = _rehearse(stepper)
    stepper.advance = torch.compile(plain, mode=mode)
    stepper.fixed_shapes = True
    try:
        agreed = _rehearse(stepper) == expected
        problem = "it predicts other tokens"
        if agreed:
            _visit_shapes(stepper)
    except RuntimeError as error:  # every failure of the compiler is one
        agreed, problem = False, str(error).strip().partition("\n")[0]
    if not agreed:
        log.warning("the step could not be compiled, it runs uncompiled: %s", problem)
        stepper.advance, stepper.fixed_shapes = plain, False
    return agreed


def _rehearse(stepper: Stepper) -> list[list[int]]:
    """The tokens of a second of noise in the first row."""
    noise = torch.randn(1, CATCH_UP, WINDOW_PER_TOKEN, generator=torch.Generator().manual_seed(0)) / 10
    stepper.join(0, n_delay=1)
    return [stepper.step(noise, [n])[0] for n in (CATCH_UP, CATCH_UP, 1, 1)]


def _visit_shapes(stepper: Stepper) -> None:
    for n_rows, n_tokens, furthest in stepper.shapes():
        stepper.visit(n_rows, n_tokens, furthest)


class Int8Linear(nn.Module):
    """A linear layer whose weight is kept in 8 bits, with a scale per output (symmetric, to the nearest)."""

    weight: Tensor
    scale: Tensor

    def __init__(self, full: nn.Linear) -> None:
        super().__init__()
        largest = full.weight.float().abs().amax(1).clamp(min=1e-12)  # [n_out]
        scale = largest / 127
        self.register_buffer("weight", (full.weight.float() / scale[:, None]).round().to(torch.int8))
        self.register_buffer("scale", scale.to(full.weight.dtype))
        self.bias = full.bias

    def forward(self, x: Tensor) -> Tensor:
        """[..., n_in] to [..., n_out]."""
        if x.device.type == "cpu":
            flat: Tensor = torch._weight_int8pack_mm(x.reshape(-1, x.shape[-1]), self.weight, self.scale)
            product = flat.view(*x.shape[:-1], -1)
        else:  # the compiler fuses the conversion into the product
            product = linear(x, self.weight.to(x.dtype)) * self.scale
        return product if self.bias is None else product + self.bias


def quantize(model: RealtimeModel) -> None:
    """Keep the weights of all layers and of the projector in 8 bits; norms, convolutions and embedding stay."""
    for part in (model.encoder.layers, model.decoder.layers, model.projector):
        for parent in list(part.modules()):
            for name, child in list(parent.named_children()):
                if isinstance(child, nn.Linear):
                    setattr(parent, name, Int8Linear(child))
