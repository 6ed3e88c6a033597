from __future__ import annotations

import os
import sys

import numpy as np
import pytest

from voxtral_streaming.audio.units import Samples
from voxtral_streaming.config import ModelConfig, load_config
from voxtral_streaming.engines import explain
from voxtral_streaming.engines.whisper import device
from voxtral_streaming.engines.whisper.device import MOST_THREADS, encoder_threads, explain_device, takes_gpu
from voxtral_streaming.engines.whisper.engine import load_whisper
from voxtral_streaming.engines.whisper.model import Whisper
from voxtral_streaming.engines.whisper.windows import window_for


@pytest.mark.parametrize("asked", ["cpu", "cuda", "cuda:1"])
def test_what_was_asked_for_is_taken(asked: str) -> None:
    assert explain_device(asked, n_gpus=0) == f"{asked} (asked for)"


def test_auto_takes_a_gpu_where_there_is_one() -> None:
    assert explain_device("auto", n_gpus=2).startswith("cuda (auto")
    assert explain_device("auto", n_gpus=0).startswith("cpu (auto")


def test_the_whole_sentence() -> None:
    config = load_config(None, {"VOXTRAL_MODEL__ENGINE": "whisper", "VOXTRAL_MODEL__DEVICE": "cpu"})
    assert explain(config) == "whisper, asked for by model.engine, with whisper-base on cpu (asked for)"


@pytest.mark.parametrize(
    ("asked", "n_gpus", "is_gpu"), [("auto", 1, True), ("auto", 0, False), ("cuda:1", 0, True), ("cpu", 2, False)]
)
def test_a_gpu_is_taken_where_it_is_asked_for_or_found(asked: str, n_gpus: int, is_gpu: bool) -> None:
    assert takes_gpu(asked, n_gpus) == is_gpu


def test_without_a_driver_ctranslate2_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "DRIVERS", {sys.platform: "no-such-driver.so"})
    monkeypatch.setitem(sys.modules, "ctranslate2", None)  # to import it would fail
    assert not takes_gpu("auto")


@pytest.mark.parametrize(
    ("asked", "n_workers", "n_cores", "n_threads"),
    [("auto", 2, 2, 1), ("auto", 2, 7, 3), ("auto", 1, 2, 2), ("auto", 4, 2, 1), ("auto", 2, 64, MOST_THREADS)],
)
def test_an_encoder_takes_the_cores_that_there_are_for_each_worker(
    asked: str, n_workers: int, n_cores: int, n_threads: int
) -> None:
    assert encoder_threads(asked, n_workers, n_cores) == n_threads


def test_an_encoder_takes_the_threads_that_are_asked_for() -> None:
    assert encoder_threads(3, n_workers=2, n_cores=2) == 3


def test_cores_that_the_process_must_not_use_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {5}, raising=False)
    assert encoder_threads("auto", n_workers=1) == 1


def test_what_is_encoded_does_not_depend_on_the_threads(model: Whisper, clips: list[Samples]) -> None:
    helped = load_whisper(ModelConfig(name="whisper-base", device="cpu", encoder_threads=3))
    window = window_for(len(clips[0]))
    expected, found = (one.encode(clips[0], window).features for one in (model, helped))
    np.testing.assert_allclose(found, expected, atol=1e-3)
