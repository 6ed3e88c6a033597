"""What the model makes of real speech, and the guards around it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from voxtral_streaming.audio.units import SAMPLE_RATE, Samples
from voxtral_streaming.engines.agreement import normalise
from voxtral_streaming.engines.whisper.decoder import MOST_TRIED
from voxtral_streaming.engines.whisper.model import Decoded, Encoded, Whisper, compression, grouped, n_said, reaches
from voxtral_streaming.engines.whisper.passages import Passage
from voxtral_streaming.engines.whisper.recognition import (
    BEAM,
    SURE_LOGPROB,
    Request,
    Result,
    finalised,
    has_doubled,
    n_before_repeats,
    recognise_batch,
    settled,
)
from voxtral_streaming.engines.whisper.texts import Breath
from voxtral_streaming.engines.whisper.windows import LAST, LONGEST, MEMORIES, window_for, with_silence


def request(
    samples: Samples, window: int | None = None, language: str | None = "en", draft: tuple[int, ...] = ()
) -> Request:
    window = window or window_for(len(samples))
    return Request(samples, window, language, None, Passage(0, len(samples)), len(samples), draft)


def with_pauses(request: Request, *pauses: int) -> Request:
    return replace(request, passage=replace(request.passage, pauses=pauses))


def final(model: Whisper, request: Request) -> Result:
    return finalised(model, recognise_batch(model, [request])[0])


def text(result: Result) -> str:
    return "".join(result.decoded.words).strip()


def words_of(result: Result) -> list[str]:
    return as_normal(result.decoded)


def as_normal(decoded: Decoded) -> list[str]:
    return [normalise(word) for word in decoded.words]


def test_a_sentence_is_heard(model: Whisper, clips: list[Samples]) -> None:
    heard = text(final(model, request(clips[0])))
    assert "had then leisure to consider how much there might be prudently in his power" in heard


def test_a_batch_gives_what_each_gives_alone(model: Whisper, clips: list[Samples]) -> None:
    requests = [request(clip[: n * SAMPLE_RATE]) for n, clip in enumerate(clips * 2, start=2)]
    requests += [request(np.zeros(SAMPLE_RATE, np.float32)), request(np.concatenate(clips))]
    assert len({one.window for one in requests}) > 3
    together = recognise_batch(model, requests)
    alone = [recognise_batch(model, [one])[0] for one in requests]
    assert [result.decoded for result in together] == [result.decoded for result in alone]


def test_between_two_steps_there_is_a_breath_that_changes_nothing(model: Whisper, clips: list[Samples]) -> None:
    requests, steps = [request(clip) for clip in clips[:2]], list[str]()

    def breathe() -> None:
        recognise_batch(model, [request(clips[2])])
        steps.append("")

    plain = recognise_batch(model, requests)
    assert [result.decoded for result in recognise_batch(model, requests, breathe)] == [one.decoded for one in plain]
    n_tokens = max(len(result.decoded.draft) for result in plain)
    assert n_tokens < len(steps) < n_tokens + 3 * len(requests)  # each window, each text, each token of the longer one


def test_a_beam_breathes_as_well(model: Whisper, clips: list[Samples]) -> None:
    [greedy], steps = recognise_batch(model, [request(clips[2])]), list[str]()
    doubtful = replace(greedy, decoded=replace(greedy.decoded, logprob=SURE_LOGPROB - 0.1, attention=None))
    found = finalised(model, doubtful, lambda: steps.append(""))  # from the start: what was likely is not known
    assert found.decoded == finalised(model, doubtful).decoded
    assert len(steps) >= len(found.decoded.draft) - 1  # behind its last time there is no step


def test_a_beam_starts_at_the_first_doubt(model: Whisper, clips: list[Samples]) -> None:
    [greedy] = recognise_batch(model, [request(clips[1])])
    assert greedy.decoded.attention is not None
    probabilities, draft = greedy.decoded.attention.probabilities, greedy.decoded.draft
    doubt = probabilities.index(min(probabilities))
    beginning = greedy.decoded.draft_before(sorted(probabilities)[1])  # all but the least are as likely
    assert beginning == draft[: draft.index(greedy.decoded.tokens[doubt])]
    assert greedy.decoded.draft_before(0) == draft[:-1]  # the time at the end is no token of text
    assert replace(greedy.decoded, attention=None).draft_before(0) == ()


@pytest.mark.parametrize("n_begun", [1, 5, MOST_TRIED - 3, MOST_TRIED - 2, MOST_TRIED + 5])
def test_a_beam_goes_on_from_what_it_is_given(model: Whisper, clips: list[Samples], n_begun: int) -> None:
    [greedy] = recognise_batch(model, [request(np.concatenate(clips))])
    beginning = greedy.decoded.draft[:n_begun]

    def searched(beginning: tuple[int, ...], beam_size: int) -> tuple[Decoded, int]:
        steps = list[str]()
        return model.search(greedy.encoded, "en", beam_size, beginning, lambda: steps.append("")), len(steps)

    (begun, n_steps), (whole, n_whole) = searched(beginning, BEAM), searched((), BEAM)
    assert begun.draft[:n_begun] == beginning
    assert as_normal(begun) == as_normal(whole)
    assert n_steps < n_whole
    alone, _ = searched(beginning, 1)
    assert alone.draft == greedy.decoded.draft
    assert alone.logprob == pytest.approx(greedy.decoded.logprob)


@pytest.mark.parametrize("window", [900, 1200, 1600, 2000, LONGEST])
def test_the_window_does_not_change_the_words(model: Whisper, clips: list[Samples], window: int) -> None:
    longer = final(model, request(clips[0], window))
    assert words_of(longer) == words_of(final(model, request(clips[0])))


def test_a_draft_does_not_change_a_result(model: Whisper, clips: list[Samples]) -> None:
    plain = recognise_batch(model, [request(clip) for clip in clips])
    drafts = [result.decoded.draft for result in plain]
    drafted = [request(clip, draft=drafts[n]) for clip, n in zip(clips, [0, 2, 1], strict=True)]
    assert [result.decoded for result in recognise_batch(model, drafted)] == [result.decoded for result in plain]


def test_what_is_sure_is_final(model: Whisper, clips: list[Samples], monkeypatch: pytest.MonkeyPatch) -> None:
    [sure] = recognise_batch(model, [request(clips[0])])
    monkeypatch.setattr(model, "decode", pytest.fail)
    monkeypatch.setattr(model, "search", pytest.fail)
    assert finalised(model, sure) is sure


def test_what_is_doubtful_is_decoded_again_and_not_encoded_again(
    model: Whisper, clips: list[Samples], monkeypatch: pytest.MonkeyPatch
) -> None:
    [draft] = recognise_batch(model, [request(clips[2])])
    assert draft.decoded.logprob < SURE_LOGPROB
    monkeypatch.setattr(model, "encode", pytest.fail)
    beam = finalised(model, draft)
    assert beam is not draft
    assert words_of(beam) == words_of(draft)


def test_the_language_is_found(model: Whisper, clips: list[Samples]) -> None:
    [result] = recognise_batch(model, [request(clips[0], language=None)])
    assert result.decoded.language == "en"


def test_the_expected_language_stands_where_the_audio_leaves_doubt(model: Whisper, clips: list[Samples]) -> None:
    brief = clips[0][8000:20_000]
    likely = replace(request(brief, language=None), likely_language="fr")
    assert recognise_batch(model, [likely])[0].decoded.language == "fr"


def test_word_times_are_in_order_and_within_the_audio(model: Whisper, clips: list[Samples]) -> None:
    result = final(model, request(clips[0]))
    words = model.align(result.encoded, result.decoded)
    times = [time for word in words for time in (word.start, word.end)]
    assert [word.text for word in words] == text(result).split()
    assert times == sorted(times)
    assert times[0] >= 0
    assert times[-1] <= len(clips[0]) / SAMPLE_RATE
    assert all(0 < word.probability <= 1 for word in words)


def test_a_loop_is_heard_in_a_longer_window_and_searched_there(
    model: Whisper, clips: list[Samples], monkeypatch: pytest.MonkeyPatch
) -> None:
    searched: list[tuple[int, int]] = []
    search = model.search

    def noted(encoded: Encoded, language: str, beam_size: int, beginning: tuple[int, ...], breathe: Breath) -> Decoded:
        searched.append((encoded.window, beam_size))
        return search(encoded, language, beam_size, beginning, breathe)

    [greedy] = recognise_batch(model, [request(clips[2])])
    monkeypatch.setattr(model, "search", noted)
    final = finalised(model, replace(greedy, decoded=replace(greedy.decoded, is_suspect=True)))
    assert searched == [(MEMORIES[0], BEAM)]  # there it leaves doubt as well
    assert final.encoded.window == MEMORIES[0]
    assert words_of(final) == words_of(greedy)


def test_where_no_words_are_heard_a_longer_window_decides(model: Whisper, clips: list[Samples]) -> None:
    [silent] = recognise_batch(model, [request(np.zeros(SAMPLE_RATE, np.float32))])
    assert silent.decoded.words == ()
    assert silent.decoded.is_suspect
    heard = finalised(model, silent)
    assert heard.decoded.words == ()
    assert heard.encoded.window == MEMORIES[0]
    [greedy] = recognise_batch(model, [request(clips[2])])
    missed = replace(greedy, decoded=replace(greedy.decoded, words=(), tokens=(), n_tokens=(), is_suspect=True))
    assert words_of(finalised(model, missed)) == words_of(greedy)


def test_there_is_no_window_behind_the_longest(model: Whisper) -> None:
    [silent] = recognise_batch(model, [replace(request(np.zeros(SAMPLE_RATE, np.float32)), window=LONGEST)])
    assert finalised(model, silent).encoded is silent.encoded


@pytest.mark.parametrize("n_samples", [SAMPLE_RATE, 2 * SAMPLE_RATE, 3 * SAMPLE_RATE])
def test_the_silence_behind_a_window_is_its_end(model: Whisper, clips: list[Samples], n_samples: int) -> None:
    window = window_for(n_samples)
    [features] = model.encode(clips[2][:n_samples], window).features
    own, heard, last = window // 2, with_silence(window, n_samples) // 2, LAST // 2
    assert len(features) == heard
    assert np.array_equal(features[own:], np.tile(features[own - last : own], (9, 1))[: heard - own])


def test_words_before_a_pause_are_settled(model: Whisper, clips: list[Samples]) -> None:
    """The pause is noticed a tenth of a second after the last word of the first clip."""
    quiet = np.zeros(SAMPLE_RATE // 2, np.float32)
    samples, start = np.concatenate([clips[1], quiet, clips[2]]), 7 * SAMPLE_RATE
    end, pause = start + len(samples), start + len(clips[1])
    passage = Passage(start, end, (), (end, pause, start + SAMPLE_RATE))
    [result] = recognise_batch(model, [replace(request(samples), passage=passage)])
    [before] = recognise_batch(model, [request(clips[1])])
    assert result.settled is not None
    assert result.settled.at == pause  # there are no words behind the first that was asked for
    assert as_normal(result.decoded)[: result.settled.n_words] == words_of(before)


def test_nothing_is_settled_without_a_pause_in_a_loop_or_where_nobody_spoke(
    model: Whisper, clips: list[Samples]
) -> None:
    asked = with_pauses(request(clips[2]), SAMPLE_RATE)
    [found] = recognise_batch(model, [asked])
    assert found.settled is not None
    assert recognise_batch(model, [request(clips[2])])[0].settled is None
    assert settled(model, asked, found.encoded, replace(found.decoded, is_suspect=True)) is None
    assert settled(model, with_pauses(asked, 0, len(clips[2])), found.encoded, found.decoded) is None
    silent = with_pauses(request(np.zeros(SAMPLE_RATE, np.float32)), SAMPLE_RATE // 2)
    assert recognise_batch(model, [silent])[0].settled is None


def test_what_a_beam_found_has_words_of_its_own(model: Whisper, clips: list[Samples]) -> None:
    [found] = recognise_batch(model, [with_pauses(request(clips[2]), SAMPLE_RATE)])
    sure = replace(found, decoded=replace(found.decoded, logprob=SURE_LOGPROB + 0.1))
    assert found.settled is not None
    assert finalised(model, sure).settled == found.settled
    doubtful = replace(found, decoded=replace(found.decoded, logprob=SURE_LOGPROB - 0.1))
    assert finalised(model, doubtful).settled is None


def test_what_was_heard_before_is_heard_again_and_not_told_again(model: Whisper, clips: list[Samples]) -> None:
    samples, start = np.concatenate([clips[1], clips[2]]), 7 * SAMPLE_RATE
    passage = Passage(start, start + len(samples), (), known=start + len(clips[1]))
    [found] = recognise_batch(model, [replace(request(samples), passage=passage)])
    [first], [second] = (recognise_batch(model, [request(clip)]) for clip in clips[1:3])
    assert words_of(found) == words_of(first) + words_of(second)
    assert [normalise(word) for word in found.words] == words_of(second)
    doubtful = replace(found, decoded=replace(found.decoded, logprob=SURE_LOGPROB - 0.1))
    for one in (finalised(model, found), finalised(model, doubtful)):
        assert [normalise(word) for word in one.words] == words_of(second)


def test_a_phrase_three_times_in_a_row_is_kept_once() -> None:
    assert n_before_repeats([" a", " b", " c", " b", " c", " b", " c", " d"]) == 3
    assert n_before_repeats([" no", " no", " never"]) == 3
    assert n_before_repeats([]) == 0


def test_a_phrase_twice_in_a_row_leaves_doubt() -> None:
    assert has_doubled([" so", " the", " end", " of", " it", " the", " end", " of", " it"])
    assert not has_doubled([" no", " no", " the", " end", " of", " it"])
    assert not has_doubled([])


def test_loops_compress() -> None:
    assert compression(" and so on" * 20) > 2.4 > compression(" It was the best of times, it was the worst of times.")


def test_pieces_make_words() -> None:
    assert grouped([" cold", "-", "hearted", " don", "'t", " stop", "!"], "en") == [[0, 1, 2], [3, 4], [5, 6]]
    assert grouped(["今", "日", "、", "は"], "ja") == [[0], [1, 2], [3]]


@pytest.mark.parametrize(
    ("tokens", "n"),
    [
        ((100, 7, 8, 150), 4),
        ((100, 7, 150, 150, 8, 200, 200), 7),
        ((100, 7, 150, 199, 8, 310), 3),  # it begins in time, and ends two seconds behind the audio
        ((100, 7, 150, 199, 8, 310, 310), 3),
        ((100, 7, 150, 199, 8, 300), 6),
        ((100, 7, 150, 199, 8), 5),
        ((100, 7, 8, 310), 4),  # all that was heard
        ((100,), 1),
        ((), 0),
    ],
)
def test_what_ends_long_behind_the_audio_was_not_said(tokens: tuple[int, ...], n: int) -> None:
    assert n_said(tokens, 100, 200) == n


@pytest.mark.parametrize(("tokens", "time"), [((100, 7, 150), 50), ((100, 7, 150, 180, 8), 100), ((), 100)])
def test_a_text_reaches_to_its_last_time_or_to_the_end(tokens: tuple[int, ...], time: int) -> None:
    assert reaches(tokens, 100, 200) == time
