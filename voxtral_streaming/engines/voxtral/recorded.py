"""A step as a recording: its kernels are launched all at once instead of one by one from Python.

A recording has its shapes and its memory fixed: what goes in is copied to where it was when it was recorded.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor

from voxtral_streaming.engines.voxtral.stepper import Advance, Outputs

WARM_UPS = 2  # runs before a recording: libraries choose kernels and take their memory

Record: TypeAlias = Callable[[Callable[[], Outputs]], tuple[Callable[[], Any], Outputs]]
"""Records a function without arguments; answers what replays it, and the outputs that a replay fills anew."""


class _Recording(NamedTuple):
    mel: Tensor
    counts: Tensor
    replay: Callable[[], Any]
    outputs: Outputs


class Recorded:
    """An `Advance` that is recorded at its first call with each shape.

    It is recorded with counts of zero, and such a step changes no row. Its answers are valid until its next call.
    """

    def __init__(self, advance: Advance, record: Record) -> None:
        self._advance = advance
        self._record = record
        self._recordings: dict[tuple[Any, ...], _Recording] = {}

    def __call__(
        self, mel: Tensor, counts: Tensor, first_row: int, encoder_length: int, decoder_length: int
    ) -> Outputs:
        """Step, as the advance that was recorded would."""
        key = (*mel.shape, first_row, encoder_length, decoder_length)
        if key not in self._recordings:
            self._recordings[key] = self._recorded(mel, counts, first_row, encoder_length, decoder_length)
        recording = self._recordings[key]
        recording.mel.copy_(mel)
        recording.counts.copy_(counts)
        recording.replay()
        return recording.outputs

    def _recorded(self, mel: Tensor, counts: Tensor, *where: int) -> _Recording:
        mel, counts = torch.zeros_like(mel), torch.zeros_like(counts)
        replay, outputs = self._record(lambda: self._advance(mel, counts, *where))
        return _Recording(mel, counts, replay, outputs)


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
