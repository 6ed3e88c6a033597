from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from voxtral_streaming.engines.voxtral_offline.generation import Generation

EOS, PROMPT = 0, [1, 2, 3]


def greedy(answer: Sequence[int], draft: Sequence[int], most: int = 100) -> Generation:
    """A request to a model whose answer is `answer`, whatever it was told before."""

    def after(said: Sequence[int]) -> int:
        known = list(said) == list(answer[: len(said)])
        return [*answer, EOS][min(len(said), len(answer))] if known else 9

    generation = Generation(PROMPT, draft, most, EOS)
    predicted = [after(generation.draft[:n]) for n in range(len(generation.draft) + 1)]
    stands = generation.verify(predicted)
    if not generation.is_over:
        assert stands == len(PROMPT) + len(generation.said) - 1
    while not generation.is_over:
        generation.take(after(generation.said))
    return generation


@pytest.mark.parametrize(
    ("draft", "n_steps"),
    [((), 5), ((5, 6, 7), 2), ((5, 6, 7, 8, 4), 0), ((5, 6, 7, 8, 4, 9, 9), 0), ((9,), 5), ((5, 9, 7, 8), 4)],
)
def test_a_draft_is_kept_up_to_the_first_difference(draft: Sequence[int], n_steps: int) -> None:
    generation = greedy((5, 6, 7, 8, 4), draft)
    assert generation.said == [5, 6, 7, 8, 4]
    assert generation.n_steps == n_steps
    assert not generation.is_cut


def test_whatever_the_draft_the_answer_is_the_same() -> None:
    chance = random.Random(0)
    for _ in range(500):
        answer = [chance.randint(1, 3) for _ in range(chance.randint(0, 8))]
        draft = [chance.randint(1, 3) for _ in range(chance.randint(0, 8))]
        most = chance.randint(1, 9)
        generation = greedy(answer, draft, most)
        assert generation.said == answer[:most]
        assert generation.is_cut == (len(answer) >= most)
