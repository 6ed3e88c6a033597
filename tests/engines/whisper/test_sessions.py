"""How products of numbers in 8 bits come out on this machine."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from voxtral_streaming.engines.whisper.graph import LARGEST, MIDDLE, product_graph
from voxtral_streaming.engines.whisper.sessions import session, weight_limit


def in_eight_bits(seed: int, shape: tuple[int, int], largest: int) -> NDArray[np.int8]:
    """Rows spread as what is normalised is, and as weights are."""
    spread = np.random.default_rng(seed).normal(size=shape)
    rounded: NDArray[np.int8] = np.rint(spread / np.abs(spread).max(1, keepdims=True) * largest).astype(np.int8)
    return rounded


def test_products_with_the_largest_weights_that_are_used_are_right() -> None:
    rows = in_eight_bits(1, (64, 512), LARGEST).astype(np.int32) + MIDDLE
    weights = in_eight_bits(2, (256, 512), weight_limit()).T
    [found] = session(product_graph(weights)).run(None, {"values": rows.astype(np.uint8)})
    assert np.mean(found != rows @ weights.astype(np.int32)) < 0.001  # where pairs are added up in 16 bits, else 0
