"""The decoder that takes drafts, on the real model: a draft saves steps and changes nothing else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from faster_whisper import WhisperModel

from voxtral_streaming.audio.units import Samples
from voxtral_streaming.config import ModelConfig
from voxtral_streaming.engines.whisper.cache import GRAIN
from voxtral_streaming.engines.whisper.decoder import FIRST_TRIED, Decoder
from voxtral_streaming.engines.whisper.drafts import Drafts
from voxtral_streaming.engines.whisper.engine import load_whisper
from voxtral_streaming.engines.whisper.model import Decoded, Encoded, Whisper
from voxtral_streaming.engines.whisper.native import NativeDecoder
from voxtral_streaming.engines.whisper.texts import Text
from voxtral_streaming.engines.whisper.weights import model_folder
from voxtral_streaming.engines.whisper.windows import window_for

Tokens = tuple[int, ...]
N_RANDOM = 4  # drafts


@pytest.fixture(scope="module")
def float_model() -> Whisper:
    return load_whisper(ModelConfig(name="whisper-base", device="cpu", compute_type="float32"))


@pytest.fixture(scope="module")
def encoded(model: Whisper, clips: list[Samples]) -> list[Encoded]:
    return [encode(model, clip) for clip in clips]


@pytest.fixture(scope="module")
def plain(model: Whisper, encoded: list[Encoded]) -> list[Decoded]:
    """What the clips are without drafts, each alone."""
    return [decode(model, one) for one in encoded]


def encode(model: Whisper, samples: Samples) -> Encoded:
    return model.encode(samples, window_for(len(samples)))


def decode(model: Whisper, encoded: Encoded, draft: Sequence[int] = ()) -> Decoded:
    [decoded] = model.decode([encoded], ["en"], [draft])
    return decoded


def with_times_moved(tokens: Sequence[int], first_time: int, steps: int) -> Tokens:
    return tuple(token if token < first_time else max(first_time, token + steps) for token in tokens)


def altered(tokens: Sequence[int], random: np.random.Generator, first_time: int) -> Tokens:
    """The tokens with some of them left out, exchanged, doubled, or with others before them."""
    found: list[int] = []
    for token in tokens:
        other = int(random.integers(first_time + 1500))
        found += {0: [], 1: [other], 2: [token, token], 3: [other, token]}.get(int(random.integers(16)), [token])
    return tuple(found)


DRAFTS: dict[str, Callable[[Tokens, Tokens, int], Tokens]] = {
    "the right text": lambda own, other, first: own,
    "half of it": lambda own, other, first: own[: len(own) // 2],
    "its other half": lambda own, other, first: own[len(own) // 2 :],
    "all but its first time": lambda own, other, first: own[1:],
    "a wrong word in the middle": lambda own, other, first: (*own[:6], own[6] + 1, *own[7:]),
    "a word too many": lambda own, other, first: (*own[:6], 1000, *own[6:]),
    "a word too few": lambda own, other, first: (*own[:6], *own[7:]),
    "the first word wrong": lambda own, other, first: (own[0], own[1] + 1, *own[2:]),
    "a pair of times in the middle": lambda own, other, first: (*own[:6], first + 60, first + 60, *own[6:]),
    "later times": lambda own, other, first: with_times_moved(own, first, 7),
    "earlier times": lambda own, other, first: with_times_moved(own, first, -7),
    "no times": lambda own, other, first: tuple(token for token in own if token < first),
    "times alone": lambda own, other, first: (first,) * 9,
    "the text of another": lambda own, other, first: other,
    "what follows as well": lambda own, other, first: own + with_times_moved(other, first, 300),
    "itself twice": lambda own, other, first: own + own,
}


@pytest.mark.parametrize("name", DRAFTS)
def test_no_draft_changes_the_tokens_or_the_score(
    model: Whisper, encoded: list[Encoded], plain: list[Decoded], name: str
) -> None:
    draft = DRAFTS[name](plain[1].draft, plain[0].draft, model.first_time)
    found = decode(model, encoded[1], draft)
    assert (found.draft, found.logprob) == (plain[1].draft, plain[1].logprob)
    assert found == plain[1]


@pytest.mark.parametrize("seed", range(N_RANDOM))
def test_no_random_draft_changes_the_tokens_or_the_score(
    model: Whisper, encoded: list[Encoded], plain: list[Decoded], seed: int
) -> None:
    random = np.random.default_rng(seed)
    draft = altered(plain[2].draft, random, model.first_time)
    assert decode(model, encoded[2], draft) == plain[2]
    text = tuple(random.integers(50_000, size=40).tolist())
    assert decode(model, encoded[2], text) == plain[2]


@pytest.mark.parametrize("n_tokens", [200, 500, 2000])
def test_a_draft_that_is_far_too_long_changes_nothing(
    model: Whisper, encoded: list[Encoded], plain: list[Decoded], n_tokens: int
) -> None:
    draft = (plain[2].draft * n_tokens)[:n_tokens]
    assert decode(model, encoded[2], draft) == plain[2]


@pytest.mark.parametrize("time", [1500, 1501, 3000])
def test_a_time_behind_the_longest_window_changes_nothing(
    model: Whisper, encoded: list[Encoded], plain: list[Decoded], time: int
) -> None:
    draft = (*plain[2].draft[:-1], model.first_time + time)
    assert decode(model, encoded[2], draft) == plain[2]


def test_no_draft_changes_what_float32_gives(float_model: Whisper, clips: list[Samples]) -> None:
    encoded = encode(float_model, clips[2])
    plain = decode(float_model, encoded)
    for name in ("the right text", "a wrong word in the middle", "later times"):
        draft = DRAFTS[name](plain.draft, (), float_model.first_time)
        assert decode(float_model, encoded, draft) == plain


def test_a_draft_does_not_change_where_tokens_were_heard_or_whether_there_was_speech(
    model: Whisper, encoded: list[Encoded], plain: list[Decoded]
) -> None:
    without, *others = [
        written(model, encoded[2], draft) for draft in ((), plain[2].draft, plain[2].draft[:5], plain[0].draft)
    ]
    assert 0 < without.no_speech < 1
    assert without.attention is not None
    for text in others:
        assert text.no_speech == without.no_speech
        assert text.attention is not None
        assert text.attention.probabilities == without.attention.probabilities
        assert np.array_equal(text.attention.weights, without.attention.weights)


def test_a_text_ends_at_its_limit_whatever_the_draft(
    model: Whisper, encoded: list[Encoded], plain: list[Decoded]
) -> None:
    for n_most in (1, 4):
        texts = [written(model, encoded[2], draft, n_most) for draft in ((), plain[2].draft, plain[0].draft)]
        assert [text.tokens for text in texts] == [list(plain[2].draft[:n_most])] * 3
        assert len({text.logprob for text in texts}) == 1


def written(model: Whisper, encoded: Encoded, draft: Sequence[int] = (), n_most: int = 99) -> Text:
    text = begun(model, n_most, draft)
    decoder(model).decode([encoded.features], [text])
    return text


def begun(model: Whisper, n_most: int = 99, draft: Sequence[int] = ()) -> Text:
    return Text(tuple(model.tokenizer("en").sot_sequence), n_most, model.first_time + 1500, list(draft))


def decoder(model: Whisper) -> Decoder:
    assert isinstance(model._decoder, Decoder)
    return model._decoder


def test_windows_of_different_lengths_come_out_in_company_as_alone(
    model: Whisper, encoded: list[Encoded], plain: list[Decoded]
) -> None:
    assert len({one.window for one in encoded}) == 3
    assert model.decode(encoded, ["en"] * 3) == plain
    assert model.decode(encoded[::-1], ["en"] * 3) == plain[::-1]


def test_drafts_of_some_change_nothing_in_company(model: Whisper, encoded: list[Encoded], plain: list[Decoded]) -> None:
    own = [decoded.draft for decoded in plain]
    for drafts in ([own[0], (), own[2]], [(), own[1][:5], own[2][:5]], [own[1], own[2], own[0]]):
        assert model.decode(encoded, ["en"] * 3, drafts) == plain


def test_texts_longer_than_a_grain_come_out_in_company_as_alone(
    model: Whisper, clips: list[Samples], encoded: list[Encoded], plain: list[Decoded]
) -> None:
    long = encode(model, np.concatenate([clips[0], clips[1], clips[0]]))
    alone = decode(model, long)
    assert len(alone.draft) + len(model.tokenizer("en").sot_sequence) > GRAIN
    assert model.decode([encoded[2], long], ["en"] * 2) == [plain[2], alone]
    assert decode(model, long, alone.draft[:20] + alone.draft[21:]) == alone


def test_threads_do_not_disturb_each_other(model: Whisper, encoded: list[Encoded], plain: list[Decoded]) -> None:
    with ThreadPoolExecutor(2) as threads:
        found = list(threads.map(lambda n: decode(model, encoded[n], plain[n].draft[:8]), [0, 2, 1, 2]))
    assert found == [plain[0], plain[2], plain[1], plain[2]]


@pytest.fixture(scope="module")
def native() -> NativeDecoder:
    """CTranslate2's decoder in float32; no window here needs silence behind it."""
    with model_folder("whisper-base") as folder:
        whole = WhisperModel(str(folder), device="cpu", compute_type="float32", cpu_threads=1)
    return NativeDecoder(whole.model, lambda window: pytest.fail("no silence is needed"))


@pytest.mark.parametrize("n", [0, 1, 2])
@pytest.mark.parametrize("beam_size", [1, 2])
def test_float32_gives_what_ctranslate2_gives(
    float_model: Whisper, native: NativeDecoder, clips: list[Samples], n: int, beam_size: int
) -> None:
    features = encode(float_model, clips[n]).features
    found, expected = (one.search(features, begun(float_model), beam_size) for one in (decoder(float_model), native))
    assert found.tokens == expected.tokens
    assert found.score == pytest.approx(expected.score, abs=1e-3)
    assert found.no_speech == pytest.approx(expected.no_speech, abs=1e-3)


def test_a_beam_of_one_is_greedy_and_one_of_five_no_worse(model: Whisper, encoded: list[Encoded]) -> None:
    for one in encoded:
        greedy = written(model, one)
        single, wide = (decoder(model).search(one.features, begun(model), beam_size) for beam_size in (1, 5))
        assert (single.tokens, single.score) == (greedy.tokens, greedy.score)
        assert wide.score >= greedy.score


def test_a_beam_that_begins_with_all_of_a_text_that_is_over_is_that_text(
    model: Whisper, encoded: list[Encoded], plain: list[Decoded]
) -> None:
    whole = replace(begun(model, draft=plain[1].draft), last_time=plain[1].draft[-1])
    found = decoder(model).search(encoded[1].features, whole, 5)
    assert (found.tokens, found.is_ended, found.is_cut) == (list(plain[1].draft), True, False)


def test_the_language_is_found_as_by_ctranslate2(model: Whisper, native: NativeDecoder, encoded: list[Encoded]) -> None:
    for one in encoded:
        found, expected = model.detect(one), native.detect(one.features)
        assert found[0][0] == expected[0][0] == "en"
        assert found[0][1] == pytest.approx(expected[0][1], abs=0.05)
        assert sum(probability for _, probability in found) == pytest.approx(1, abs=1e-3)


class Counting:
    """Runs a session, and keeps how many tokens each step took."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self.steps: list[int] = []

    def run(self, outputs: None, inputs: dict[str, Any]) -> Any:
        self.steps.append(inputs["places"].shape[1])
        return self._session.run(outputs, inputs)


@pytest.fixture
def steps(model: Whisper, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many tokens each step of the decoder takes."""
    counting = Counting(decoder(model)._session)
    monkeypatch.setattr(model._decoder, "_session", counting)
    return counting.steps


def n_steps(model: Whisper, encoded: Encoded, draft: Sequence[int], steps: list[int]) -> int:
    steps.clear()
    decode(model, encoded, draft)
    return len(steps)


def test_without_a_draft_there_is_a_step_to_each_token_but_a_time_at_which_a_piece_begins(
    model: Whisper, clips: list[Samples], encoded: list[Encoded], plain: list[Decoded], steps: list[int]
) -> None:
    assert plain[1].draft[0] == model.first_time
    assert n_steps(model, encoded[1], (), steps) == len(plain[1].draft)
    two = encode(model, np.concatenate([clips[0], clips[1]]))
    draft = decode(model, two).draft
    likely = [one for one, following in pairwise(draft) if one == following >= model.first_time]
    assert likely
    ends_there = draft[-1] >= model._text(two, "en").last_time
    assert n_steps(model, two, (), steps) == len(draft) - len(likely) - ends_there


def test_a_text_that_reaches_the_end_of_the_audio_takes_no_step_to_its_end(
    model: Whisper, encoded: list[Encoded], plain: list[Decoded]
) -> None:
    closing = plain[1].draft[-1]
    ends = []
    for last_time in (closing, closing + 1):
        text = replace(begun(model), last_time=last_time)
        decoder(model).decode([encoded[1].features], [text])
        ends.append((text.tokens, text.is_cut, len(text.heard), text.logprob))
    assert ends[0][:3] == ends[1][:3] == (list(plain[1].draft), False, len(plain[1].tokens) + 1)
    assert ends[0][3] > ends[1][3]  # that of the end is not counted


def test_the_right_draft_takes_two_steps(
    model: Whisper, encoded: list[Encoded], plain: list[Decoded], steps: list[int]
) -> None:
    assert n_steps(model, encoded[1], plain[1].draft, steps) == 2
    assert n_steps(model, encoded[1], plain[1].draft[:FIRST_TRIED], steps) < len(plain[1].draft) - FIRST_TRIED + 3


def test_half_of_the_text_saves_half_of_the_steps(
    model: Whisper, encoded: list[Encoded], plain: list[Decoded], steps: list[int]
) -> None:
    draft = plain[1].draft[:10]
    assert n_steps(model, encoded[1], draft, steps) == len(plain[1].draft) + 1 - len(draft)


@pytest.mark.parametrize("name", ["a word too many", "a pair of times in the middle", "later times", "no times"])
def test_behind_what_is_wrong_the_draft_goes_on(
    model: Whisper, encoded: list[Encoded], plain: list[Decoded], steps: list[int], name: str
) -> None:
    draft = DRAFTS[name](plain[1].draft, (), model.first_time)
    assert n_steps(model, encoded[1], draft, steps) < len(plain[1].draft) / 2


@pytest.mark.parametrize("name", ["the text of another", "times alone", "itself twice"])
def test_a_wrong_draft_takes_hardly_more_steps_than_none(
    model: Whisper, encoded: list[Encoded], plain: list[Decoded], steps: list[int], name: str
) -> None:
    draft = DRAFTS[name](plain[1].draft, plain[0].draft, model.first_time)
    assert n_steps(model, encoded[1], draft, steps) <= len(plain[1].draft) + 1


def test_what_drafts_put_together_saves_steps(model: Whisper, clips: list[Samples], steps: list[int]) -> None:
    first, second = clips[2], clips[1]
    drafts = Drafts(model.first_time)
    drafts.heard(0, len(first), decode(model, encode(model, first)).draft)
    drafts.heard(len(first), len(first) + len(second), decode(model, encode(model, second)).draft)
    both = encode(model, np.concatenate([first, second]))
    n_without = n_steps(model, both, (), steps)
    assert n_steps(model, both, drafts.behind(0), steps) < n_without / 2
    assert decode(model, both, drafts.behind(0)) == decode(model, both)
