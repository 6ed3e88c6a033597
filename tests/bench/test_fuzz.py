from __future__ import annotations

import random

import pytest

from bench.fuzz import RECIPES, attack, mutant, seeds


@pytest.fixture(scope="module")
def originals() -> list[bytes]:
    return seeds()


def test_there_is_a_seed_of_every_kind(originals: list[bytes]) -> None:
    assert len(set(originals)) == len(RECIPES)


def test_a_seed_says_what_comes(originals: list[bytes]) -> None:
    first, again = ([mutant(originals, random.Random(7)) for _ in range(20)] for _ in range(2))
    assert first == again
    assert not set(first) & set(originals)


async def test_no_decoder_falls() -> None:
    findings = await attack(seed=20261124, n_mutants=150)
    assert findings.fallen == []
    assert findings.n_mutants >= 150
    assert findings.outcomes["accepted"] > 10
