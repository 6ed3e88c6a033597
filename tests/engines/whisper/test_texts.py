"""The text of a window while it is decoded: where it ends, and where its draft goes on."""

from __future__ import annotations

import numpy as np
import pytest

from voxtral_streaming.engines.whisper.rules import Rules
from voxtral_streaming.engines.whisper.texts import MOST_AGAIN, Text, is_loop

END, T0 = 1000, 1010
RULES = Rules(END, 1001, T0, (), 1002, {})
PHRASE = list(range(MOST_AGAIN))
HEARD = np.ones((2, 5), np.float32)


def text(draft: list[int] | None = None, n_most: int = 200, last_time: int = T0 + 1000) -> Text:
    return Text((), n_most, last_time, draft or [])


def say(one: Text, *tokens: int) -> Text:
    for token in tokens:
        one.take(token, -0.5, HEARD, RULES)
    return one


@pytest.mark.parametrize(
    ("tokens", "is_one"),
    [
        ([], False),
        (PHRASE, False),
        (PHRASE + PHRASE, True),
        (PHRASE + PHRASE[:-1], False),
        ([99, *PHRASE, *PHRASE], True),
        ([*PHRASE, *PHRASE, 99], False),
        (PHRASE[:12] * 2, False),
        (PHRASE[:12] * 3, True),
        ([7] * MOST_AGAIN, False),
        ([7] * (MOST_AGAIN + 1), True),
        (list(range(60)) * 2, True),
    ],
)
def test_what_is_said_again_is_a_loop_from_some_length_on(tokens: list[int], is_one: bool) -> None:
    assert is_loop(tokens, MOST_AGAIN) == is_one


@pytest.mark.parametrize("length", [1, 2, 5, 7, 11])
@pytest.mark.parametrize("most_again", [4, 10])
def test_a_phrase_over_and_over_is_a_loop_once_whole_ones_are_as_long_as_the_limit(
    length: int, most_again: int
) -> None:
    n_again = next(n for n in range(length, 99, length) if n >= most_again)
    for n in range(60):
        tokens = [100, 101, 102, *(place % length for place in range(n))]
        assert is_loop(tokens, most_again) == (n - length >= n_again)


def test_nothing_up_to_the_limit_is_a_loop_whatever_is_said() -> None:
    random = np.random.default_rng(1)
    for n in range(MOST_AGAIN + 1):
        assert not is_loop(random.integers(2, size=n).tolist(), MOST_AGAIN)


def test_what_was_heard_keeps_step_with_what_was_spoken() -> None:
    one = text()
    for n, token in enumerate((T0, 7, 8, T0 + 5, T0 + 6, 9, T0 + 9)):
        one.take(token, -0.1 * n, np.full((2, 5), token, np.float32), RULES)
        assert len(one.spoken) == len(one.probabilities) == len(one.heard)
    assert one.spoken == [heard[0, 0] for heard in one.heard] == [7, 8, 9]
    assert one.probabilities == pytest.approx(np.exp([-0.1, -0.2, -0.5]))
    assert one.logprob == pytest.approx(-2.1)


def test_the_limit_of_a_loop_may_be_another() -> None:
    one = text()
    one.most_again = 2 * MOST_AGAIN
    assert not say(one, *PHRASE, *PHRASE).is_ended
    assert say(one, *PHRASE).is_cut


def test_a_text_ends_with_its_end() -> None:
    one = say(text(), T0, 1, 2, T0 + 5, END)
    assert (one.is_ended, one.is_cut) == (True, False)
    assert (one.tokens, one.spoken) == ([T0, 1, 2, T0 + 5], [1, 2])
    assert one.score == pytest.approx(-0.5 * 5 / 4)


def test_a_text_ends_where_a_piece_ends_at_the_end_of_the_audio() -> None:
    for closing, is_ended in ((T0 + 8, False), (T0 + 9, True), (T0 + 30, True)):
        one = say(text(last_time=T0 + 9), T0, 1, closing)
        assert (one.is_ended, one.is_cut, one.tokens) == (is_ended, False, [T0, 1, closing])
        assert len(one.heard) == len(one.spoken) + is_ended
    assert not say(text(last_time=T0 + 9), T0 + 9, 1).is_ended
    assert not say(text(last_time=T0 + 9), T0, 1, T0 + 8, T0 + 9, 2).is_ended


def test_a_text_is_cut_at_its_limit_and_in_a_loop_times_left_out() -> None:
    assert say(text(n_most=2), 1, 2).is_cut
    timed = [token for n in range(9) for token in (T0 + n, *PHRASE[:12])]
    assert not say(text(), *timed[:38]).is_ended
    assert say(text(), *timed[:39]).is_cut


@pytest.mark.parametrize("last", [END, 3])
def test_each_spoken_token_and_the_end_were_heard_somewhere(last: int) -> None:
    attention = say(text(n_most=4), T0, 1, 2, last).attention
    assert attention is not None
    assert attention.weights.shape == (2, len(attention.probabilities) + 1, 5)


def test_the_end_was_heard_where_the_last_token_was_if_it_did_not_come() -> None:
    one = text(n_most=3)
    for token in (T0, 1, 2):
        one.take(token, -0.5, np.full((2, 5), token, np.float32), RULES)
    assert one.attention is not None
    assert one.attention.weights[0, :, 0].tolist() == [1, 2, 2]


def test_where_a_token_was_heard_is_told_for_the_frames_of_its_own_audio() -> None:
    one = text()
    for token, n_frames in ((1, 5), (2, 8), (END, 8)):  # longer in the company of others
        one.take(token, -0.5, np.ones((2, n_frames), np.float32), RULES)
    assert one.attention is not None
    assert one.attention.weights.shape == (2, 3, 5)


def test_what_is_given_as_long_as_may_be_was_cut() -> None:
    for n_most, is_cut in ((3, False), (2, True)):
        one = text(n_most=n_most)
        one.given([T0, 1], -0.2, 0.1)
        assert (one.tokens, one.no_speech, one.is_cut) == ([T0, 1], 0.1, is_cut)


def test_nobody_looked_where_nothing_was_heard() -> None:
    given = text()
    given.given([T0, 1], -0.2, 0.1)
    assert given.attention is None
    assert given.score == pytest.approx(-0.2)
    assert given.is_ended


@pytest.mark.parametrize(
    ("said", "at"),
    [
        ([1, 2, 9], 3),  # instead of another
        ([1, 2, 9, 3], 3),  # before it
        ([1, 2, 4], 4),  # one was left out
        ([1, 2, 9, 8, 5, 6], 6),
    ],
)
def test_a_draft_goes_on_behind_what_was_said_instead(said: list[int], at: int) -> None:
    one = text(draft=[1, 2, 3, 4, 5, 6, 7])
    for token in said:
        say(one, token)
        one.resume(RULES)
    assert one.at == at


def n_unforeseen(said: list[int], draft: list[int]) -> int:
    """How many tokens a text has that its draft did not tell where it stood, as the decoder checks it."""
    one, n = text(draft[:]), 0
    for token in said:
        is_foreseen = one.draft[one.at : one.at + 1] == [token]
        say(one, token)
        one.resume(RULES)
        n += not is_foreseen
    return n


SENTENCE = [T0, *range(20, 40), T0 + 90, T0 + 90, *range(50, 70), T0 + 200]
TWICE = [T0, *range(20, 40), T0 + 90, T0 + 90, *range(30, 50), T0 + 200]  # some of it is said again


@pytest.mark.parametrize(("sentence", "few"), [(SENTENCE, (1, 2, 3)), (TWICE, (5, 5, 5))], ids=["once", "twice"])
def test_a_draft_with_a_wrong_token_is_found_again_within_a_few(sentence: list[int], few: tuple[int, ...]) -> None:
    for place in range(1, len(sentence) - 1):
        before, token, behind = sentence[:place], sentence[place], sentence[place + 1 :]
        other = 500 if token < END else token + 3
        exchanged, left_out, added = [*before, other, *behind], [*before, *behind], [*before, 500, token, *behind]
        found = [n_unforeseen(sentence, draft) for draft in (exchanged, left_out, added)]
        assert all(1 <= n <= most for n, most in zip(found, few, strict=True))


def test_a_right_draft_tells_all() -> None:
    assert n_unforeseen(SENTENCE, SENTENCE) == n_unforeseen(TWICE, TWICE) == 0


def test_a_draft_is_found_again_behind_several_that_it_lacks() -> None:
    new = [500, 501, 502, 503]
    assert n_unforeseen([*SENTENCE[:9], *new, *SENTENCE[9:]], SENTENCE) <= len(new) + 3
    assert n_unforeseen(SENTENCE, [*SENTENCE[:9], *new[:3], *SENTENCE[9:]]) <= 2


def test_a_draft_of_another_text_helps_nobody() -> None:
    assert n_unforeseen(SENTENCE[1:21], [500] * 20) == 20


def test_a_wrong_time_is_wrong_once() -> None:
    said = [T0, 1, T0 + 52, T0 + 52, 2, T0 + 70]
    assert n_unforeseen(said, [T0, 1, T0 + 50, T0 + 50, 2, T0 + 70]) == 1
    assert n_unforeseen(said, [T0, 1, T0 + 50, T0 + 52, 2, T0 + 70]) == 1  # the next piece begins where it did


def test_where_a_piece_ends_the_next_one_begins() -> None:
    one = text(draft=[T0, 1, T0 + 50, T0 + 50, 2])
    for token in (T0, 1, T0 + 52):
        say(one, token)
        one.resume(RULES)
    assert one.draft[one.at :] == [T0 + 52, 2]


def test_a_time_that_the_draft_lacks_leaves_it_where_it_is() -> None:
    one = text(draft=[1, 2])
    say(one, T0)
    one.resume(RULES)
    assert one.at == 0


def test_branches_go_their_own_ways() -> None:
    one = say(text(), T0, 1)
    other = one.branch()
    say(other, 2)
    assert (one.tokens, one.spoken, len(one.heard)) == ([T0, 1], [1], 1)
    assert (other.tokens, len(other.probabilities)) == ([T0, 1, 2], 2)


def test_branches_share_nothing_that_grows() -> None:
    one = say(text(), T0, 1)
    other = one.branch()
    say(other, 2, END)
    assert not one.is_ended
    assert (one.spoken, len(one.probabilities), one.logprob) == ([1], 1, -1.0)
    say(one, 3)
    assert other.spoken == [1, 2]
    assert (len(other.heard), len(one.heard)) == (3, 2)
