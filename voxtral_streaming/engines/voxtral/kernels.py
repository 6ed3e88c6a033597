"""What makes a step faster without changing it: the choice of attention kernels, compilation, CUDA graphs."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Literal, TypeAlias

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from voxtral_streaming.engines.voxtral.facts import WINDOW_PER_TOKEN
from voxtral_streaming.engines.voxtral.recorded import Recorded, record_graph
from voxtral_streaming.engines.voxtral.stepper import CATCH_UP, Advance, Stepper

MAX_GRAPHS = 64  # compiled forms of the step; about nine serve all shapes

log = logging.getLogger(__name__)

Done: TypeAlias = Literal["compiled", "recorded", "left plain"]
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


def accelerate(stepper: Stepper) -> Done:
    """Make the step faster for every shape that it may be asked for; what was done.

    Done before the first session, so that none waits for a compiler. On a GPU the compiled step is recorded as a CUDA
    graph for each shape; where compiling fails the plain one is recorded. What fails, or predicts other tokens than
    the plain step, is not used, and a warning says so.
    """
    plain, expected = stepper.advance, _rehearse(stepper)
    for done, advance in _candidates(stepper):
        stepper.advance, stepper.fixed_shapes = advance, True
        if (problem := _problem(stepper, expected)) is None:
            return done
        log.warning("the step could not be %s: %s", done, problem)
    stepper.advance, stepper.fixed_shapes = plain, False
    return "left plain"


def _candidates(stepper: Stepper) -> Iterator[tuple[Done, Advance]]:
    plain = stepper.advance
    compiled: Advance = torch.compile(plain, dynamic=True)
    if stepper.model.device.type == "cuda":
        yield "compiled", Recorded(compiled, record_graph)
        yield "recorded", Recorded(plain, record_graph)
    else:
        yield "compiled", compiled


def _problem(stepper: Stepper, expected: list[list[int]]) -> str | None:
    """What is wrong with the stepper's present step; it has seen all shapes where nothing is."""
    try:
        with torch._dynamo.config.patch(recompile_limit=MAX_GRAPHS):
            if _rehearse(stepper) != expected:
                return "it predicts other tokens"
            for n_rows, n_tokens, furthest in stepper.shapes():
                stepper.visit(n_rows, n_tokens, furthest)
    except RuntimeError as error:  # every failure of compiler and recorder is one
        return str(error).strip().partition("\n")[0]
    return None


def _rehearse(stepper: Stepper) -> list[list[int]]:
    """The tokens of a second of noise in the first row."""
    noise = torch.randn(1, CATCH_UP, WINDOW_PER_TOKEN, generator=torch.Generator().manual_seed(0)) / 10
    stepper.join(0, n_delay=1)
    return [stepper.step(noise, [n])[0].tokens for n in (CATCH_UP, CATCH_UP, 1, 1)]
