from __future__ import annotations

import pytest

from voxtral_streaming.config import load_config
from voxtral_streaming.engines import explain
from voxtral_streaming.engines.whisper.device import explain_device, takes_gpu


@pytest.mark.parametrize("device", ["cpu", "cuda", "cuda:1"])
def test_what_was_asked_for_is_taken(device: str) -> None:
    assert explain_device(device, n_gpus=0) == f"{device} (asked for)"


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
