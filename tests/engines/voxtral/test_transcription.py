"""What a stream owes and answers, without a model: the test says which tokens its windows gave."""

from __future__ import annotations

from concurrent.futures import Future

import numpy as np
import pytest

from voxtral_streaming.engines.voxtral.facts import SAMPLES_PER_TOKEN, WINDOW_PER_TOKEN
from voxtral_streaming.engines.voxtral.tekken import Tekken
from voxtral_streaming.engines.voxtral.transcription import Kind, Request, Transcription
from voxtral_streaming.engines.voxtral.words import Predicted
from voxtral_streaming.transcript import Hypothesis, Word

PAD, A, B = 1, 2, 3
N_DELAY = 1
N_RIGHT_PAD = N_DELAY + 11
SECOND = np.ones(12 * SAMPLES_PER_TOKEN + 40, np.float32)  # thirteen whole windows, the one before it included


@pytest.fixture
def voice() -> Transcription[str]:
    return Transcription(Tekken(2, (b"a", b"b"), 0, PAD, 32, 480, 0), N_DELAY)


def ask(voice: Transcription[str], kind: Kind) -> Future[Hypothesis]:
    request = Request(kind, Future())
    voice.ask(request)
    return request.answer


def take(voice: Transcription[str], tokens: list[int]) -> None:
    voice.took(Predicted(tokens, [0.5] * len(tokens)))


def hear_all(voice: Transcription[str]) -> None:
    voice.feed(SECOND)
    take(voice, [A, A, PAD, A, *[PAD] * 9])


def test_predictions_within_the_prompt_are_not_read(voice: Transcription[str]) -> None:
    hear_all(voice)
    assert voice.text == "a"
    assert voice.n_due == 0


def test_windows_stay_due_until_they_are_taken(voice: Transcription[str]) -> None:
    voice.feed(SECOND)
    assert voice.n_due == 13
    assert voice.windows(2).shape == (2, WINDOW_PER_TOKEN)
    assert np.array_equal(voice.windows(2), voice.windows(2))
    take(voice, [PAD])
    assert voice.n_due == 12


def test_a_partial_waits_for_other_text(voice: Transcription[str]) -> None:
    ask(voice, Kind.PARTIAL)
    assert voice.answer() is None
    hear_all(voice)
    assert voice.answer() == Hypothesis("a")
    voice.shown(Hypothesis("a"))
    ask(voice, Kind.PARTIAL)
    assert voice.answer() is None


def test_a_flush_hears_silence_and_leaves_no_trace(voice: Transcription[str]) -> None:
    hear_all(voice)
    ask(voice, Kind.FLUSH)
    assert voice.may_end
    voice.begin_ending("here")
    assert voice.n_due == N_RIGHT_PAD
    take(voice, [B] + [PAD] * (voice.n_due - 1))
    assert voice.answer() == Hypothesis("a", "b")
    assert voice.leave_ending() == "here"
    assert voice.text == "a"


def test_a_finish_of_what_was_flushed_is_known(voice: Transcription[str]) -> None:
    test_a_flush_hears_silence_and_leaves_no_trace(voice)
    ask(voice, Kind.FINISH)
    assert not voice.may_end
    assert voice.answer() == Hypothesis("ab", "", (Word("ab", 0.0, 0.04, 0.5),))
    voice.feed(SECOND[:10])
    ask(voice, Kind.FINISH)
    assert voice.answer() is None


def test_a_flush_that_is_given_up_returns(voice: Transcription[str]) -> None:
    hear_all(voice)
    answer = ask(voice, Kind.FLUSH)
    voice.begin_ending("here")
    take(voice, [B])
    assert not voice.must_return
    answer.cancel()
    assert voice.must_return
    assert voice.leave_ending() == "here"
    voice.feed(SECOND)
    assert voice.n_due == 12


def test_a_flush_answers_for_what_was_fed_before_it(voice: Transcription[str]) -> None:
    hear_all(voice)
    ask(voice, Kind.FLUSH)
    voice.begin_ending("here")
    voice.feed(SECOND)
    assert not voice.must_return
    take(voice, [PAD] * voice.n_due)
    assert voice.answer() == Hypothesis("a")
    ask(voice, Kind.FLUSH)
    assert voice.must_return
