"""A step as a recording: its kernels are launched all at once instead of one by one from Python.

A recording has its shapes and its memory fixed: what goes in is copied to where it was when it was recorded.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor

WARM_UPS = 2  # runs before a recording: libraries choose kernels and take their memory

Outputs: TypeAlias = tuple[Tensor, ...]
Step: TypeAlias = Callable[..., Outputs]
"""Takes tensors, and numbers that decide about shapes. Tensors of zeros must change nothing."""
Record: TypeAlias = Callable[[Callable[[], Outputs]], tuple[Callable[[], Any], Outputs]]
"""Records a function without arguments; answers what replays it, and the outputs that a replay fills anew."""


class _Recording(NamedTuple):
    inputs: list[Tensor]
    replay: Callable[[], Any]
    outputs: Outputs


class Recorded:
    """A step that is recorded at its first call with each shape, with inputs of zeros.

    Its answers are valid until its next call.
    """

    def __init__(self, step: Step, record: Record) -> None:
        self._step = step
        self._record = record
        self._recordings: dict[tuple[Any, ...], _Recording] = {}

    def __call__(self, *arguments: Tensor | int) -> Any:
        """Step, as the one that was recorded would."""
        key = tuple(one.shape if isinstance(one, Tensor) else one for one in arguments)
        if key not in self._recordings:
            self._recordings[key] = self._recorded(arguments)
        recording = self._recordings[key]
        given = [one for one in arguments if isinstance(one, Tensor)]
        for place, one in zip(recording.inputs, given, strict=True):
            place.copy_(one)
        recording.replay()
        return recording.outputs

    def _recorded(self, arguments: tuple[Tensor | int, ...]) -> _Recording:
        places = [torch.zeros_like(one) if isinstance(one, Tensor) else one for one in arguments]
        replay, outputs = self._record(lambda: self._step(*places))
        return _Recording([one for one in places if isinstance(one, Tensor)], replay, outputs)


def record_graph(function: Callable[[], Outputs]) -> tuple[Callable[[], Any], Outputs]:
    """A CUDA graph; all graphs share one pool of memory, since only one runs at a time."""
    for _ in range(WARM_UPS):
        function()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, pool=_pool()):
        outputs = function()
    return graph.replay, outputs


@cache
def _pool() -> Any:
    return torch.cuda.graph_pool_handle()
