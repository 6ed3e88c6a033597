"""What the model makes of real speech, and the guards around it."""

from __future__ import annotations

import numpy as np
import pytest

from voxtral_streaming.audio.units import SAMPLE_RATE, Samples
from voxtral_streaming.engines.whisper.model import Whisper, compression, grouped
from voxtral_streaming.engines.whisper.recognition import (
    Request,
    Result,
    finalise_batch,
    n_before_repeats,
    recognise_batch,
)
from voxtral_streaming.engines.whisper.windows import LONGEST, WINDOWS, window_for


def request(samples: Samples, window: int | None = None, language: str | None = "en") -> Request:
    return Request(samples, window or window_for(len(samples)), language, None)


def text(result: Result) -> str:
    return "".join(result.decoded.words).strip()


def test_a_sentence_is_heard(model: Whisper, clips: list[Samples]) -> None:
    [result] = recognise_batch(model, [request(clips[0])], final=True)
    assert "had then leisure to consider how much there might be prudently in his power" in text(result)


def test_a_batch_gives_what_each_gives_alone(model: Whisper, clips: list[Samples]) -> None:
    requests = [request(clip[: 4 * SAMPLE_RATE], 600) for clip in clips] + [
        request(np.zeros(SAMPLE_RATE, np.float32), 600)
    ]
    together = recognise_batch(model, requests, final=True)
    alone = [recognise_batch(model, [one], final=True)[0] for one in requests]
    assert [result.decoded for result in together] == [result.decoded for result in alone]


@pytest.mark.parametrize("window", [window for window in WINDOWS if window >= 1000])
def test_the_window_does_not_change_the_words(model: Whisper, clips: list[Samples], window: int) -> None:
    [shortest], [longer] = (recognise_batch(model, [request(clips[0], size)], final=True) for size in (1000, window))
    assert text(shortest) == text(longer)


def test_a_draft_is_made_final_without_being_encoded_again(
    model: Whisper, clips: list[Samples], monkeypatch: pytest.MonkeyPatch
) -> None:
    requests = [request(clip[: 4 * SAMPLE_RATE], 600) for clip in clips]
    finals = recognise_batch(model, requests, final=True)
    drafts = recognise_batch(model, requests, final=False)
    monkeypatch.setattr(model, "encode", pytest.fail)
    assert [result.decoded for result in finalise_batch(model, drafts)] == [result.decoded for result in finals]


def test_the_language_is_found(model: Whisper, clips: list[Samples]) -> None:
    [result] = recognise_batch(model, [request(clips[0], language=None)], final=True)
    assert result.decoded.language == "en"


def test_the_expected_language_stands_where_the_audio_leaves_doubt(model: Whisper, clips: list[Samples]) -> None:
    brief = clips[0][8000:20_000]
    likely = Request(brief, window_for(len(brief)), None, "fr")
    assert recognise_batch(model, [likely], final=True)[0].decoded.language == "fr"


def test_word_times_are_in_order_and_within_the_audio(model: Whisper, clips: list[Samples]) -> None:
    [result] = recognise_batch(model, [request(clips[0])], final=True)
    words = model.align(result.encoded, result.decoded)
    times = [time for word in words for time in (word.start, word.end)]
    assert [word.text for word in words] == text(result).split()
    assert times == sorted(times)
    assert times[0] >= 0
    assert times[-1] <= len(clips[0]) / SAMPLE_RATE
    assert all(0 < word.probability <= 1 for word in words)


def test_a_loop_is_decoded_again_in_the_longest_window(model: Whisper, monkeypatch: pytest.MonkeyPatch) -> None:
    """The window of a sentence without silence behind it makes Whisper repeat itself; the guard is what we test."""
    asked: list[tuple[int, int]] = []
    decode = model.decode

    def suspicious(batch, languages, beam_size=1):  # type: ignore[no-untyped-def]
        asked.append((batch[0].window, beam_size))
        return [
            type(one)(one.tokens, one.words, one.language, is_suspect=True)
            for one in decode(batch, languages, beam_size)
        ]

    monkeypatch.setattr(model, "decode", suspicious)
    tone = (0.1 * np.sin(np.arange(SAMPLE_RATE) * 0.05)).astype(np.float32)
    recognise_batch(model, [request(tone)], final=True)
    assert asked == [(400, 5), (LONGEST, 5)]


def test_a_phrase_three_times_in_a_row_is_kept_once() -> None:
    assert n_before_repeats([" a", " b", " c", " b", " c", " b", " c", " d"]) == 3
    assert n_before_repeats([" no", " no", " never"]) == 3
    assert n_before_repeats([]) == 0


def test_loops_compress() -> None:
    assert compression(" and so on" * 20) > 2.4 > compression(" It was the best of times, it was the worst of times.")


def test_pieces_make_words() -> None:
    assert grouped([" cold", "-", "hearted", " don", "'t", " stop", "!"], "en") == [[0, 1, 2], [3, 4], [5, 6]]
    assert grouped(["今", "日", "、", "は"], "ja") == [[0], [1, 2], [3]]
