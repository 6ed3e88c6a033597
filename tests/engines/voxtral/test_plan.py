from __future__ import annotations

from dataclasses import replace

import pytest

from voxtral_streaming.config import memory_bytes
from voxtral_streaming.engines.voxtral.facts import ModelFacts, StackFacts
from voxtral_streaming.engines.voxtral.files import Checkpoint
from voxtral_streaming.engines.voxtral.plan import MAX_ROWS, plan, row_bytes, tokens_of, weight_bytes
from voxtral_streaming.engines.voxtral.stepper import Sizes
from voxtral_streaming.errors import EngineUnavailable

FULL = ModelFacts(
    encoder=StackFacts(1280, 32, 32, 32, 64, 5120, 1e6, 750, 1e-5),
    decoder=StackFacts(3072, 26, 32, 8, 128, 9216, 1e6, 8192, 1e-5),
    vocab_size=131072,
)


@pytest.mark.parametrize(
    ("size", "n_bytes"), [("16GB", 16e9), ("1.5 GiB", 1.5 * 2**30), ("800MB", 8e8), ("2 MiB", 2**21)]
)
def test_sizes_are_read(size: str, n_bytes: float) -> None:
    assert memory_bytes(size) == n_bytes


def sizes(checkpoint: Checkpoint, limit: str, *, int8: bool = False, longest_s: float = 26.0) -> Sizes:
    weights = weight_bytes(FULL, 2, int8=int8)
    tekken = checkpoint.tekken
    limit_bytes = memory_bytes(limit)
    return plan(FULL, tekken, itemsize=2, weight_bytes=weights, limit_bytes=limit_bytes, longest_s=longest_s)


def test_the_full_model_weighs_what_it_should() -> None:
    assert round(weight_bytes(FULL, 2, int8=False) / 1e9, 2) == 8.86
    assert round(weight_bytes(FULL, 2, int8=True) / 1e9, 2) == 4.84


def test_a_card_of_eighty_gigabytes_serves_sixty_four_whole_windows(checkpoint: Checkpoint) -> None:
    """Such a card has 80 GiB, of which one is the driver's and one is left to libraries."""
    assert sizes(checkpoint, "78GiB") == Sizes(MAX_ROWS, 8192)


def test_a_smaller_card_shortens_the_window_before_it_refuses_streams(checkpoint: Checkpoint) -> None:
    n_rows, window = sizes(checkpoint, "46GiB")
    assert n_rows == MAX_ROWS
    assert tokens_of(checkpoint.tekken, 26.0) < window < 8192
    n_rows, window = sizes(checkpoint, "16GB")
    assert n_rows >= 16
    assert window == tokens_of(checkpoint.tekken, 26.0)


def test_the_window_is_never_shorter_than_an_utterance(checkpoint: Checkpoint) -> None:
    n_rows, window = sizes(checkpoint, "9.5GB", longest_s=28.0)
    assert window == tokens_of(checkpoint.tekken, 28.0)
    assert 1 <= n_rows < 16


def test_eight_bits_make_room_on_a_small_card(checkpoint: Checkpoint) -> None:
    with pytest.raises(EngineUnavailable, match=r"needs 9\.\d GB .* leave 8\.0 GB"):
        sizes(checkpoint, "8GB")
    assert sizes(checkpoint, "8GB", int8=True).n_rows >= 8


def test_a_stream_takes_what_its_caches_take(checkpoint: Checkpoint) -> None:
    whole, short = (row_bytes(FULL, checkpoint.tekken, window, 2) for window in (8192, 512))
    per_token = 2 * 26 * 8 * 128 * 2
    assert (whole - short) / (8192 - 512) == pytest.approx(per_token, rel=0.01)
    deeper = replace(FULL, decoder=replace(FULL.decoder, n_layers=52))
    assert row_bytes(deeper, checkpoint.tekken, 8192, 2) > 1.7 * whole
