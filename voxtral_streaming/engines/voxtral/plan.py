"""How much fits: streams and the decoder's memory of each, decided from true sizes before anything is loaded."""

from __future__ import annotations

import math
import re

from voxtral_streaming.engines.voxtral.facts import ENCODER_FRAMES_PER_TOKEN, MS_PER_TOKEN, ModelFacts
from voxtral_streaming.engines.voxtral.layout import parameters
from voxtral_streaming.engines.voxtral.ring import ring_bytes
from voxtral_streaming.engines.voxtral.stepper import CATCH_UP, Sizes, room
from voxtral_streaming.engines.voxtral.tekken import DELAYS_MS, Tekken, delay_tokens
from voxtral_streaming.errors import EngineUnavailable

MAX_ROWS = 64  # streams of one step
LIBRARY_BYTES = 2**30  # of a GPU, for kernels, library workspaces and fragmentation
PRODUCT = re.compile(r".*\.layers\.\d+\.(attention|ffn)\.|projector\.")  # parameters that 8 bits are for


def weight_bytes(facts: ModelFacts, itemsize: int, *, int8: bool) -> int:
    """What the weights take; with `int8`, one byte for each weight of the layers' and the projector's products."""
    total = 0
    for name, pieces in parameters(facts).items():
        is_small = int8 and name.endswith(".weight") and PRODUCT.match(name) is not None
        total += sum(math.prod(piece.shape) for piece in pieces) * (1 if is_small else itemsize)
    return total


def row_bytes(facts: ModelFacts, tekken: Tekken, window: int, itemsize: int) -> int:
    """What a stream takes: two ring caches, and its share of the largest step."""
    spare = room(tekken)
    encoder = ring_bytes(facts.encoder, facts.encoder.window, ENCODER_FRAMES_PER_TOKEN * spare, itemsize)
    group = facts.decoder.n_heads // facts.decoder.n_kv_heads
    widest = 2 * facts.vocab_size + 4 * facts.decoder.ffn_dim + group * window
    return encoder + ring_bytes(facts.decoder, window, spare, itemsize) + CATCH_UP * widest * itemsize


def plan(
    facts: ModelFacts, tekken: Tekken, *, itemsize: int, weight_bytes: int, limit_bytes: int, longest_s: float
) -> Sizes:
    """Rows and decoder window for a memory limit.

    The window is the model's, or halved as often as it takes for `MAX_ROWS` streams to fit, but never shorter than an
    utterance of `longest_s` seconds needs: such utterances lose nothing by it. Raises `EngineUnavailable` where not
    even one such stream fits.
    """
    left = limit_bytes - weight_bytes
    window, shortest = facts.decoder.window, min(facts.decoder.window, tokens_of(tekken, longest_s))
    while _rows(facts, tekken, window, itemsize, left) < MAX_ROWS and window > shortest:
        window = max(window // 2, shortest)
    n_rows = _rows(facts, tekken, window, itemsize, left)
    if n_rows < 1:
        needed = weight_bytes + row_bytes(facts, tekken, window, itemsize)
        raise EngineUnavailable(
            f"the model needs {needed / 1e9:.1f} GB for its weights and one stream of {longest_s:.0f} s; "
            f"`model.max_memory_per_gpu` and the free memory leave {limit_bytes / 1e9:.1f} GB"
        )
    return Sizes(min(n_rows, MAX_ROWS), window)


def _rows(facts: ModelFacts, tekken: Tekken, window: int, itemsize: int, left: int) -> int:
    return max(0, left) // row_bytes(facts, tekken, window, itemsize)


def tokens_of(tekken: Tekken, seconds: float) -> int:
    """Positions that an utterance of so many seconds takes at the longest delay, its padding included."""
    n_delay = delay_tokens(DELAYS_MS[-1])
    n_audio = int(seconds * 1000) // MS_PER_TOKEN + 1
    return tekken.prompt_length(n_delay) + n_audio + tekken.n_right_pad(n_delay)
