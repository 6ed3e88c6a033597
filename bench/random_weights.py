"""How fast this machine steps Voxtral Realtime: random weights are as heavy as trained ones, and need no download.

The model is built in memory, planned, packed or compiled as the engine does it, and stepped with several numbers of
streams. Nothing is written.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from bench.machine import describe
from voxtral_streaming.config import StreamingConfig
from voxtral_streaming.engines.voxtral.checkpoint import random_model
from voxtral_streaming.engines.voxtral.device import choose_device, free_bytes
from voxtral_streaming.engines.voxtral.facts import MS_PER_TOKEN, WINDOW_PER_TOKEN, ModelFacts, StackFacts
from voxtral_streaming.engines.voxtral.kernels import accelerate, attention
from voxtral_streaming.engines.voxtral.linears import pack
from voxtral_streaming.engines.voxtral.plan import plan, weight_bytes
from voxtral_streaming.engines.voxtral.stepper import Sizes, Stepper
from voxtral_streaming.engines.voxtral.tekken import Tekken, delay_tokens

Size: TypeAlias = Literal["tiny", "400m", "4b"]
SIZES: dict[Size, ModelFacts] = {
    "tiny": ModelFacts(
        encoder=StackFacts(96, 2, 4, 4, 16, 192, 1e6, 100, 1e-5),
        decoder=StackFacts(96, 2, 4, 2, 24, 192, 1e6, 80, 1e-5),
        vocab_size=512,
    ),
    "400m": ModelFacts(
        encoder=StackFacts(768, 12, 12, 12, 64, 2048, 1e6, 750, 1e-5),
        decoder=StackFacts(1024, 24, 16, 8, 64, 3072, 1e6, 8192, 1e-5),
        vocab_size=32768,
    ),
    "4b": ModelFacts(
        encoder=StackFacts(1280, 32, 32, 32, 64, 5120, 1e6, 750, 1e-5),
        decoder=StackFacts(3072, 26, 32, 8, 128, 9216, 1e6, 8192, 1e-5),
        vocab_size=131072,
    ),
}
TEKKEN = Tekken(
    n_special=1000, pieces=(), bos=1, streaming_pad=32, n_left_pad=32, delay_ms=480, streaming_word=33
)  # no text is written
LEVELS = (1, 4, 8, 16, 32, 64)  # streams
WARM_UP, STEPS = 8, 40  # steps of each level


@dataclass(frozen=True, slots=True)
class Task:
    """What to measure, as the engine is configured."""

    size: Size
    device: str = "auto"
    torch_dtype: str = "bfloat16"
    use_torch_compile: bool = True
    most_streams: int = 16


@dataclass(frozen=True, slots=True)
class Built:
    """A stepper, and how it came to be."""

    stepper: Stepper
    sizes: Sizes  # as the engine would plan them
    compiled: str  # "not", or what became of compiling


def measure(task: Task) -> dict[str, Any]:
    """All figures, ready for JSON. Raises `EngineUnavailable` where the device is missing or its memory too small."""
    built = _build(task)
    stepper, device = built.stepper, built.stepper.model.device
    with attention("auto"):
        levels = [_level(stepper, n_streams) for n_streams in levels_up_to(stepper.n_rows)]
    return {
        "engine": "voxtral_realtime",
        "weights": "random",
        "size": task.size,
        "n_weights": weight_bytes(SIZES[task.size], 1, int8=False),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else describe().cpu,
        "threads": None if device.type == "cuda" else torch.get_num_threads(),
        "torch": torch.__version__,
        "torch_dtype": task.torch_dtype,
        "compiled": built.compiled,
        "planned_streams": built.sizes.n_rows,
        "window": built.sizes.window,
        "levels": levels,
    }


def levels_up_to(most: int) -> list[int]:
    """The numbers of streams that are measured: those of `LEVELS` below `most`, and it."""
    return [*(level for level in LEVELS if level < most), most]


def _build(task: Task) -> Built:
    facts, device = SIZES[task.size], choose_device(task.device)
    dtype: torch.dtype = getattr(torch, task.torch_dtype)
    sizes = plan(
        facts,
        TEKKEN,
        itemsize=dtype.itemsize,
        weight_bytes=weight_bytes(facts, dtype.itemsize, int8=False),
        limit_bytes=free_bytes(device),
        longest_s=StreamingConfig().max_utterance_s,
    )
    model = random_model(facts, dtype, device)
    pack(model)
    stepper = Stepper(model, TEKKEN, Sizes(min(sizes.n_rows, task.most_streams), sizes.window))
    is_compiled = task.use_torch_compile and device.type == "cuda"  # as the engine does
    return Built(stepper, sizes, accelerate(stepper) if is_compiled else "not")


def _level(stepper: Stepper, n_streams: int) -> dict[str, Any]:
    """The time of a step at so many streams: in milliseconds, and as tokens in a second of all of them."""
    n_rows, _ = stepper.shape(n_streams, 1)
    windows = torch.randn(n_rows, 1, WINDOW_PER_TOKEN, generator=torch.Generator().manual_seed(0)) / 10
    counts = [1] * n_streams + [0] * (n_rows - n_streams)
    for row in range(n_streams):
        stepper.join(row, delay_tokens(TEKKEN.delay_ms))
    young = _times(lambda: stepper.step(windows, counts))
    furthest = stepper.decoder_ring.size
    full = _times(lambda: _finish(stepper.visit(n_rows, 1, furthest), stepper.model.device))
    median = float(np.median(young))
    return {
        "streams": n_streams,
        "step_ms": round(median, 3),
        "step_p99_ms": round(float(np.percentile(young, 99)), 3),
        "full_window_ms": round(float(np.median(full)), 3),
        "tokens_per_second": round(1000 * n_streams / median, 1),
        "is_real_time": bool(np.median(full) < MS_PER_TOKEN),
    }


def _finish(_: None, device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _times(step: Callable[[], object]) -> Sequence[float]:
    """Milliseconds of each step, after those that warm it up."""
    times = []
    for _ in range(WARM_UP + STEPS):
        started = time.perf_counter()
        step()
        times.append(1000 * (time.perf_counter() - started))
    return times[WARM_UP:]


def show(out: Console, figures: dict[str, Any]) -> None:
    """Print the figures as a table."""
    for label, value in (
        ("random weights", f"{figures['n_weights']:,}, {figures['torch_dtype']}"),
        ("device", figures["device"]),
        ("threads", figures["threads"] or "-"),
        ("compiled", figures["compiled"]),
        ("streams that fit", f"{figures['planned_streams']}, each remembering {figures['window']} tokens"),
    ):
        out.print(f"{label:<18} {value}", highlight=False)
    table = Table("streams", "step, ms", "p99", "window full, ms", "tokens/s", f"below {MS_PER_TOKEN} ms")
    for level in figures["levels"]:
        times = (f"{level[name]:.2f}" for name in ("step_ms", "step_p99_ms", "full_window_ms"))
        verdict = "yes" if level["is_real_time"] else "no"
        table.add_row(str(level["streams"]), *times, f"{level['tokens_per_second']:.0f}", verdict)
    out.print(table)
