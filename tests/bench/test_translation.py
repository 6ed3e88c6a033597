"""What dialects cost can be measured; how much it is depends on the machine."""

from __future__ import annotations

import pytest

from bench.translation import DIALECTS, reading, writing


@pytest.mark.parametrize("name", DIALECTS)
def test_reads_and_writes(name: str) -> None:
    assert reading(name) > 0
    assert writing(name) > 0
