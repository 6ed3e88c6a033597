from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxtral_streaming.server.history import History
from voxtral_streaming.server.limits import HISTORY_BYTES, HISTORY_FRAMES


@given(st.lists(st.integers(-1, 30), max_size=30))
def test_frames_keep_their_numbers_whatever_is_forgotten(forgets: list[int]) -> None:
    history = History()
    kept_from = 0
    for number, before in enumerate(forgets):
        assert history.append(f"frame {number}") == number
        history.forget(before)
        kept_from = max(kept_from, min(before, number + 1))
        assert history.n_forgotten == kept_from
        assert history.n_frames == number + 1
        for kept in range(kept_from, number + 1):
            assert history[kept] == f"frame {kept}"


@pytest.mark.parametrize(("frame", "n_frames"), [("x", HISTORY_FRAMES), ("x" * (HISTORY_BYTES // 4), 4)])
def test_is_full_of_frames_or_of_bytes(frame: str, n_frames: int) -> None:
    history = History()
    for _ in range(n_frames):
        assert not history.is_full
        history.append(frame)
    assert history.is_full
    history.forget(1)
    assert not history.is_full
