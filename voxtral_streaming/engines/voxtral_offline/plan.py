"""How much fits: requests at a time and the length of each, decided from true sizes before anything is loaded."""

from __future__ import annotations

import math

from voxtral_streaming.audio.units import SAMPLE_RATE
from voxtral_streaming.engines.voxtral.linears import PRODUCTS
from voxtral_streaming.engines.voxtral.ring import ring_bytes
from voxtral_streaming.engines.voxtral_offline.batch import PREFILL, Sizes
from voxtral_streaming.engines.voxtral_offline.facts import OfflineFacts
from voxtral_streaming.engines.voxtral_offline.layout import parameters
from voxtral_streaming.errors import EngineUnavailable

MAX_ROWS = 16  # beyond it a step over all costs so much that one more request had better wait
PROMPT_TOKENS = 32  # of a transcription, besides the audio
TOKENS_PER_S = 25  # of speech, at most: twice what the fastest speakers say; more is a loop
SPARE_TOKENS = 64  # … and so many more, for very short audio
QUESTION_TOKENS = 512  # kept for a question and its answer


def most_tokens(n_samples: int) -> int:
    """Tokens that the transcript of so many samples may have."""
    return SPARE_TOKENS + math.ceil(TOKENS_PER_S * n_samples / SAMPLE_RATE)


def context_of(facts: OfflineFacts, seconds: float) -> int:
    """Tokens that transcribing an utterance of so many seconds takes: prompt, audio and transcript."""
    n_samples = round(seconds * SAMPLE_RATE)
    return PROMPT_TOKENS + facts.n_audio_tokens(n_samples) + most_tokens(n_samples)


def longest_utterance_s(facts: OfflineFacts, context: int) -> float:
    """The longest audio whose transcript has room, in whole windows."""
    window_s = facts.encoder.n_samples / SAMPLE_RATE
    n_windows = 0
    while context_of(facts, (n_windows + 1) * window_s) <= context:
        n_windows += 1
    return n_windows * window_s


def longest_question_s(facts: OfflineFacts, context: int) -> float:
    """The longest audio that leaves room for a question and an answer, in whole windows."""
    return facts.most_samples(max(0, context - QUESTION_TOKENS)) / SAMPLE_RATE


def weight_bytes(facts: OfflineFacts, itemsize: int, *, int8: bool) -> int:
    """What the weights take; with `int8`, one byte for each weight of the layers' and the projector's products."""
    total = 0
    for name, pieces in parameters(facts).items():
        is_small = int8 and name.startswith(PRODUCTS) and name.endswith("weight") and "norm" not in name
        total += sum(math.prod(piece.shape) for piece in pieces) * (1 if is_small else itemsize)
    return total


def row_bytes(facts: OfflineFacts, context: int, itemsize: int) -> int:
    """What a row of so many tokens takes, and its share of the largest step."""
    return ring_bytes(facts.decoder, context, 0, itemsize) + 4 * (facts.vocab_size + context * facts.decoder.n_heads)


def work_bytes(facts: OfflineFacts, itemsize: int) -> int:
    """What preparing a request takes besides: a window in the encoder, a piece of a prompt in the decoder."""
    encoder, decoder = facts.encoder, facts.decoder
    window = encoder.n_positions * (4 * encoder.dim + 2 * encoder.ffn_dim + encoder.n_heads * encoder.n_positions)
    piece = PREFILL * (4 * decoder.dim + 4 * decoder.ffn_dim + decoder.n_heads * decoder.window)
    return itemsize * max(window, piece)


def plan(
    facts: OfflineFacts,
    *,
    itemsize: int,
    weight_bytes: int,
    limit_bytes: int,
    longest_s: float,
    most_rows: int = MAX_ROWS,
) -> Sizes:
    """Rows and their context for a memory limit.

    The context is the model's, or halved as often as it takes for `most_rows` rows to fit, but never shorter than an
    utterance of `longest_s` seconds needs. Raises `EngineUnavailable` where not even one such row fits.
    """
    left = limit_bytes - weight_bytes - work_bytes(facts, itemsize)
    shortest = min(facts.decoder.window, context_of(facts, longest_s))
    context = facts.decoder.window
    while left < most_rows * row_bytes(facts, context, itemsize) and context > shortest:
        context = max(context // 2, shortest)
    n_rows = min(most_rows, max(0, left) // row_bytes(facts, context, itemsize))
    if n_rows < 1:
        needed = limit_bytes - left + row_bytes(facts, context, itemsize)
        raise EngineUnavailable(
            f"the model needs {needed / 1e9:.1f} GB for its weights and one utterance of {longest_s:.0f} s; "
            f"`model.max_memory_per_gpu` and the free memory leave {limit_bytes / 1e9:.1f} GB"
        )
    return Sizes(n_rows, context)
