"""Continuous batching: whoever comes and goes, each answer is the one that the request gets alone."""

from __future__ import annotations

import random
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from voxtral_streaming.audio.units import SAMPLE_RATE, Samples
from voxtral_streaming.engines.voxtral_offline.batch import ENCODER_PIECES
from voxtral_streaming.engines.voxtral_offline.worker import Kind, Stopped, Worker
from voxtral_streaming.errors import EngineFailed


def noise(duration_s: float, seed: int) -> Samples:
    samples = np.random.default_rng(seed).standard_normal(round(duration_s * SAMPLE_RATE))
    return (samples / 10).astype(np.float32)


REQUESTS: list[tuple[float, str | None, int]] = [
    (2.0, "en", 40),
    (31.0, None, 25),
    (0.3, "fr", 60),
    (5.0, "de", 1),
    (12.0, None, 33),
    (7.7, "hi", 50),
    (1.0, "es", 17),
]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("n_rows", [1, 3, 8])
def test_requests_join_and_leave_at_any_step(
    official: Path, ask: Any, open_worker: Any, serve: Any, n_rows: int, dtype: torch.dtype
) -> None:
    audio = [noise(duration_s, seed) for seed, (duration_s, _, _) in enumerate(REQUESTS)]

    def asked() -> list[Any]:
        return [ask(official, samples, *how[1:]) for samples, how in zip(audio, REQUESTS, strict=True)]

    alone = [serve(open_worker(official, dtype=dtype), [request])[0].tokens for request in asked()]
    arrivals = [random.Random(n_rows).randint(0, 60) for _ in REQUESTS]
    together = serve(open_worker(official, n_rows, dtype), asked(), arrivals)
    assert [answer.tokens for answer in together] == alone
    assert [len(tokens) for tokens in alone] == [most for _, _, most in REQUESTS]
    assert len({token for tokens in alone for token in tokens}) > 20


def test_nobody_waits_longer_than_a_piece_and_a_step(official: Path, ask: Any, open_worker: Any) -> None:
    """While others are prepared, somebody who is decoding gets a token in every turn of the thread."""
    worker: Worker = open_worker(official, n_rows=4)
    told: list[int] = []
    first = ask(official, noise(1.0, 0), most=200)
    first.on_token = lambda: told.append(first.said[-1])
    worker.waiting.append(first)
    while not told:
        worker.advance()
    worker.waiting += [ask(official, noise(40.0, seed), most=1) for seed in (1, 2, 3)]
    n_before, n_turns = len(told), 0
    while worker.seats[1:] != [None] * 3 or worker.waiting:
        worker.advance()
        n_turns += 1
    assert len(told) - n_before == n_turns
    assert n_turns > 3 * 2 * 2


def test_the_encoder_runs_in_pieces(official: Path, open_worker: Any, loaded: Any) -> None:
    batch = open_worker(official)._batch
    n_layers = len(loaded(official).encoder.layers)
    pieces = list(batch.encode(torch.zeros(128, 3000)))
    assert len(pieces) == 1 + min(n_layers, ENCODER_PIECES)


def test_urgent_requests_are_prepared_first_and_partials_make_room(official: Path, ask: Any, open_worker: Any) -> None:
    worker: Worker = open_worker(official, n_rows=2)
    partials = [ask(official, noise(1.0, seed), most=80, kind=Kind.PARTIAL) for seed in (0, 1)]
    worker.waiting += partials
    while any(seat is None or seat.preparing or len(seat.generation.said) < 5 for seat in worker.seats):
        worker.advance()
    final = ask(official, noise(1.0, 2), most=3)
    worker.waiting.append(final)
    worker.advance()
    assert worker.waiting == [partials[1]]
    assert len(partials[1].draft) >= 5
    while not worker.is_idle:
        worker.advance()
        assert final.answer.done() or not partials[1].answer.done()
    alone: Worker = open_worker(official)
    again = ask(official, noise(1.0, 1), most=80)
    alone.waiting.append(again)
    while not alone.is_idle:
        alone.advance()
    assert partials[1].answer.result().tokens == again.answer.result().tokens
    assert partials[1].answer.result().n_steps < again.answer.result().n_steps


def test_who_gives_up_frees_the_row(official: Path, ask: Any, open_worker: Any) -> None:
    worker: Worker = open_worker(official)
    requests = [ask(official, noise(1.0, seed), most=10) for seed in (0, 1, 2)]
    worker.waiting += requests
    worker.advance()
    requests[0].answer.cancel()
    requests[1].answer.cancel()
    while not worker.is_idle:
        worker.advance()
    assert len(requests[2].answer.result(timeout=0).tokens) == 10


def test_a_failure_reaches_everybody(official: Path, ask: Any, open_worker: Any, monkeypatch: Any) -> None:
    worker: Worker = open_worker(official)
    monkeypatch.setattr(worker._batch, "step", lambda _: 1 / 0)
    thread = threading.Thread(target=worker.run)
    thread.start()
    for seed in (0, 1):
        request = ask(official, noise(1.0, seed), most=10)
        worker.inbox.put(request)
        with pytest.raises(EngineFailed, match="division"):
            request.answer.result()
    worker.inbox.put(Stopped())
    thread.join()


def test_a_request_that_memory_has_no_room_for_fails_alone(
    official: Path, ask: Any, open_worker: Any, serve: Any, monkeypatch: Any
) -> None:
    worker: Worker = open_worker(official, n_rows=2)
    encode = worker._batch.encode

    def scarce(mel: torch.Tensor) -> Any:
        if mel.mean() > 0:
            raise torch.OutOfMemoryError("no memory")
        return (yield from encode(mel))

    monkeypatch.setattr(worker._batch, "encode", scarce)
    requests = [ask(official, noise(1.0, 0), most=10) for _ in range(2)]
    requests[0].mel = requests[0].mel.abs() + 1
    worker.waiting += requests
    while not worker.is_idle:
        worker.advance()
    with pytest.raises(EngineFailed, match="memory"):
        requests[0].answer.result(timeout=0)
    assert len(requests[1].answer.result(timeout=0).tokens) == 10


def test_the_last_row_takes_the_place_of_one_that_left(
    official: Path, ask: Any, open_worker: Any, serve: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Steps go over no more rows than there are requests, and the one that moved says what it says alone."""
    worker: Worker = open_worker(official, n_rows=3)
    step, sizes = worker._batch.step, list[int]()

    def counted(tokens: list[int | None]) -> list[int]:
        sizes.append(len(tokens))
        return step(tokens)

    monkeypatch.setattr(worker._batch, "step", counted)
    together = serve(worker, [ask(official, noise(1.0, seed), most=most) for seed, most in ((0, 8), (1, 20), (2, 50))])
    [alone] = serve(open_worker(official), [ask(official, noise(1.0, 2), most=50)])
    assert together[2].tokens == alone.tokens
    assert sizes[-25:] == [1] * 25


def test_recordings_let_those_go_first_who_speak_now(official: Path, ask: Any, open_worker: Any) -> None:
    worker: Worker = open_worker(official)
    recorded = ask(official, noise(1.0, 0), most=60, kind=Kind.RECORDED)
    worker.waiting.append(recorded)
    while len(recorded.said) < 5:
        worker.advance()
    live = [ask(official, noise(1.0, seed), most=3, kind=kind) for seed, kind in ((1, Kind.PARTIAL), (2, Kind.FINISH))]
    worker.waiting += live
    worker.advance()
    assert worker.waiting == [live[0], recorded]
    while not worker.is_idle:
        worker.advance()
        assert all(request.answer.done() for request in live) or not recorded.answer.done()
    assert len(recorded.answer.result().tokens) == 60
