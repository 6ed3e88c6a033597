"""Tokens are those of transformers, and a row's do not depend on what the others do."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from voxtral_streaming.audio.units import Samples
from voxtral_streaming.engines.voxtral.facts import WINDOW_PER_TOKEN
from voxtral_streaming.engines.voxtral.files import Checkpoint
from voxtral_streaming.engines.voxtral.framer import Framer
from voxtral_streaming.engines.voxtral.stepper import CATCH_UP, Stepper
from voxtral_streaming.engines.voxtral.tekken import Detokenizer

DELAYS = (3, 6, 12)

OpenStepper = Callable[..., Stepper]


@pytest.fixture(scope="module")
def long_clip(clip: Samples) -> Samples:
    """22 s: past the encoder's window of 2 s and the decoder's of 6.4 s, several times."""
    return np.tile(clip, 3)


@pytest.mark.parametrize("n_delay", DELAYS)
def test_the_clip_comes_out_exact(
    open_stepper: OpenStepper, transcribe_alone: Any, checkpoint: Checkpoint, clip: Samples, words: str, n_delay: int
) -> None:
    tokens = transcribe_alone(open_stepper(), clip, n_delay)
    assert Detokenizer(checkpoint.tekken).feed(tokens) == f" {words}"


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize(
    ("kernel", "attention"), [(SDPBackend.FLASH_ATTENTION, "sdpa"), (SDPBackend.MATH, "eager")], ids=["flash", "math"]
)
def test_tokens_equal_those_of_transformers_past_both_windows(
    open_stepper: OpenStepper,
    transcribe_alone: Any,
    oracle: Any,
    long_clip: Samples,
    dtype: Any,
    kernel: Any,
    attention: str,
) -> None:
    with sdpa_kernel(kernel):
        tokens = transcribe_alone(open_stepper(dtype=dtype), long_clip, n_tokens=1)
    assert tokens == oracle(long_clip, dtype=dtype, attention=attention)


@pytest.mark.parametrize("n_tokens", [2, 3, CATCH_UP])
def test_catching_up_gives_the_same_tokens(
    open_stepper: OpenStepper, transcribe_alone: Any, oracle: Any, long_clip: Samples, n_tokens: int
) -> None:
    assert transcribe_alone(open_stepper(), long_clip, n_tokens=n_tokens) == oracle(long_clip)


@pytest.mark.parametrize("n_delay", [1, 3, 12, 30])
def test_every_delay_equals_transformers(
    open_stepper: OpenStepper, transcribe_alone: Any, oracle: Any, clip: Samples, n_delay: int
) -> None:
    assert transcribe_alone(open_stepper(), clip, n_delay) == oracle(clip, n_delay)


def test_positions_may_grow_for_years(
    open_stepper: OpenStepper, transcribe_alone: Any, oracle: Any, long_clip: Samples
) -> None:
    """Only differences of positions count; ten years are 4e9 tokens."""
    stepper = open_stepper()
    join = stepper.join

    def join_late(row: int, n_delay: int) -> None:
        join(row, n_delay)
        shift = 4_000_000_000 // stepper.decoder_ring.size // stepper.encoder_ring.size
        shift *= stepper.decoder_ring.size * stepper.encoder_ring.size
        for ring, factor in ((stepper.encoder_ring, 4), (stepper.decoder_ring, 1)):
            turn(ring, row, shift * factor, stepper.model)
        stepper.positions[row] += shift
        stepper.prompts[row] += shift

    stepper.join = join_late  # type: ignore[method-assign]
    assert transcribe_alone(stepper, long_clip) == oracle(long_clip)


def turn(ring: Any, row: int, shift: int, model: Any) -> None:
    """Make a row's cache one of `shift` positions later."""
    rotary = model.encoder.rotary if ring.group == 1 else model.decoder.rotary
    cos, sin = rotary(torch.tensor([[shift]]), torch.float64)  # [1, 1, 1, head_dim]
    keys = ring.keys[:, row].double()
    first, second = keys.chunk(2, dim=-1)
    ring.keys[:, row] = (keys * cos[0] + torch.cat((-second, first), dim=-1) * sin[0]).float()
    ring.held[row] += torch.where(ring.held[row] >= 0, shift, 0)


class Listener:
    """A stream that joins late, stalls and catches up as chance has it."""

    def __init__(self, checkpoint: Checkpoint, samples: Samples, n_delay: int) -> None:
        framer = Framer()
        framer.feed(samples)
        self.windows = framer.padded(framer.n_padded(checkpoint.tekken.n_right_pad(n_delay)))
        self.n_delay, self.tokens = n_delay, list[int]()

    @property
    def left(self) -> int:
        return len(self.windows) - len(self.tokens)

    def next(self, count: int) -> torch.Tensor:
        return torch.from_numpy(self.windows[len(self.tokens) :][:count].copy())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_sixteen_streams_at_random_equal_each_alone(
    open_stepper: OpenStepper, transcribe_alone: Any, checkpoint: Checkpoint, clip: Samples, dtype: Any
) -> None:
    chance = random.Random(1)
    stepper = open_stepper(16, dtype)
    cuts = [clip[chance.randrange(20_000) :][: chance.randrange(30_000, 110_000)] for _ in range(24)]
    streams = [Listener(checkpoint, cut, chance.choice(DELAYS)) for cut in cuts]
    waiting, seated = list(streams), list[Listener]()
    while waiting or seated:
        if waiting and len(seated) < 16 and chance.random() < 0.3:
            stepper.join(len(seated), waiting[0].n_delay)
            seated.append(waiting.pop(0))
        n_tokens = chance.choice((1, 1, 1, CATCH_UP))
        advance(stepper, seated, n_tokens, chance)
        leave(stepper, seated)
    for stream, cut in zip(streams, cuts, strict=True):
        alone = transcribe_alone(open_stepper(dtype=dtype), cut, stream.n_delay, n_tokens=1)
        assert stream.tokens[stream.n_delay + 1 :] == alone


def advance(stepper: Stepper, seated: list[Listener], n_tokens: int, chance: random.Random) -> None:
    """One step; a stream in six stalls, others may have heard less than the step has room for."""
    counts = [0 if chance.random() < 0.15 else min(s.left, chance.randint(1, n_tokens)) for s in seated]
    if not any(counts):
        return
    windows = torch.zeros(len(seated), n_tokens, WINDOW_PER_TOKEN)
    for row, (stream, count) in enumerate(zip(seated, counts, strict=True)):
        windows[row, :count] = stream.next(count)
    for stream, predicted in zip(seated, stepper.step(windows, counts), strict=True):
        stream.tokens += predicted.tokens


def leave(stepper: Stepper, seated: list[Listener]) -> None:
    """Finished streams leave; the last row moves into the hole."""
    for row in reversed(range(len(seated))):
        if seated[row].left == 0:
            last = seated.pop()
            if row < len(seated):
                stepper.move(len(seated), row)
                seated[row] = last


def test_a_row_goes_back_to_a_mark_as_if_nothing_had_been(
    open_stepper: OpenStepper, transcribe_alone: Any, checkpoint: Checkpoint, clip: Samples
) -> None:
    stepper, stream = open_stepper(2), Listener(checkpoint, clip, 6)
    noise = torch.randn(1, CATCH_UP, WINDOW_PER_TOKEN, generator=torch.Generator().manual_seed(0))
    stepper.join(1, 6)
    while stream.left:
        mark = stepper.mark(1)
        for _ in range(4):
            stepper.step(noise, [CATCH_UP], 1)
        stepper.rewind(1, mark)
        stream.tokens += stepper.step(stream.next(1)[None], [1], 1)[0].tokens
    assert stream.tokens[7:] == transcribe_alone(open_stepper(), clip)


def test_an_end_of_sequence_is_a_token_like_any_other(
    open_stepper: OpenStepper, transcribe_alone: Any, clip: Samples, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A head that says `</s>` instead of one of its words: the stream goes on, with the token as its input."""
    stepper = open_stepper()
    expected = transcribe_alone(stepper, clip)
    three = max(set(expected) - {32, 33}, key=expected.count)
    weight = stepper.model.decoder.embedding.weight.clone()
    weight[[2, three]] = weight[[three, 2]]
    embedding = torch.nn.Embedding(*weight.shape)
    embedding.weight = torch.nn.Parameter(weight, requires_grad=False)
    monkeypatch.setitem(stepper.model.decoder._modules, "embedding", embedding)  # an attribute would be deleted later
    assert transcribe_alone(stepper, clip) == [2 if token == three else token for token in expected]
