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
    chances = random.Random(7), random.Random(7)
    first, again = ([mutant(originals, chance) for _ in range(20)] for chance in chances)
    assert first == again
    assert len(set(first)) > 15
    assert not set(first) & set(originals)


async def test_no_decoder_falls() -> None:
    findings = await attack(seed=20261124, n_mutants=500)
    assert findings.fallen == []
    assert findings.n_mutants >= 500
    assert findings.outcomes["accepted"] > 10
