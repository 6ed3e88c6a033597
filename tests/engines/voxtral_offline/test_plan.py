from __future__ import annotations

import pytest

from voxtral_streaming.engines.voxtral.facts import StackFacts
from voxtral_streaming.engines.voxtral_offline.facts import OfflineFacts, WhisperFacts
from voxtral_streaming.engines.voxtral_offline.plan import (
    MAX_ROWS,
    context_of,
    longest_question_s,
    longest_utterance_s,
    plan,
    weight_bytes,
)
from voxtral_streaming.errors import EngineUnavailable

WHISPER = WhisperFacts(dim=1280, n_layers=32, n_heads=20, ffn_dim=5120, n_positions=1500)
MINI = OfflineFacts(WHISPER, StackFacts(3072, 30, 32, 8, 128, 8192, 1e8, 32768, 1e-5), 131072)


def planned(limit_gb: float, longest_s: float = 26.0) -> tuple[int, int]:
    weights = weight_bytes(MINI, 2, int8=False)
    return plan(MINI, itemsize=2, weight_bytes=weights, limit_bytes=round(limit_gb * 1e9), longest_s=longest_s)


def test_the_weights_of_the_3b_model() -> None:
    assert weight_bytes(MINI, 2, int8=False) / 1e9 == pytest.approx(9.35, abs=0.01)
    assert weight_bytes(MINI, 2, int8=True) / 1e9 == pytest.approx(5.5, abs=0.1)


@pytest.mark.parametrize("limit_gb", [11.0, 16.0, 24.0, 80.0, 160.0])
def test_what_is_planned_fits_and_holds_an_utterance(limit_gb: float) -> None:
    n_rows, context = planned(limit_gb)
    held = n_rows * context * 2 * 30 * 2 * 8 * 128
    assert weight_bytes(MINI, 2, int8=False) + held < limit_gb * 1e9
    assert context_of(MINI, 26.0) <= context <= MINI.decoder.window
    assert 1 <= n_rows <= MAX_ROWS


def test_more_memory_is_more_rows_and_then_longer_ones() -> None:
    plans = [planned(limit_gb) for limit_gb in (10.8, 12.0, 16.0, 32.0, 80.0)]
    assert plans == sorted(plans)
    assert planned(160.0) == (MAX_ROWS, MINI.decoder.window)


def test_too_little_memory_says_how_much_is_needed() -> None:
    with pytest.raises(EngineUnavailable, match=r"needs \d+\.\d GB .* leave 9\.0 GB"):
        planned(9.0)


def test_lengths_leave_room_for_what_is_said() -> None:
    assert longest_utterance_s(MINI, context_of(MINI, 90.0)) == 90.0
    assert longest_utterance_s(MINI, context_of(MINI, 90.0) - 1) == 60.0
    assert longest_question_s(MINI, MINI.decoder.window) > 40 * 60
    assert longest_question_s(MINI, 100) == 0
