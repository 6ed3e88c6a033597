from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from voxtral_streaming.audio.units import Samples
from voxtral_streaming.engines.voxtral.kernels import accelerate, attention
from voxtral_streaming.engines.voxtral.recorded import Recorded
from voxtral_streaming.engines.voxtral_offline.worker import Worker


@pytest.fixture
def audio() -> list[Samples]:
    return [np.random.default_rng(seed).standard_normal(16_000, np.float32) / np.float32(10) for seed in range(3)]


@pytest.fixture
def said(official: Path, ask: Any, serve: Any, audio: list[Samples]) -> Callable[[Worker], list[tuple[int, ...]]]:
    """What is said of the audio, by requests of different lengths."""

    def run(worker: Worker) -> list[tuple[int, ...]]:
        requests = [ask(official, samples, most=most) for samples, most in zip(audio, (9, 25, 17), strict=True)]
        return [answer.tokens for answer in serve(worker, requests, (0, 3, 8))]

    return run


@pytest.mark.parametrize("kernel", ["auto", "flash", "cudnn", "efficient", "math"])
def test_every_preference_gives_the_same_tokens(official: Path, open_worker: Any, said: Any, kernel: Any) -> None:
    expected = said(open_worker(official, 2))
    with attention(kernel):
        assert said(open_worker(official, 2)) == expected


def test_fixed_shapes_give_the_same_tokens(
    official: Path, open_worker: Any, said: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Compilation with a compiler that does nothing: what is asked of it, and what its steps give."""
    monkeypatch.setattr(torch, "compile", lambda function, **_: function)
    worker: Worker = open_worker(official, 3)
    expected = said(open_worker(official, 3))
    assert accelerate(worker._batch) == "compiled"
    assert worker._batch.fixed_shapes
    assert [worker._batch.shape(n) for n in (1, 2, 3)] == [1, 2, 3]
    assert said(worker) == expected


def test_recorded_steps_give_the_same_tokens(official: Path, open_worker: Any, said: Any) -> None:
    """Each shape is recorded once, with rows in the middle of their answers, without a trace in them."""
    recordings: list[Any] = []

    def record(function: Callable[[], tuple[torch.Tensor, ...]]) -> Any:
        outputs = tuple(output.clone() for output in function())
        recordings.append(outputs)

        def replay() -> None:
            for output, fresh in zip(outputs, function(), strict=True):
                output.copy_(fresh)

        return replay, outputs

    worker: Worker = open_worker(official, 3)
    worker._batch.advance = Recorded(worker._batch.advance, record)
    worker._batch.fixed_shapes = True
    expected = said(open_worker(official, 3))
    assert said(worker) == expected
    n_recordings = len(recordings)
    assert said(worker) == expected
    assert 1 <= n_recordings == len(recordings) <= 3


def test_a_compiler_that_errs_is_not_used(
    official: Path, open_worker: Any, said: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lying(function: Any, **_: Any) -> Any:
        return lambda *arguments: (function(*arguments)[0] + 1,)

    monkeypatch.setattr(torch, "compile", lying)
    worker: Worker = open_worker(official, 3)
    assert accelerate(worker._batch) == "left plain"
    assert said(worker) == said(open_worker(official, 3))
