"""Hours and crowds: minutes and dozens, or all of it with `SOAK=1 pytest tests/engines/voxtral/test_soak.py`."""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from voxtral_streaming.audio.units import SAMPLE_RATE, Samples
from voxtral_streaming.engines.voxtral.facts import SAMPLES_PER_TOKEN
from voxtral_streaming.engines.voxtral.files import Checkpoint
from voxtral_streaming.engines.voxtral.stepper import Stepper
from voxtral_streaming.engines.voxtral.transcription import Kind, Request
from voxtral_streaming.engines.voxtral.worker import Asked, Closed, Fed, Opened, Voice, Worker

IS_SOAK = "SOAK" in os.environ
SECONDS = 4 * 3600 if IS_SOAK else 120  # of one stream
N_JOINS = 1000 if IS_SOAK else 60

pytestmark = pytest.mark.timeout(3600 if IS_SOAK else 120)

FLAT = 8 * 2**20  # bytes that memory may grow by once everything was seen once

OpenStepper = Callable[..., Stepper]


def resident() -> int:
    """Bytes of memory that this process holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def serve(worker: Worker, *messages: Any) -> None:
    """Let the worker do all that there is to do."""
    for message in messages:
        worker.inbox.put(message)
    while not worker.inbox.empty() or any(voice.n_due for voice in worker.seated):
        assert worker._receive()
        worker._arrange()
        worker._step()
        worker._answer()
        worker._arrange()


def request(kind: Kind) -> Request:
    return Request(kind, Future())


def test_one_stream_for_hours(open_stepper: OpenStepper, checkpoint: Checkpoint, clip: Samples, words: str) -> None:
    """Flushed after every clip, as at a pause; the text of the last clip is that of the first.

    The clips are whole tokens apart, so that all of them sound the same to the model. It keeps no words.
    """
    worker, voice = Worker(open_stepper(1), "auto"), Voice(checkpoint.tekken, 6, words=False)
    pause = np.zeros(SAMPLE_RATE - (len(clip) + SAMPLE_RATE) % SAMPLES_PER_TOKEN, np.float32)
    heard, before, texts = 0, 0, Counter[str]()
    serve(worker, Opened(voice))
    while heard < SECONDS * SAMPLE_RATE:
        length = len(voice.text)
        flush = request(Kind.FLUSH)
        serve(worker, Fed(voice, clip), Fed(voice, pause), Asked(voice, flush))
        texts[(flush.answer.result().stable + flush.answer.result().tentative)[length:].strip()] += 1
        heard += len(clip) + len(pause)
        before = before or resident()
    assert resident() - before < FLAT
    assert texts.keys() == {words}


def test_a_crowd_that_joins_and_leaves(
    open_stepper: OpenStepper, checkpoint: Checkpoint, clip: Samples, words: str
) -> None:
    """Half of them leave in the middle; the others' texts are exact."""
    chance, worker = random.Random(7), Worker(open_stepper(16), "auto")
    open_requests: list[tuple[Voice, Request]] = []
    before, n_exact = 0, 0
    for n in range(N_JOINS):
        voice = Voice(checkpoint.tekken, chance.choice((3, 6, 12)))
        worker.inbox.put(Opened(voice))
        if chance.random() < 0.5:
            serve(worker, Fed(voice, clip[: chance.randrange(len(clip))]), Closed(voice))
        else:
            finish = request(Kind.FINISH)
            open_requests.append((voice, finish))
            worker.inbox.put(Fed(voice, clip))
            worker.inbox.put(Asked(voice, finish))
        if n % 20 == 19:
            serve(worker)
            n_exact += sum(one.answer.result().text == words for _, one in open_requests)
            assert all(one.answer.result().text == words for _, one in open_requests)
            open_requests.clear()
            assert worker.seated == []
        if n == N_JOINS // 3:
            before = resident()
    assert n_exact > 0.4 * N_JOINS
    assert resident() - before < FLAT


@pytest.mark.skipif(not IS_SOAK, reason="slow; SOAK=1 runs it")
@pytest.mark.filterwarnings("default")  # torch's compiler warns of itself
def test_a_compiled_step_gives_the_same_tokens(
    open_stepper: OpenStepper, transcribe_alone: Any, oracle: Any, clip: Samples
) -> None:
    """With torch's own compiler: minutes, and a C++ compiler is needed."""
    from voxtral_streaming.engines.voxtral.kernels import accelerate

    stepper = open_stepper(2)
    assert accelerate(stepper) == "compiled"
    assert transcribe_alone(stepper, clip) == oracle(clip)
