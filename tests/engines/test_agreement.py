from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from voxtral_streaming.engines.agreement import LocalAgreement, covered, n_agreeing, normalise

words = st.lists(st.sampled_from([" a", " B", " c,", " D.", " e"]), max_size=8)


def test_case_and_punctuation_do_not_count() -> None:
    assert normalise(" It's,") == normalise("its")
    assert n_agreeing([" It", " was,", " the"], [" it", " was", " a"]) == 2


def test_two_hypotheses_agree_but_for_their_last_common_word() -> None:
    agreement = LocalAgreement()
    assert agreement.update([" the", " best", " oft"], 1) == ([], [" the", " best", " oft"])
    assert agreement.update([" the", " best", " of", " times"], 2) == ([" the"], [" best", " of", " times"])
    assert agreement.update([" the", " best", " of", " times."], 3) == ([" the", " best", " of"], [" times."])


def test_a_word_that_vanishes_later_stays_promised_and_nothing_is_shown_twice() -> None:
    agreement = LocalAgreement()
    agreement.update([" and", " so", " he", " went"], 1)
    agreement.update([" and", " so", " he", " went"], 2)
    assert agreement.update([" so", " he", " went", " home"], 3) == ([" and", " so", " he"], [" went", " home"])


@given(st.lists(words, max_size=6))
def test_stable_text_only_grows(hypotheses: list[list[str]]) -> None:
    agreement, before = LocalAgreement(), list[str]()
    for heard, hypothesis in enumerate(hypotheses, start=1):
        stable, _ = agreement.update(hypothesis, heard)
        assert stable[: len(before)] == before
        before = stable


@given(words, words)
def test_what_is_covered_is_a_prefix_at_the_smallest_edit_distance(promised: list[str], heard: list[str]) -> None:
    assert 0 <= covered(promised, heard) <= len(heard)
    assert covered(promised, [*promised, *heard]) <= len(promised) + len(heard)
    assert covered(heard, heard) == len(heard)


@given(words)
def test_a_hypothesis_heard_twice_is_shown_whole(hypothesis: list[str]) -> None:
    agreement = LocalAgreement()
    agreement.update(hypothesis, 1)
    stable, tentative = agreement.update(hypothesis, 2)
    assert stable + tentative == hypothesis


def test_two_hypotheses_of_the_same_audio_are_no_agreement() -> None:
    agreement = LocalAgreement()
    agreement.update([" to", " be", " or"], 1)
    assert agreement.update([" to", " be", " oar"], 1) == ([], [" to", " be", " oar"])
