"""G.711 against values of the recommendation, and against itself."""

from __future__ import annotations

import numpy as np
import pytest

from voxtral_streaming.audio.g711 import a_law_table, mu_law_table
from voxtral_streaming.audio.pcm import PcmDecoder


@pytest.mark.parametrize(
    ("code", "sample"),
    [
        (0x00, -32124),
        (0x80, 32124),
        (0x7F, 0),
        (0xFF, 0),
        (0xFE, 8),
        (0xF0, 120),
        (0xEF, 132),
        (0x0F, -16764),
        (0x10, -15996),
    ],
)
def test_mu_law(code: int, sample: int) -> None:
    assert mu_law_table()[code] == sample


@pytest.mark.parametrize(
    ("code", "sample"),
    [(0x55, -8), (0xD5, 8), (0x2A, -32256), (0xAA, 32256), (0xD4, 24), (0xC5, 264), (0x7F, -848), (0xF5, 528)],
)
def test_a_law(code: int, sample: int) -> None:
    assert a_law_table()[code] == sample


@pytest.mark.parametrize("table", [mu_law_table(), a_law_table()])
def test_the_laws_are_odd_and_finer_where_it_is_quiet(table: np.ndarray) -> None:
    assert (table[:128] == -table[128:]).all()
    steps = np.diff(np.sort(table[table > 0].astype(int)))
    assert (np.diff(steps) >= 0).all()


def test_codes_become_samples() -> None:
    assert PcmDecoder("pcm_mulaw", 16_000, 1).feed(bytes([0xFF, 0x80])).tolist() == [0.0, 32124 / 32768]
    assert PcmDecoder("pcm_alaw", 16_000, 2).feed(bytes([0xAA, 0x2A])).tolist() == [0.0]
