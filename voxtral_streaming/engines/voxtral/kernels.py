"""What makes a step faster without changing it: the choice of attention kernels, compilation, CUDA graphs."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any, Literal, Protocol, TypeAlias

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from voxtral_streaming.engines.voxtral.recorded import Recorded, Step, record_graph

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


class Steps(Protocol):
    """What takes steps of fixed shapes."""

    advance: Any
    """The step itself, on tensors: a faster one may take its place."""
    fixed_shapes: bool
    """Whether steps have few shapes."""

    @property
    def device(self) -> torch.device:
        """Where it computes."""

    def rehearse(self) -> object:
        """What a few steps of every kind predict: the same each time, however fast they are."""

    def visit_shapes(self) -> None:
        """Take a step of every shape that there is, counting for nobody."""


def accelerate(steps: Steps) -> Done:
    """Make the step faster for every shape that it may be asked for; what was done.

    Done before the first session, so that none waits for a compiler. On a GPU the compiled step is recorded as a CUDA
    graph for each shape; where compiling fails the plain one is recorded. What fails, or predicts other tokens than
    the plain step, is not used, and a warning says so.
    """
    plain, expected = steps.advance, steps.rehearse()
    for done, advance in _candidates(steps):
        steps.advance, steps.fixed_shapes = advance, True
        if (problem := _problem(steps, expected)) is None:
            return done
        log.warning("the step could not be %s: %s", done, problem)
    steps.advance, steps.fixed_shapes = plain, False
    return "left plain"


def _candidates(steps: Steps) -> Iterator[tuple[Done, Step]]:
    plain = steps.advance
    compiled: Step = torch.compile(plain, dynamic=True)
    if steps.device.type == "cuda":
        yield "compiled", Recorded(compiled, record_graph)
        yield "recorded", Recorded(plain, record_graph)
    else:
        yield "compiled", compiled


def _problem(steps: Steps, expected: object) -> str | None:
    """What is wrong with the present step; it has seen all shapes where nothing is."""
    try:
        with torch._dynamo.config.patch(recompile_limit=MAX_GRAPHS):
            if steps.rehearse() != expected:
                return "it predicts other tokens"
            steps.visit_shapes()
    except RuntimeError as error:  # every failure of compiler and recorder is one
        return str(error).strip().partition("\n")[0]
    return None
