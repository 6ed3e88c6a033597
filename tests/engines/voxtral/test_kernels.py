from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest
import torch

from voxtral_streaming.audio.units import Samples
from voxtral_streaming.engines.voxtral.kernels import accelerate, attention
from voxtral_streaming.engines.voxtral.recorded import Recorded
from voxtral_streaming.engines.voxtral.stepper import CATCH_UP, Stepper

OpenStepper = Callable[..., Stepper]


@pytest.mark.parametrize("kernel", ["auto", "flash", "cudnn", "efficient", "math"])
def test_every_preference_gives_the_same_tokens_and_forbids_nothing(
    open_stepper: OpenStepper, transcribe_alone: Any, oracle: Any, clip: Samples, kernel: Any
) -> None:
    with attention(kernel):
        assert torch._C._get_math_sdp_enabled()
        assert transcribe_alone(open_stepper(), clip) == oracle(clip)


def test_shapes_are_few_where_they_are_fixed(open_stepper: OpenStepper) -> None:
    stepper = open_stepper(12)
    assert stepper.shape(5, 3) == (5, 3)
    stepper.fixed_shapes = True
    assert stepper.shape(5, 3) == (8, CATCH_UP)
    assert stepper.shape(12, 1) == (12, 1)
    assert stepper.shape(3, 1, first_row=10) == (2, 1)
    assert {shape[:2] for shape in stepper.shapes()} == {(n, q) for n in (1, 2, 4, 8, 12) for q in (1, CATCH_UP)}


def test_fixed_shapes_give_the_same_tokens(
    open_stepper: OpenStepper, transcribe_alone: Any, oracle: Any, clip: Samples, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Compilation with a compiler that does nothing: what is asked of it, and what its steps give."""
    monkeypatch.setattr(torch, "compile", lambda function, **_: function)
    stepper = open_stepper(4)
    assert accelerate(stepper) == "compiled"
    assert stepper.fixed_shapes
    assert transcribe_alone(stepper, clip) == oracle(clip)


class Tape:
    """Records on a CPU: a replay runs the function again, into the same outputs. It counts its recordings."""

    def __init__(self) -> None:
        self.n_recordings = 0

    def __call__(self, function: Callable[[], Any]) -> Any:
        self.n_recordings += 1
        outputs = tuple(output.clone() for output in function())

        def replay() -> None:
            for output, fresh in zip(outputs, function(), strict=True):
                output.copy_(fresh)

        return replay, outputs


def test_recorded_steps_give_the_same_tokens(
    open_stepper: OpenStepper, transcribe_alone: Any, oracle: Any, clip: Samples
) -> None:
    """Each shape is recorded once, in the middle of the stream, without a trace in the rows."""
    stepper, tape = open_stepper(2), Tape()
    stepper.advance = Recorded(stepper.advance, tape)
    assert transcribe_alone(stepper, clip, n_tokens=1, row=1) == oracle(clip)
    n_recordings = tape.n_recordings
    assert transcribe_alone(stepper, clip, n_tokens=1, row=1) == oracle(clip)
    assert 1 <= n_recordings == tape.n_recordings <= 3


def broken(function: Any, **_: Any) -> Any:
    def fail(*_: Any) -> Any:
        raise RuntimeError("no C++ compiler\nand a long story")

    return fail


def lying(function: Any, **_: Any) -> Any:
    def lie(*arguments: Any) -> Any:
        predicted, *others = function(*arguments)
        return predicted + 1, *others

    return lie


@pytest.mark.parametrize(("compiler", "reason"), [(broken, "no C++ compiler"), (lying, "it predicts other tokens")])
def test_a_compiler_that_fails_or_errs_is_not_used(
    open_stepper: OpenStepper,
    transcribe_alone: Any,
    oracle: Any,
    clip: Samples,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    compiler: Any,
    reason: str,
) -> None:
    monkeypatch.setattr(torch, "compile", compiler)
    stepper = open_stepper(2)
    with caplog.at_level(logging.WARNING):
        assert accelerate(stepper) == "left plain"
    assert [record.message for record in caplog.records] == [f"the step could not be compiled: {reason}"]
    assert not stepper.fixed_shapes
    assert transcribe_alone(stepper, clip) == oracle(clip)
