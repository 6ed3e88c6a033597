from __future__ import annotations

import pytest

from voxtral_streaming.config import load_config
from voxtral_streaming.engines import explain
from voxtral_streaming.engines.whisper.device import explain_device


@pytest.mark.parametrize("device", ["cpu", "cuda", "cuda:1"])
def test_what_was_asked_for_is_taken(device: str) -> None:
    assert explain_device(device, n_gpus=0) == f"{device} (asked for)"


def test_auto_takes_a_gpu_where_there_is_one() -> None:
    assert explain_device("auto", n_gpus=2).startswith("cuda (auto")
    assert explain_device("auto", n_gpus=0).startswith("cpu (auto")


def test_the_whole_sentence() -> None:
    config = load_config(None, {"VOXTRAL_MODEL__ENGINE": "whisper", "VOXTRAL_MODEL__DEVICE": "cpu"})
    assert explain(config) == "whisper, asked for by model.engine, with whisper-base on cpu (asked for)"
