"""Time of a step of Voxtral Realtime on this machine, with random weights: they are as heavy as trained ones.

    python -m bench.voxtral_step                  # 0.4 billion weights, against transformers' generate
    python -m bench.voxtral_step --size tiny      # what a step costs beyond its arithmetic
    python -m bench.voxtral_step --size 4b --device cuda --streams 1 8 32 64

Both are timed from token to token at the same contexts, in rounds that follow one another; told is the best round's
lower quartile, because other work on the machine only adds. transformers serves streams one after the other, so that
its time per token is that of one stream, however many there are.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch

from bench.random_weights import SIZES, TEKKEN
from voxtral_streaming.engines.voxtral.checkpoint import load_model, random_model
from voxtral_streaming.engines.voxtral.facts import WINDOW_PER_TOKEN, ModelFacts, StackFacts
from voxtral_streaming.engines.voxtral.files import Checkpoint, open_checkpoint
from voxtral_streaming.engines.voxtral.kernels import accelerate, attention
from voxtral_streaming.engines.voxtral.linears import pack
from voxtral_streaming.engines.voxtral.model import RealtimeModel
from voxtral_streaming.engines.voxtral.stepper import Sizes, Stepper
from voxtral_streaming.engines.voxtral.tekken import Tekken

TINY = Path(__file__).parents[1] / "tests" / "data" / "voxtral_realtime_tiny"
N_DELAY = 6


def write_checkpoint(facts: ModelFacts, folder: Path, dtype: torch.dtype) -> None:
    """Random weights for both: transformers initialises and saves them."""
    import transformers

    library: Any = transformers
    config = library.VoxtralRealtimeConfig(
        audio_config=stack_config(facts.encoder, "voxtral_realtime_encoder", facts),
        text_config=stack_config(facts.decoder, "voxtral_realtime_text", facts),
    )
    torch.manual_seed(0)
    library.VoxtralRealtimeForConditionalGeneration(config).to(dtype).save_pretrained(folder)
    (folder / "tekken.json").write_bytes((TINY / "tekken.json").read_bytes())


def stack_config(stack: StackFacts, model_type: str, facts: ModelFacts) -> dict[str, Any]:
    """A stack as transformers describes it."""
    return {
        "model_type": model_type,
        "hidden_size": stack.dim,
        "num_hidden_layers": stack.n_layers,
        "num_attention_heads": stack.n_heads,
        "num_key_value_heads": stack.n_kv_heads,
        "head_dim": stack.head_dim,
        "intermediate_size": stack.ffn_dim,
        "rope_parameters": {"rope_type": "default", "rope_theta": stack.rope_theta},
        "sliding_window": stack.window,
        "rms_norm_eps": stack.norm_eps,
        "vocab_size": facts.vocab_size,
        "pad_token_id": 11,
    }


def lower_quartile(times: list[float]) -> float:
    """What a quarter of them stays below."""
    return sorted(times)[len(times) // 4]


def oracle_timer(folder: Path, dtype: torch.dtype, n_tokens: int) -> Callable[[], float]:
    """Seconds per token of transformers' `generate`."""
    import transformers

    library: Any = transformers.VoxtralRealtimeForConditionalGeneration
    model = library.from_pretrained(folder, dtype=dtype).eval()
    prompt = torch.tensor([[1] + [32] * (32 + N_DELAY)])
    features = torch.randn(1, 128, (prompt.shape[1] + n_tokens + 1) * 8).to(dtype)
    common = {"input_ids": prompt, "input_features": features, "num_delay_tokens": N_DELAY, "eos_token_id": None}

    def run() -> float:
        moments = list[float]()

        def note(ids: torch.Tensor, _scores: Any) -> torch.Tensor:
            moments.append(time.perf_counter())
            return torch.zeros(len(ids), dtype=torch.bool)

        model.generate(**common, max_new_tokens=n_tokens + 1, do_sample=False, stopping_criteria=[note])
        return lower_quartile([after - before for before, after in pairwise(moments)])

    return run


def step_timer(stepper: Stepper, n_streams: int, n_tokens: int) -> Callable[[], float]:
    """Seconds per step of `n_streams` streams, over `n_tokens` steps after the prompt."""
    generator = torch.Generator().manual_seed(0)
    windows = torch.randn(n_streams, 1, WINDOW_PER_TOKEN, generator=generator) / 10

    def run() -> float:
        for row in range(n_streams):
            stepper.join(row, N_DELAY)
        times = []
        for _ in range(N_DELAY + 1 + n_tokens):
            started = time.perf_counter()
            stepper.step(windows, [1] * n_streams)
            times.append(time.perf_counter() - started)
        return lower_quartile(times[-n_tokens:])

    return run


def outside_timer(stepper: Stepper, n_streams: int, n_tokens: int) -> Callable[[], float]:
    """Seconds of a step spent outside the model: on the mel, on copies and on bookkeeping."""
    advance, inside = stepper.advance, list[float]()

    def timed(*arguments: Any) -> Any:
        started = time.perf_counter()
        answer = advance(*arguments)
        inside.append(time.perf_counter() - started)
        return answer

    whole = step_timer(stepper, n_streams, n_tokens)

    def run() -> float:
        inside.clear()
        stepper.advance = timed
        total = whole()
        stepper.advance = advance
        return total - lower_quartile(inside[-n_tokens:])

    return run


def best(timers: dict[str, Callable[[], float]], n_rounds: int) -> dict[str, float]:
    """The best of each timer, in milliseconds."""
    rounds = [{name: timer() for name, timer in timers.items()} for _ in range(n_rounds)]
    return {name: 1000 * min(one[name] for one in rounds) for name in timers}


def open_model(options: argparse.Namespace, folder: Path) -> tuple[RealtimeModel, Tekken]:
    """The model that is measured; a CPU's weights are packed, as the engine packs them."""
    dtype, device = getattr(torch, options.dtype), torch.device(options.device)
    if options.size == "4b":
        return random_model(SIZES["4b"], dtype, device), TEKKEN
    checkpoint: Checkpoint = open_checkpoint(TINY if options.size == "tiny" else folder)
    model = load_model(checkpoint, dtype, device)
    pack(model)
    return model, checkpoint.tekken


def measure(options: argparse.Namespace, folder: Path) -> dict[str, float]:
    """Milliseconds, by what was measured."""
    timers: dict[str, Callable[[], float]] = {}
    if options.size == "400m":
        write_checkpoint(SIZES["400m"], folder, getattr(torch, options.dtype))
        timers["transformers, 1 stream"] = oracle_timer(folder, getattr(torch, options.dtype), options.tokens)
    model, tekken = open_model(options, folder)
    stepper = Stepper(model, tekken, Sizes(max(options.streams), min(options.window, model.facts.decoder.window)))
    if options.compile:
        print(f"the step was {accelerate(stepper)}")
    for n_streams in options.streams:
        timers[f"step, {n_streams} streams"] = step_timer(stepper, n_streams, options.tokens)
        if options.size == "tiny":
            timers[f"of it outside the model, {n_streams} streams"] = outside_timer(stepper, n_streams, options.tokens)
    with attention("auto"):
        return best(timers, options.rounds)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=["tiny", "400m", "4b"], default="400m")
    parser.add_argument("--streams", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument("--dtype", choices=["float32", "bfloat16", "float16"], default="bfloat16")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--window", type=int, default=1024, help="tokens that the decoder remembers")
    parser.add_argument("--tokens", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--compile", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as folder:
        times = measure(options, Path(folder))
    reference = times.get("transformers, 1 stream")
    for name, milliseconds in times.items():
        n_streams = int(name.split()[-2])
        gain = f"  {reference * n_streams / milliseconds:5.1f} times as fast" if reference else ""
        print(f"{name:40}  {milliseconds:8.2f} ms{gain}")


if __name__ == "__main__":
    main()
