from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch")

from bench import voxtral_floors
from voxtral_streaming.config import StreamingConfig


def test_the_page_on_the_model_has_these_figures(root: Path) -> None:
    page = (root / "docs" / "model.md").read_text("utf-8")
    for line in voxtral_floors.rows():
        assert f"| {' | '.join(line)} |" in page
    longest = StreamingConfig.model_fields["max_utterance_s"].metadata
    assert any(getattr(bound, "le", None) == voxtral_floors.LONGEST_S for bound in longest)


def test_a_longer_utterance_and_more_streams_take_longer() -> None:
    card = voxtral_floors.CARDS[-1]
    times = [voxtral_floors.floor_ms(card, n, tokens, int8=False) for n in (1, 64) for tokens in (400, 8192)]
    assert times == sorted(times)
    assert voxtral_floors.floor_ms(card, 1, 400, int8=True) < times[0]
