"""What Voxtral Realtime 4B can be on a card at best: how many streams its memory holds, and the least time of a step.

    python -m bench.voxtral_floors

Computed, not measured. The floor is the time to read all weights once, and of every stream what its queries see, at
the memory bandwidth that the maker states. The engine's own plan says how many streams there are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from bench.random_weights import SIZES, TEKKEN
from bench.report.terminal import console
from voxtral_streaming.engines.voxtral.facts import MS_PER_TOKEN
from voxtral_streaming.engines.voxtral.plan import LIBRARY_BYTES, plan, row_bytes, weight_bytes
from voxtral_streaming.engines.voxtral.stepper import Sizes
from voxtral_streaming.engines.voxtral.tekken import delay_tokens

FACTS = SIZES["4b"]
ITEMSIZE = 2  # bf16
DRIVER_BYTES = 2**30
LEVELS = (1, 16, 64)  # streams
LONGEST_S = 28  # of an utterance: the most that `streaming.max_utterance_s` may be


@dataclass(frozen=True, slots=True)
class Card:
    """A graphics card, as its maker describes it."""

    name: str
    memory_gib: int
    bandwidth: float  # bytes per second


CARDS = (
    Card("A5000", 24, 768e9),
    Card("A6000", 48, 768e9),
    Card("H100", 80, 3350e9),
)


def sizes(card: Card, *, int8: bool) -> Sizes:
    """Streams and decoder window that the engine plans where `model.max_memory_per_gpu` allows the whole card."""
    return plan(
        FACTS,
        TEKKEN,
        itemsize=ITEMSIZE,
        weight_bytes=weight_bytes(FACTS, ITEMSIZE, int8=int8),
        limit_bytes=card.memory_gib * 2**30 - DRIVER_BYTES - LIBRARY_BYTES,
        longest_s=LONGEST_S,
    )


def floor_ms(card: Card, n_streams: int, n_tokens: int, *, int8: bool) -> float:
    """The least time of a step in which each stream sees `n_tokens` tokens, and the encoder its whole window."""
    encoder, decoder = FACTS.encoder, FACTS.decoder
    seen = encoder.cache_elements * encoder.window + decoder.cache_elements * min(n_tokens, decoder.window)
    n_bytes = weight_bytes(FACTS, ITEMSIZE, int8=int8) + n_streams * seen * ITEMSIZE
    return 1000 * n_bytes / card.bandwidth


def contexts() -> dict[str, int]:
    """Tokens that a stream has behind it at the end of the longest utterance, and when its window is full."""
    n_prompt = TEKKEN.prompt_length(delay_tokens(TEKKEN.delay_ms))
    spoken = n_prompt + LONGEST_S * 1000 // MS_PER_TOKEN
    return {f" of {LONGEST_S} s": spoken, ", full": FACTS.decoder.window}


def rows() -> list[Sequence[str]]:
    """A line for each card, in bf16 and with 8 bits."""
    lines: list[Sequence[str]] = []
    for card in CARDS:
        for int8 in (False, True):
            planned = sizes(card, int8=int8)
            floors = [_floor(card, n_streams, n_tokens, int8=int8) for n_streams, n_tokens in _columns()]
            name = f"{card.name}, {card.memory_gib} GB{', 8 bits' if int8 else ''}"
            lines.append((name, f"{card.bandwidth / 1e9:.0f}", f"{planned.n_rows} at {planned.window}", *floors))
    return lines


def _columns() -> list[tuple[int, int]]:
    return [(n_streams, n_tokens) for n_streams in LEVELS for n_tokens in contexts().values()]


def _floor(card: Card, n_streams: int, n_tokens: int, *, int8: bool) -> str:
    left = card.memory_gib * 2**30 - DRIVER_BYTES - LIBRARY_BYTES - weight_bytes(FACTS, ITEMSIZE, int8=int8)
    fits = n_streams * row_bytes(FACTS, TEKKEN, n_tokens, ITEMSIZE) <= left
    return f"{floor_ms(card, n_streams, n_tokens, int8=int8):.1f}" if fits else "-"


def show(out: Console) -> None:
    """Print the plan and the floors."""
    heads = [f"{n_streams}{name}" for n_streams in LEVELS for name in contexts()]
    table = Table("card", "GB/s", "streams", *heads, title="least milliseconds of a step", title_justify="left")
    for line in rows():
        table.add_row(*line)
    out.print(table)
    for window in (512, 1024, 2048, 4096, 8192):
        n_bytes = row_bytes(FACTS, TEKKEN, window, ITEMSIZE)
        out.print(f"a stream that remembers {window:4} tokens takes {n_bytes / 1e9:.2f} GB", highlight=False)


if __name__ == "__main__":
    show(console())
