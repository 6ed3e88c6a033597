"""Voxtral Mini and Small on this machine, with random weights: they are as heavy as trained ones.

    python -m bench.voxtral_offline                       # half a billion weights, against transformers
    python -m bench.voxtral_offline --settings            # what settings do to a step
    python -m bench.voxtral_offline --size 3b --device cuda --compile --requests 1 8 16

Decoding is timed from the first token on, of requests whose answers have different lengths, as those of utterances do,
so many at a time: here the next takes the row of one that is done. `generate` of transformers takes one request after
the other with a static cache, or so many in a batch, which goes on until the longest is done. Rounds follow each other,
and the best of each is told, because other work only adds.

Then the time to the first token of a request (its window of 30 s encoded, its prompt read) on an idle engine, and while
others decode.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import torch

from voxtral_streaming.engines.voxtral.facts import StackFacts
from voxtral_streaming.engines.voxtral.kernels import Kernel, accelerate, attention
from voxtral_streaming.engines.voxtral.layout import Layout
from voxtral_streaming.engines.voxtral.linears import pack, quantize
from voxtral_streaming.engines.voxtral_offline.batch import Batch, Sizes
from voxtral_streaming.engines.voxtral_offline.checkpoint import random_model
from voxtral_streaming.engines.voxtral_offline.facts import OfflineFacts, WhisperFacts
from voxtral_streaming.engines.voxtral_offline.layout import parameters
from voxtral_streaming.engines.voxtral_offline.model import VoxtralModel
from voxtral_streaming.engines.voxtral_offline.worker import Kind, Request, Worker

SIZES = {
    "500m": OfflineFacts(
        WhisperFacts(dim=768, n_layers=12, n_heads=12, ffn_dim=3072, n_positions=1500),
        StackFacts(1024, 26, 16, 8, 64, 3072, 1e8, 32768, 1e-5),
        vocab_size=32768,
    ),
    "3b": OfflineFacts(
        WhisperFacts(dim=1280, n_layers=32, n_heads=20, ffn_dim=5120, n_positions=1500),
        StackFacts(3072, 30, 32, 8, 128, 8192, 1e8, 32768, 1e-5),
        vocab_size=131072,
    ),
}
AUDIO = 24  # the token that stands for 80 ms of audio
NO_EOS = -1  # random weights end nowhere
PACKED = "packed"
N_BESIDES = 10  # tokens of a prompt that are no audio


def lengths(n_requests: int, n_tokens: int) -> list[int]:
    """Tokens of the answers of so many requests, evenly from a tenth of `n_tokens` on: utterances of 2.6 s to 26 s."""
    if n_requests == 1:
        return [n_tokens]
    return [max(2, round(n_tokens * (0.1 + 0.9 * n / (n_requests - 1)))) for n in range(n_requests)]


def prompt(facts: OfflineFacts) -> list[int]:
    """As long as that of a transcription of one window."""
    return [1] * (N_BESIDES // 2) + [AUDIO] * facts.encoder.n_tokens + [1] * (N_BESIDES // 2)


class Ours:
    """Rows that have read their prompts, and decode."""

    def __init__(self, batch: Batch) -> None:
        self._batch = batch
        mel = torch.randn(128, batch.model.facts.encoder.n_mel_frames, generator=torch.Generator().manual_seed(0))
        self._audio = returned(batch.encode(mel))

    def decode(self, wanted: Sequence[int], n_rows: int) -> float:
        """Seconds in which requests get so many tokens each, after their first, `n_rows` of them at a time."""
        first = self._ready(n_rows)
        waiting = [(most - 1, first) for most in reversed(wanted)]
        rows = [waiting.pop() for _ in range(n_rows)]
        started = time.perf_counter()
        while rows:
            predicted = self._batch.step([token for _, token in rows])
            rows = [(n_left - 1, token) for (n_left, _), token in zip(rows, predicted, strict=True)]
            self._seat(rows, waiting)
            self._close_up(rows)
        return time.perf_counter() - started

    def _seat(self, rows: list[tuple[int, int]], waiting: list[tuple[int, int]]) -> None:
        """The next request takes the row of one that is done, where the same prompt stands already."""
        for row, (n_left, _) in enumerate(rows):
            if not n_left and waiting:
                rows[row] = waiting.pop()
                self._batch.rewind(row, len(prompt(self._batch.model.facts)))

    def _close_up(self, rows: list[tuple[int, int]]) -> None:
        """As the worker does: the last row takes the place of one that is done."""
        for row in reversed(range(len(rows))):
            if not rows[row][0]:
                if row < len(rows) - 1:
                    self._batch.move(len(rows) - 1, row)
                rows[row] = rows[-1]
                rows.pop()

    def _ready(self, n_rows: int) -> int:
        """Let rows read the same prompt; what each says first."""
        read, batch = prompt(self._batch.model.facts), self._batch
        batch.begin(0)
        [first] = returned(batch.prefill(0, read, self._audio, 1))
        for row in range(1, n_rows):
            batch.ring.load(row, batch.ring.view(0, len(read)))
            batch.rewind(row, len(read))
        return int(first)

    def read_s(self) -> float:
        """Seconds in which one prompt is read, as it would be for every token without a cache."""
        self._batch.begin(0)
        started = time.perf_counter()
        returned(self._batch.prefill(0, prompt(self._batch.model.facts), self._audio, 1))
        return time.perf_counter() - started


def returned(pieces: Any) -> Any:
    """What a generator returns."""
    while True:
        try:
            next(pieces)
        except StopIteration as stop:
            return stop.value


class Theirs:
    """`generate` of transformers, timed from token to token."""

    def __init__(self, model: VoxtralModel) -> None:
        self._facts = model.facts
        self._model = oracle_of(model)

    def decode_one_by_one(self, wanted: Sequence[int]) -> float:
        """Seconds in which requests get so many tokens each, told from the longest of them."""
        return self.decode(1, max(wanted)) / (max(wanted) - 1) * (sum(wanted) - len(wanted))

    def decode(self, n_rows: int, n_tokens: int) -> float:
        """Seconds in which a batch gets so many tokens each, after their first."""
        moments = list[float]()

        def note(ids: torch.Tensor, _scores: Any) -> torch.Tensor:
            moments.append(time.perf_counter())
            return torch.zeros(len(ids), dtype=torch.bool, device=ids.device)

        ids = torch.ones(n_rows, len(prompt(self._facts)), dtype=torch.int64, device=self._model.device)
        self._model.generate(
            input_ids=ids,  # of text: audio takes as many places, and is read before the first token
            max_new_tokens=n_tokens,
            do_sample=False,
            eos_token_id=None,
            cache_implementation="static",
            stopping_criteria=[note],
        )
        return moments[-1] - moments[0]


def oracle_of(model: VoxtralModel) -> Any:
    """Our weights in transformers' model."""
    import transformers

    library: Any = transformers
    stack, whisper = model.facts.decoder, model.facts.encoder
    text = {"model_type": "llama", "hidden_size": stack.dim, "intermediate_size": stack.ffn_dim}
    text |= {"num_hidden_layers": stack.n_layers, "num_attention_heads": stack.n_heads, "head_dim": stack.head_dim}
    text |= {"num_key_value_heads": stack.n_kv_heads, "vocab_size": model.facts.vocab_size, "rope_theta": 1e8}
    audio = {"model_type": "voxtral_encoder", "hidden_size": whisper.dim, "intermediate_size": whisper.ffn_dim}
    audio |= {"num_hidden_layers": whisper.n_layers, "num_attention_heads": whisper.n_heads}
    config = library.VoxtralConfig(audio_config=audio, text_config=text, audio_token_id=AUDIO)
    with torch.device("meta"):
        theirs = library.VoxtralForConditionalGeneration(config).eval()
    layout: Layout = "hugging_face"
    state = {}
    for name, pieces in parameters(model.facts).items():
        parts = torch.split(model.get_parameter(name).data, [piece.shape[0] for piece in pieces])
        for piece, part in zip(pieces, parts, strict=True):
            theirs_name = piece.name(layout)
            if theirs_name:
                state[theirs_name if theirs_name.startswith("lm_head") else f"model.{theirs_name}"] = part
    theirs.load_state_dict(state, assign=True)
    rotary = theirs.model.language_model.rotary_emb
    theirs.model.language_model.rotary_emb = type(rotary)(config.text_config)
    return theirs.to(model.device)


def first_token_s(batch: Batch, n_others: int) -> float:
    """Seconds to the first token of a request, while so many others decode."""
    facts = batch.model.facts
    worker = Worker(batch, NO_EOS, "auto")

    def request(most: int) -> Request:
        mel = torch.zeros(1, 128, facts.encoder.n_mel_frames)
        return Request(Kind.FINISH, prompt(facts), mel, most)

    others = [request(batch.context - len(prompt(facts))) for _ in range(n_others)]
    worker.waiting += others
    while any(len(other.said) < 2 for other in others):
        worker.advance()
    asked = request(2)
    worker.waiting.append(asked)
    started = time.perf_counter()
    while not asked.said:
        worker.advance()
    return time.perf_counter() - started


def variants(facts: OfflineFacts, dtype: torch.dtype, device: torch.device) -> Iterator[tuple[str, Batch]]:
    """The same model as it is loaded, packed, and in 8 bits."""
    for name, change in (("as it is", lambda _: None), (PACKED, pack), ("in 8 bits", quantize)):
        model = random_model(facts, dtype, device)
        change(model)
        yield name, Batch(model, Sizes(1, 1024), AUDIO)


def measure_settings(options: argparse.Namespace, batches: Mapping[str, Batch]) -> None:
    """Print what settings do to a step of one request, which is one token."""
    timers: dict[str, Callable[[], float]] = {}
    for name, batch in batches.items():
        timers[name] = partial(step_s, Ours(batch), "auto", options.tokens)
    ours = Ours(batches[PACKED])
    for kernel in ("flash", "efficient", "math"):
        timers[f"packed, attention: {kernel}"] = partial(step_s, ours, kernel, options.tokens)
    timers["packed, without a cache"] = ours.read_s
    for name, seconds in best(timers, options.rounds).items():
        print(f"{name:28} {1000 * seconds:8.1f} ms a token", flush=True)


def step_s(ours: Ours, kernel: Kernel, n_tokens: int) -> float:
    """Seconds of a step of one request."""
    with attention(kernel):
        return ours.decode([n_tokens], 1) / (n_tokens - 1)


def best(timers: Mapping[str, Callable[[], float]], n_rounds: int) -> dict[str, float]:
    """The best of each timer, in seconds."""
    rounds = [{name: timer() for name, timer in timers.items()} for _ in range(n_rounds)]
    return {name: min(one[name] for one in rounds) for name in timers}


def measure_decoding(options: argparse.Namespace, model: VoxtralModel, theirs: Theirs | None, batch: Batch) -> None:
    """Print tokens per second."""
    ours = Ours(batch)
    for n_requests in options.requests:
        wanted = lengths(n_requests, options.tokens)
        n_tokens = sum(wanted) - n_requests
        crowd = wanted * options.waves
        random.Random(0).shuffle(crowd)
        timers: dict[str, Callable[[], float]] = {"ours": partial(ours.decode, crowd, n_requests)}
        if theirs is not None:
            timers["transformers, one by one"] = partial(theirs.decode_one_by_one, wanted)
            timers["transformers, one batch"] = partial(theirs.decode, n_requests, max(wanted))
        times = best(timers, options.rounds)
        times["ours"] /= options.waves
        for name, seconds in times.items():
            gain = f"ours is {seconds / times['ours']:.2f} times as fast" if name != "ours" else ""
            print(f"{n_requests:3} requests, {name:26} {n_tokens / seconds:8.1f} tokens/s  {gain}", flush=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=sorted(SIZES), default="500m")
    parser.add_argument("--requests", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument("--dtype", choices=["float32", "bfloat16", "float16"], default="bfloat16")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--tokens", type=int, default=32, help="of the longest answer")
    parser.add_argument("--waves", type=int, default=3, help="as many requests again come as others end")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--others", type=int, default=8, help="that decode while another one begins")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--settings", action="store_true", help="what settings do to a step, and nothing else")
    parser.add_argument("--alone", action="store_true", help="without transformers")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    dtype, device = getattr(torch, options.dtype), torch.device(options.device)
    if options.settings:
        measure_settings(options, dict(variants(SIZES[options.size], dtype, device)))
        return
    model = random_model(SIZES[options.size], dtype, device)
    print(f"{sum(parameter.numel() for parameter in model.parameters()):,} random weights, {options.dtype}")
    theirs = None if options.alone else Theirs(model)
    pack(model)
    batch = Batch(model, Sizes(max(*options.requests, options.others + 1), 1024), AUDIO)
    if options.compile:
        print(f"the step was {accelerate(batch)}")
    with attention("auto"):
        measure_decoding(options, model, theirs, batch)
        timers = {str(n): partial(first_token_s, batch, n) for n in (0, options.others)}
        for name, seconds in best(timers, options.rounds).items():
            print(f"first token while {name} others decode: {seconds:.2f} s", flush=True)


if __name__ == "__main__":
    main()
