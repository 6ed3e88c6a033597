"""What makes a step faster without changing it: the choice of attention kernels, and compilation."""

from __future__ import annotations

import logging
from contextlib import AbstractContextManager
from typing import Literal, TypeAlias

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from voxtral_streaming.engines.voxtral.facts import WINDOW_PER_TOKEN
from voxtral_streaming.engines.voxtral.stepper import CATCH_UP, Stepper

MAX_GRAPHS = 64  # compiled forms of the step; about nine serve all shapes

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
    stepper.advance = torch.compile(plain, mode=mode, dynamic=True)
    stepper.fixed_shapes = True
    try:
        with torch._dynamo.config.patch(recompile_limit=MAX_GRAPHS):
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
