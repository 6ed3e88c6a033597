"""Which tokens a text may consist of, with a vocabulary of a few letters."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest

from voxtral_streaming.engines.whisper.rules import LATEST_FIRST, Logits, Rules, log_sum
from voxtral_streaming.engines.whisper.texts import Text

N_LETTERS = 8
END, SILENCE, UNTIMED, START, T0 = 8, 9, 10, 11, 12  # T0: the time 0, the first of 80
N_TIMES = 80
N = T0 + N_TIMES
FORBIDDEN = 3  # a letter
NEVER = (FORBIDDEN, SILENCE, UNTIMED, START)
RULES = Rules(END, SILENCE, T0, NEVER, START, {})


def logits(likely: dict[int, float], others: float = -10.0) -> Logits:
    """Of all tokens."""
    found = np.full(N, others, np.float32)
    for token, value in likely.items():
        found[token] = value
    return found


def choose(values: Logits, before: list[int]) -> tuple[int, float]:
    [best] = RULES.likeliest(values, before, 1)
    return best


def chosen(likely: dict[int, float], before: list[int]) -> int:
    return choose(logits(likely), before)[0]


def walk(seed: int, n_most: int = 40) -> list[int]:
    """A text by random logits: letters and times are about equally likely; with the end, where it came to it."""
    random, text = np.random.default_rng(seed), list[int]()
    while len(text) < n_most and END not in text:
        drawn = random.normal(0, 3, N).astype(np.float32)
        drawn[T0:] -= 5
        drawn[END] -= 4
        text.append(choose(drawn, text)[0])
    return text


WALKS = [walk(seed) for seed in range(60)]


def test_a_text_begins_with_a_time_within_the_first_second() -> None:
    for text in WALKS:
        assert T0 <= text[0] <= T0 + LATEST_FIRST


def test_what_must_never_be_said_is_not_said() -> None:
    for text in WALKS:
        assert not set(text) & set(NEVER)


def test_times_come_in_pairs_except_before_the_end() -> None:
    for text in WALKS:
        kinds = "".join("t" if token >= T0 else "e" if token == END else "w" for token in text)
        assert re.fullmatch(r"t(w+(tt|$))*w*(t?e|t?$)", kinds)


def test_times_do_not_go_back() -> None:
    for text in WALKS:
        times = [token for token in text if token >= T0]
        assert times == sorted(times)


def test_the_walks_meet_all_of_this() -> None:
    assert any(text[-1] == END and text[-2] >= T0 for text in WALKS)
    assert any(text[-1] == END and text[-2] < T0 for text in WALKS)
    assert any(text.count(token) == 2 for text in WALKS for token in text if token >= T0)  # a pair of equal times
    assert any(len(text) == 40 for text in WALKS)


def test_the_first_token_is_a_time_however_unlikely() -> None:
    assert chosen({0: 9, END: 8, T0 + LATEST_FIRST + 1: 7, T0 + LATEST_FIRST: -9}, []) == T0 + LATEST_FIRST


def test_behind_the_first_time_comes_no_other() -> None:
    assert chosen({T0 + 5: 9, 2: -9}, [T0]) == 2


def test_behind_a_time_that_follows_text_comes_a_time_or_the_end() -> None:
    before = [T0, 1, T0 + 9]
    assert chosen({0: 9, T0 + 9: 1}, before) == T0 + 9
    assert chosen({0: 9, T0 + 20: 1}, before) == T0 + 20
    assert chosen({0: 9, END: 1}, before) == END
    assert chosen({0: 9, T0 + 8: 8, END: -9, T0 + 70: -1}, before) == T0 + 70


def test_behind_two_times_comes_text() -> None:
    assert chosen({T0 + 20: 9, 0: -9}, [T0, 1, T0 + 9, T0 + 9]) == 0


def test_a_new_pair_is_later_than_the_last() -> None:
    assert chosen({T0 + 9: 9, T0 + 10: 1}, [T0, 1, T0 + 9, T0 + 9, 1]) == T0 + 10
    assert chosen({T0: 9, T0 + 1: 1}, [T0, 1]) == T0 + 1


def test_behind_the_last_time_text_goes_on() -> None:
    last = N - 1
    assert chosen({T0 + 4: 9, 5: -9}, [T0, 1, last, last, 2]) == 5


def test_times_are_taken_where_all_together_are_likelier_than_the_best_other() -> None:
    ten = {T0 + n: 0.0 for n in range(20, 30)}  # together e^0 * 10, the best of them e^0.1
    ten[T0 + 25] = 0.1
    assert chosen({**ten, 4: math.log(10)}, [T0, 1]) == T0 + 25
    assert chosen({**ten, 4: math.log(10.2)}, [T0, 1]) == 4
    assert chosen({**ten, END: math.log(10)}, [T0, 1]) == T0 + 25
    assert chosen({**ten, END: math.log(10.2)}, [T0, 1]) == END


def test_times_that_are_not_allowed_do_not_count() -> None:
    likely = {T0 + 5: 9.0, T0 + 7: 9.0, T0 + 20: 0.0, 4: 0.1}
    assert chosen(likely, [T0, 1, T0 + 7, T0 + 7, 1]) == 4


def test_what_is_never_said_does_not_count() -> None:
    assert choose(logits({FORBIDDEN: 9, 1: 5}, others=-99), [T0])[0] == 1
    assert choose(logits({FORBIDDEN: 9, 1: 5}, others=-99), [T0])[1] == pytest.approx(0)


@pytest.mark.parametrize(
    ("likely", "before", "token", "allowed"),
    [
        ({1: 2.0, 2: 1.0, END: 0.0, FORBIDDEN: 9.0, T0 + 30: 8.0}, [T0, 1, T0 + 9, T0 + 9], 1, [2, 1, 0]),
        ({1: 2.0, T0 + 20: 2.0, T0 + 30: 1.0}, [T0, 1], T0 + 20, [2, 1]),  # times were taken: among them
        ({1: 2.0, 2: 1.5, T0 + 20: 0.0, T0 + 30: 1.0}, [T0, 4], 1, [2, 1.5, 0, 1]),
        ({1: 9.0, END: 2.0, T0 + 9: 0.0, T0 + 30: 1.0}, [T0, 4, T0 + 9], END, [2, 0, 1]),
    ],
)
def test_the_log_probability_is_among_what_is_allowed(
    likely: dict[int, float], before: list[int], token: int, allowed: list[float]
) -> None:
    found, logprob = choose(logits(likely, others=-99), before)
    assert found == token
    assert logprob == pytest.approx(max(allowed) - math.log(sum(map(math.exp, allowed))), abs=1e-5)


@pytest.mark.parametrize(
    ("tokens", "is_closing"),
    [
        ([], False),
        ([T0], False),
        ([1], False),
        ([T0, 1], False),
        ([T0, 1, T0 + 9], True),
        ([T0, 1, T0 + 9, T0 + 9], False),
        ([T0, 1, T0 + 9, T0 + 9, 2, T0 + 30], True),
    ],
)
def test_a_time_behind_text_closes_a_piece(tokens: list[int], is_closing: bool) -> None:
    assert RULES.is_closing(tokens) == is_closing


def test_no_text_goes_on_behind_a_closing_time_at_the_end_of_the_audio() -> None:
    last, n_late = T0 + 45, 0
    for anywhere in WALKS:
        text = Text((), 40, last)
        for token in anywhere:
            text.take(token, 0.0, np.zeros((1, 1), np.float32), RULES)
            if text.is_ended:
                break
        assert text.tokens == anywhere[: len(text.tokens)]  # up to there it is the same
        late = [n for n, token in enumerate(text.tokens) if token >= last and RULES.is_closing(text.tokens[: n + 1])]
        assert late in ([], [len(text.tokens) - 1])
        n_late += len(late)
    assert n_late > 9


@pytest.mark.parametrize("before", [[], [T0 + 3], [T0, 1], [T0, 1, T0 + 9], [T0, 1, T0 + 9, T0 + 9, 2, 4]])
def test_fewer_of_the_likeliest_are_the_first_of_more(before: list[int]) -> None:
    drawn = np.random.default_rng(len(before)).normal(0, 3, N).astype(np.float32)
    most = RULES.likeliest(drawn.copy(), before, 5)
    assert len({token for token, _ in most}) == 5
    assert sorted(most, key=lambda one: -one[1]) == most
    for n in range(1, 5):
        assert RULES.likeliest(drawn.copy(), before, n) == most[:n]


def test_among_times_that_were_taken_no_other_is_likely() -> None:
    found = RULES.likeliest(logits({2: 2.0, T0 + 20: 2.0, T0 + 30: 1.0}, others=-99), [T0, 1], 2)
    assert [token for token, _ in found] == [T0 + 20, T0 + 30]
    assert sum(math.exp(logprob) for _, logprob in found) == pytest.approx(1)


def test_the_likeliest_come_in_order_with_their_log_probabilities() -> None:
    found = RULES.likeliest(logits({1: 2.0, 2: 1.0, END: 1.5, FORBIDDEN: 9.0}, others=-99), [T0], 3)
    total = math.log(math.exp(2) + math.exp(1) + math.exp(1.5))
    assert [token for token, _ in found] == [1, END, 2]
    assert [logprob for _, logprob in found] == pytest.approx([2 - total, 1.5 - total, 1 - total], abs=1e-5)


def test_the_first_time_is_judged_among_the_first_ones() -> None:
    token, logprob = choose(np.zeros(N, np.float32), [])
    assert token == T0
    assert logprob == pytest.approx(-math.log(LATEST_FIRST + 1), abs=1e-5)


def test_no_speech_is_a_probability_among_all_tokens() -> None:
    assert RULES.no_speech(np.zeros(N, np.float32)) == pytest.approx(1 / N, rel=1e-5)
    assert RULES.no_speech(logits({SILENCE: 99})) == pytest.approx(1)


def test_sums_of_large_and_of_no_numbers() -> None:
    assert log_sum(np.array([1000, 1000], np.float32)) == pytest.approx(1000 + math.log(2))
    assert log_sum(np.array([-1000, -np.inf], np.float32)) == pytest.approx(-1000)
    assert log_sum(np.full(3, -np.inf, np.float32)) == -np.inf


def test_no_more_come_than_are_allowed() -> None:
    closed = [T0, 1, N - 1]
    assert [token for token, _ in RULES.likeliest(logits({2: 9}), closed, 4)] == [END, N - 1]
