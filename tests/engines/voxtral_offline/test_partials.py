"""Partials by verification: the same tokens as decoding anew, in a fraction of the steps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from voxtral_streaming.audio.units import SAMPLE_RATE, Samples
from voxtral_streaming.engines.voxtral_offline.worker import Kind

EVERY = SAMPLE_RATE // 2  # samples of new audio between two partials
STREAM_S = 120


def utterances(clip: Samples) -> list[Samples]:
    """Two minutes of them: the clip from one of its words to a later one, beginning and ending in its gaps."""
    quiet = [bool(np.abs(clip[start : start + 160]).max() < 0.001) for start in range(0, len(clip), 160)]
    gaps = [160 * n for n in range(5, len(quiet) - 8) if all(quiet[n - 4 : n + 8]) and not quiet[n - 5]]
    random, said = np.random.default_rng(0), list[Samples]()
    while sum(map(len, said)) < STREAM_S * SAMPLE_RATE:
        begin, end = sorted(random.choice([0, *gaps, len(clip)], 2, replace=False))
        if end - begin > SAMPLE_RATE:
            said.append(clip[begin:end])
    return said


def test_two_minutes_take_a_third_of_the_steps(
    tiny: Path, clip: Samples, ask: Any, open_worker: Any, serve: Any
) -> None:
    worker, n_plain, n_verified = open_worker(tiny), 0, 0
    seen = set()
    for utterance in utterances(clip):
        draft: tuple[int, ...] = ()
        for end in [*range(EVERY, len(utterance), EVERY), len(utterance)]:
            samples, kind = utterance[:end], Kind.PARTIAL if end < len(utterance) else Kind.FINISH
            [plain] = serve(worker, [ask(tiny, samples, "en", kind=kind)])
            [verified] = serve(worker, [ask(tiny, samples, "en", kind=kind, draft=draft)])
            assert verified.tokens == plain.tokens
            draft = verified.tokens
            n_plain, n_verified = n_plain + plain.n_steps, n_verified + verified.n_steps
        seen.add(draft)
    assert len(seen) > 10
    assert n_plain >= 3 * n_verified, f"{n_plain} steps anew, {n_verified} with verification"


def test_whatever_the_draft_the_tokens_are_greedy(
    tiny: Path, clip: Samples, ask: Any, open_worker: Any, serve: Any
) -> None:
    """The head of the truth, all of it, more than all, nonsense, another utterance."""
    worker, random = open_worker(tiny), np.random.default_rng(1)
    [plain] = serve(worker, [ask(tiny, clip, "en")])
    drafts = [plain.tokens[:n] for n in (1, 5, len(plain.tokens))]
    drafts += [plain.tokens + plain.tokens, tuple(random.integers(64, 512, 30).tolist()), plain.tokens[3:]]
    for draft in drafts:
        [answer] = serve(worker, [ask(tiny, clip, "en", draft=draft)])
        assert answer.tokens == plain.tokens
        assert answer.n_steps <= plain.n_steps
